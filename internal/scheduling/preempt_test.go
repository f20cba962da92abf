package scheduling

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
	"armada/internal/scheduling/fairshare"
)

// drawFull draws a small world whose nodes are mostly full, with whatever rules of
// preemption there may be.
func drawFull(t *rapid.T) world {
	w := drawWorld(t)
	pick := func(label string, of int) int { return rapid.IntRange(0, of-1).Draw(t, label) }
	w.config.Preemption = PreemptionRules{
		FairShare: pick("fair share", 4) > 0, Urgency: pick("urgency", 3) > 0, Repair: pick("repair", 3) == 0,
		ProtectedShare: int64(pick("protected", 3)) * 500_000, MaxPerRound: pick("most", 8) * pick("bounded", 2),
	}
	if pick("rated", 4) == 0 {
		w.config.Preemption.Rate = Rate{PerSecond: 1, Burst: 1 + pick("burst", 5)}
	}
	if !w.config.Preemption.FairShare && pick("optimised", 3) > 0 {
		w.config.Optimiser = drawOptimiser(pick)
	}
	w.config.MaxDecision = pick("decision", 2) * 4
	w.config.Classes[1].Priority = int32(800 + 100*pick("rank", 3))
	w.config.Classes[0].Preemptible = pick("all preemptible", 3) == 0
	w.config.Fairness.PreferLargeJobs = pick("prefer large", 3) == 0
	w.config.Preemption.ProtectUncapped = pick("uncapped", 3) == 0
	byGang := map[string]bool{}
	for i := range w.jobs {
		j := &w.jobs[i]
		if j.Wish.Kind = armada.WishNone; j.run != nil && pick("leaves", 8) == 0 {
			j.Wish.Kind = armada.WishCancel
		}
		runs, known := byGang[j.Gang.ID]
		if !known || j.Gang.Alone() {
			runs = pick("runs", 3) > 0
			byGang[j.Gang.ID] = runs
		}
		for _, n := range w.nodes {
			if free := w.free(n); j.run == nil && runs && w.accepts(n, j.needs) && j.needs.Resources.Fits(&free) {
				j.run = &armada.Run{ID: armada.NewRunID(j.ID, 1), Job: j.ID, Executor: n.Executor, Node: n.Name}
			}
		}
	}
	return w
}

func TestNoNodeIsOversubscribedWhateverEndsFirst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawFull(t)
		over := map[string]bool{}
		for _, n := range w.nodes {
			free := w.free(n)
			over[n.Name] = !(&armada.Resources{}).Fits(&free)
		}
		for range 3 {
			out := Round(Input{Pool: w.pool(0)})
			w = w.after(out).ended(func(worldJob) bool { return rapid.Bool().Draw(t, "ends") })
			for _, n := range w.nodes {
				if free := w.started().free(n); !over[n.Name] && !(&armada.Resources{}).Fits(&free) {
					t.Fatalf("%v\n%v\n%s has %v left", w, out.Decisions, n.Name, free)
				}
			}
			w.queues = slices.Clone(w.queues)
			for i := range w.queues {
				w.queues[i].PriorityFactor = float64(1 + rapid.IntRange(0, 3).Draw(t, "factor"))
			}
		}
	})
}

// started is the world without the runs that wait for others.
func (w world) started() world {
	active := map[armada.RunID]bool{}
	for _, j := range w.jobs {
		if j.run != nil {
			active[j.run.ID] = true
		}
	}
	w.jobs = slices.DeleteFunc(slices.Clone(w.jobs), func(j worldJob) bool {
		return j.run != nil && slices.ContainsFunc(j.run.After, func(id armada.RunID) bool { return active[id] })
	})
	return w
}

