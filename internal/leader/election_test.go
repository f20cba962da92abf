package leader

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/store"
)

// mortal is a replica's way to the store, which can be cut.
type mortal struct {
	*memory
	dead atomic.Bool
	// stuck, when set, holds transitions up, as a stopped process would, whatever
	// their context says.
	stuck chan struct{}
}

var errDead = &armada.Error{Code: armada.CodeUnavailable, Message: "cut off"}

func (m *mortal) Lead(ctx context.Context, replica store.Replica, ttl time.Duration) (store.Leader, bool, error) {
	if m.dead.Load() {
		return store.Leader{}, false, errDead
	}
	return m.memory.Lead(ctx, replica, ttl)
}

func (m *mortal) Resign(ctx context.Context, epoch int64) error {
	if m.dead.Load() {
		return errDead
	}
	return m.memory.Resign(ctx, epoch)
}

func (m *mortal) Transition(_ context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	if m.stuck != nil {
		<-m.stuck
	}
	return m.memory.Transition(context.Background(), fence, units)
}

// leads returns the replica that leads now.
func (m *memory) leads(t *testing.T) string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !time.Now().Before(m.leader.Until) {
		return ""
	}
	return m.leader.Replica.Name
}

func TestOneOfTwoReplicasLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		a, b := start(t, m, "a"), start(t, m, "b")
		for range 20 {
			pass(time.Second)
			if who := m.leads(t); who != "a" {
				t.Fatalf("%q leads, want the first", who)
			}
		}
		if !a.Explanations().Leading() || b.Explanations().Leading() {
			t.Error("explanations must be told by the leader only")
		}
		if m.epoch() != 1 {
			t.Errorf("the epoch is %d after renewals, want 1", m.epoch())
		}
	})
}

func TestAnotherReplicaFollowsAtOnceAfterAnOrderlyStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		a := start(t, m, "a")
		start(t, m, "b")
		pass(5 * time.Second)
		a.stop()
		m.submit(aJob("j1"))
		pass(100 * time.Millisecond)
		wantState(t, m, armada.JobLeased, "j1")
		if a.Explanations().Leading() {
			t.Error("a stopped leader still explains")
		}
	})
}

func TestAnotherReplicaFollowsADeadLeaderWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		s := &mortal{memory: m}
		a := start(t, s, "a")
		start(t, m, "b")
		pass(5500 * time.Millisecond)
		s.dead.Store(true)
		a.stop()
		m.submit(aJob("j1"))
		pass(4 * time.Second)
		wantState(t, m, armada.JobLeased, "j1")
	})
}

func TestALeaderThatCannotRenewStopsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		s := &mortal{memory: m}
		a := start(t, s, "a")
		pass(5 * time.Second)
		s.dead.Store(true)
		pass(3 * time.Second)
		if a.Explanations().Leading() {
			t.Error("it leads on although its time is over")
		}
		s.dead.Store(false)
		pass(time.Second)
		if !a.Explanations().Leading() || m.epoch() != 2 {
			t.Errorf("it does not lead again in an epoch of its own; the epoch is %d", m.epoch())
		}
	})
}

func TestADeposedLeaderCommitsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		old := &mortal{memory: m, stuck: make(chan struct{})}
		start(t, old, "old")
		pass(time.Second)
		m.submit(aJob("j1")) // decided, and the transition hangs
		old.dead.Store(true)
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "j1")

		start(t, m, "new")
		pass(5 * time.Second)
		wantState(t, m, armada.JobLeased, "j1")
		if who := m.leads(t); who != "new" {
			t.Fatalf("%q leads", who)
		}
		before := len(m.committed())
		close(old.stuck)
		pass(time.Second)
		if n := m.leases("j1"); n != 1 || len(m.committed()) != before {
			t.Errorf("the deposed leader committed: j1 was leased %d times in %d transitions, before it %d", n, len(m.committed()), before)
		}
	})
}

func TestARestartLeasesWhatWasQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2))
		m.submit(someJobs(3)...)
		a := start(t, m, "a")
		pass(time.Second)
		a.stop()
		if n := m.inState(armada.JobLeased); n != 2 {
			t.Fatalf("%d jobs are leased, want 2", n)
		}
		m.acknowledge(anExecutor("east"), aNode("n1", 2), aNode("n2", 1))
		start(t, m, "a")
		pass(time.Second)
		if n := m.inState(armada.JobLeased); n != 3 {
			t.Errorf("%d jobs are leased after the restart, want 3", n)
		}
	})
}

func TestNothingIsStartedInARestoredStoreBeforeItsHoldIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		m.submit(aJob("j1"))
		m.held = time.Now().Add(time.Minute)
		start(t, m, "a")
		pass(50 * time.Second)
		m.mu.Lock()
		m.held = m.held.Add(time.Minute) // an executor holds what the store does not know
		m.mu.Unlock()
		pass(time.Minute)
		wantState(t, m, armada.JobQueued, "j1")
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		pass(10 * time.Second)
		wantState(t, m, armada.JobLeased, "j1")
	})
}
