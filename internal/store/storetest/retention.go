package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var retention = []scenario{
	{"jobs that ended before the time are forgotten and others stay", oldJobsAreForgotten},
	{"queues with a time of their own keep their jobs until then, however long others do", queuesKeepTheirOwn},
	{"of too many finished jobs those that ended first are forgotten", tooManyJobs},
	{"a pass tells what it has forgotten", forgottenIsCounted},
	{"events go with the jobs they speak of, from the front", eventsGoFromTheFront},
	{"a job set forgotten whole begins a new incarnation", forgottenJobSet},
	{"templates and shapes that no job uses are forgotten", unusedTemplates},
	{"client ids are forgotten after their own retention", clientIDsAreForgotten},
	{"pruning goes in pieces", pruningInPieces},
	{"pruning never takes what a submission uses", pruneRacesSubmit},
}

// prune prunes to the end and returns in how many pieces.
func (w *world) prune(before time.Time, limit int) int {
	w.t.Helper()
	for pieces := 1; ; pieces++ {
		done, err := w.Prune(w.ctx, store.Keep{Since: before}, limit)
		w.ok(err)
		if !done.More {
			return pieces
		}
		if pieces > 10000 {
			w.t.Fatal("pruning does not end")
		}
	}
}

func oldJobsAreForgotten(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 4)
	w.finish(ids[0])
	w.must(lease(ids[1]))
	w.must(report(lifecycle.ReportReturned, ids[1], 1))
	w.finish(ids[1])
	w.must(lease(ids[2]))
	w.clock.Advance(time.Hour)
	before := w.clock.Now()
	w.finish(ids[3])
	w.prune(before, 100)
	for i, want := range []bool{false, false, true, true} {
		jobs, err := w.JobsByID(w.ctx, ids[i:i+1])
		w.ok(err)
		if got := len(jobs) == 1; got != want {
			t.Errorf("job %d is there: %v, want %v", i, got, want)
		}
	}
	if got := w.list(store.Query{}); len(got) != 2 {
		t.Errorf("listed: %v", got)
	}
	r := w.change(lease(ids[0]))
	if r.Verdict != lifecycle.Refused {
		t.Errorf("a forgotten job's change: %+v", r)
	}
	w.must(report(lifecycle.ReportSucceeded, ids[2], 1))
	m := newMirror()
	m.load(t, w.Store)
	if len(m.jobs) != 0 {
		t.Errorf("loaded: %v", m.jobs)
	}
}

func queuesKeepTheirOwn(t *testing.T, form Form) {
	w := open(t, form)
	for _, queue := range []string{"short", "long", "gone"} {
		w.ok(w.PutQueue(w.ctx, armada.Queue{Name: queue, PriorityFactor: 1}))
	}
	queues := []string{"a", "short", "long", "gone"}
	ended := func() map[string]armada.JobID {
		ids := map[string]armada.JobID{}
		for _, queue := range queues {
			list := w.submit(queue, "set", 2) // one stays
			w.finish(list[0])
			ids[queue] = list[0]
		}
		w.clock.Advance(time.Hour)
		return ids
	}
	first, second := ended(), ended()
	for _, job := range w.list(store.Query{Queue: "gone", States: []armada.JobState{armada.JobQueued}}) {
		w.finish(job)
	}
	w.ok(w.DeleteQueue(w.ctx, "gone"))
	now := w.clock.Now()
	keep := store.Keep{Since: now.Add(-time.Hour), Queues: map[string]time.Time{"short": now, "long": now.Add(-24 * time.Hour), "nobody": {}}}
	for done := (store.Forgotten{More: true}); done.More; {
		var err error
		done, err = w.Prune(w.ctx, keep, 1)
		w.ok(err)
		if !done.Before.Equal(keep.Queues["nobody"]) {
			t.Errorf("the earliest time is told as %s", done.Before)
		}
	}
	for _, want := range []struct {
		job  armada.JobID
		kept bool
	}{
		{first["a"], false},
		{second["a"], true},
		{first["short"], false},
		{second["short"], false},
		{first["long"], true},
		{second["long"], true},
		{first["gone"], false},
		{second["gone"], true},
	} {
		jobs, err := w.JobsByID(w.ctx, []armada.JobID{want.job})
		w.ok(err)
		if got := len(jobs) == 1; got != want.kept {
			t.Errorf("job %s is there: %v, want %v", want.job, got, want.kept)
		}
	}
	for _, queue := range []string{"a", "short", "long"} {
		if active := w.list(store.Query{Queue: queue, States: []armada.JobState{armada.JobQueued}}); len(active) != 2 {
			t.Errorf("queue %s has the active jobs %v", queue, active)
		}
	}
	// The bound of their number is one for all queues.
	w.prune(time.Time{}, 100)
	for done := (store.Forgotten{More: true}); done.More; {
		var err error
		done, err = w.Prune(w.ctx, store.Keep{Most: 3, Queues: keep.Queues}, 100)
		w.ok(err)
	}
	if left := w.list(store.Query{Queue: "long"}); len(left) != 3 { // the later one, and two that are active
		t.Errorf("of too many jobs queue long has %v", left)
	}
}

