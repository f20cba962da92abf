package storetest

import (
	"sync"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var fences = []scenario{
	{"one replica leads at a time", oneLeads},
	{"a leader that asks again keeps its epoch", leaderKeepsItsEpoch},
	{"of replicas that ask at once one leads", leadershipRace},
	{"a transition of an old epoch is fenced", oldEpochIsFenced},
	{"a leader that resigned is fenced and another leads at once", resigning},
	{"a leader whose time ran out commits until another leads", lateLeader},
	{"leadership survives a restart", leadershipSurvives},
	{"a transition of an old session is fenced", oldSessionIsFenced},
	{"an expiry is refused when its executor is back in another session", expiryNamesItsSession},
}

func (w *world) lead(s store.Store, replica string) (store.Leader, bool) {
	w.t.Helper()
	l, leads, err := s.Lead(w.ctx, store.Replica{Name: replica, Addr: replica + ".example:50051"}, 10*time.Second)
	w.ok(err)
	return l, leads
}

func oneLeads(t *testing.T, form Form) {
	w := open(t, form)
	other := w.replica()
	first, leads := w.lead(w.Store, "one")
	if !leads || first.Replica != (store.Replica{Name: "one", Addr: "one.example:50051"}) || first.Epoch < 1 || !first.Until.Equal(w.clock.Now().Add(10*time.Second)) {
		t.Errorf("the first: %+v %v", first, leads)
	}
	if second, leads := w.lead(other, "two"); leads || second != first {
		t.Errorf("the second: %+v %v", second, leads)
	}
	w.clock.Advance(10 * time.Second)
	second, leads := w.lead(other, "two")
	if !leads || second.Epoch <= first.Epoch {
		t.Errorf("after the time ran out: %+v %v", second, leads)
	}
	if again, leads := w.lead(w.Store, "one"); leads || again != second {
		t.Errorf("the first, too late: %+v %v", again, leads)
	}
}

func leaderKeepsItsEpoch(t *testing.T, form Form) {
	w := open(t, form)
	first, _ := w.lead(w.Store, "one")
	for range 5 {
		w.clock.Advance(9 * time.Second)
		again, leads := w.lead(w.Store, "one")
		if !leads || again.Epoch != first.Epoch || !again.Until.Equal(w.clock.Now().Add(10*time.Second)) {
			t.Errorf("asked again: %+v %v", again, leads)
		}
	}
	moved, leads, err := w.Lead(w.ctx, store.Replica{Name: "one", Addr: "elsewhere:1"}, 10*time.Second)
	w.ok(err)
	if !leads || moved.Epoch != first.Epoch || moved.Replica.Addr != "elsewhere:1" {
		t.Errorf("asked again from another address: %+v %v", moved, leads)
	}
}

func leadershipRace(t *testing.T, form Form) {
	w := open(t, form)
	stores := []store.Store{w.Store, w.replica()}
	for round := range 5 {
		var mu sync.Mutex
		leaders := 0
		var group sync.WaitGroup
		for i := range 6 {
			group.Go(func() {
				_, leads, err := stores[i%2].Lead(w.ctx, store.Replica{Name: string(rune('a' + i))}, time.Second)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if leads {
					leaders++
				}
			})
		}
		group.Wait()
		if leaders != 1 {
			t.Errorf("round %d: %d lead", round, leaders)
		}
		w.clock.Advance(2 * time.Second)
	}
}

func (w *world) fenced(s store.Store, f store.Fence, id armada.JobID) {
	w.t.Helper()
	before := w.job(id)
	_, err := s.Transition(w.ctx, f, []store.Unit{{lease(id)}})
	w.code(err, armada.CodeFenced)
	if after := w.job(id); after.Version != before.Version {
		w.t.Errorf("a fenced transition did something: %+v", after)
	}
}

func oldEpochIsFenced(t *testing.T, form Form) {
	w := open(t, form)
	other := w.replica()
	ids := w.submit("a", "set", 2)
	first, _ := w.lead(w.Store, "one")
	w.clock.Advance(time.Minute)
	second, _ := w.lead(other, "two")
	w.fenced(w.Store, store.Fence{Epoch: first.Epoch}, ids[0])
	w.fenced(w.Store, store.Fence{Epoch: second.Epoch + 1}, ids[0])
	results, err := other.Transition(w.ctx, store.Fence{Epoch: second.Epoch}, []store.Unit{{lease(ids[0])}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Applied {
		t.Errorf("the present leader's: %+v", results[0])
	}
}

func resigning(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	first, _ := w.lead(w.Store, "one")
	w.ok(w.Resign(w.ctx, first.Epoch+1)) // somebody else's: nothing happens
	if again, leads := w.lead(w.Store, "one"); !leads || again.Epoch != first.Epoch {
		t.Errorf("after another's resignation: %+v %v", again, leads)
	}
	w.ok(w.Resign(w.ctx, first.Epoch))
	w.fenced(w.Store, store.Fence{Epoch: first.Epoch}, id)
	second, leads := w.lead(w.Store, "two")
	if !leads || second.Epoch <= first.Epoch {
		t.Errorf("after the resignation: %+v %v", second, leads)
	}
}

func lateLeader(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	first, _ := w.lead(w.Store, "one")
	w.clock.Advance(time.Hour)
	results, err := w.Transition(w.ctx, store.Fence{Epoch: first.Epoch}, []store.Unit{{lease(ids[0])}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Applied {
		t.Errorf("nobody took over: %+v", results[0])
	}
	w.lead(w.Store, "two")
	w.fenced(w.Store, store.Fence{Epoch: first.Epoch}, ids[1])
}

func leadershipSurvives(t *testing.T, form Form) {
	w := open(t, form)
	first, _ := w.lead(w.Store, "one")
	w.reopen()
	if second, leads := w.lead(w.Store, "two"); leads || second != first {
		t.Errorf("after a restart: %+v %v", second, leads)
	}
	if again, leads := w.lead(w.Store, "one"); !leads || again.Epoch != first.Epoch {
		t.Errorf("the leader itself: %+v %v", again, leads)
	}
}

func oldSessionIsFenced(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	w.session("east", "s1")
	w.fenced(w.Store, store.Fence{Executor: "east", Session: "s0"}, id)
	w.fenced(w.Store, store.Fence{Executor: "west", Session: "s1"}, id)
	w.fenced(w.Store, store.Fence{Executor: "east"}, id)
	results, err := w.Transition(w.ctx, store.Fence{Executor: "east", Session: "s1"}, []store.Unit{{lease(id)}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Applied {
		t.Errorf("the current session's: %+v", results[0])
	}
	w.session("east", "s2")
	_, err = w.Transition(w.ctx, store.Fence{Executor: "east", Session: "s1"}, []store.Unit{{report(lifecycle.ReportRunning, id, 1)}})
	w.code(err, armada.CodeFenced)
}

func expiryNamesItsSession(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	w.session("east", "s1")
	w.must(lease(id))
	w.session("east", "s2")
	expire := report(lifecycle.Expire, id, 1)
	expire.Session = "s1"
	results, err := w.Transition(w.ctx, store.Fence{}, []store.Unit{{expire}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Refused {
		t.Errorf("the silence of an older session: %+v", results[0])
	}
	expire.Session = "s2"
	results, err = w.Transition(w.ctx, store.Fence{}, []store.Unit{{expire}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Applied {
		t.Errorf("the silence of the current session: %+v", results[0])
	}
}
