package scheduling

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
)

func TestNoNodeIsOversubscribed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		out := Round(Input{Pool: w.pool(0)})
		after := w.after(out)
		for _, d := range out.Decisions {
			for _, l := range d.Leases {
				for _, n := range w.nodes {
					free := after.free(n)
					if n.Name == l.Node && n.Executor == l.Executor && !(&armada.Resources{}).Fits(&free) {
						t.Fatalf("%s got %s and has %v left", n.Name, l.Job, free)
					}
				}
			}
		}
	})
}

func TestAJobRunsOnlyWhereItMay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		leased := map[armada.JobID]Lease{}
		for _, d := range Round(Input{Pool: w.pool(0)}).Decisions {
			for _, l := range d.Leases {
				if _, twice := leased[l.Job]; twice {
					t.Fatalf("%s is leased twice", l.Job)
				}
				leased[l.Job] = l
			}
		}
		for _, j := range w.jobs {
			l, ok := leased[j.ID]
			if !ok {
				continue
			}
			if j.run != nil {
				t.Fatalf("%s runs already", j.ID)
			}
			for _, n := range w.nodes {
				if n.Name == l.Node && n.Executor == l.Executor && !w.accepts(n, j.needs) {
					t.Fatalf("%s was put on %s, which does not suit it", j.ID, n.Name)
				}
			}
		}
	})
}

func TestAGangIsPlacedWhollyOrNotAtAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		out := Round(Input{Pool: w.pool(0)})
		jobs := map[armada.JobID]worldJob{}
		for _, j := range w.jobs {
			jobs[j.ID] = j
		}
		nodes := map[string]armada.Node{}
		for _, n := range w.nodes {
			nodes[n.Name] = n
		}
		for _, d := range out.Decisions {
			gang := jobs[d.Leases[0].Job].Gang
			if len(d.Leases) != max(gang.Cardinality, 1) {
				t.Fatalf("gang %q has %d of %d leases", gang.ID, len(d.Leases), gang.Cardinality)
			}
			for _, l := range d.Leases {
				if jobs[l.Job].Gang != gang {
					t.Fatalf("%s and %s are one decision", l.Job, d.Leases[0].Job)
				}
				if u := gang.UniformityLabel; u != "" && nodes[l.Node].Labels[u] != nodes[d.Leases[0].Node].Labels[u] {
					t.Fatalf("gang %q is on nodes that differ in %s", gang.ID, u)
				}
			}
		}
	})
}

func TestASecondRoundOnAnUnchangedWorldDoesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.pool(0)
		version := p.Version()
		out := Round(Input{Pool: p})
		if diff := gocmp.Diff(out, Round(Input{Pool: p})); diff != "" || p.Version() != version {
			t.Fatalf("a round has changed the pool:\n%s", diff)
		}
		// Now the leases are taken, in the same pool.
		after := w.after(out)
		for _, j := range after.jobs {
			if j.run != nil {
				p.Occupy(j.Job, *j.run, j.needs)
			}
		}
		second := Round(Input{Pool: p})
		if len(second.Decisions) > 0 {
			t.Fatalf("the second round decided %v", second.Decisions)
		}
		if diff := gocmp.Diff(Round(Input{Pool: after.pool(0)}), second); diff != "" {
			t.Fatalf("the patched pool differs from one built anew:\n%s", diff)
		}
	})
}

func TestTheOutcomeDoesNotDependOnTheOrderOfPatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		now := time.Unix(1_800_000_000, 0)
		one := Round(Input{Now: now, Pool: w.pool(0)})
		other := Round(Input{Now: now, Pool: w.pool(rapid.Uint64Min(1).Draw(t, "seed"))})
		if diff := gocmp.Diff(one, other); diff != "" {
			t.Fatalf("outcomes differ:\n%s", diff)
		}
	})
}

