package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var eventLog = []scenario{
	{"events are numbered without gaps in the order of commits", numberedWithoutGaps},
	{"reading continues after a cursor with any limit", readingContinues},
	{"the events of a large submission read whole", largeSubmission},
	{"a zero cursor and one of a gone incarnation begin with the first event", goneIncarnation},
	{"a number beyond the last event is out of range", beyondTheLast},
	{"a job set without events is not found", noEvents},
	{"events of all kinds read as they were written", allKinds},
	{"a watcher is told after events were committed", watchersAreTold},
	{"a watcher of another job set is left alone", othersAreNotTold},
	{"a stopped watcher hears nothing more", stoppedWatcher},
}

func numberedWithoutGaps(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	w.submit("b", "set", 3)
	w.finish(ids[0])
	w.submit("a", "set", 1)
	events := w.events("a", "set")
	if wrong := whole(events); wrong != "" {
		t.Error(wrong)
	}
	if len(events) != 2*3+2 {
		t.Errorf("%d events", len(events))
	}
	for i, e := range events[:4] {
		if want := ids[i/2]; e.Job != want {
			t.Errorf("event %d is of job %s, want %s: they follow the order of the jobs", i+1, e.Job, want)
		}
	}
	last, err := w.LastEvent(w.ctx, store.JobSetKey{Queue: "a", JobSet: "set"})
	w.ok(err)
	if last.Number != 8 {
		t.Errorf("the last event: %+v", last)
	}
}

func readingContinues(t *testing.T, form Form) {
	w := open(t, form)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	for range 3 {
		w.finish(w.submit("a", "set", 4)[1])
	}
	all := w.events("a", "set")
	for limit := 1; limit <= len(all)+1; limit++ {
		var got []armada.Event
		var at store.Cursor
		for {
			events, next, err := w.ReadEvents(w.ctx, key, at, limit)
			w.ok(err)
			if len(events) > limit {
				t.Fatalf("%d events for limit %d", len(events), limit)
			}
			if len(events) == 0 {
				if next != at {
					t.Errorf("the cursor moved from %+v to %+v without events", at, next)
				}
				break
			}
			got, at = append(got, events...), next
			if at.Number != events[len(events)-1].Number {
				t.Errorf("the cursor %+v is not that of the last event", at)
			}
		}
		if diff := cmp.Diff(all, got); diff != "" {
			t.Fatalf("limit %d (-all +got):\n%s", limit, diff)
		}
	}
}

func largeSubmission(t *testing.T, form Form) {
	w := open(t, form)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	ids := w.submit("a", "set", 1300)
	var all []armada.Event
	var at store.Cursor
	for len(all) < 2*len(ids) {
		events, next, err := w.ReadEvents(w.ctx, key, at, 777)
		w.ok(err)
		all, at = append(all, events...), next
		if len(events) < 777 {
			break // there must be no more
		}
	}
	if wrong := whole(all); wrong != "" || len(all) != 2*len(ids) {
		t.Errorf("%d events of %d jobs: %s", len(all), len(ids), wrong)
	}
	if whole, _, err := w.ReadEvents(w.ctx, key, store.Cursor{}, 10_000); err != nil || len(whole) != 2*len(ids) {
		t.Errorf("%d events in one read: %v", len(whole), err)
	}
}

func goneIncarnation(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "set", 2)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	last, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	for _, at := range []store.Cursor{{}, {Incarnation: last.Incarnation + 7, Number: 3}} {
		events, next, err := w.ReadEvents(w.ctx, key, at, 1)
		w.ok(err)
		if len(events) != 1 || events[0].Number != 1 || next != (store.Cursor{Incarnation: last.Incarnation, Number: 1}) {
			t.Errorf("after %+v: %v, %+v", at, events, next)
		}
	}
}

func beyondTheLast(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "set", 1)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	last, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	events, next, err := w.ReadEvents(w.ctx, key, last, 10)
	w.ok(err)
	if len(events) != 0 || next != last {
		t.Errorf("after the last: %v, %+v", events, next)
	}
	last.Number++
	_, _, err = w.ReadEvents(w.ctx, key, last, 10)
	w.code(err, armada.CodeOutOfRange)
}

