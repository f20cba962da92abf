package scheduling

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
)

// licences is the position of the floating resource of drawLimited.
const licences = 4

// drawLimited draws a small world with every limit that a round looks at.
func drawLimited(t *rapid.T) world {
	w := drawWorld(t)
	pick := func(label string, of int) int { return rapid.IntRange(0, of-1).Draw(t, label) }
	table, err := armada.NewResourceTable(append(resourcesOf(w.config.Resources), armada.Resource{Name: "licences", Floating: true}))
	if err != nil {
		t.Fatal(err)
	}
	w.config.Resources = table
	w.config.Budgets = []Budget{{Resource: "licences", Pools: []string{"default", "other"}, Amount: int64(pick("budget", 12))}}
	fractions := func() map[string]float64 {
		f := map[string]float64{}
		for _, name := range []string{armada.CPU, armada.Memory, "licences"} {
			if pick("limited", 3) == 0 {
				f[name] = float64(pick("tenths", 11)) / 10
			}
		}
		return f
	}
	w.config.Classes = slices.Clone(w.config.Classes)
	for i := range w.config.Classes {
		w.config.Classes[i].QueueLimits = armada.ResourceFractions{Maximum: fractions(), MaximumByPool: map[string]map[string]float64{"default": fractions()}}
	}
	for i := range w.queues {
		if pick("own", 3) == 0 {
			w.queues[i].Limits = map[string]armada.ResourceFractions{"armada-default": {Maximum: fractions()}}
		}
	}
	if pick("per round", 4) == 0 {
		w.config.RoundLimits.Maximum = fractions()
	}
	if pick("away", 2) == 0 {
		special := []armada.Taint{{Key: "special", Value: []string{"yes", AnyValue}[pick("any", 2)], Effect: armada.NoSchedule}}
		w.config.Away = []Away{{Class: "armada-preemptible", NodeType: "special", Taints: special, Priority: 500}}
		if pick("conditions", 2) == 0 {
			w.config.Away[0].AtLeast, w.config.Away[0].AtMost = map[string]int64{armada.CPU: 1000}, map[string]int64{armada.Memory: gib, armada.NvidiaGPU: 0}
		}
	}
	if pick("preempt", 2) == 0 {
		w.config.Preemption = PreemptionRules{FairShare: true, Urgency: true, ProtectedShare: 1_000_000}
	}
	if pick("rates", 3) == 0 {
		w.config.Rate, w.config.QueueRate = Rate{PerSecond: 1, Burst: 1 + pick("burst", 10)}, Rate{PerSecond: 1, Burst: 1 + pick("queue burst", 5)}
	}
	for i := range w.jobs {
		w.jobs[i].needs.Resources[licences] = 0
	}
	for i := range w.jobs { // jobs share what they need
		if needs := w.jobs[i].needs; needs.Resources[licences] == 0 {
			needs.Resources[licences] = int64(pick("licences", 3))
		}
		w.jobs[i].Shape = w.jobs[i].needs.Shape(table)
	}
	for i := range w.jobs {
		w.jobs[i].Shape = w.jobs[i].needs.Shape(table)
	}
	return w
}

// heldBy is what a queue's runs hold, of one class or, when that is empty, of all.
// Runs of a class that leave do not count for their queue any more.
func (w world) heldBy(queue, class string) armada.Resources {
	var held armada.Resources
	for _, j := range w.jobs {
		if j.run != nil && j.Queue == queue && (class == "" || j.needs.PriorityClass == class && j.Wish.Kind == armada.WishNone) {
			held = held.Add(j.needs.Resources)
		}
	}
	return held
}

// allowed is what a queue may hold of a class of a resource, exactly; nil is any
// amount.
func (w world) allowed(q armada.Queue, class armada.PriorityClass, resource int, capacity armada.Resources) *big.Rat {
	name := w.config.Resources.At(resource).Name
	for _, said := range []map[string]float64{
		q.Limits[class.Name].MaximumByPool["default"], q.Limits[class.Name].Maximum,
		class.QueueLimits.MaximumByPool["default"], class.QueueLimits.Maximum,
	} {
		if f, ok := said[name]; ok {
			tenths := big.NewRat(int64(f*10+0.5), 10)
			return tenths.Mul(tenths, new(big.Rat).SetInt64(capacity[resource]))
		}
	}
	return nil
}

func TestNoRoundGoesBeyondALimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawLimited(t)
		out := Round(Input{Pool: w.pool(0)})
		after := w.after(out)
		var licensed, before int64
		for _, q := range w.queues {
			for _, class := range w.config.Classes {
				was, is := w.heldBy(q.Name, class.Name), after.heldBy(q.Name, class.Name)
				for i := range w.config.Resources.Len() {
					if most := w.allowed(q, class, i, out.Report.Capacity); most != nil && is[i] > was[i] && new(big.Rat).SetInt64(is[i]).Cmp(most) > 0 {
						t.Fatalf("%v\n%s holds %d of %s by %s, may hold %v", w, q.Name, is[i], w.config.Resources.At(i).Name, class.Name, most)
					}
				}
			}
			licensed += after.heldBy(q.Name, "")[licences]
			before += w.heldBy(q.Name, "")[licences]
		}
		if licensed > before && licensed > w.config.Budgets[0].Amount {
			t.Fatalf("%d licences of %d are in use", licensed, w.config.Budgets[0].Amount)
		}
	})
}