// A pool lives for weeks and is patched all the time; what it remembers between
// rounds must never show.
func TestAPatchedPoolDecidesLikeOneBuiltAnew(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.pool(0)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			w = patch(t, w, p)
			if rapid.IntRange(0, 2).Draw(t, "round") > 0 {
				continue
			}
			out := Round(Input{Pool: p})
			if diff := gocmp.Diff(Round(Input{Pool: w.pool(0)}), out); diff != "" {
				t.Fatalf("outcomes (-built anew +patched):\n%s", diff)
			}
			if rapid.Bool().Draw(t, "take") {
				w = w.after(out)
				for _, j := range w.jobs {
					if j.run != nil {
						p.Occupy(j.Job, *j.run, j.needs)
					}
				}
			}
		}
	})
}

// patch changes one thing in the world and in the pool.
func patch(t *rapid.T, w world, p *Pool) world {
	pick := func(label string, of int) int { return rapid.IntRange(0, of-1).Draw(t, label) }
	w.jobs, w.nodes, w.closed, w.queues = slices.Clone(w.jobs), slices.Clone(w.nodes), slices.Clone(w.closed), slices.Clone(w.queues)
	node, queue := pick("node", max(len(w.nodes), 1)), pick("queue", len(w.queues))
	switch what := pick("what", 9); {
	case what == 0 && len(w.nodes) > 0:
		n := w.nodes[node]
		n.Labels = map[string]string{"zone": string(rune('a' + pick("zone", 3))), "kubernetes.io/hostname": n.Labels["kubernetes.io/hostname"]}
		n.Allocatable[0] += int64(pick("cpu", 3)) * 500
		w.nodes[node] = n
		p.SetNode(n)
	case what == 1 && len(w.nodes) > 1:
		p.RemoveNode(w.nodes[node].Executor, w.nodes[node].Name)
		w.nodes = slices.Delete(w.nodes, node, node+1)
	case what == 2:
		n := armada.Node{Executor: "e0", Name: fmt.Sprintf("m%d", pick("name", 20)), Allocatable: armada.Resources{4000, 4 * gib}}
		if !slices.ContainsFunc(w.nodes, func(o armada.Node) bool { return o.Name == n.Name }) {
			w.nodes = append(w.nodes, n)
			p.SetNode(n)
		}
	case what == 3:
		if at := slices.Index(w.closed, "e0"); at >= 0 {
			w.closed = slices.Delete(w.closed, at, at+1)
		} else {
			w.closed = append(w.closed, "e0")
		}
		p.SetExecutor("e0", w.executorOpen("e0"))
	case what == 4:
		w.queues[queue].PriorityFactor = float64(1 + pick("factor", 3))
		w.queues[queue].Cordoned = pick("cordoned", 4) == 0
		p.SetQueue(w.queues[queue])
	case len(w.jobs) > 0:
		at := pick("job", len(w.jobs))
		j := &w.jobs[at]
		switch {
		case what == 5:
			p.Remove(j.ID)
			w.jobs = slices.Delete(w.jobs, at, at+1)
		case what == 6 && len(w.nodes) > 0:
			j.run = &armada.Run{ID: armada.NewRunID(j.ID, 2), Job: j.ID, Executor: w.nodes[node].Executor, Node: w.nodes[node].Name}
			p.Occupy(j.Job, *j.run, j.needs)
		case what == 7 && j.run == nil:
			j.Priority = uint32(pick("priority", 3))
			p.Enqueue(j.Job, j.needs)
		case what == 8:
			j.run = nil
			p.Enqueue(j.Job, j.needs)
		}
	}
	return w
}

func TestNoRoomIsLeftThatAWaitingJobCouldUse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		after := w.after(Round(Input{Pool: w.pool(0)}))
		cordoned := map[string]bool{}
		for _, q := range w.queues {
			cordoned[q.Name] = q.Cordoned
		}
		for _, j := range after.jobs {
			if j.run != nil || !j.Gang.Alone() || cordoned[j.Queue] {
				continue
			}
			for _, n := range w.nodes {
				if free := after.free(n); w.accepts(n, j.needs) && j.needs.Resources.Fits(&free) {
					t.Fatalf("%s waits although %s has %v free", j.ID, n.Name, free)
				}
			}
		}
	})
}