func TestOnlyPreemptibleRunsArePreemptedAndGangsAsAWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawFull(t)
		rules := w.config.Preemption
		jobs, lost := map[armada.JobID]worldJob{}, map[armada.JobID]bool{}
		for _, j := range w.jobs {
			jobs[j.ID] = j
		}
		out := Round(Input{Pool: w.pool(0)})
		moved, movers := 0, map[armada.JobID]bool{}
		for _, d := range out.Decisions {
			for _, p := range d.Preemptions {
				if p.Cause == ForFairness {
					moved, movers[p.For] = moved+1, true
				}
				j := jobs[p.Job]
				if j.run == nil || j.run.ID != p.Run || j.Wish.Kind != armada.WishNone || lost[p.Job] {
					t.Fatalf("%s does not run, or leaves already", p.Job)
				}
				lost[p.Job] = true
				if class := w.class(j.needs); !class.Preemptible || p.Reason == "" || p.For == "" && !rules.Repair {
					t.Fatalf("%s of class %v is preempted for %q: %s", p.Job, class, p.For, p.Reason)
				}
				if by, ok := jobs[p.For]; ok && w.class(by.needs).Priority < w.class(j.needs).Priority {
					t.Fatalf("%s gives way to %s, which is less urgent", p.Job, p.For)
				}
			}
			if size := len(d.Leases) + len(d.Preemptions); w.config.MaxDecision > 0 && len(d.Preemptions) > 0 && len(d.Leases) > 0 && size > w.config.MaxDecision {
				t.Fatalf("a decision has %d parts", size)
			}
		}
		if most := rules.MaxPerRound; most > 0 && moved > most && len(movers) > 1 {
			t.Fatalf("%d runs are preempted for fairness", moved)
		}
		for _, j := range w.jobs {
			for _, o := range w.jobs {
				together := !j.Gang.Alone() && j.Gang.ID == o.Gang.ID && j.Queue == o.Queue
				if together && lost[j.ID] && o.run != nil && o.Wish.Kind == armada.WishNone && !lost[o.ID] {
					t.Fatalf("%s is preempted and %s of its gang is not", j.ID, o.ID)
				}
			}
		}
	})
}

func (w world) class(needs *armada.Requirements) armada.PriorityClass {
	at := slices.IndexFunc(w.config.Classes, func(c armada.PriorityClass) bool { return c.Name == needs.PriorityClass })
	return w.config.Classes[at]
}

func TestNobodyAtTheProtectedShareIsPreemptedForFairness(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawFull(t)
		w.config.Preemption.FairShare, w.config.Preemption.Urgency, w.config.Preemption.Repair = true, false, false
		w.config.Optimiser = nil
		p := w.pool(0)
		scale, held := fairshare.NewScale(p.space.Capacity(), p.config.FairnessMultipliers), map[string]armada.Resources{}
		for _, q := range p.byName {
			held[q.name] = q.held
		}
		out := Round(Input{Pool: p})
		protected := map[string]int64{}
		for _, q := range out.Report.Queues {
			owed := max(q.FairShare, q.AdjustedShare)
			if w.config.Preemption.ProtectUncapped {
				owed = max(owed, q.UncappedShare)
			}
			protected[q.Queue] = owed * w.config.Preemption.ProtectedShare / fairshare.One
		}
		for _, d := range out.Decisions {
			gangs := map[*gang]bool{nil: false}
			for _, v := range d.Preemptions {
				j := p.jobs[v.Job]
				holds := held[j.queue.name]
				if share := scale.Share(&holds); !gangs[j.gang] && share <= protected[j.queue.name] {
					t.Fatalf("%s holds %d of %d and loses %s", j.queue.name, share, protected[j.queue.name], v.Job)
				}
				gangs[j.gang] = j.gang != nil
				held[j.queue.name] = holds.Sub(j.shape.needs.Resources)
			}
			for _, l := range d.Leases {
				j := p.jobs[l.Job]
				held[j.queue.name] = held[j.queue.name].Add(j.shape.needs.Resources)
			}
		}
	})
}

