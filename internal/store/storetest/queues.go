package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var queueTests = []scenario{
	{"a queue reads as it was put", queueReadsAsPut},
	{"only an existing queue is updated", onlyExistingIsUpdated},
	{"queues are listed by name", queuesByName},
	{"a queue with active jobs is not deleted", activeQueueStays},
	{"a deleted queue is not found and takes no jobs", deletedQueue},
	{"a queue whose jobs are being cancelled is deleted, and they end in its events", cancellingQueue},
	{"a queue made again begins new incarnations of its job sets", queueMadeAgain},
}

func queueReadsAsPut(t *testing.T, form Form) {
	w := open(t, form)
	q := armada.Queue{
		Name: "full", PriorityFactor: 2.5, Cordoned: true, Labels: map[string]string{"team": "x"}, RetryPolicies: []string{"p"},
		Permissions: []armada.Permission{{Subjects: []armada.Subject{{Kind: armada.SubjectGroup, Name: "g"}}, Verbs: armada.Verbs()}},
		Limits: map[string]armada.ResourceFractions{"default": {
			Maximum: map[string]float64{"cpu": 0.3}, MaximumByPool: map[string]map[string]float64{"p": {"cpu": 0.1}},
		}},
		Changes: []armada.QueueChange{{At: time.Date(2026, 11, 26, 20, 0, 0, 5000, time.UTC), By: "ada", What: "created"}},
	}
	w.ok(w.PutQueue(w.ctx, q))
	q.Labels = map[string]string{"team": "x"} // not that of the store
	got, err := w.Queue(w.ctx, "full")
	w.ok(err)
	if diff := cmp.Diff(q, got); diff != "" {
		t.Error("the queue (-put +read):\n", diff)
	}
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "full", PriorityFactor: 1}))
	w.reopen()
	got, err = w.Queue(w.ctx, "full")
	w.ok(err)
	if diff := cmp.Diff(armada.Queue{Name: "full", PriorityFactor: 1}, got); diff != "" {
		t.Error("it is replaced whole (-put +read):\n", diff)
	}
}

func onlyExistingIsUpdated(t *testing.T, form Form) {
	w := open(t, form)
	w.code(w.UpdateQueue(w.ctx, armada.Queue{Name: "nobody"}), armada.CodeNotFound)
	_, err := w.Queue(w.ctx, "nobody")
	w.code(err, armada.CodeNotFound)
	w.ok(w.UpdateQueue(w.ctx, armada.Queue{Name: "a", PriorityFactor: 9}))
	q, err := w.Queue(w.ctx, "a")
	w.ok(err)
	if q.PriorityFactor != 9 {
		t.Errorf("updated: %+v", q)
	}
	w.ok(w.DeleteQueue(w.ctx, "a"))
	w.code(w.UpdateQueue(w.ctx, armada.Queue{Name: "a"}), armada.CodeNotFound)
}

func (w *world) queueNames() []string {
	w.t.Helper()
	queues, err := w.Queues(w.ctx)
	w.ok(err)
	var names []string
	for _, q := range queues {
		names = append(names, q.Name)
	}
	return names
}

func queuesByName(t *testing.T, form Form) {
	w := open(t, form)
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "Z"}))
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "aa"}))
	if diff := cmp.Diff([]string{"Z", "a", "aa", "b"}, w.queueNames()); diff != "" {
		t.Error("names (-want +got):\n", diff)
	}
}

func activeQueueStays(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[0]})
	w.code(w.DeleteQueue(w.ctx, "a"), armada.CodePrecondition)
	w.must(lease(ids[1]))
	w.must(lifecycle.Change{Kind: lifecycle.Preempt, Job: ids[1]})
	w.code(w.DeleteQueue(w.ctx, "a"), armada.CodePrecondition)
	w.must(report(lifecycle.ReportSucceeded, ids[1], 1))
	w.ok(w.DeleteQueue(w.ctx, "a"))
}

func deletedQueue(t *testing.T, form Form) {
	w := open(t, form)
	w.ok(w.DeleteQueue(w.ctx, "a"))
	w.ok(w.DeleteQueue(w.ctx, "a"))
	w.ok(w.DeleteQueue(w.ctx, "nobody"))
	_, err := w.Queue(w.ctx, "a")
	w.code(err, armada.CodeNotFound)
	_, err = w.Submit(w.ctx, submission("a", "set", 1))
	w.code(err, armada.CodeNotFound)
	w.reopen()
	_, err = w.Submit(w.ctx, submission("a", "set", 1))
	w.code(err, armada.CodeNotFound)
	if diff := cmp.Diff([]string{"b"}, w.queueNames()); diff != "" {
		t.Error("names (-want +got):\n", diff)
	}
}

func cancellingQueue(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	w.must(lease(ids[0]))
	w.must(lease(ids[1]))
	for _, id := range ids {
		w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "bob"})
	}
	at, err := w.LastEvent(w.ctx, store.JobSetKey{Queue: "a", JobSet: "set"})
	w.ok(err)
	w.ok(w.DeleteQueue(w.ctx, "a"))
	_, err = w.Queue(w.ctx, "a")
	w.code(err, armada.CodeNotFound)
	signal, stop := w.Watch(store.JobSetKey{Queue: "a", JobSet: "set"})
	defer stop()
	w.must(report(lifecycle.ReportStopped, ids[0], 1))
	told(t, signal, "the watcher of a deleted queue's job set")
	w.reopen()
	w.must(report(lifecycle.ReportStopped, ids[1], 1))
	events, _, err := w.ReadEvents(w.ctx, store.JobSetKey{Queue: "a", JobSet: "set"}, at, 10)
	w.ok(err)
	if diff := cmp.Diff([]armada.EventKind{armada.EventCancelled, armada.EventCancelled}, kinds(events, "")); diff != "" {
		t.Error("events after the deletion (-want +got):\n", diff)
	}
	if job := w.job(ids[0]); job.State != armada.JobCancelled || job.Queue != "a" {
		t.Errorf("the job: %+v", job)
	}
}

func queueMadeAgain(t *testing.T, form Form) {
	w := open(t, form)
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	old := w.submit("a", "set", 1)[0]
	w.must(lease(old))
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: old})
	before, err := w.LastEvent(w.ctx, key)
	w.ok(err)
	w.ok(w.DeleteQueue(w.ctx, "a"))
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "a", PriorityFactor: 1}))
	w.reopen()
	fresh := w.submit("a", "set", 1)[0]
	w.must(report(lifecycle.ReportStopped, old, 1)) // ends in the old incarnation
	events, at, err := w.ReadEvents(w.ctx, key, before, 10)
	w.ok(err)
	if at.Incarnation == before.Incarnation {
		t.Errorf("the incarnation stayed: %+v", at)
	}
	if wrong := whole(events); wrong != "" || len(events) != 2 || events[0].Job != fresh {
		t.Errorf("events of the new incarnation: %v %s", events, wrong)
	}
	if w.job(old).State != armada.JobCancelled {
		t.Error("the old job did not end")
	}
}
