// Package storetest is the one suite that every form of internal/store passes:
// what doc.go of that package promises, as tests whose names are sentences.
//
// The words: a form is a function that opens a store; a world is an open store
// with a clock that the test moves. A form that is opened twice with the same
// [Config.Place] opens the same database, as two replicas or after a restart.
//
// The package must never look into a form: what cannot be told through the
// contract is no promise. Crash tests need processes of their own, so each form
// starts [SurviveKill9] itself; [VerifyLog] says what must be true afterwards.
package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// Config is how a form must open a store.
type Config struct {
	Place             string // a folder that names the database
	Clock             func() time.Time
	Resources         armada.ResourceTable
	ClientIDRetention time.Duration
	MaxQueuedPerQueue int
	Retries           store.Retries
	// IndexedAnnotations are the keys of annotations by which jobs are found fast.
	IndexedAnnotations []string
}

// Form opens a store and fails the test when it cannot. The suite closes it.
type Form func(t *testing.T, c Config) store.Store

// scenario is one test of the suite.
type scenario struct {
	name string
	test func(*testing.T, Form)
}

// Run runs the suite, in parallel.
func Run(t *testing.T, form Form) {
	t.Helper()
	for _, part := range [][]scenario{
		durability, submissions, gangs, transitions, eventLog, feedTests, fences, queueTests, retryTests, executorTests, kindTests, asking, looking, retention, restoration, concurrency,
	} {
		for _, s := range part {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				s.test(t, form)
			})
		}
	}
}

// Clock is a clock that moves only when told. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// Now returns what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is an open store with what tests need.
type world struct {
	store.Store
	t      *testing.T
	ctx    context.Context
	form   Form
	config Config
	clock  *Clock
}

// open opens a store with queues "a" and "b".
func open(t *testing.T, form Form, adjust ...func(*Config)) *world {
	t.Helper()
	clock := NewClock()
	w := &world{t: t, ctx: t.Context(), form: form, clock: clock, config: Config{
		Place: t.TempDir(), Clock: clock.Now, Resources: armada.DefaultResourceTable(), ClientIDRetention: 24 * time.Hour, Retries: store.Retries{Most: 5},
	}}
	for _, a := range adjust {
		a(&w.config)
	}
	w.Store = form(t, w.config)
	t.Cleanup(func() { _ = w.Store.Close() })
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "a", PriorityFactor: 1}))
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "b", PriorityFactor: 1}))
	return w
}

// reopen closes the store and opens the same database again.
func (w *world) reopen() {
	w.t.Helper()
	w.ok(w.Close())
	w.Store = w.form(w.t, w.config)
}

// replica opens the same database once more.
func (w *world) replica() store.Store {
	w.t.Helper()
	other := w.form(w.t, w.config)
	w.t.Cleanup(func() { _ = other.Close() })
	return other
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// code fails the test unless the error has the code.
func (w *world) code(err error, want armada.ErrorCode) {
	w.t.Helper()
	if err == nil || armada.CodeOf(err) != want {
		w.t.Fatalf("the answer is %v (code %d), want code %d", err, armada.CodeOf(err), want)
	}
}

var idCounter atomic.Int64

// newID makes a job id that no other test has.
func newID() armada.JobID {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	id := []byte("01jn00000000000000000000000")[:26]
	for n, i := idCounter.Add(1), 25; n > 0; n, i = n>>5, i-1 {
		id[i] = digits[n&31]
	}
	return armada.JobID(id)
}

// requirements are those of test jobs with so many cores.
func requirements(cores int64) *armada.Requirements {
	return &armada.Requirements{PriorityClass: "default", Resources: armada.Resources{1000 * cores, 1 << 30}}
}

// submission makes n jobs of one core with a shared template.
func submission(queue string, set armada.JobSet, n int) store.Submission {
	r := requirements(1)
	shape := r.Shape(armada.DefaultResourceTable())
	s := store.Submission{
		Queue: queue, JobSet: set,
		Templates: map[armada.TemplateID][]byte{"cafe": []byte("a pod spec")},
		Shapes:    map[armada.ShapeID]*armada.Requirements{shape: r},
	}
	for range n {
		s.Jobs = append(s.Jobs, store.NewJob{
			Job:     armada.Job{ID: newID(), Owner: "alice", Groups: []string{"staff"}, Priority: 7, Template: "cafe", Shape: shape},
			Details: armada.JobDetails{Namespace: "space", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"k": "v"}},
		})
	}
	return s
}

// submit submits n jobs and returns their ids.
func (w *world) submit(queue string, set armada.JobSet, n int) []armada.JobID {
	w.t.Helper()
	answers, err := w.Submit(w.ctx, submission(queue, set, n))
	w.ok(err)
	ids := make([]armada.JobID, n)
	for i, a := range answers {
		ids[i] = a.ID
	}
	return ids
}