// What a limit is said to keep back must not fit within it.
func TestWhatALimitKeepsBackIsBeyondIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawLimited(t)
		out := Round(Input{Pool: w.pool(0)})
		for _, waits := range out.Waiting {
			r := waits.Reason
			switch r.Code {
			case armada.ReasonQueueLimit, armada.ReasonFloating:
				if r.Resource.Name == "" || r.Want <= r.Have {
					t.Fatalf("%v\n%s waits for %d of %s, of which there is %d: %v", w, waits.First, r.Want, r.Resource.Name, r.Have, r)
				}
			case armada.ReasonGlobalRate, armada.ReasonQueueRate:
				if r.Want <= r.Have || out.Wake.IsZero() {
					t.Fatalf("%s waits for %d tokens, there are %d, and the next round is at %v", waits.First, r.Want, r.Have, out.Wake)
				}
			default:
			}
		}
	})
}

func TestLimitsDependOnNothingButWhatThereIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawLimited(t)
		now := time.Unix(1_800_000_000, 0)
		p := w.pool(0)
		out := Round(Input{Now: now, Pool: p})
		if diff := gocmp.Diff(out, Round(Input{Now: now, Pool: w.pool(rapid.Uint64Min(1).Draw(t, "seed"))})); diff != "" {
			t.Fatalf("outcomes differ:\n%s", diff)
		}
		if diff := gocmp.Diff(out, Round(Input{Now: now, Pool: p})); diff != "" {
			t.Fatalf("a round has changed the pool:\n%s", diff)
		}
		// Now the leases are taken, by this pool and by ones that learn of them in
		// another order.
		after := w.after(out)
		for _, j := range after.jobs {
			if j.run != nil {
				p.Occupy(j.Job, *j.run, j.needs)
			}
		}
		second := Round(Input{Now: now, Pool: p})
		if diff := gocmp.Diff(second, Round(Input{Now: now, Pool: after.pool(rapid.Uint64Min(1).Draw(t, "second seed"))})); diff != "" {
			t.Fatalf("outcomes differ after the leases (-patched +built anew):\n%s", diff)
		}
	})
}

// On nodes where it is away a job would not be accepted at home, and there is no
// place for it at home; the node is of the type, and the conditions hold, all of
// them.
func TestAJobIsAwayOnlyWhereTheRulesLetItAndNothingIsFreeAtHome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawLimited(t)
		w.config.Preemption = PreemptionRules{}
		after := w.after(Round(Input{Pool: w.pool(0)}))
		for _, j := range after.jobs {
			if j.run == nil {
				continue
			}
			at := slices.IndexFunc(w.nodes, func(n armada.Node) bool { return n.Name == j.run.Node && n.Executor == j.run.Executor })
			was, free := w.free(w.nodes[at]), after.free(w.nodes[at])
			was[licences], free[licences] = 0, 0 // they are no part of nodes
			if free != was && !(&armada.Resources{}).Fits(&free) {
				t.Fatalf("%v\n%s has %v free with %s", w, j.run.Node, free, j.ID)
			}
			if j.run.Away == "" {
				continue
			}
			rule := w.config.Away[0]
			needs, memory := *j.needs, j.needs.Resources[1]
			if len(rule.AtMost) > 0 && (needs.Resources[0] < 1000 || memory > gib || needs.Resources[3] > 0) || needs.PriorityClass != rule.Class || j.run.Away != rule.NodeType {
				t.Fatalf("%s is away although it may not: %v by %+v", j.ID, needs, rule)
			}
			if after.accepts(w.nodes[at], &needs) {
				t.Fatalf("%s is away on %s, where it is at home", j.ID, j.run.Node)
			}
			needs.Tolerations = []armada.Toleration{{Key: "special", Exists: true}}
			if !after.accepts(w.nodes[at], &needs) {
				t.Fatalf("%s is on %s, which does not suit it", j.ID, j.run.Node)
			}
			if !j.Gang.Alone() {
				continue
			}
			for _, n := range w.nodes {
				room := after.free(n)
				room[licences] = j.needs.Resources[licences]
				if after.accepts(n, j.needs) && j.needs.Resources.Fits(&room) {
					t.Fatalf("%s is away on %s, and %s has %v free", j.ID, j.run.Node, n.Name, room)
				}
			}
		}
	})
}

// start is that so many jobs started together.
type start struct {
	at   time.Time
	jobs int64
}

