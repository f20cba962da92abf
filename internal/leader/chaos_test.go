package leader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// flaky is a replica's way to the store that fails at random and can be cut.
type flaky struct {
	*memory
	cut  atomic.Bool
	dice *rand.Rand // of the committer, the only one who throws
}

func (f *flaky) Lead(ctx context.Context, replica store.Replica, ttl time.Duration) (store.Leader, bool, error) {
	if f.cut.Load() {
		return store.Leader{}, false, errDead
	}
	return f.memory.Lead(ctx, replica, ttl)
}

func (f *flaky) Resign(ctx context.Context, epoch int64) error {
	if f.cut.Load() {
		return errDead
	}
	return f.memory.Resign(ctx, epoch)
}

func (f *flaky) Changes(ctx context.Context, after store.Position, limit int) (store.Changes, store.Position, error) {
	if f.cut.Load() {
		return store.Changes{}, nil, errDead
	}
	return f.memory.Changes(ctx, after, limit)
}

// Transition takes its time, during which anything may happen.
func (f *flaky) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	<-time.After(time.Duration(f.dice.IntN(30)) * time.Millisecond)
	if f.cut.Load() || f.dice.IntN(20) == 0 {
		return nil, errDead
	}
	results, err := f.memory.Transition(ctx, fence, units)
	if f.dice.IntN(50) == 0 {
		return nil, errors.New("the connection broke")
	}
	return results, err
}

// realPools makes a replica use the real scheduler.
func realPools(l *Leader, _ *replica) {
	l.plans = func() func(string) planner {
		return func(name string) planner { return fairPool{scheduling.NewPool(name, testScheduling())} }
	}
}

// TestWhateverFailsNoNodeIsOversubscribedAndEveryJobEnds lets two replicas with
// the real scheduler lead over a store that fails, while users submit and cancel
// and runs end, and looks at the truth after every step. Every other time runs are
// preempted, too.
func TestWhateverFailsNoNodeIsOversubscribedAndEveryJobEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { turmoil(t, seed) })
		})
	}
}

func turmoil(t *testing.T, seed uint64) {
	m := aStore()
	m.putQueue(armada.Queue{Name: "biology", PriorityFactor: 2})
	hear := func() {
		m.acknowledge(anExecutor("east"), aNode("n1", 4), aNode("n2", 3))
		m.acknowledge(anExecutor("west"), aNode("n1", 2))
	}
	hear()
	ways := []*flaky{{memory: m, dice: rand.New(rand.NewPCG(seed, 1))}, {memory: m, dice: rand.New(rand.NewPCG(seed, 2))}}
	pools := realPools
	if seed%2 == 1 {
		pools = withRules(withPreemption)
	}
	for i, w := range ways {
		start(t, w, fmt.Sprint("replica ", i), pools, func(l *Leader, _ *replica) { l.config.TTL = 300 * time.Millisecond })
	}
	dice := rand.New(rand.NewPCG(seed, 3))
	for step := range 3000 {
		switch n := dice.IntN(100); {
		case n < 15:
			submitSomething(m, dice)
		case n < 45:
			endSomething(m, dice)
		case n < 50:
			cancelSomething(m, dice)
		case n < 51:
			ways[dice.IntN(2)].cut.Store(true)
		case n < 52:
			ways[dice.IntN(2)].cut.Store(false)
		}
		if step%500 == 0 {
			hear()
		}
		pass(10 * time.Millisecond)
		wantNoneOversubscribed(t, m)
	}
	for _, w := range ways {
		w.cut.Store(false)
	}
	hear()
	for range 4 * m.size() {
		endSomething(m, dice)
		pass(20 * time.Millisecond)
		wantNoneOversubscribed(t, m)
	}
	// Only gangs whose members were cancelled may be left.
	for i := range m.size() {
		if job, _ := m.job(jobName(i)); job.State.Active() && (job.Gang.Alone() || job.State != armada.JobQueued) {
			t.Errorf("job %s is %s at the end", job.ID, job.State)
		}
	}
	if seed%2 == 1 && m.inState(armada.JobPreempted) == 0 {
		t.Error("nobody was preempted")
	}
	if m.epoch() < 5 || m.size() < 100 {
		t.Errorf("nothing much happened: %d jobs, %d epochs", m.size(), m.epoch())
	}
}

func jobName(i int) armada.JobID { return armada.JobID(fmt.Sprintf("j%05d", i)) }

func submitSomething(m *memory, dice *rand.Rand) {
	one := aJob(jobName(m.size()))
	one.Queue = []string{"physics", "biology"}[dice.IntN(2)]
	one.Shape = []armada.ShapeID{oneCore, twoCores}[dice.IntN(2)]
	if dice.IntN(5) > 0 {
		m.submit(one)
		return
	}
	two := one
	two.ID = jobName(m.size() + 1)
	m.submit(aGang(string(one.ID), one, two)...)
}

// pick returns a random job of those that have or have not a run, and false
// when there is none.
func pick(m *memory, dice *rand.Rand, leased bool) (armada.JobID, bool) {
	for range 50 {
		if m.size() == 0 {
			break
		}
		id := jobName(dice.IntN(m.size()))
		if job, _ := m.job(id); job.State.Active() && leased == (job.State != armada.JobQueued) {
			return id, true
		}
	}
	return "", false
}

// endSomething ends a run in one of the ways in which runs end.
func endSomething(m *memory, dice *rand.Rand) {
	kinds := []lifecycle.ChangeKind{
		lifecycle.ReportSucceeded, lifecycle.ReportSucceeded, lifecycle.ReportFailed, lifecycle.ReportReturned, lifecycle.ReportUnknown,
	}
	if id, ok := pick(m, dice, true); ok {
		m.report(kinds[dice.IntN(len(kinds))], id)
	}
}

func cancelSomething(m *memory, dice *rand.Rand) {
	if id, ok := pick(m, dice, dice.IntN(2) == 0); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.apply(store.Unit{{Kind: lifecycle.Cancel, Job: id, By: "ann"}})
	}
}

// waits tells whether a run waits for victims, as its executor sees to; the lock is
// held.
func (m *memory) waits(run *armada.Run) bool {
	return slices.ContainsFunc(run.After, func(id armada.RunID) bool {
		job, _ := id.Job()
		victim := m.jobs[job]
		return victim != nil && victim.Run != nil && victim.Run.ID == id && victim.Run.State.Active()
	})
}

// wantNoneOversubscribed fails when the active runs of a node, as the store has
// them, need more than it has.
func wantNoneOversubscribed(t *testing.T, m *memory) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	used := map[string]armada.Resources{}
	for _, j := range m.jobs {
		if j.Run != nil && j.Run.State.Active() && !m.waits(j.Run) {
			key := string(j.Run.Executor) + "/" + j.Run.Node
			used[key] = used[key].Add(m.shapes[j.Job.Shape].Resources)
		}
	}
	for _, e := range m.executors {
		for _, n := range e.Nodes {
			amount := used[string(e.Executor.ID)+"/"+n.Name]
			if !amount.Fits(&n.Allocatable) {
				t.Fatalf("node %s of %s has %v and %v is used", n.Name, e.Executor.ID, n.Allocatable, amount)
			}
		}
	}
}
