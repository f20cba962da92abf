package storetest

import (
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var restoration = []scenario{
	{"in another life a cursor from before begins anew, and events go on", restoredCursors},
	{"in another life nobody who led or held a session is heard any more", restoredFences},
	{"in another life an older position of the feed is out of range", restoredFeed},
	{"in another life jobs get numbers that were never given before", restoredNumbers},
	{"nothing may be started while a store that was restored is held", holding},
	{"a hold that is over cannot be prolonged", holdingOver},
	{"another life is begun once for all who open the store, and survives a restart", restoredOnce},
}

const hold = 2 * time.Minute

func restoredCursors(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "s", 1)[0]
	key := store.JobSetKey{Queue: "a", JobSet: "s"}
	before, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	w.ok(w.Restored(w.ctx, hold))
	w.change(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "bob"})

	last, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	if last.Number != before.Number+2 || last.Incarnation == before.Incarnation {
		t.Errorf("the last event was %+v and is %+v", before, last)
	}
	// Numbers of the lost time, of which some are given again now.
	for _, number := range []int64{0, 1, before.Number, last.Number, last.Number + 3} {
		events, next, err := w.ReadEvents(w.ctx, key, store.Cursor{Incarnation: before.Incarnation, Number: number}, 0)
		w.ok(err)
		if len(events) != int(last.Number) || events[0].Number != 1 || next != last {
			t.Errorf("after event %d of the old life come %d events, and then %+v", number, len(events), next)
		}
	}
	if events, _, err := w.ReadEvents(w.ctx, key, store.Cursor{Incarnation: last.Incarnation, Number: before.Number}, 0); err != nil || len(events) != 2 {
		t.Errorf("within the new life: %d events, %v", len(events), err)
	}
}

func restoredFences(t *testing.T, form Form) {
	w := open(t, form)
	leader, _ := w.lead(w.Store, "one")
	w.ok(w.OpenSession(w.ctx, armada.Executor{ID: "x", Session: "s1", Lease: time.Minute}))
	id := w.submit("a", "s", 1)[0]
	w.ok(w.Restored(w.ctx, hold))

	lease := store.Unit{{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: "x", Node: "n", Pool: "p"}}}
	_, err := w.Transition(w.ctx, store.Fence{Epoch: leader.Epoch}, []store.Unit{lease})
	w.code(err, armada.CodeFenced)
	_, err = w.Acknowledge(w.ctx, "x", "s1")
	if err == nil { // from memory: whoever asks may have been told before
		w.clock.Advance(time.Minute)
		_, err = w.Acknowledge(w.ctx, "x", "s1")
	}
	w.code(err, armada.CodeFenced)
	w.code(w.PutNodes(w.ctx, "x", "s1", nil), armada.CodeFenced)

	// Others may have led and been elected often in the lost time.
	next, leads := w.lead(w.Store, "two")
	if !leads || next.Epoch < leader.Epoch+store.LifeSpan {
		t.Errorf("after epoch %d the next is %+v, %v", leader.Epoch, next, leads)
	}
	w.ok(w.OpenSession(w.ctx, armada.Executor{ID: "x", Session: "s2", Lease: time.Minute}))
	if _, err := w.Acknowledge(w.ctx, "x", "s2"); err != nil {
		t.Errorf("a session of the new life: %v", err)
	}
}

func restoredFeed(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "s", 3)
	end, err := w.End(w.ctx)
	w.ok(err)
	w.ok(w.Restored(w.ctx, hold))
	for range 3 {
		_, _, err = w.Changes(w.ctx, end, 100)
		w.code(err, armada.CodeOutOfRange)
		_, _, err = w.ChangedRuns(w.ctx, end, 100)
		w.code(err, armada.CodeOutOfRange)
		w.submit("a", "s", 1)
	}
	jobs := 0
	position, err := w.Load(w.ctx, func(c store.Changes) error {
		jobs += len(c.Jobs)
		return nil
	})
	w.ok(err)
	if jobs != 6 {
		t.Errorf("%d jobs are loaded", jobs)
	}
	id := w.submit("a", "s", 1)[0]
	c, _, err := w.Changes(w.ctx, position, 100)
	w.ok(err)
	if len(c.Jobs) != 1 || c.Jobs[0].Job.ID != id {
		t.Errorf("the feed goes on with %+v", c.Jobs)
	}
}

func restoredNumbers(t *testing.T, form Form) {
	w := open(t, form)
	first := w.job(w.submit("a", "s", 1)[0])
	w.ok(w.Restored(w.ctx, hold))
	next := w.job(w.submit("a", "s", 1)[0])
	if next.Number <= first.Number+store.LifeSpan/2 {
		t.Errorf("after job %d comes %d", first.Number, next.Number)
	}
}

func (w *world) held(s store.Store) time.Duration {
	w.t.Helper()
	left, err := s.Held(w.ctx)
	w.ok(err)
	return left
}

func holding(t *testing.T, form Form) {
	w := open(t, form)
	other := w.replica()
	if w.held(w.Store) != 0 || w.held(other) != 0 {
		t.Error("a new store is held")
	}
	w.ok(w.Restored(w.ctx, hold))
	other = w.replica()
	for _, s := range []store.Store{w.Store, other} {
		if left := w.held(s); left != hold {
			t.Errorf("it is held for %v", left)
		}
	}
	w.clock.Advance(hold - time.Second)
	w.ok(other.Hold(w.ctx, 10*time.Second))
	w.ok(other.Hold(w.ctx, time.Second)) // shortens nothing
	for _, s := range []store.Store{w.Store, other} {
		if left := w.held(s); left != 10*time.Second {
			t.Errorf("after it was prolonged it is held for %v", left)
		}
	}
	w.clock.Advance(10 * time.Second)
	if w.held(w.Store) != 0 || w.held(other) != 0 {
		t.Error("a hold does not end")
	}
}

func holdingOver(t *testing.T, form Form) {
	w := open(t, form)
	w.ok(w.Restored(w.ctx, hold))
	w.clock.Advance(hold)
	w.ok(w.Hold(w.ctx, hold))
	if left := w.held(w.Store); left != 0 {
		t.Errorf("it is held again, for %v", left)
	}
	w.ok(w.Restored(w.ctx, hold))
	if left := w.held(w.Store); left != hold {
		t.Errorf("restored again, it is held for %v", left)
	}
}

func restoredOnce(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "s", 1)
	w.ok(w.Restored(w.ctx, hold))
	key := store.JobSetKey{Queue: "a", JobSet: "s"}
	before, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	w.reopen()
	other := w.replica()
	for _, s := range []store.Store{w.Store, other} {
		if last, err := s.LastEvent(w.ctx, key); err != nil || last != before {
			t.Errorf("opened again, the last event %+v is %+v, %v", before, last, err)
		}
		if left := w.held(s); left != hold {
			t.Errorf("opened again, it is held for %v", left)
		}
	}
}
