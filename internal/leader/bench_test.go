package leader

import (
	"fmt"
	"testing"
	"time"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// testScheduling counts the default resources and has one class.
func testScheduling() scheduling.Config {
	c := scheduling.Config{Resources: armada.DefaultResourceTable(), Classes: []armada.PriorityClass{{Name: "", Preemptible: true}}}
	for i := range c.Resources.Len() {
		c.FairnessMultipliers[i] = 1000
	}
	return c
}

// benchPieces is a world of 1,000 nodes of 32 cores and of queued jobs of one
// core in 10 queues, as the store loads it.
func benchPieces(queued int) []store.Changes {
	first := store.Changes{Shapes: testShapes}
	e := store.ExecutorNodes{Executor: anExecutor("east")}
	e.Executor.Acknowledged = epoch0
	for i := range 1000 {
		e.Nodes = append(e.Nodes, aNode(fmt.Sprintf("n%04d", i), 32))
	}
	first.Executors = []store.ExecutorNodes{e}
	for i := range 10 {
		first.Queues = append(first.Queues, armada.Queue{Name: fmt.Sprint("q", i), PriorityFactor: 1})
	}
	pieces := []store.Changes{first}
	for i := range queued {
		if i%2000 == 0 {
			pieces = append(pieces, store.Changes{})
		}
		j := queuedJob(armada.JobID(fmt.Sprintf("%026d", i)), int64(i+1))
		j.Job.Queue = fmt.Sprint("q", i%10)
		last := &pieces[len(pieces)-1]
		last.Jobs = append(last.Jobs, j)
	}
	return pieces
}

// BenchmarkTakeover is what a new leader computes between having read 200,000
// queued jobs and handing over its first decisions.
func BenchmarkTakeover(b *testing.B) {
	pieces := benchPieces(200_000)
	var load, round, propose time.Duration
	leased := 0
	for b.Loop() {
		begun := time.Now()
		w := newWorld(func(name string) planner { return fairPool{scheduling.NewPool(name, testScheduling())} }, Config{}.WithDefaults().Expiry, 0)
		for _, c := range pieces {
			w.apply(c, epoch0)
		}
		loaded := time.Now()
		p := w.find(armada.DefaultPool)
		outcome := p.plan.Round(epoch0)
		planned := time.Now()
		for _, d := range outcome.Decisions {
			if _, err := w.propose(p.name, d, epoch0); err != nil {
				b.Fatal(err)
			}
		}
		load += loaded.Sub(begun)
		round += planned.Sub(loaded)
		propose += time.Since(planned)
		leased += len(outcome.Decisions)
	}
	n := float64(b.N)
	b.ReportMetric(float64(load.Milliseconds())/n, "load-ms")
	b.ReportMetric(float64(round.Milliseconds())/n, "round-ms")
	b.ReportMetric(float64(propose.Milliseconds())/n, "propose-ms")
	b.ReportMetric(float64(leased)/n, "leases")
}
