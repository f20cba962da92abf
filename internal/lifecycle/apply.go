package lifecycle

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"armada"
)

// Verdict is what became of a change.
type Verdict uint8

// The verdicts.
const (
	Applied Verdict = 1 + iota
	Already         // it was true before: a repeat, nothing to do, a success
	Refused         // it cannot happen: too late, or about another run
)

// Step is the outcome of a change. Job and Run are the values to remember and
// Events what to append, in order and not yet numbered; with a verdict other
// than Applied they are those given, and Events is empty.
type Step struct {
	Verdict Verdict
	Why     string // of Refused: for logs, never compared
	Job     armada.Job
	Run     armada.Run // meaningful if the job has a run
	Events  []armada.Event
	Retry   *RetryDecision // what policies said; nil when none was asked, or it did not matter
}

// Begin returns the state of a job that was just submitted, and its events.
// The job's submission time must be set.
func Begin(job armada.Job) Step {
	job.State, job.Version, job.Transitioned = armada.JobQueued, 1, job.Submitted
	return Step{Verdict: Applied, Job: job, Events: []armada.Event{
		{Kind: armada.EventSubmitted, Job: job.ID, Created: job.Submitted, Priority: job.Priority},
		{Kind: armada.EventQueued, Job: job.ID, Created: job.Submitted},
	}}
}

// Apply decides about one change of a job. The run is the job's current or
// latest one and ignored for a job that was never leased. Now is the time by
// the store's clock. Neither job nor run is changed.
func Apply(job armada.Job, run armada.Run, c Change, now time.Time) Step {
	if why := misdirected(&job, &run, &c); why != "" {
		return Step{Verdict: Refused, Why: why, Job: job, Run: run}
	}
	c.End = ending(&c)
	retry := judge(&job, &c)
	r, found := rule(&job, &c, &retry)
	if !found {
		return unruled(job, run, c)
	}
	if c.Kind == Reprioritise && job.Priority == c.Priority || c.Kind == ReportDebug && run.End.Debug == c.End.Debug {
		return Step{Verdict: Already, Job: job, Run: run}
	}
	if c.Kind == ReportMark {
		return marked(job, run, c, now)
	}
	at := clamp(c.At, job.Latest(), now)
	step := Step{Verdict: Applied, Job: job, Run: run}
	if c.Kind == ReportDebug {
		step.Run.End.Debug = c.End.Debug
		return step
	}
	step.perform(r, &c, at)
	why := step.reason(r, &c, &retry)
	if step.Job.State.Terminal() {
		step.Job.Reason = why
	}
	step.emit(r, &c, at, why, job.State != armada.JobQueued || c.Kind == Lease)
	if r.To == armada.JobQueued {
		step.Job.Wish = armada.Wish{} // it was granted
		step.Job.Lessons = lessons(&step.Run, &job, &c, &retry)
	}
	step.Retry = retry.decision(&job, &c, step.Job.State)
	return step
}

// misdirected tells why a change about a run does not concern the job's
// current run, or "".
func misdirected(job *armada.Job, run *armada.Run, c *Change) string {
	if !c.Kind.FromExecutor() && c.Kind != Expire && (c.Kind != Preempt || c.Run == "") {
		return ""
	}
	current, leased := job.Run()
	if !leased || current != c.Run {
		return fmt.Sprintf("run %q is not the current one", c.Run)
	}
	if c.Kind.FromExecutor() && run.Executor != c.Executor {
		return fmt.Sprintf("run %q belongs to executor %q", c.Run, run.Executor)
	}
	if c.RunVersion != 0 && c.RunVersion != run.Version {
		return fmt.Sprintf("there is news of run %q", c.Run)
	}
	return ""
}