func TestEveryQueuedJobIsPlacedOrHasAReason(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		out := Round(Input{Pool: w.pool(0)})
		left := map[string]int{}
		for _, j := range w.after(out).jobs {
			if j.run == nil {
				left[j.Queue+"/"+string(j.Shape)]++
			}
		}
		for _, waiting := range out.Waiting {
			if waiting.Reason.Code == armada.ReasonNone || waiting.Reason.Code == armada.ReasonNotConsidered {
				t.Fatalf("%s waits for no reason: %v", waiting.First, waiting.Reason)
			}
			left[waiting.Queue+"/"+string(waiting.Shape)] -= waiting.Jobs
		}
		for key, jobs := range left {
			if jobs != 0 {
				t.Fatalf("of %s, %d jobs more wait than are explained", key, jobs)
			}
		}
		for _, q := range out.Report.Queues {
			if q.AdjustedShare > q.Demand || q.FairShare > 1_000_000 {
				t.Fatalf("shares of %s are wrong: %+v", q.Queue, q)
			}
		}
	})
}

func TestReasonsCountTheNodesThatEachHindranceExcludes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		jobs := map[armada.JobID]worldJob{}
		for _, j := range w.jobs {
			jobs[j.ID] = j
		}
		for _, waiting := range Round(Input{Pool: w.pool(0)}).Waiting {
			j := jobs[waiting.First]
			if !j.Gang.Alone() || waiting.Reason.Code == armada.ReasonQueueCordoned {
				continue
			}
			want := map[armada.ReasonCode]int{}
			for _, n := range w.nodes {
				want[w.hindrance(n, j.needs)]++
			}
			got := map[armada.ReasonCode]int{}
			for i, e := range waiting.Reason.Excluded {
				got[e.Code] = e.Nodes
				if i > 0 && e.Nodes > waiting.Reason.Excluded[i-1].Nodes {
					t.Fatalf("the most are not first: %v", waiting.Reason.Excluded)
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" || waiting.Reason.Nodes != len(w.nodes) {
				t.Fatalf("%s of %d nodes (-want +got):\n%s", j.ID, waiting.Reason.Nodes, diff)
			}
		}
	})
}

// hindrance is the first thing that keeps a waiting job off the node.
func (w world) hindrance(n armada.Node, needs *armada.Requirements) armada.ReasonCode {
	_, tolerated := needs.Tolerates(n.Taints)
	switch {
	case n.Unschedulable || !w.executorOpen(n.Executor):
		return armada.ReasonNodeClosed
	case !needs.Matches(n.Labels, n.Name):
		return armada.ReasonNodeSelector
	case !tolerated:
		return armada.ReasonTaints
	case !n.MinimumJob.Fits(&needs.Resources):
		return armada.ReasonTooSmall
	case n.PodsOnly && needs.MoreThanPod:
		return armada.ReasonPodsOnly
	case !needs.Resources.Fits(&n.Allocatable):
		return armada.ReasonTooLarge
	}
	return armada.ReasonInsufficient
}

func TestEqualQueuesWithEndlessDemandEndWithinOneJob(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{config: benchConfig()}
		queues := rapid.IntRange(2, 5).Draw(t, "queues")
		for i := range rapid.IntRange(1, 20).Draw(t, "nodes") {
			w.nodes = append(w.nodes, armada.Node{Name: fmt.Sprintf("n%d", i), Allocatable: armada.Resources{8000, 64 * gib}})
		}
		needs := &armada.Requirements{Resources: armada.Resources{1000, int64(rapid.IntRange(0, 16).Draw(t, "memory")) * gib}}
		for q := range queues {
			w.queues = append(w.queues, armada.Queue{Name: fmt.Sprintf("q%d", q), PriorityFactor: 3})
			for range 200 {
				number := int64(len(w.jobs) + 1)
				w.jobs = append(w.jobs, worldJob{needs: needs, Job: armada.Job{
					ID: armada.JobID(fmt.Sprintf("j%05d", number)), Number: number, Queue: fmt.Sprintf("q%d", q),
				}})
			}
		}
		low, high := 1<<30, 0
		for _, q := range Round(Input{Pool: w.pool(0)}).Report.Queues {
			low, high = min(low, q.Placed), max(high, q.Placed)
		}
		if high-low > 1 || high == 0 {
			t.Fatalf("queues got from %d to %d jobs", low, high)
		}
	})
}