// A world in which nothing happens but what the rounds decide comes to rest, also
// when whatever is preempted is submitted again at once.
func TestAnUnchangedWorldComesToRest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawFull(t)
		p := w.pool(0)
		resubmit := rapid.Bool().Draw(t, "resubmit")
		now := time.Unix(0, 0)
		for round := 0; ; round++ {
			out := Round(Input{Now: now, Pool: p})
			anew := w.pool(uint64(round))
			anew.moved, anew.optimised = p.moved, p.optimised
			if diff := gocmp.Diff(Round(Input{Now: now, Pool: anew}), out); diff != "" {
				t.Fatalf("%v\nthe patched pool differs from one built anew:\n%s", w, diff)
			}
			p.Spend(now, out)
			now = now.Add(time.Second)
			leaving := slices.ContainsFunc(w.jobs, func(j worldJob) bool { return j.run != nil && j.Wish.Kind != armada.WishNone })
			if len(out.Decisions) == 0 && !leaving && out.Wake.IsZero() {
				return
			}
			if round == 50 {
				t.Fatalf("%v\nafter %d rounds there is still %v", w, round, out.Decisions)
			}
			w = w.after(out)
			tell(p, w)
			if rapid.Bool().Draw(t, "they end") {
				w = end(p, w, resubmit)
			}
		}
	})
}

// tell makes the pool know the runs of the world.
func tell(p *Pool, w world) {
	for _, j := range w.jobs {
		if j.run != nil {
			p.Occupy(j.Job, *j.run, j.needs)
		}
	}
}

// end lets everybody go who leaves; the preempted may come again.
func end(p *Pool, w world, resubmit bool) world {
	next := w.ended(whoever)
	for _, j := range w.jobs {
		if j.run == nil || j.Wish.Kind == armada.WishNone {
			continue
		}
		p.Remove(j.ID)
		if resubmit && j.Wish.Kind == armada.WishPreempt && j.Gang.Alone() {
			j.Number += 1000
			j.ID, j.run, j.Wish = armada.JobID(fmt.Sprintf("j%d", j.Number)), nil, armada.Wish{}
			p.Enqueue(j.Job, j.needs)
			next.jobs = append(next.jobs, j)
		}
	}
	return next
}

func TestOfferingRunsLazilyIsLikeOfferingThemAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawFull(t)
		lazy, whole := w.pool(0), w.pool(0)
		whole.scratch.book.whole = true
		now := time.Unix(0, 0)
		if diff := gocmp.Diff(Round(Input{Now: now, Pool: whole}), Round(Input{Now: now, Pool: lazy})); diff != "" {
			t.Fatalf("%v\noutcomes (-whole +lazy):\n%s", w, diff)
		}
	})
}

// crowd is a pool of equal nodes that are full with runs of one queue, and queues
// with endless demand that come late.
func crowd(queues, nodes, cores, memory int) world {
	w := world{config: preempting()}
	for i := range nodes {
		w.nodes = append(w.nodes, armada.Node{Name: fmt.Sprintf("n%02d", i), Executor: "e", Allocatable: armada.Resources{int64(cores) * 1000, int64(cores) * 8 * gib}})
	}
	needs := &armada.Requirements{PriorityClass: "armada-preemptible", Resources: armada.Resources{1000, int64(memory) * gib}}
	job := func(queue int) worldJob {
		number := int64(len(w.jobs) + 1)
		return worldJob{needs: needs, Job: armada.Job{
			ID: armada.JobID(fmt.Sprintf("j%05d", number)), Number: number, Queue: fmt.Sprintf("q%d", queue), Shape: needs.Shape(w.config.Resources),
		}}
	}
	for q := range queues {
		w.queues = append(w.queues, armada.Queue{Name: fmt.Sprintf("q%d", q), PriorityFactor: 1})
		for i := range nodes * cores {
			j := job(q)
			if n := w.nodes[i%nodes]; q == 0 {
				j.run = &armada.Run{ID: armada.NewRunID(j.ID, 1), Job: j.ID, Executor: n.Executor, Node: n.Name}
			}
			w.jobs = append(w.jobs, j)
		}
	}
	for range nodes * cores {
		w.jobs = append(w.jobs, job(0))
	}
	return w
}

func TestAThousandRoundsOnAnUnchangedWorldChangeNothing(t *testing.T) {
	t.Parallel()
	w := crowd(3, 5, 8, 1)
	w.config.Fairness.UsageHalfLife = time.Hour
	p := w.pool(0)
	now := time.Unix(1_800_000_000, 0)
	decisions := 0
	for round := range 1000 {
		out := Round(Input{Now: now, Pool: p})
		p.Spend(now, out)
		if decisions += len(out.Decisions); round > 0 && len(out.Decisions) > 0 {
			t.Fatalf("round %d decides %v", round, out.Decisions)
		}
		now = now.Add(time.Minute)
		p.At(now)
		w = w.after(out)
		tell(p, w)
		w = end(p, w, true)
	}
	if decisions != 27 {
		t.Errorf("%d decisions gave two late queues their thirds of 40 places", decisions)
	}
}

