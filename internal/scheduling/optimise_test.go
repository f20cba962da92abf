package scheduling

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armada"
	"armada/internal/scheduling/fairshare"
)

// drawOptimiser draws rules by which jobs of several sizes are large, and smaller
// ones small.
func drawOptimiser(pick func(string, int) int) *OptimiserRules {
	o := &OptimiserRules{
		Large: armada.Resources{int64(2+pick("large", 3)) * 500}, MaxJobs: pick("most swaps", 3), MaxShare: int64(pick("most", 3)) * 200_000,
		Interval: time.Duration(pick("interval", 3)) * time.Second, Improvement: int64(pick("better", 3)) * 200_000,
	}
	for i := range o.Small {
		o.Small[i] = Unbounded
	}
	o.Small[0] = o.Large[0] - 500
	return o
}

// drawCrowded draws a world whose nodes are full of small runs, most of them of one
// queue, and in which larger jobs wait.
func drawCrowded(pick func(string, int) int) world {
	w := world{config: benchConfig(), queues: []armada.Queue{{Name: "q0", PriorityFactor: 1}, {Name: "q1", PriorityFactor: 1}, {Name: "q2", PriorityFactor: 3}}}
	job := func(queue, size int) worldJob {
		number := int64(len(w.jobs) + 1)
		needs := &armada.Requirements{PriorityClass: "armada-preemptible", Resources: armada.Resources{int64(size) * 500}}
		return worldJob{needs: needs, Job: armada.Job{
			ID: armada.JobID(fmt.Sprintf("j%03d", number)), Number: number, Queue: fmt.Sprintf("q%d", queue), JobSet: "set",
			Shape: needs.Shape(w.config.Resources),
		}}
	}
	for i := range 1 + pick("nodes", 4) {
		n := armada.Node{Name: fmt.Sprintf("n%d", i), Executor: "e", Allocatable: armada.Resources{int64(2+pick("cpu", 6)) * 1000, gib, gib, 4}}
		w.nodes = append(w.nodes, n)
		for range pick("runs", 12) {
			j := job(max(0, pick("holder", 5)-2), 1+pick("small", 3))
			if free := w.free(n); j.needs.Resources.Fits(&free) {
				j.run = &armada.Run{ID: armada.NewRunID(j.ID, 1), Job: j.ID, Executor: "e", Node: n.Name}
				w.jobs = append(w.jobs, j)
			}
		}
	}
	for range 1 + pick("queued", 10) {
		w.jobs = append(w.jobs, job(pick("queue", 3), 1+pick("size", 8)))
	}
	return w
}

func TestTheOptimiserSwapsSmallRunsOfOthersForALargeJobThatIsOwedRoom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string, of int) int { return rapid.IntRange(0, of-1).Draw(t, label) }
		w := drawCrowded(pick)
		w.config.Preemption = PreemptionRules{ProtectedShare: fairshare.One}
		o := drawOptimiser(pick)
		w.config.Optimiser = o
		p := w.pool(0)
		scale, held := fairshare.NewScale(p.space.Capacity(), p.config.FairnessMultipliers), map[string]armada.Resources{}
		for _, q := range p.byName {
			held[q.name] = q.held
		}
		out := Round(Input{Now: time.Unix(100, 0), Pool: p})
		owed := func() (sum int64) {
			for _, q := range out.Report.Queues {
				holds := held[q.Queue]
				sum += max(0, q.AdjustedShare-scale.Share(&holds))
			}
			return sum
		}
		swaps := 0
		for _, d := range out.Decisions {
			before := owed()
			for _, v := range d.Preemptions {
				j := p.jobs[v.Job]
				if v.Cause != ForLargeJob || !j.shape.needs.Resources.Fits(&o.Small) {
					t.Fatalf("%v\n%s goes for %v", w, v.Job, v.Cause)
				}
				if j.run.node != p.jobs[d.Preemptions[0].Job].run.node || j.queue == p.jobs[v.For].queue {
					t.Fatalf("%v\n%s goes for %s", w, v.Job, v.For)
				}
				held[j.queue.name] = held[j.queue.name].Sub(j.shape.needs.Resources)
			}
			for _, l := range d.Leases {
				j := p.jobs[l.Job]
				held[j.queue.name] = held[j.queue.name].Add(j.shape.needs.Resources)
			}
			if len(d.Preemptions) == 0 {
				continue
			}
			swaps++
			if by := p.jobs[d.Leases[0].Job]; len(d.Leases) != 1 || !o.Large.Fits(&by.shape.needs.Resources) {
				t.Fatalf("%v\n%v is not one large job", w, d)
			}
			if after := owed(); before-after < max(1, before*o.Improvement/fairshare.One) {
				t.Fatalf("%v\n%v: %d was owed and %d is", w, d, before, after)
			}
		}
		if o.MaxJobs > 0 && swaps > o.MaxJobs {
			t.Fatalf("%d swaps of %d", swaps, o.MaxJobs)
		}
		// Only after the interval there are more.
		if swaps == 0 {
			return
		}
		p.Spend(time.Unix(100, 0), out)
		tell(p, w.after(out))
		for _, d := range Round(Input{Now: time.Unix(100, 0).Add(o.Interval - 1), Pool: p}).Decisions {
			if o.Interval > 0 && len(d.Preemptions) > 0 {
				t.Fatalf("%v\nbefore the interval is over there is %v", w, d)
			}
		}
	})
}
