package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// Moved fills a store of one form with everything there is, closes it, has move
// take it into the other form under the same configuration, and fails unless the
// other tells the same in every respect, knows client ids again, and goes on.
func Moved(t *testing.T, from, to Form, move func(c Config)) {
	t.Helper()
	w := open(t, from)
	f := w.fill()
	before := w.everything(f.sets)
	epoch, leads := w.lead(w.Store, "one")
	if !leads {
		t.Fatal("nobody leads")
	}
	w.ok(w.Close())
	move(w.config)
	w.form = to
	w.Store = to(t, w.config)
	after := w.everything(f.sets)
	if len(before.Jobs) < 20 || len(before.Events) < len(f.sets) {
		t.Errorf("only %d jobs were moved", len(before.Jobs))
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what is told (-before +after the move):\n%s", diff)
	}
	w.cursors(f.sets, before)
	w.knownAgain(f)
	w.goesOn(f, before, epoch)
}

// filled is what a filled store holds and is asked for later.
type filled struct {
	clients store.Submission // with client ids that are known
	running []armada.JobID   // held by executor east
	sets    []store.JobSetKey
}

// fill writes something of every kind.
func (w *world) fill() filled {
	w.t.Helper()
	f := filled{}
	w.ok(w.Restored(w.ctx, time.Hour)) // its cursors are of another life
	w.ok(w.PutRetryPolicy(w.ctx, fullPolicy("once")))
	w.ok(w.PutQueue(w.ctx, armada.Queue{
		Name: "a", PriorityFactor: 2.5, Cordoned: true, Labels: map[string]string{"team": "ä"}, RetryPolicies: []string{"once"},
		Permissions: []armada.Permission{{Subjects: []armada.Subject{{Kind: armada.SubjectGroup, Name: "staff"}}, Verbs: []armada.Verb{"submit"}}},
	}))
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "gone", PriorityFactor: 1}))
	w.fillExecutors()
	f.sets = append(w.fillForgotten(), store.JobSetKey{Queue: "a", JobSet: "states"}, store.JobSetKey{Queue: "b", JobSet: "clients"},
		store.JobSetKey{Queue: "gone", JobSet: "left"}, store.JobSetKey{Queue: "b", JobSet: "gang"})
	f.running = w.fillStates("states")

	f.clients = submission("b", "clients", 3)
	for i, name := range []string{"first", "second", "ünïcode"} {
		f.clients.Jobs[i].Job.ClientID = name
	}
	_, err := w.Submit(w.ctx, f.clients)
	w.ok(err)
	w.finish(f.clients.Jobs[0].Job.ID)

	gang := submission("b", "gang", 2)
	gang.Templates = map[armada.TemplateID][]byte{"beef": {0, 1, 2, 255}}
	for i := range gang.Jobs {
		gang.Jobs[i].Job.Template = "beef"
		gang.Jobs[i].Job.Gang = armada.Gang{ID: "g", Cardinality: 2, UniformityLabel: "zone", FailFast: true}
		gang.Jobs[i].Details.Ingresses = []armada.IngressRequest{{Ports: []uint32{80}, TLS: true}}
	}
	_, err = w.Submit(w.ctx, gang)
	w.ok(err)

	// A queue that was deleted while a job of it was still to be cancelled.
	left := w.submit("gone", "left", 1)[0]
	w.must(lease(left))
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: left, By: "ann", Reason: "late"})
	w.ok(w.DeleteQueue(w.ctx, "gone"))
	return f
}

func (w *world) fillExecutors() {
	w.t.Helper()
	w.session("east", "s1")
	w.ok(w.PutNodes(w.ctx, "east", "s1", nodes(3)))
	w.ok(w.CordonExecutor(w.ctx, "east", true, "a new roof"))
	w.ok(w.CordonNode(w.ctx, "east", nodes(1)[0].Name, true))
	w.session("west", "s2")
	w.session("north", "s3")
	w.ok(w.PutNodes(w.ctx, "north", "s3", nodes(2)))
	w.ok(w.PutNodes(w.ctx, "north", "s3", nodes(0))) // its kinds are remembered
	w.session("deleted", "s4")
	w.ok(w.DeleteExecutor(w.ctx, "deleted"))
}