func (w *world) job(id armada.JobID) armada.Job {
	w.t.Helper()
	return w.fullJob(id).Job
}

func (w *world) fullJob(id armada.JobID) store.FullJob {
	w.t.Helper()
	full, err := w.Job(w.ctx, id)
	w.ok(err)
	return full
}

// change applies one change as a unit of its own.
func (w *world) change(c lifecycle.Change) store.UnitResult {
	w.t.Helper()
	results, err := w.Transition(w.ctx, store.Fence{}, []store.Unit{{c}})
	w.ok(err)
	return results[0]
}

// must is change that has to be applied.
func (w *world) must(c lifecycle.Change) {
	w.t.Helper()
	if r := w.change(c); r.Verdict != lifecycle.Applied {
		w.t.Fatalf("%s of job %s was not applied: %v %s", c.Kind, c.Job, r.Verdict, r.Why)
	}
}

func lease(id armada.JobID) lifecycle.Change {
	return lifecycle.Change{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: "east", Node: "node-1", Pool: "default"}}
}

func report(kind lifecycle.ChangeKind, id armada.JobID, attempt int) lifecycle.Change {
	return lifecycle.Change{
		Kind: kind, Job: id, Run: armada.NewRunID(id, attempt), Executor: "east",
		Pod: armada.Pod{Name: "armada-" + string(id), Namespace: "space", KubernetesID: "uid"},
	}
}

// finish takes a queued job to its success.
func (w *world) finish(id armada.JobID) {
	w.t.Helper()
	w.must(lease(id))
	w.must(report(lifecycle.ReportSucceeded, id, w.job(id).Attempts))
}

// events reads all events that are kept of a job set.
func (w *world) events(queue string, set armada.JobSet) []armada.Event {
	w.t.Helper()
	return readAll(w.t, w.Store, store.JobSetKey{Queue: queue, JobSet: set})
}

func readAll(t *testing.T, s store.Store, key store.JobSetKey) []armada.Event {
	t.Helper()
	var all []armada.Event
	var at store.Cursor
	for {
		events, next, err := s.ReadEvents(t.Context(), key, at, 100)
		if armada.CodeOf(err) == armada.CodeNotFound && err != nil && len(all) == 0 {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return all
		}
		all, at = append(all, events...), next
	}
}

// kinds returns the kinds of events, of one job or, for "", of all.
func kinds(events []armada.Event, id armada.JobID) []armada.EventKind {
	var list []armada.EventKind
	for _, e := range events {
		if id == "" || e.Job == id {
			list = append(list, e.Kind)
		}
	}
	return list
}

// whole tells what is wrong with the numbers and times of a job set's events,
// read from the first one, or "".
func whole(events []armada.Event) string {
	created := map[armada.JobID]time.Time{}
	ended := map[armada.JobID]bool{}
	for i, e := range events {
		if e.Number != int64(i)+1 {
			return fmt.Sprintf("event %d has number %d", i+1, e.Number)
		}
		if e.Created.Before(created[e.Job]) {
			return fmt.Sprintf("event %d of job %s goes back in time", e.Number, e.Job)
		}
		created[e.Job] = e.Created
		switch {
		case e.Retryable:
		case e.Kind == armada.EventSucceeded, e.Kind == armada.EventCancelled, e.Kind == armada.EventFailed:
			if ended[e.Job] {
				return fmt.Sprintf("event %d is a second end of job %s", e.Number, e.Job)
			}
			ended[e.Job] = true
		}
	}
	return ""
}

// VerifyLog fails the test unless every job that was acknowledged is there
// exactly once, with its submission among the events of its job set exactly
// once, and the events of every job set are numbered without gap. It is what
// must hold after a crash.
func VerifyLog(t *testing.T, s store.Store, acknowledged map[store.JobSetKey][]armada.JobID) {
	t.Helper()
	for key, ids := range acknowledged {
		events := readAll(t, s, key)
		if wrong := whole(events); wrong != "" {
			t.Errorf("job set %v: %s", key, wrong)
		}
		last, err := s.LastEvent(t.Context(), key)
		if err != nil || last.Number != int64(len(events)) {
			t.Errorf("job set %v: the last event is %d and %d were read (%v)", key, last.Number, len(events), err)
		}
		submitted := map[armada.JobID]int{}
		for _, e := range events {
			if e.Kind == armada.EventSubmitted {
				submitted[e.Job]++
			}
		}
		for _, id := range ids {
			if submitted[id] != 1 {
				t.Errorf("job set %v: acknowledged job %s was submitted %d times by its events", key, id, submitted[id])
			}
		}
		for id := range submitted {
			if full, err := s.Job(t.Context(), id); err != nil || full.Job.JobSet != key.JobSet {
				t.Errorf("job set %v: job %s has events and cannot be read: %v", key, id, err)
			}
		}
	}
}
