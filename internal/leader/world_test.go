package leader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// epoch0 is when worlds of tests begin.
var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stage is a world with its pools.
type stage struct {
	*world
	pools map[string]*firstFit
}

// newStage returns a world with a queue and one executor that has two nodes in
// the default pool and one in pool gpu.
func newStage() *stage {
	s := emptyStage()
	e := anExecutor("east")
	e.Acknowledged = epoch0
	gpu := aNode("n3", 4)
	gpu.Pool = "gpu"
	s.apply(store.Changes{
		Queues:    []armada.Queue{{Name: "physics", PriorityFactor: 1}},
		Shapes:    testShapes,
		Executors: []store.ExecutorNodes{{Executor: e, Nodes: []armada.Node{aNode("n1", 4), aNode("n2", 4), gpu}}},
	}, epoch0)
	return s
}

func emptyStage() *stage {
	s := &stage{pools: map[string]*firstFit{}}
	s.world = newWorld(func(pool string) planner {
		s.pools[pool] = newFirstFit(pool)
		return s.pools[pool]
	}, Config{}.WithDefaults().Expiry, 0)
	return s
}

// patches counts what the pools were told.
func (s *stage) patches() int {
	n := 0
	for _, p := range s.pools {
		n += p.patches
	}
	return n
}

// queuedJob returns a job as the store tells it after its submission.
func queuedJob(id armada.JobID, number int64) store.JobAndRun {
	job := aJob(id)
	job.Number, job.Submitted = number, epoch0
	return store.JobAndRun{Job: lifecycle.Begin(job).Job}
}

// after returns a job as the store tells it after changes.
func after(t interface{ Fatalf(string, ...any) }, j store.JobAndRun, changes ...lifecycle.Change) store.JobAndRun {
	for _, c := range changes {
		run := armada.Run{}
		if j.Run != nil {
			run = *j.Run
		}
		c.Job = j.Job.ID
		c.Run, _ = j.Job.Run()
		c.Executor = run.Executor
		step := lifecycle.Apply(j.Job, run, c, epoch0)
		if step.Verdict != lifecycle.Applied {
			t.Fatalf("%s: %s", c.Kind, step.Why)
		}
		j.Job = step.Job
		if j.Job.Attempts > 0 {
			j.Run = &step.Run
		}
	}
	return j
}

// leaseOn is a lease of a node of a pool.
func leaseOn(node, pool string) lifecycle.Change {
	return lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "east", Node: node, Pool: pool}}
}

func jobs(js ...store.JobAndRun) store.Changes {
	return store.Changes{Jobs: js, Shapes: testShapes}
}

func TestAQueuedJobIsOfferedToEveryPoolUntilItIsLeased(t *testing.T) {
	t.Parallel()
	s := newStage()
	j1 := queuedJob("j1", 1)
	s.apply(jobs(j1), epoch0)
	for _, name := range []string{"default", "gpu"} {
		if len(s.pools[name].queued) != 1 {
			t.Errorf("pool %s was not offered the job", name)
		}
	}
	s.apply(jobs(after(t, j1, leaseOn("n3", "gpu"))), epoch0)
	if len(s.pools["default"].queued) != 0 || len(s.pools["gpu"].queued) != 0 || len(s.pools["gpu"].held) != 1 {
		t.Error("a leased job must hold room in its pool and be offered to none")
	}
}

func TestRepeatsAndOldVersionsChangeNothing(t *testing.T) {
	t.Parallel()
	s := newStage()
	j1 := queuedJob("j1", 1)
	leased := after(t, j1, leaseOn("n1", "default"))
	running := after(t, leased, lifecycle.Change{Kind: lifecycle.ReportRunning})
	s.apply(jobs(j1, leased, running), epoch0)
	before := s.patches()
	queue := s.queues["physics"]
	e := store.ExecutorNodes{Executor: s.executors["east"].Executor}
	for _, n := range s.executors["east"].nodes {
		e.Nodes = append(e.Nodes, n)
	}
	for _, p := range s.world.pools {
		p.dirty = false
	}
	for _, old := range []store.JobAndRun{j1, leased, running} {
		c := jobs(old)
		c.Queues, c.Executors = []armada.Queue{queue}, []store.ExecutorNodes{e}
		s.apply(c, epoch0)
	}
	if n := s.patches(); n != before {
		t.Errorf("%d patches were made by repeats", n-before)
	}
	for _, p := range s.world.pools {
		if p.dirty {
			t.Errorf("pool %s wants a round because of repeats", p.name)
		}
	}
}

func TestAJobThatEndedLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStage()
	j1 := after(t, queuedJob("j1", 1), leaseOn("n1", "default"))
	j2 := queuedJob("j2", 2)
	s.apply(jobs(j1, j2), epoch0)
	j1 = after(t, j1, lifecycle.Change{Kind: lifecycle.ReportSucceeded})
	j2 = after(t, j2, lifecycle.Change{Kind: lifecycle.Cancel})
	s.apply(store.Changes{Jobs: []store.JobAndRun{j1, j2}}, epoch0)
	s.apply(store.Changes{Jobs: []store.JobAndRun{j1, j2}}, epoch0)
	p := s.pools["default"]
	if len(s.jobs)+len(p.queued)+len(p.held)+len(s.executors["east"].runs) != 0 || s.shapes[oneCore] != nil {
		t.Error("something of the jobs is left")
	}
}

func TestAPoolThatBeginsLaterIsOfferedWhatWaits(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.apply(jobs(queuedJob("j1", 1), after(t, queuedJob("j2", 2), leaseOn("n1", "default"))), epoch0)
	e := s.executors["east"].Executor
	spot := aNode("n9", 4)
	spot.Pool = "spot"
	change := store.ExecutorNodes{Executor: e, Nodes: []armada.Node{spot}}
	s.apply(store.Changes{Executors: []store.ExecutorNodes{change}}, epoch0)

	p := s.pools["spot"]
	if _, offered := p.queued["j1"]; !offered || len(p.queued) != 1 || !p.open["east"] || len(p.queues) != 1 {
		t.Errorf("the new pool knows jobs %v, executors %v, queues %v", p.queued, p.open, p.queues)
	}
	if s.find("gpu") != nil {
		t.Error("a pool without nodes and runs is kept")
	}
	if s.find("default") == nil {
		t.Error("a pool with a run is dropped")
	}
	s.apply(jobs(after(t, queuedJob("j2", 2), leaseOn("n1", "default"), lifecycle.Change{Kind: lifecycle.ReportFailed})), epoch0)
	if s.find("default") != nil {
		t.Error("the pool is kept after its last run has ended")
	}
}

func TestANodeThatMovesToAnotherPoolLeavesTheOldOne(t *testing.T) {
	t.Parallel()
	s := newStage()
	n := aNode("n1", 4)
	n.Pool = "gpu"
	s.apply(store.Changes{Executors: []store.ExecutorNodes{{Executor: s.executors["east"].Executor, Nodes: []armada.Node{n, aNode("n2", 4)}}}}, epoch0)
	if len(s.pools["default"].nodes) != 1 || len(s.pools["gpu"].nodes) != 1 {
		t.Errorf("default has %v, gpu has %v", s.pools["default"].nodes, s.pools["gpu"].nodes)
	}
}

func TestADecisionInFlightCountsAndIsUndoneWhenItLoses(t *testing.T) {
	t.Parallel()
	s := newStage()
	victim := after(t, queuedJob("j1", 1), leaseOn("n1", "default"))
	s.apply(jobs(victim, queuedJob("j2", 2)), epoch0)
	d := scheduling.Decision{
		Preemptions: []scheduling.Preemption{{Job: "j1", Run: "j1-1", For: "j2", Reason: "urgent"}},
		Leases:      []scheduling.Lease{{Job: "j2", Executor: "east", Node: "n1", After: []armada.RunID{"j1-1"}}},
	}
	p, err := s.propose("default", d, epoch0)
	if err != nil {
		t.Fatal(err)
	}
	held := s.pools["default"].held
	if held["j1"].Job.Wish.Kind != armada.WishPreempt || held["j2"].Run.ID != "j2-1" || len(held["j2"].Run.After) != 1 {
		t.Errorf("in flight the pool sees %v", held)
	}
	if len(s.pools["gpu"].queued) != 0 {
		t.Error("another pool is still offered the job")
	}
	if _, err := s.propose("default", d, epoch0); !errors.Is(err, errImpossible) {
		t.Errorf("deciding the same twice: %v", err)
	}

	s.settle(p, store.UnitResult{Verdict: lifecycle.Refused}, epoch0)
	if held["j1"].Job.Wish.Kind != armada.WishNone || len(held) != 1 {
		t.Errorf("after it lost the pool sees %v", held)
	}
	if len(s.pools["default"].queued) != 0 {
		t.Error("the job is offered again before news could arrive")
	}
	s.release(epoch0.Add(firstPause))
	if len(s.pools["default"].queued) != 1 || len(s.pools["gpu"].queued) != 1 || len(s.withheld) != 0 {
		t.Error("the job is not offered again after the pause")
	}
}