// fillForgotten makes job sets of which some is forgotten.
func (w *world) fillForgotten() []store.JobSetKey {
	w.t.Helper()
	old := submission("a", "whole", 1)
	old.Jobs[0].Job.ClientID = "forgotten"
	_, err := w.Submit(w.ctx, old)
	w.ok(err)
	w.finish(old.Jobs[0].Job.ID)
	w.finish(w.submit("a", "front", 2)[0])
	w.finish(w.submit("a", "again", 1)[0])
	w.clock.Advance(2 * w.config.ClientIDRetention)
	w.prune(w.clock.Now(), 100)
	w.submit("a", "again", 1)
	w.finish(w.submit("a", "front", 1)[0])
	return []store.JobSetKey{{Queue: "a", JobSet: "whole"}, {Queue: "a", JobSet: "front"}, {Queue: "a", JobSet: "again"}}
}

// fillStates makes jobs in every state, with every wish, and with several runs;
// it returns those that run.
func (w *world) fillStates(set armada.JobSet) []armada.JobID {
	w.t.Helper()
	kinds := func(id armada.JobID, attempt int, list ...lifecycle.ChangeKind) {
		w.t.Helper()
		for _, kind := range list {
			w.clock.Advance(time.Second)
			if kind == lifecycle.Lease {
				w.must(lease(id))
				continue
			}
			c := report(kind, id, attempt)
			if kind == lifecycle.ReportFailed {
				c.End = armada.RunEnd{Reason: "exit 4", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 4}}}
			}
			if kind == lifecycle.ReportUsage {
				c.Usage = &armada.Usage{}
			}
			if kind == lifecycle.ReportIngress {
				c.Addresses = map[int32]string{80: "host.example"}
			}
			w.must(c)
		}
	}
	ids := w.submit("a", set, 13)
	w.must(lifecycle.Change{Kind: lifecycle.Reprioritise, Job: ids[1], Priority: 3, By: "bob"})
	kinds(ids[2], 1, lifecycle.Lease)
	kinds(ids[3], 1, lifecycle.Lease, lifecycle.ReportPending)
	kinds(ids[4], 1, lifecycle.Lease, lifecycle.ReportPending, lifecycle.ReportRunning, lifecycle.ReportIngress)
	kinds(ids[5], 1, lifecycle.Lease, lifecycle.ReportPending, lifecycle.ReportReturned, lifecycle.Lease)
	kinds(ids[5], 2, lifecycle.ReportPending, lifecycle.ReportReturned, lifecycle.Lease)
	kinds(ids[5], 3, lifecycle.ReportRunning)
	kinds(ids[6], 1, lifecycle.Lease, lifecycle.ReportRunning, lifecycle.ReportSucceeded)
	kinds(ids[7], 1, lifecycle.Lease, lifecycle.ReportRunning, lifecycle.ReportFailed)
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[8], By: "ann", Reason: "not needed"})
	w.must(lifecycle.Change{Kind: lifecycle.Reject, Job: ids[9], Reason: "no such node"})
	kinds(ids[10], 1, lifecycle.Lease, lifecycle.ReportRunning)
	w.must(lifecycle.Change{Kind: lifecycle.Preempt, Job: ids[10], For: ids[0], Reason: "make room", Announce: true, By: "ann"})
	kinds(ids[11], 1, lifecycle.Lease, lifecycle.ReportRunning)
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[11], By: "ann"})
	if w.fails(ids[12], 3) != armada.JobQueued {
		w.t.Errorf("the policy repeats it and the job is %+v", w.job(ids[12]))
	}
	preempted := w.submit("a", set, 1)[0]
	kinds(preempted, 1, lifecycle.Lease, lifecycle.ReportRunning)
	w.must(lifecycle.Change{Kind: lifecycle.Preempt, Job: preempted, Reason: "make room"})
	kinds(preempted, 1, lifecycle.ReportStopped)
	w.states(set)
	return []armada.JobID{ids[4], ids[5]}
}