func noEvents(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "set", 1)
	for _, key := range []store.JobSetKey{{Queue: "a", JobSet: "other"}, {Queue: "b", JobSet: "set"}} {
		_, _, err := w.ReadEvents(w.ctx, key, store.Cursor{}, 1)
		w.code(err, armada.CodeNotFound)
		_, err = w.LastEvent(w.ctx, key)
		w.code(err, armada.CodeNotFound)
	}
}

func allKinds(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	w.must(lease(ids[0]))
	w.must(report(lifecycle.ReportRunning, ids[0], 1))
	began := w.job(ids[0]).Transitioned
	w.clock.Advance(time.Minute)
	usage := report(lifecycle.ReportUsage, ids[0], 1)
	usage.Usage = &armada.Usage{Max: map[string]string{"cpu": "1"}, Average: map[string]string{"cpu": "500m"}, Cumulative: map[string]string{"cpu": "7"}}
	w.must(usage)
	ingress := report(lifecycle.ReportIngress, ids[0], 1)
	ingress.Addresses = map[int32]string{80: "x:1", 443: "x:2"}
	w.must(ingress)
	if at := w.job(ids[0]).Transitioned; !at.Equal(began) {
		t.Errorf("the latest transition was at %s; after news of usage and addresses it is said to have been at %s", began, at)
	}
	w.must(lifecycle.Change{Kind: lifecycle.Preempt, Job: ids[0], By: "scheduler", Reason: "room", For: ids[1]})
	w.must(report(lifecycle.ReportStopped, ids[0], 1))
	events := w.events("a", "set")
	byKind := map[armada.EventKind]armada.Event{}
	for _, e := range events {
		byKind[e.Kind] = e
	}
	if diff := cmp.Diff(usage.Usage, byKind[armada.EventUtilisation].Usage); diff != "" {
		t.Error("usage (-want +got):\n", diff)
	}
	if diff := cmp.Diff(ingress.Addresses, byKind[armada.EventIngressInfo].Addresses); diff != "" {
		t.Error("addresses (-want +got):\n", diff)
	}
	if e := byKind[armada.EventPreempted]; e.By != "scheduler" || e.Reason != "room" || e.For != ids[1] {
		t.Errorf("preempted: %+v", e)
	}
}

// told waits for a signal.
func told(t *testing.T, signal <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was not told", what)
	}
}

// quiet fails if there is a signal.
func quiet(t *testing.T, signal <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-signal:
		t.Errorf("%s was told", what)
	default:
	}
}

func watchersAreTold(t *testing.T, form Form) {
	w := open(t, form)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	first, stopFirst := w.Watch(key)
	defer stopFirst()
	second, stopSecond := w.Watch(key)
	defer stopSecond()
	ids := w.submit("a", "set", 1)
	told(t, first, "the first watcher")
	told(t, second, "the second watcher")
	w.must(lease(ids[0]))
	told(t, first, "the first watcher, again,")
	if got := kinds(w.events("a", "set"), ""); got[len(got)-1] != armada.EventLeased {
		t.Errorf("what was told cannot be read: %v", got)
	}
}

func othersAreNotTold(t *testing.T, form Form) {
	w := open(t, form)
	signal, stop := w.Watch(store.JobSetKey{Queue: "a", JobSet: "set"})
	defer stop()
	mine, stopMine := w.Watch(store.JobSetKey{Queue: "a", JobSet: "other"})
	defer stopMine()
	w.submit("a", "other", 1)
	told(t, mine, "the watcher of the job set")
	quiet(t, signal, "the watcher of another job set")
}

func stoppedWatcher(t *testing.T, form Form) {
	w := open(t, form)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	signal, stop := w.Watch(key)
	other, stopOther := w.Watch(key)
	defer stopOther()
	stop()
	stop()
	w.submit("a", "set", 1)
	told(t, other, "the watcher that did not stop")
	quiet(t, signal, "a stopped watcher")
}