func TestNewsOfAJobEndsItsPause(t *testing.T) {
	t.Parallel()
	s := newStage()
	j1 := queuedJob("j1", 1)
	s.apply(jobs(j1), epoch0)
	p, err := s.propose("default", scheduling.Decision{Leases: []scheduling.Lease{{Job: "j1", Executor: "east", Node: "n1"}}}, epoch0)
	if err != nil {
		t.Fatal(err)
	}
	s.settle(p, store.UnitResult{Verdict: lifecycle.Refused}, epoch0)
	s.apply(jobs(after(t, j1, lifecycle.Change{Kind: lifecycle.Reprioritise, Priority: 7})), epoch0)
	if got := s.pools["default"].queued["j1"].Job.Priority; got != 7 {
		t.Errorf("the job is offered with priority %d, want 7", got)
	}
}

func TestAnAnswerThatNewsHasOvertakenIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := newStage()
	j1 := queuedJob("j1", 1)
	s.apply(jobs(j1), epoch0)
	p, err := s.propose("default", scheduling.Decision{Leases: []scheduling.Lease{{Job: "j1", Executor: "east", Node: "n1"}}}, epoch0)
	if err != nil {
		t.Fatal(err)
	}
	leased := after(t, j1, leaseOn("n1", "default"))
	returned := after(t, leased, lifecycle.Change{Kind: lifecycle.ReportReturned})
	s.apply(jobs(returned), epoch0)
	s.settle(p, store.UnitResult{Verdict: lifecycle.Applied, Jobs: []armada.Job{leased.Job}}, epoch0)
	if pool := s.pools["default"]; len(pool.queued) != 1 || len(pool.held) != 0 {
		t.Errorf("queued %v, holding %v; the job is queued again", pool.queued, pool.held)
	}

	p, err = s.propose("default", scheduling.Decision{Leases: []scheduling.Lease{{Job: "j1", Executor: "east", Node: "n1"}}}, epoch0)
	if err != nil {
		t.Fatal(err)
	}
	leased = after(t, returned, leaseOn("n1", "default"))
	s.apply(jobs(after(t, leased, lifecycle.Change{Kind: lifecycle.ReportSucceeded})), epoch0)
	s.settle(p, store.UnitResult{Verdict: lifecycle.Applied, Jobs: []armada.Job{leased.Job}}, epoch0)
	if pool := s.pools["default"]; len(pool.queued)+len(pool.held)+len(s.jobs) != 0 {
		t.Error("a job that ended came back")
	}
}

func TestAUnitThatFitsInNoTransitionIsNotProposed(t *testing.T) {
	t.Parallel()
	s := newStage()
	var d scheduling.Decision
	c := jobs()
	for i := range store.MaxTransition + 1 {
		id := armada.JobID(fmt.Sprint(i))
		c.Jobs = append(c.Jobs, queuedJob(id, int64(i+1)))
		d.Leases = append(d.Leases, scheduling.Lease{Job: id, Executor: "east", Node: "n1"})
	}
	s.apply(c, epoch0)
	if _, err := s.propose("default", d, epoch0); err == nil {
		t.Error("no error")
	}
	if len(s.pools["default"].held) != 0 {
		t.Error("a decision that is not proposed counts")
	}
}