func tooManyJobs(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 24)
	for i := range 22 { // the first that was submitted ends last
		w.clock.Advance(time.Minute)
		w.finish(ids[21-i])
	}
	since := w.clock.Now().Add(-time.Hour) // all are young enough
	for _, c := range []struct {
		most int
		want []armada.JobID
	}{{0, ids}, {22, ids}, {20, append(ids[:18:18], ids[22:]...)}, {20, append(ids[:18:18], ids[22:]...)}, {1, append(ids[:1:1], ids[22:]...)}} {
		for done := (store.Forgotten{More: true}); done.More; {
			var err error
			done, err = w.Prune(w.ctx, store.Keep{Since: since, Most: c.most}, 3)
			w.ok(err)
		}
		if diff := cmp.Diff(c.want, w.list(store.Query{})); diff != "" {
			t.Errorf("with at most %d (-want +got):\n%s", c.most, diff)
		}
	}
}

func forgottenIsCounted(t *testing.T, form Form) {
	w := open(t, form)
	s := submission("a", "set", 3)
	s.Jobs[0].Job.ClientID = "mine"
	_, err := w.Submit(w.ctx, s)
	w.ok(err)
	for _, j := range s.Jobs {
		w.finish(j.Job.ID)
	}
	w.clock.Advance(w.config.ClientIDRetention)
	before := w.clock.Now()
	total := store.Forgotten{More: true}
	for total.More {
		done, err := w.Prune(w.ctx, store.Keep{Since: before}, 2)
		w.ok(err)
		if !done.Before.Equal(before) {
			t.Errorf("jobs that ended before %s are not kept, asked was %s", done.Before, before)
		}
		total.Jobs, total.Events, total.ClientIDs, total.More = total.Jobs+done.Jobs, total.Events+done.Events, total.ClientIDs+done.ClientIDs, done.More
	}
	if want := (store.Forgotten{Jobs: 3, Events: 12, ClientIDs: 1}); total != want {
		t.Errorf("forgotten is %+v, want %+v", total, want)
	}
}

func eventsGoFromTheFront(t *testing.T, form Form) {
	w := open(t, form)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	w.finish(w.submit("a", "set", 1)[0]) // 1 to 4
	w.clock.Advance(time.Minute)
	long := w.submit("a", "set", 1)[0] // 5, 6
	w.clock.Advance(time.Minute)
	w.finish(w.submit("a", "set", 1)[0]) // 7 to 10
	w.clock.Advance(time.Hour)
	first, _, err := w.ReadEvents(w.ctx, key, store.Cursor{}, 1)
	w.ok(err)
	last, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	w.prune(w.clock.Now(), 100)
	events, _, err := w.ReadEvents(w.ctx, key, store.Cursor{}, 100)
	w.ok(err)
	if first[0].Number != 1 || len(events) == 0 || events[0].Number <= 4 && events[0].Number != 5 || events[0].Number > 5 {
		t.Fatalf("events begin with %v, want 5: job %s is active", events, long)
	}
	for i, e := range events {
		if e.Number != int64(i)+5 {
			t.Errorf("number %d at place %d", e.Number, i)
		}
	}
	at := store.Cursor{Incarnation: last.Incarnation, Number: 2}
	_, _, err = w.ReadEvents(w.ctx, key, at, 1)
	w.code(err, armada.CodeOutOfRange)
	at.Number = 4
	events, _, err = w.ReadEvents(w.ctx, key, at, 1)
	w.ok(err)
	if len(events) != 1 || events[0].Number != 5 {
		t.Errorf("after 4: %v", events)
	}
	w.must(lease(long))
	if now, err := w.LastEvent(w.ctx, key); err != nil || now.Number != last.Number+1 || now.Incarnation != last.Incarnation {
		t.Errorf("the last event: %+v, before %+v, %v", now, last, err)
	}
}

func forgottenJobSet(t *testing.T, form Form) {
	w := open(t, form)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	w.finish(w.submit("a", "set", 1)[0])
	old, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	w.clock.Advance(time.Hour)
	w.prune(w.clock.Now(), 100)
	_, _, err = w.ReadEvents(w.ctx, key, store.Cursor{}, 1)
	w.code(err, armada.CodeNotFound)
	w.submit("a", "set", 1)
	events, at, err := w.ReadEvents(w.ctx, key, old, 100)
	w.ok(err)
	if at.Incarnation == old.Incarnation || len(events) != 2 || events[0].Number != 1 {
		t.Errorf("cursor %+v after %+v, events %v", at, old, events)
	}
}