// unruled tells a repeat from a change that came too late.
func unruled(job armada.Job, run armada.Run, c Change) Step {
	verdict := Refused
	switch c.Kind {
	case Cancel:
		if job.Wish.Kind == armada.WishCancel && job.State.Active() || job.State == armada.JobCancelled {
			verdict = Already
		}
	case Preempt:
		// The place is free or will be: that is all that was wanted.
		if job.Wish.Kind != armada.WishNone || job.State.Terminal() {
			verdict = Already
		}
	case ReportPending, ReportRunning:
		verdict = Already
	case ReportSucceeded:
		if run.State == armada.RunSucceeded {
			verdict = Already
		}
	case ReportFailed, ReportStopped, ReportReturned, ReportUnknown, ReportMark, Expire:
		if run.State.Terminal() {
			verdict = Already
		}
	default:
	}
	why := ""
	if verdict == Refused {
		why = fmt.Sprintf("%s: the job is %s", c.Kind, job.State)
	}
	return Step{Verdict: verdict, Why: why, Job: job, Run: run}
}

// clamp returns at within [earliest, latest], and latest for the zero time. A
// latest before the earliest (the clock stepped back) yields the earliest.
func clamp(at, earliest, latest time.Time) time.Time {
	if at.IsZero() || at.After(latest) {
		at = latest
	}
	if at.Before(earliest) {
		at = earliest
	}
	return at
}

// perform changes job and run as the rule says.
func (s *Step) perform(r *Rule, c *Change, at time.Time) {
	job, run := &s.Job, &s.Run
	if c.Kind == Lease {
		job.Attempts++
		*run = armada.Run{
			ID: armada.NewRunID(job.ID, job.Attempts), Job: job.ID, Attempt: job.Attempts,
			Executor: c.Lease.Executor, Node: c.Lease.Node, Pool: c.Lease.Pool, After: c.Lease.After, Away: c.Lease.Away,
		}
	}
	if c.Kind.FromExecutor() {
		learn(run, c)
	}
	if r.Run != 0 {
		run.State = r.Run
		run.Version++
		if r.Run >= armada.RunRunning {
			run.Stuck = "" // it has begun, or is over
		}
		stamp(run, at)
		if r.Run.Terminal() {
			debug := run.End.Debug
			run.End = c.End
			run.End.Debug = cmp.Or(run.End.Debug, debug)
			if r.Guard == Exhausted {
				run.End.Category, run.End.Subcategory = armada.CategoryInternal, armada.SubcategoryMaxRuns
			}
		}
	}
	if r.Wants != armada.WishNone {
		job.Wish = armada.Wish{Kind: r.Wants, By: c.By, Why: c.Reason, At: at}
		if c.Kind == Preempt {
			job.Wish.For = c.For
		}
	}
	if r.To != 0 {
		job.State = r.To
	}
	if c.Kind == Reprioritise {
		job.Priority = c.Priority
	}
	if c.Kind == ReportUsage || c.Kind == ReportIngress {
		job.Told = at
		return
	}
	job.Version++
	job.Transitioned, job.Told = at, time.Time{}
}

// learn takes over what a report tells about the pod and its ports.
func learn(run *armada.Run, c *Change) {
	if c.Node != "" {
		run.Node = c.Node
	}
	if c.Pod.Name != "" {
		run.Pod = c.Pod
	}
	if c.Kind == ReportIngress && len(c.Addresses) > 0 {
		known := maps.Clone(run.Addresses)
		if known == nil {
			known = map[int32]string{}
		}
		maps.Copy(known, c.Addresses)
		run.Addresses = known
	}
}

// stamp records when the run reached its state.
func stamp(run *armada.Run, at time.Time) {
	switch {
	case run.State == armada.RunLeased:
		run.Leased = at
	case run.State == armada.RunPending:
		run.Pending = at
	case run.State == armada.RunRunning:
		run.Started = at
	case run.State.Terminal():
		run.Finished = at
	}
}