func TestAPatchedWorldEqualsOneLoadedAfresh(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, patched := aStore(), emptyStage()
		pos := store.Position(make([]byte, 8))
		var sent []proposal
		now := epoch0
		read := func(limit int) {
			c, next, _ := m.Changes(context.Background(), pos, limit)
			pos = next
			patched.apply(c, now)
		}
		answer := func() {
			for _, p := range sent {
				patched.settle(p, m.apply(p.unit), now)
			}
			sent = nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				job := aJob(armada.JobID(fmt.Sprintf("j%03d", len(m.jobs))))
				job.Shape = rapid.SampledFrom([]armada.ShapeID{oneCore, twoCores}).Draw(t, "shape")
				job.Queue = rapid.SampledFrom([]string{"physics", "biology"}).Draw(t, "queue")
				m.submit(job)
			},
			"queue": func(t *rapid.T) {
				if q := (armada.Queue{Name: "biology", PriorityFactor: rapid.Float64Range(1, 3).Draw(t, "factor")}); q.PriorityFactor < 2 {
					m.putQueue(q)
				} else {
					m.deleteQueue(q.Name)
				}
			},
			"nodes": func(t *rapid.T) {
				var nodes []armada.Node
				for i := range rapid.IntRange(0, 3).Draw(t, "nodes") {
					n := aNode(fmt.Sprint("n", i), rapid.Int64Range(1, 3).Draw(t, "cores"))
					n.Pool = rapid.SampledFrom([]string{"", "gpu"}).Draw(t, "pool")
					nodes = append(nodes, n)
				}
				e := anExecutor(rapid.SampledFrom([]armada.ExecutorID{"east", "west"}).Draw(t, "executor"))
				e.Cordoned = rapid.Bool().Draw(t, "cordoned")
				m.acknowledge(e, append([]armada.Node{}, nodes...)...)
			},
			"change": func(t *rapid.T) {
				if len(m.jobs) == 0 {
					return
				}
				id := armada.JobID(fmt.Sprintf("j%03d", rapid.IntRange(0, len(m.jobs)-1).Draw(t, "job")))
				kind := rapid.SampledFrom([]lifecycle.ChangeKind{
					lifecycle.Cancel, lifecycle.Reprioritise, lifecycle.Preempt, lifecycle.ReportRunning,
					lifecycle.ReportSucceeded, lifecycle.ReportReturned, lifecycle.ReportStopped,
				}).Draw(t, "kind")
				_, run := m.job(id)
				m.apply(store.Unit{{Kind: kind, Job: id, Run: run.ID, Executor: run.Executor, Priority: rapid.Uint32Max(3).Draw(t, "priority")}})
			},
			"round": func(*rapid.T) {
				for _, p := range patched.world.pools {
					for _, d := range p.plan.Round(now).Decisions {
						proposed, err := patched.propose(p.name, d, now)
						if err != nil {
							t.Fatal(err)
						}
						sent = append(sent, proposed)
					}
				}
			},
			"read":   func(t *rapid.T) { read(rapid.IntRange(1, 5).Draw(t, "limit")) },
			"answer": func(*rapid.T) { answer() },
			"wait": func(*rapid.T) {
				now = now.Add(time.Second)
				patched.release(now)
			},
		})
		answer()
		read(1 << 30)
		now = now.Add(time.Hour)
		patched.release(now)

		fresh := emptyStage()
		if _, err := m.Load(context.Background(), func(c store.Changes) error { fresh.apply(c, now); return nil }); err != nil {
			t.Fatal(err)
		}
		compare(t, patched, fresh)
	})
}

// compare fails where two worlds show different things to their pools. Pools
// may see a run's details earlier or later, never its place.
func compare(t *rapid.T, a, b *stage) {
	t.Helper()
	if len(a.world.pools) != len(b.world.pools) || len(a.jobs) != len(b.jobs) {
		t.Fatalf("%d pools and %d jobs, against %d and %d", len(a.world.pools), len(a.jobs), len(b.world.pools), len(b.jobs))
	}
	for i, p := range a.world.pools {
		q := b.world.pools[i]
		if p.name != q.name || p.nodes != q.nodes || p.runs != q.runs {
			t.Fatalf("pool %s with %d nodes and %d runs, against %s, %d, %d", p.name, p.nodes, p.runs, q.name, q.nodes, q.runs)
		}
		x, y := a.pools[p.name], b.pools[q.name]
		for _, d := range []string{
			cmp.Diff(places(x.queued), places(y.queued)), cmp.Diff(places(x.held), places(y.held)),
			cmp.Diff(x.nodes, y.nodes), cmp.Diff(x.queues, y.queues), cmp.Diff(opened(x.open), opened(y.open)),
		} {
			if d != "" {
				t.Fatalf("pool %s: %s", p.name, d)
			}
		}
	}
	for id, x := range a.executors {
		if y := b.executors[id]; y == nil || len(x.runs) != len(y.runs) {
			t.Fatalf("executor %s has other runs", id)
		}
	}
}

// opened returns the executors that are open.
func opened(told map[armada.ExecutorID]bool) map[armada.ExecutorID]bool {
	told = maps.Clone(told)
	maps.DeleteFunc(told, func(_ armada.ExecutorID, open bool) bool { return !open })
	return told
}

// places tells what rounds may look at of each job.
func places(members map[armada.JobID]member) map[armada.JobID]string {
	all := map[armada.JobID]string{}
	for id, m := range members {
		all[id] = fmt.Sprint(m.Run.ID, " on ", m.Run.Executor, "/", m.Run.Node, " priority ", m.Job.Priority, " wish ", m.Job.Wish.Kind, " state queued ", m.Job.State == armada.JobQueued)
	}
	return all
}

// find returns the pool of a name, or nil.
func (w *world) find(name string) *pool {
	for _, p := range w.pools {
		if p.name == name {
			return p
		}
	}
	return nil
}