// tooFastAt returns two of the starts, in order of time, between which more jobs
// started than the rate lets: its burst, or the largest start, and what drips in
// meanwhile and in a nanosecond, since times are rounded to one.
func tooFastAt(rate Rate, starts []start) (from, to int, yes bool) {
	perNano := big.NewRat(int64(rate.milli()), 1_000_000_000_000)
	largest := int64(rate.Burst)
	for _, s := range starts {
		largest = max(largest, s.jobs)
	}
	for i := range starts {
		var sum int64
		for j, s := range starts[i:] {
			sum += s.jobs
			most := new(big.Rat).Mul(perNano, new(big.Rat).SetInt64(int64(s.at.Sub(starts[i].at))+1))
			if new(big.Rat).SetInt64(sum-largest).Cmp(most) > 0 {
				return i, i + j, true
			}
		}
	}
	return 0, 0, false
}

func TestInNoTimeDoMoreJobsStartThanTheRateLets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{PerSecond: float64(rapid.IntRange(1, 5_000_000).Draw(t, "milli")) / 1000, Burst: rapid.IntRange(1, 2000).Draw(t, "burst")}
		if err := rate.Validate(); err != nil {
			t.Fatal(err)
		}
		var b bucket
		now := time.Unix(1_800_000_000, 0)
		var starts []start
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "pause")))
			a := newAllowance(rate, b, now)
			size := rapid.IntRange(1, 300).Draw(t, "size")
			if !a.allow(size) {
				at := a.when(size)
				if !at.After(now) {
					t.Fatalf("%d jobs may not start at %v, and could at %v", size, now, at)
				}
				early, then := newAllowance(rate, b, at.Add(-1)), newAllowance(rate, b, at)
				if early.allow(size) || !then.allow(size) {
					t.Fatalf("%d jobs may start at %v is %v, a nanosecond before is %v", size, at, then.allow(size), early.allow(size))
				}
				continue
			}
			b = b.spend(rate, now, int64(size))
			starts = append(starts, start{now, int64(size)})
		}
		if i, j, yes := tooFastAt(rate, starts); yes {
			t.Fatalf("too many jobs for a rate of %v: %v", rate, starts[i:j+1])
		}
	})
}

// Whoever waits for a rate alone starts in the end, and no later than when all
// tokens have dripped in.
func TestARateDelaysAndForgetsNobody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		config := benchConfig()
		config.Rate = Rate{PerSecond: float64(rapid.IntRange(1, 20).Draw(t, "rate")), Burst: rapid.IntRange(1, 6).Draw(t, "burst")}
		config.QueueRate = Rate{PerSecond: float64(rapid.IntRange(1, 20).Draw(t, "queue rate")), Burst: rapid.IntRange(1, 6).Draw(t, "queue burst")}
		p := NewPool("default", config)
		p.SetNode(armada.Node{Executor: "e", Name: "n", Allocatable: armada.Resources{1_000_000}})
		needs := &armada.Requirements{PriorityClass: "armada-default", Resources: armada.Resources{1000}}
		jobs := map[armada.JobID]armada.Job{}
		add := func(queue string, gang armada.Gang) {
			n := len(jobs) + 1
			j := armada.Job{ID: armada.JobID(fmt.Sprintf("j%03d", n)), Number: int64(n), Queue: queue, Gang: gang, State: armada.JobQueued}
			jobs[j.ID] = j
			p.Enqueue(j, needs)
		}
		for q := range rapid.IntRange(1, 3).Draw(t, "queues") {
			queue := fmt.Sprintf("q%d", q)
			p.SetQueue(armada.Queue{Name: queue, PriorityFactor: 1})
			for g, size := range rapid.SliceOfN(rapid.IntRange(1, 9), 1, 8).Draw(t, "sizes") {
				for range size {
					add(queue, armada.Gang{ID: fmt.Sprintf("g%d", g), Cardinality: size})
				}
			}
		}
		begun := time.Unix(1_800_000_000, 0)
		limit := begun.Add(time.Duration(2*len(jobs)) * time.Second)
		var all []start
		byQueue := map[string][]start{}
		for now := begun; len(jobs) > 0; {
			out := Round(Input{Now: now, Pool: p})
			p.Spend(now, out)
			for _, d := range out.Decisions {
				s, queue := start{now, int64(len(d.Leases))}, jobs[d.Leases[0].Job].Queue
				all, byQueue[queue] = append(all, s), append(byQueue[queue], s)
				for _, l := range d.Leases {
					p.Occupy(jobs[l.Job], armada.Run{ID: armada.NewRunID(l.Job, 1), Job: l.Job, Executor: l.Executor, Node: l.Node}, needs)
					delete(jobs, l.Job)
				}
			}
			if len(jobs) == 0 {
				break
			}
			if !out.Wake.After(now) || out.Wake.After(limit) {
				t.Fatalf("%d jobs wait at %v, and the next round is at %v", len(jobs), now.Sub(begun), out.Wake.Sub(begun))
			}
			now = out.Wake
		}
		if i, j, yes := tooFastAt(config.Rate, all); yes {
			t.Fatalf("too many jobs for a rate of %v: %v", config.Rate, all[i:j+1])
		}
		for queue, starts := range byQueue {
			if i, j, yes := tooFastAt(config.QueueRate, starts); yes {
				t.Fatalf("too many jobs of %s for a rate of %v: %v", queue, config.QueueRate, starts[i:j+1])
			}
		}
	})
}