// states fails unless a job set has a job in every state.
func (w *world) states(set armada.JobSet) {
	w.t.Helper()
	page, err := w.List(w.ctx, store.Query{JobSet: string(set), Limit: store.MaxPage})
	w.ok(err)
	for _, state := range []armada.JobState{
		armada.JobQueued, armada.JobLeased, armada.JobPending, armada.JobRunning, armada.JobSucceeded, armada.JobFailed,
		armada.JobCancelled, armada.JobPreempted, armada.JobRejected,
	} {
		if !slices.ContainsFunc(page.Jobs, func(j store.FullJob) bool { return j.Job.State == state }) {
			w.t.Errorf("no job is %s", state)
		}
	}
}

// everything is what a store tells.
type everything struct {
	Queues       []armada.Queue
	Policies     []armada.RetryPolicy
	Jobs         []store.FullJob
	ByID         []store.FullJob
	Counts       []store.JobSetCount
	Active       [][]armada.JobID
	Templates    map[armada.TemplateID]string
	Requirements map[armada.ShapeID]*armada.Requirements
	Events       [][]armada.Event
	Cursors      []store.Cursor
	Executors    []store.ExecutorNodes
	Runs         []store.JobAndRun
	Orders       []store.Order
	Loaded       map[armada.JobID]store.JobAndRun
	LoadedQueues map[string]armada.Queue
	Held         time.Duration
}

