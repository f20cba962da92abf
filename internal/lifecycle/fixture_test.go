package lifecycle

import (
	"slices"
	"testing"
	"time"

	"armada"
)

// dawn is when the job of a test is submitted.
var dawn = time.Date(2026, time.March, 1, 6, 0, 0, 0, time.UTC)

// life is one job with all that happened to it.
type life struct {
	job     armada.Job
	run     armada.Run
	events  []armada.Event
	now     time.Time
	verdict Verdict
	why     string
}

// submitted begins a life.
func submitted() *life {
	step := Begin(armada.Job{ID: "01job", Queue: "blue", JobSet: "tests", Priority: 7, Submitted: dawn})
	return &life{job: step.Job, events: step.Events, now: dawn}
}

// apply makes a change a second after the last one. A change about a run that
// names none speaks of the current one, by the executor that holds it.
func (l *life) apply(c Change) *life {
	l.now = l.now.Add(time.Second)
	step := Apply(l.job, l.run, l.addressed(c), l.now)
	l.job, l.run, l.verdict, l.why = step.Job, step.Run, step.Verdict, step.Why
	l.events = append(l.events, step.Events...)
	return l
}

func (l *life) addressed(c Change) Change {
	c.Job = l.job.ID
	if c.Run == "" && (c.Kind.FromExecutor() || c.Kind == Expire) {
		c.Run, _ = l.job.Run()
	}
	if c.Executor == "" && c.Kind.FromExecutor() {
		c.Executor = l.run.Executor
	}
	if c.Kind == Lease && c.Lease.Executor == "" {
		c.Lease = Terms{Executor: "east", Node: "node-1", Pool: "default"}
	}
	return c
}

// all applies changes of these kinds.
func (l *life) all(kinds ...ChangeKind) *life {
	for _, kind := range kinds {
		l.apply(Change{Kind: kind})
	}
	return l
}

// kinds are the kinds of the events after the first two, submitted and queued.
func (l *life) kinds() []armada.EventKind {
	var kinds []armada.EventKind
	for _, e := range l.events[2:] {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// ends checks where the life stands and what was told of it.
func (l *life) ends(t *testing.T, job armada.JobState, run armada.RunState, events ...armada.EventKind) {
	t.Helper()
	if l.job.State != job || l.run.State != run {
		t.Errorf("the job is %s and its run %s, want %s and %s", l.job.State, l.run.State, job, run)
	}
	if !slices.Equal(l.kinds(), events) {
		t.Errorf("events %v, want %v", l.kinds(), events)
	}
}

// last is the latest event.
func (l *life) last() armada.Event { return l.events[len(l.events)-1] }

// terminal tells of events that watchers count as a job's end. A preempted
// event is always followed by a failed one.
func terminal(e armada.Event) bool {
	return e.Kind == armada.EventSucceeded || e.Kind == armada.EventFailed && !e.Retryable || e.Kind == armada.EventCancelled
}

// always is a policy that repeats whatever ends badly, so many times.
func always(limit int) []armada.RetryPolicy {
	return []armada.RetryPolicy{{Name: "always", Limit: limit, Default: armada.RetryAgain, Rules: []armada.RetryRule{
		{Action: armada.RetryAgain, Conditions: []armada.RetryCondition{armada.RetryOnPreempted}},
	}}}
}