func unusedTemplates(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	other := submission("a", "set", 1)
	other.Templates = map[armada.TemplateID][]byte{"beef": []byte("another")}
	other.Jobs[0].Job.Template = "beef"
	_, err := w.Submit(w.ctx, other)
	w.ok(err)
	w.finish(ids[0])
	w.finish(ids[1])
	w.clock.Advance(time.Hour)
	w.prune(w.clock.Now(), 100)
	_, err = w.Template(w.ctx, "cafe")
	w.code(err, armada.CodeNotFound)
	if _, err = w.Template(w.ctx, "beef"); err != nil {
		t.Error("a template in use is gone: ", err)
	}
	if _, err = w.Requirements(w.ctx, other.Jobs[0].Job.Shape); err != nil {
		t.Error("a shape in use is gone: ", err)
	}
	w.submit("a", "set", 1)
	if body, err := w.Template(w.ctx, "cafe"); err != nil || string(body) != "a pod spec" {
		t.Errorf("used again: %q, %v", body, err)
	}
	w.finish(other.Jobs[0].Job.ID)
	w.clock.Advance(time.Hour)
	w.prune(w.clock.Now(), 100)
	_, err = w.Template(w.ctx, "beef")
	w.code(err, armada.CodeNotFound)
}

func clientIDsAreForgotten(t *testing.T, form Form) {
	w := open(t, form)
	submit := func() store.Submitted {
		s := submission("a", "set", 1)
		s.Jobs[0].Job.ClientID = "mine"
		got, err := w.Submit(w.ctx, s)
		w.ok(err)
		return got[0]
	}
	first := submit()
	w.finish(first.ID)
	w.clock.Advance(time.Hour)
	w.prune(w.clock.Now(), 100) // the job is gone, its client id is not
	if got := submit(); got != (store.Submitted{ID: first.ID, Duplicate: true}) {
		t.Errorf("within the retention: %v", got)
	}
	w.clock.Advance(w.config.ClientIDRetention)
	w.prune(w.clock.Now(), 100)
	if got := submit(); got.Duplicate {
		t.Errorf("after the retention: %v", got)
	}
}

func pruningInPieces(t *testing.T, form Form) {
	w := open(t, form)
	var kept []armada.JobID
	for i := range 10 {
		ids := w.submit("a", armada.JobSet(fmt.Sprintf("set-%d", i%4)), 10)
		kept = append(kept, ids[9])
		units := make([]store.Unit, 0, 9)
		for _, id := range ids[:9] {
			units = append(units, store.Unit{lifecycle.Change{Kind: lifecycle.Cancel, Job: id}})
		}
		_, err := w.Transition(w.ctx, store.Fence{}, units)
		w.ok(err)
	}
	w.clock.Advance(time.Hour)
	if pieces := w.prune(w.clock.Now(), 10); pieces < 9 {
		t.Errorf("90 jobs went in %d pieces of 10", pieces)
	}
	if diff := cmp.Diff(kept, w.list(store.Query{})); diff != "" {
		t.Error("jobs (-want +got):\n", diff)
	}
	for i := range 4 {
		events := w.events("a", armada.JobSet(fmt.Sprintf("set-%d", i)))
		if len(events) == 0 {
			t.Errorf("job set %d has active jobs and no events", i)
		}
	}
}

// pruneRacesSubmit submits with a template that comes and goes, while pruning.
func pruneRacesSubmit(t *testing.T, form Form) {
	w := open(t, form)
	var done atomic.Bool
	var group sync.WaitGroup
	group.Go(func() {
		for !done.Load() {
			if _, err := w.Prune(w.ctx, store.Keep{Since: w.clock.Now().Add(time.Hour)}, 5); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 60 {
		s := submission("a", armada.JobSet(fmt.Sprintf("set-%d", i%2)), 1)
		_, err := w.Submit(w.ctx, s)
		w.ok(err)
		id := s.Jobs[0].Job.ID
		w.must(lease(id))
		orders, err := w.Orders(w.ctx, []armada.RunID{armada.NewRunID(id, 1)})
		w.ok(err)
		if len(orders) != 1 || string(orders[0].Template) != "a pod spec" {
			t.Errorf("the order of a fresh run: %+v", orders)
		}
		w.must(report(lifecycle.ReportSucceeded, id, 1))
	}
	done.Store(true)
	group.Wait()
}