// everything asks all that can be asked.
func (w *world) everything(sets []store.JobSetKey) everything {
	w.t.Helper()
	e := everything{Templates: map[armada.TemplateID]string{}, Requirements: map[armada.ShapeID]*armada.Requirements{}}
	var err error
	e.Queues, err = w.Queues(w.ctx)
	w.ok(err)
	e.Policies, err = w.RetryPolicies(w.ctx)
	w.ok(err)
	e.Held, err = w.Held(w.ctx)
	w.ok(err)
	var ids []armada.JobID
	for q := (store.Query{Limit: 7}); ; {
		page, err := w.List(w.ctx, q)
		w.ok(err)
		e.Jobs = append(e.Jobs, page.Jobs...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	for _, full := range e.Jobs {
		ids = append(ids, full.Job.ID)
		body, err := w.Template(w.ctx, full.Job.Template)
		w.ok(err)
		e.Templates[full.Job.Template] = string(body)
		e.Requirements[full.Job.Shape], err = w.Requirements(w.ctx, full.Job.Shape)
		w.ok(err)
	}
	e.ByID, err = w.JobsByID(w.ctx, ids)
	w.ok(err)
	e.Counts, err = w.Count(w.ctx, "")
	w.ok(err)
	for _, key := range sets {
		active, err := w.ActiveJobs(w.ctx, key, nil)
		w.ok(err)
		last, err := w.LastEvent(w.ctx, key)
		if armada.CodeOf(err) != armada.CodeNotFound || err == nil {
			w.ok(err)
		}
		e.Active, e.Cursors = append(e.Active, active), append(e.Cursors, last)
		e.Events = append(e.Events, readAll(w.t, w.Store, key))
	}
	e.Executors, err = w.Executors(w.ctx)
	w.ok(err)
	e.Runs, err = w.RunsOf(w.ctx, "east")
	w.ok(err)
	var runs []armada.RunID
	for _, r := range e.Runs {
		runs = append(runs, r.Run.ID)
	}
	e.Orders, err = w.Orders(w.ctx, runs)
	w.ok(err)
	m := newMirror()
	m.load(w.t, w.Store)
	e.Loaded, e.LoadedQueues = m.jobs, m.queues
	return e
}

// cursors fails unless a watcher that has seen part of the events sees the rest.
func (w *world) cursors(sets []store.JobSetKey, before everything) {
	w.t.Helper()
	for i, events := range before.Events {
		for seen := range events {
			key, at := sets[i], store.Cursor{Incarnation: before.Cursors[i].Incarnation, Number: events[seen].Number}
			rest, next, err := w.ReadEvents(w.ctx, key, at, len(events))
			w.ok(err)
			if diff := cmp.Diff(events[seen+1:], append([]armada.Event{}, rest...)); diff != "" || next != before.Cursors[i] {
				w.t.Fatalf("after event %d of %v, up to %v (-want +got):\n%s", events[seen].Number, key, next, diff)
			}
		}
	}
}

// knownAgain fails unless jobs that are submitted once more are those that were.
func (w *world) knownAgain(f filled) {
	w.t.Helper()
	again := f.clients
	again.Jobs = slices.Clone(f.clients.Jobs)
	for i := range again.Jobs {
		again.Jobs[i].Job.ID = newID()
	}
	answers, err := w.Submit(w.ctx, again)
	w.ok(err)
	for i, a := range answers {
		if !a.Duplicate || a.ID != f.clients.Jobs[i].Job.ID {
			w.t.Errorf("client id %s: %+v, want job %s", again.Jobs[i].Job.ClientID, a, f.clients.Jobs[i].Job.ID)
		}
	}
	expired := submission("a", "whole", 1)
	expired.Jobs[0].Job.ClientID = "forgotten"
	answers, err = w.Submit(w.ctx, expired)
	w.ok(err)
	if answers[0].Duplicate {
		w.t.Errorf("a client id that was forgotten is known: %+v", answers[0])
	}
}

// goesOn works on where the store was left.
func (w *world) goesOn(f filled, before everything, leader store.Leader) {
	w.t.Helper()
	for _, id := range f.running {
		w.must(report(lifecycle.ReportSucceeded, id, w.job(id).Attempts))
	}
	w.code(w.DeleteExecutor(w.ctx, "east"), armada.CodePrecondition) // others run there
	fresh := w.submit("a", "states", 1)[0]
	w.finish(fresh)
	latest := int64(0)
	for _, full := range before.Jobs {
		latest = max(latest, full.Job.Number)
	}
	if got := w.job(fresh).Number; got <= latest {
		w.t.Errorf("a new job has number %d, and there was %d", got, latest)
	}
	for i, key := range f.sets {
		events := readAll(w.t, w.Store, key)
		if n := len(before.Events[i]); n > 0 && !cmp.Equal(events[:n], before.Events[i]) {
			w.t.Errorf("the events of %v begin otherwise", key)
		}
		for j := 1; j < len(events); j++ {
			if events[j].Number != events[j-1].Number+1 {
				w.t.Errorf("event %d of %v follows on %d", events[j].Number, key, events[j-1].Number)
			}
		}
		if last, err := w.LastEvent(w.ctx, key); err == nil && before.Cursors[i].Incarnation != 0 && last.Incarnation != before.Cursors[i].Incarnation {
			w.t.Errorf("%v was in incarnation %d, and is in %d", key, before.Cursors[i].Incarnation, last.Incarnation)
		}
	}
	w.late(gangOf("b", "gang", "g", 2, 1), 0)
	w.newIncarnation(before)
	w.clock.Advance(time.Minute)
	if l, leads := w.lead(w.Store, "two"); !leads || l.Epoch <= leader.Epoch {
		w.t.Errorf("the next leader is %+v, the last one was of epoch %d", l, leader.Epoch)
	}
	w.session("east", "s5")
	if e := w.executor("east"); !e.Executor.Cordoned || len(e.Nodes) != 3 {
		w.t.Errorf("executor east is back as %+v", e)
	}
	w.prune(w.clock.Now().Add(time.Hour), 100)
	page, err := w.List(w.ctx, store.Query{})
	w.ok(err)
	for _, full := range page.Jobs {
		if full.Job.State.Terminal() {
			w.t.Errorf("job %s is %s and was not forgotten", full.Job.ID, full.Job.State)
		}
	}
}

// newIncarnation fails unless a new job set is told from all that ever were.
func (w *world) newIncarnation(before everything) {
	w.t.Helper()
	w.submit("b", "new", 1)
	last, err := w.LastEvent(w.ctx, store.JobSetKey{Queue: "b", JobSet: "new"})
	w.ok(err)
	for _, c := range before.Cursors {
		if last.Incarnation <= c.Incarnation {
			w.t.Errorf("a new job set is incarnation %d, and there was %d", last.Incarnation, c.Incarnation)
		}
	}
}