// ending completes what a change tells about a run's end.
func ending(c *Change) armada.RunEnd {
	end := c.End
	switch {
	case c.Kind == Expire && end.Subcategory == "":
		end.Category, end.Subcategory = armada.CategoryInternal, armada.SubcategoryLeaseExpired
		if end.Reason == "" {
			end.Reason = "the lease expired: the executor was not heard of"
		}
	case c.Kind == ReportUnknown && end.Subcategory == "":
		end.Category, end.Subcategory = armada.CategoryInternal, armada.SubcategoryOutcomeUnknown
		if end.Reason == "" {
			end.Reason = "outcome unknown: nobody saw the run's end"
		}
	}
	return end
}

// reason says why the job, or an attempt that another one follows, ended.
func (s *Step) reason(r *Rule, c *Change, retry *retry) string {
	end := s.Run.End.Reason
	switch {
	case r.To == armada.JobCancelled:
		return s.Job.Wish.Why
	case r.Wish == armada.WishPreempt && s.Job.Wish.Why == "":
		return "preempted" + retry.refusal()
	case r.Wish == armada.WishPreempt:
		return "preempted: " + s.Job.Wish.Why + retry.refusal()
	case r.To == armada.JobRejected:
		return c.Reason
	case r.On == Abandon && end != "":
		return c.Reason + "; the attempt before ended so: " + end
	case r.On == Abandon:
		return c.Reason
	case r.Guard == Exhausted:
		return fmt.Sprintf("given back %d times, the last time because: %s", s.Job.Lessons.Returns()+1, end)
	case r.Guard == FailsFast:
		return "given back, and a job that fails fast is not tried again: " + end
	case r.To == armada.JobFailed, r.To == armada.JobQueued:
		return end + retry.refusal()
	default:
		return ""
	}
}

// emit makes the events of the rule. They speak of the run if the job had one
// when the change came, or has one by it.
func (s *Step) emit(r *Rule, c *Change, at time.Time, why string, ofRun bool) {
	kinds := r.Emits
	if c.Kind == Preempt && c.Announce {
		kinds = emits(armada.EventPreempting)
	}
	for _, kind := range kinds {
		s.Events = append(s.Events, s.event(kind, c, at, why, ofRun))
	}
}

// event describes what happened from the job and the run as they are now. Why is
// the reason of an end.
func (s *Step) event(kind armada.EventKind, c *Change, at time.Time, why string, ofRun bool) armada.Event {
	e := armada.Event{Kind: kind, Job: s.Job.ID, Created: at}
	if ofRun {
		e.Run, e.Executor, e.Pool, e.Node, e.Pod = s.Run.ID, s.Run.Executor, s.Run.Pool, s.Run.Node, s.Run.Pod
	}
	switch kind {
	case armada.EventReprioritizing, armada.EventReprioritized:
		e.Priority, e.By = c.Priority, c.By
	case armada.EventCancelling, armada.EventPreempting:
		e.By, e.Reason = c.By, c.Reason
	case armada.EventCancelled, armada.EventPreempted:
		wish := s.Job.Wish
		e.By, e.Reason, e.For = wish.By, wish.Why, wish.For
	case armada.EventFailed:
		end := s.Run.End
		switch c.Kind {
		case Reject:
			end = armada.RunEnd{Cause: armada.CauseRejected, Category: armada.CategoryInternal, Subcategory: armada.SubcategoryJobRejected}
		case Abandon:
			end = armada.RunEnd{Cause: end.Cause, Category: armada.CategoryInternal, Subcategory: armada.SubcategoryNoNodeLeft, Containers: end.Containers}
		default:
		}
		e.Reason, e.End, e.Retryable = why, &end, s.Job.State == armada.JobQueued
	case armada.EventLeaseReturned:
		e.Reason, e.Attempted = c.End.Reason, c.Attempted
	case armada.EventUtilisation:
		e.Usage = c.Usage
	case armada.EventIngressInfo:
		e.Addresses = c.Addresses
	default:
	}
	return e
}