func TestQueuesThatComeLateHaveTheirShareInTheNextRound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string, low, high int) int { return rapid.IntRange(low, high).Draw(t, label) }
		queues := draw("queues", 2, 5)
		w := crowd(queues, draw("nodes", 5, 30), draw("cores", 4, 32), draw("memory", 0, 8))
		out := Round(Input{Pool: w.pool(0)})
		size := len(w.nodes) * int(w.nodes[0].Allocatable[0]/1000)
		least, most := size, 0
		for _, q := range out.Report.Queues {
			holds := int(q.Allocated[0] / 1000)
			least, most = min(least, holds), max(most, holds)
		}
		if least < size/queues || most-least > 1 {
			t.Fatalf("of %d places %d queues have from %d to %d", size, queues, least, most)
		}
		after := w.after(out).ended(whoever)
		if again := Round(Input{Pool: after.pool(0)}); len(again.Decisions) > 0 {
			t.Fatalf("and the round after that decides %v", again.Decisions)
		}
	})
}

// zoned is a world of full nodes in zones, in which only a gang waits that must
// share one. Of other zones than the one that is named nodes have no label.
func zoned(runs [][]int64, size int, needs int64, only string) *Pool {
	p := NewPool("default", preempting())
	for _, name := range []string{"holder", "late"} {
		p.SetQueue(armada.Queue{Name: name, PriorityFactor: 1})
	}
	number := int64(0)
	job := func(queue string, cpu int64) (armada.Job, *armada.Requirements) {
		number++
		r := &armada.Requirements{PriorityClass: "armada-preemptible", Resources: armada.Resources{cpu}}
		return armada.Job{ID: armada.JobID(fmt.Sprintf("job-%02d", number)), Number: number, Queue: queue, Shape: r.Shape(p.config.Resources)}, r
	}
	for i, held := range runs {
		zone := fmt.Sprintf("zone-%d", i%3)
		n := armada.Node{Executor: "e", Name: fmt.Sprintf("node-%d", i), Allocatable: armada.Resources{4}}
		if only == "" || only == zone {
			n.Labels = map[string]string{"zone": zone}
		}
		p.SetNode(n)
		for _, cpu := range held {
			j, r := job("holder", cpu)
			p.Occupy(j, armada.Run{ID: armada.NewRunID(j.ID, 1), Executor: n.Executor, Node: n.Name}, r)
		}
	}
	for range size {
		j, r := job("late", needs)
		j.Gang = armada.Gang{ID: "g", Cardinality: size, UniformityLabel: "zone"}
		p.Enqueue(j, r)
	}
	return p
}

func TestAUniformGangPreemptsAsFewAsInAnyValueOfItsLabel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		runs := make([][]int64, rapid.IntRange(3, 9).Draw(t, "nodes"))
		for i := range runs {
			for left := int64(4); left > 0; {
				cpu := rapid.Int64Range(1, left).Draw(t, "cpu")
				left -= cpu
				if rapid.IntRange(0, 5).Draw(t, "free") > 0 {
					runs[i] = append(runs[i], cpu)
				}
			}
		}
		size, needs := rapid.IntRange(2, 4).Draw(t, "size"), rapid.Int64Range(1, 4).Draw(t, "needs")
		in := func(zone string) (n int, placed bool) {
			out := Round(Input{Pool: zoned(runs, size, needs, zone)})
			return preempted(out), len(out.Decisions) > 0
		}
		fewest, somewhere := 0, false
		for _, zone := range []string{"zone-0", "zone-1", "zone-2"} {
			if n, placed := in(zone); placed && (!somewhere || n < fewest) {
				fewest, somewhere = n, true
			}
		}
		if n, placed := in(""); placed != somewhere || n != fewest {
			t.Fatalf("%d are preempted, placed %v; in one of the zones %d, placed %v", n, placed, fewest, somewhere)
		}
	})
}
