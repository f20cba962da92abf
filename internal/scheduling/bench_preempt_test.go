package scheduling

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"armada"
)

// preempting is the configuration of the benchmarks with preemption on: both
// classes rank alike, as in an installation that says nothing.
func preempting() Config {
	c := benchConfig()
	c.Classes[1].Priority = c.Classes[0].Priority
	c.Preemption = PreemptionRules{FairShare: true, Urgency: true, ProtectedShare: 1_000_000}
	return c
}

// fullAndLoose is the world of [full] with preemption on, and with two thirds of
// its nodes held by preemptible runs.
func fullAndLoose() (*Pool, benchWorld) {
	w := benchWorld{nodes: 10_000, cores: 32, nodeTypes: 20, queues: 100, jobs: 1_320_000, shapes: 100, loose: true}.sized()
	p := w.pool()
	take(p, Round(Input{Pool: p}))
	return p, w
}

func BenchmarkPreemptingRoundWithNothingChanged(b *testing.B) {
	p, _ := fullAndLoose()
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		if out := Round(Input{Pool: p}); len(out.Decisions) > 0 {
			b.Fatalf("%d jobs were placed although nothing has changed", len(out.Decisions))
		}
		times = append(times, time.Since(begin))
	}
	report(b, times, 5*time.Millisecond)
}

// BenchmarkPreemptingRoundAfterThreeSmallChanges changes the weight of a queue by
// little, which moves some of its runs, and by half, which moves 1,600 of 3,200.
func BenchmarkPreemptingRoundAfterThreeSmallChanges(b *testing.B) {
	for _, factor := range []float64{1.01, 2} {
		b.Run(fmt.Sprintf("factor %v", factor), func(b *testing.B) {
			p, w := fullAndLoose()
			var times []time.Duration
			i, moved := 0, 0
			queued := p.byName[0].inOrder[0].blocks[0][0].job
			for b.Loop() {
				i++
				begin := time.Now()
				n := w.node(i % 500)
				n.Labels["type"] = "7"
				p.SetNode(n)
				p.SetQueue(armada.Queue{Name: "queue-007", PriorityFactor: []float64{1, factor}[i%2]})
				p.Enqueue(armada.Job{
					ID: queued.id, Number: queued.number, Queue: queued.queue.name,
					Priority: uint32(i % 3), Shape: queued.shape.id,
				}, queued.shape.needs)
				out := Round(Input{Pool: p})
				if i%2 == 1 {
					times = append(times, time.Since(begin))
					moved = preempted(out)
				}
			}
			b.ReportMetric(float64(moved), "preempted")
			report(b, times, 5*time.Millisecond)
		})
	}
}

func preempted(out Outcome) int {
	n := 0
	for _, d := range out.Decisions {
		n += len(d.Preemptions)
	}
	return n
}

func BenchmarkPreemptingRoundAfter1000FinishedAnd1000Arrived(b *testing.B) {
	p, w := fullAndLoose()
	finishedAndArrived(b, p, w)
}

// BenchmarkNineQueuesArrive lets nine queues arrive at nodes that are full with the
// preemptible jobs of one.
func BenchmarkNineQueuesArrive(b *testing.B) {
	w := benchWorld{nodes: 10_000, cores: 32, queues: 1, jobs: 320_000, loose: true}.sized()
	p := w.pool()
	take(p, Round(Input{Pool: p}))
	needs := w.shape(0)
	for i := range w.jobs {
		q := fmt.Sprintf("queue-%03d", 1+i%9)
		p.SetQueue(armada.Queue{Name: q, PriorityFactor: 1})
		p.Enqueue(armada.Job{ID: armada.JobID(fmt.Sprintf("late-%021d", i)), Number: int64(w.jobs + i), Queue: q}, needs)
	}
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		out := Round(Input{Pool: p})
		times = append(times, time.Since(begin))
		if n := preempted(out); n < w.jobs*9/10-9 || n > w.jobs*9/10 {
			b.Fatalf("%d runs were preempted, expected nine tenths of %d", n, w.jobs)
		}
	}
	report(b, times, 1500*time.Millisecond)
}

func finishedAndArrived(b *testing.B, p *Pool, w benchWorld) {
	var running []armada.JobID
	for id, j := range p.jobs {
		if j.run != nil {
			running = append(running, id)
		}
	}
	slices.Sort(running)
	number := int64(w.jobs)
	var times []time.Duration
	for b.Loop() {
		ended := running[:w.nodes/10]
		needs := make([]*job, len(ended))
		for i, id := range ended {
			needs[i] = p.jobs[id]
		}
		running = running[w.nodes/10:]
		begin := time.Now()
		for i, id := range ended {
			p.Remove(id)
			number++
			p.Enqueue(armada.Job{
				ID: armada.JobID(fmt.Sprintf("job-%022d", number)), Number: number,
				Queue: needs[i].queue.name, Shape: needs[i].shape.id,
			}, needs[i].shape.needs)
		}
		out := Round(Input{Pool: p})
		running = append(running, take(p, out)...)
		times = append(times, time.Since(begin))
		if len(out.Decisions) < w.nodes/11 {
			b.Fatalf("%d jobs were placed, expected about %d", len(out.Decisions), w.nodes/10)
		}
	}
	report(b, times, 25*time.Millisecond)
}
