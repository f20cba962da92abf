package lifecycle

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
)

func TestLivesEndAsTheRulesSay(t *testing.T) {
	t.Parallel()
	type kinds = []ChangeKind
	type events = []armada.EventKind
	const (
		leased, returned, expired, pending, running = armada.EventLeased, armada.EventLeaseReturned, armada.EventLeaseExpired, armada.EventPending, armada.EventRunning
		failed, succeeded, cancelling, cancelled    = armada.EventFailed, armada.EventSucceeded, armada.EventCancelling, armada.EventCancelled
		preempted                                   = armada.EventPreempted
	)
	for _, c := range []struct {
		sentence string
		changes  kinds
		job      armada.JobState
		run      armada.RunState
		events   events
	}{
		{"a submitted job is queued", nil, armada.JobQueued, 0, nil},
		{"an ordinary job succeeds", kinds{Lease, ReportPending, ReportRunning, ReportSucceeded}, armada.JobSucceeded, armada.RunSucceeded, events{leased, pending, running, succeeded}},
		{"a job may be seen only when it has succeeded", kinds{Lease, ReportSucceeded}, armada.JobSucceeded, armada.RunSucceeded, events{leased, succeeded}},
		{"a pending report after the running report changes nothing", kinds{Lease, ReportRunning, ReportPending}, armada.JobRunning, armada.RunRunning, events{leased, running}},
		{"a failure ends the job", kinds{Lease, ReportRunning, ReportFailed}, armada.JobFailed, armada.RunFailed, events{leased, running, failed}},
		{"a cancelled queued job is cancelled at once", kinds{Cancel}, armada.JobCancelled, 0, events{cancelling, cancelled}},
		{"a cancelled running job is cancelled when its run has stopped", kinds{Lease, ReportRunning, Cancel, ReportStopped}, armada.JobCancelled, armada.RunCancelled, events{leased, running, cancelling, cancelled}},
		{"until its run has stopped a cancelled job is active", kinds{Lease, ReportRunning, Cancel}, armada.JobRunning, armada.RunRunning, events{leased, running, cancelling}},
		{"a success before the kill is confirmed beats a cancel", kinds{Lease, ReportRunning, Cancel, ReportSucceeded}, armada.JobSucceeded, armada.RunSucceeded, events{leased, running, cancelling, succeeded}},
		{"a success before the kill is confirmed beats a preemption", kinds{Lease, ReportRunning, Preempt, ReportSucceeded}, armada.JobSucceeded, armada.RunSucceeded, events{leased, running, succeeded}},
		{"a cancelled job's failure is its cancellation", kinds{Lease, ReportRunning, Cancel, ReportFailed}, armada.JobCancelled, armada.RunCancelled, events{leased, running, cancelling, cancelled}},
		{"a preempted job's failure is its preemption", kinds{Lease, ReportRunning, Preempt, ReportFailed}, armada.JobPreempted, armada.RunPreempted, events{leased, running, preempted, failed}},
		{"a preempted job ends when its run has stopped", kinds{Lease, Preempt, ReportStopped}, armada.JobPreempted, armada.RunPreempted, events{leased, preempted, failed}},
		{"a preemption is final even when the lease is given back", kinds{Lease, Preempt, ReportReturned}, armada.JobPreempted, armada.RunReturned, events{leased, preempted, failed}},
		{"a user's cancel replaces a preemption", kinds{Lease, Preempt, Cancel, ReportStopped}, armada.JobCancelled, armada.RunCancelled, events{leased, cancelling, cancelled}},
		{"a preemption does not replace a user's cancel", kinds{Lease, Cancel, Preempt, ReportStopped}, armada.JobCancelled, armada.RunCancelled, events{leased, cancelling, cancelled}},
		{"a queued job cannot be preempted", kinds{Preempt}, armada.JobQueued, 0, nil},
		{"a job that can never run is rejected", kinds{Reject}, armada.JobRejected, 0, events{failed}},
		{"a job that was leased once is not rejected", kinds{Lease, ReportReturned, Reject}, armada.JobQueued, armada.RunReturned, events{leased, returned}},
		{"a returned lease puts the job back into its queue", kinds{Lease, ReportPending, ReportReturned}, armada.JobQueued, armada.RunReturned, events{leased, pending, returned}},
		{"a job may be leased again", kinds{Lease, ReportReturned, Lease, ReportSucceeded}, armada.JobSucceeded, armada.RunSucceeded, events{leased, returned, leased, succeeded}},
		{"a cancelled job's returned lease is its cancellation", kinds{Lease, Cancel, ReportReturned}, armada.JobCancelled, armada.RunReturned, events{leased, cancelling, cancelled}},
		{"a cancel after a returned lease is granted at once", kinds{Lease, ReportReturned, Cancel}, armada.JobCancelled, armada.RunReturned, events{leased, returned, cancelling, cancelled}},
		{"a lost lease fails the job", kinds{Lease, ReportRunning, Expire}, armada.JobFailed, armada.RunLost, events{leased, running, expired, failed}},
		{"a success after the lease was lost comes too late", kinds{Lease, ReportRunning, Expire, ReportSucceeded}, armada.JobFailed, armada.RunLost, events{leased, running, expired, failed}},
		{"a lost lease grants a cancel", kinds{Lease, Cancel, Expire}, armada.JobCancelled, armada.RunLost, events{leased, cancelling, cancelled}},
		{"a lost lease grants a preemption", kinds{Lease, Preempt, Expire}, armada.JobPreempted, armada.RunLost, events{leased, preempted, failed}},
		{"an end that nobody saw fails the job", kinds{Lease, ReportRunning, ReportUnknown}, armada.JobFailed, armada.RunLost, events{leased, running, failed}},
		{"an end that nobody saw grants a cancel", kinds{Lease, Cancel, ReportUnknown}, armada.JobCancelled, armada.RunLost, events{leased, cancelling, cancelled}},
		{"an end that nobody saw grants a preemption", kinds{Lease, Preempt, ReportUnknown}, armada.JobPreempted, armada.RunLost, events{leased, preempted, failed}},
		{"a run that is stopped unasked fails its job", kinds{Lease, ReportRunning, ReportStopped}, armada.JobFailed, armada.RunFailed, events{leased, running, failed}},
		{"a job is not leased twice at a time", kinds{Lease, Lease}, armada.JobLeased, armada.RunLeased, events{leased}},
		{"nothing happens to a job that has ended", kinds{Lease, ReportSucceeded, ReportFailed, Cancel, Preempt, Lease, Expire, Reject, ReportUsage}, armada.JobSucceeded, armada.RunSucceeded, events{leased, succeeded}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			submitted().all(c.changes...).ends(t, c.job, c.run, c.events...)
		})
	}
}

func TestAJobIsGivenBackAtMostAsOftenAsAllowed(t *testing.T) {
	t.Parallel()
	back := Change{Kind: ReportReturned, MaxAttempts: 2, End: armada.RunEnd{Reason: "no such image"}}
	l := submitted().all(Lease).apply(back)
	if l.job.State != armada.JobQueued {
		t.Fatalf("after the first return the job is %s", l.job.State)
	}
	l.all(Lease).apply(back)
	l.ends(t, armada.JobFailed, armada.RunReturned, armada.EventLeased, armada.EventLeaseReturned, armada.EventLeased, armada.EventLeaseReturned, armada.EventFailed)
	if e := l.last(); e.End == nil || e.End.Subcategory != armada.SubcategoryMaxRuns || e.Reason != "given back 2 times, the last time because: no such image" {
		t.Errorf("the job failed with %+v", e)
	}
}

func TestReportsOfAnotherRunOrExecutorAreRefused(t *testing.T) {
	t.Parallel()
	again := submitted().all(Lease, ReportReturned, Lease)
	for name, c := range map[string]Change{
		"a success of the earlier run":    {Kind: ReportSucceeded, Run: "01job-1"},
		"a preemption of the earlier run": {Kind: Preempt, Run: "01job-1"},
		"the expiry of the earlier run":   {Kind: Expire, Run: "01job-1"},
		"a success of a run yet to come":  {Kind: ReportSucceeded, Run: "01job-3"},
		"a success by somebody else":      {Kind: ReportSucceeded, Executor: "west"},
		"a returned lease by a foreigner": {Kind: ReportReturned, Executor: "west"},
	} {
		l := *again
		if l.apply(c); l.verdict != Refused || l.why == "" || l.job.State != armada.JobLeased {
			t.Errorf("%s: verdict %d (%s), the job is %s", name, l.verdict, l.why, l.job.State)
		}
	}
	if l := submitted().apply(Change{Kind: ReportRunning, Executor: "east"}); l.verdict != Refused {
		t.Errorf("a report about a job that was never leased: verdict %d", l.verdict)
	}
}

func TestEventsTellWhoAskedAndWhy(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease).
		apply(Change{Kind: Preempt, By: "scheduler", Reason: "over its share", For: "01other"}).
		apply(Change{Kind: ReportStopped, End: armada.RunEnd{Reason: "killed", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 143}}}})
	preempted, failed := l.events[len(l.events)-2], l.last()
	if preempted.By != "scheduler" || preempted.Reason != "over its share" || preempted.For != "01other" {
		t.Errorf("preempted: %+v", preempted)
	}
	if failed.Reason != "preempted: over its share" || failed.End == nil || len(failed.End.Containers) != 1 || failed.Retryable {
		t.Errorf("failed: %+v", failed)
	}

	l = submitted().all(Lease).apply(Change{Kind: Cancel, By: "ann", Reason: "a typo", For: "not a field of this kind"})
	if l.job.Wish.For != "" || l.last().By != "ann" || l.last().Executor != "east" {
		t.Errorf("cancelling: %+v", l.last())
	}
	if l.all(ReportStopped); l.last().By != "ann" || l.last().Reason != "a typo" || l.job.Reason != "a typo" {
		t.Errorf("cancelled: %+v, the job's reason %q", l.last(), l.job.Reason)
	}

	l = submitted().all(Lease).apply(Change{Kind: Preempt, By: "ann", Announce: true})
	l.ends(t, armada.JobLeased, armada.RunLeased, armada.EventLeased, armada.EventPreempting)

	l = submitted().apply(Change{Kind: Reject, Reason: "no node is large enough"})
	if e := l.last(); e.End == nil || e.End.Cause != armada.CauseRejected || e.Reason != "no node is large enough" {
		t.Errorf("rejected: %+v", e)
	}
}

func TestEventsOfAQueuedJobDoNotSpeakOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease, ReportReturned)
	if e := l.last(); e.Run != "01job-1" || e.Node != "node-1" {
		t.Errorf("lease returned: %+v", e)
	}
	l.all(Cancel)
	for _, e := range l.events[len(l.events)-2:] {
		if e.Run != "" || e.Executor != "" || e.Node != "" {
			t.Errorf("%s speaks of run %q on %q", e.Kind, e.Run, e.Node)
		}
	}
}

func TestARunRemembersWhatItsReportsTold(t *testing.T) {
	t.Parallel()
	pod := armada.Pod{Name: "armada-01job-0", Namespace: "default", KubernetesID: "u"}
	l := submitted().all(Lease).
		apply(Change{Kind: ReportPending, Pod: pod}).
		apply(Change{Kind: ReportRunning, Node: "node-2"}).
		apply(Change{Kind: ReportFailed, End: armada.RunEnd{Cause: armada.CauseOutOfMemory, Reason: "too much"}})
	r := l.run
	if r.Pod != pod || r.Node != "node-2" || r.End.Cause != armada.CauseOutOfMemory || r.Version != 4 {
		t.Errorf("run %+v", r)
	}
	for i, at := range []time.Time{r.Leased, r.Pending, r.Started, r.Finished} {
		if want := dawn.Add(time.Duration(i+1) * time.Second); !at.Equal(want) {
			t.Errorf("time %d of the run is %s, want %s", i, at, want)
		}
	}
	if e := l.last(); e.Node != "node-2" || e.Pod != pod || e.Reason != "too much" {
		t.Errorf("failed: %+v", e)
	}
}

func TestWhatArmadaFindsItselfHasACategory(t *testing.T) {
	t.Parallel()
	for kind, want := range map[ChangeKind]string{
		Expire: armada.SubcategoryLeaseExpired, ReportUnknown: armada.SubcategoryOutcomeUnknown,
	} {
		l := submitted().all(Lease, kind)
		if l.run.End.Category != armada.CategoryInternal || l.run.End.Subcategory != want || l.job.Reason == "" {
			t.Errorf("%s: %+v, the job's reason %q", kind, l.run.End, l.job.Reason)
		}
	}
}

func TestTimesNeverGoBackNorLieAhead(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease) // a second after dawn
	l.apply(Change{Kind: ReportPending, At: dawn.Add(-time.Hour)})
	if got := l.last().Created; !got.Equal(dawn.Add(time.Second)) {
		t.Errorf("a report from the past is dated %s", got)
	}
	l.apply(Change{Kind: ReportRunning, At: dawn.Add(time.Hour)})
	if got := l.last().Created; !got.Equal(l.now) {
		t.Errorf("a report from the future is dated %s", got)
	}
	l.now = dawn.Add(-time.Hour) // the store's clock steps back
	l.all(ReportSucceeded)
	if got := l.last().Created; !got.Equal(dawn.Add(3 * time.Second)) {
		t.Errorf("after the clock stepped back a report is dated %s", got)
	}
}

func TestReprioritisingTellsTheNewPriority(t *testing.T) {
	t.Parallel()
	l := submitted().apply(Change{Kind: Reprioritise, Priority: 3, By: "ann"})
	if l.job.Priority != 3 || l.job.Version != 2 || l.last().Kind != armada.EventReprioritized || l.last().Priority != 3 || l.last().By != "ann" {
		t.Errorf("job %+v, event %+v", l.job, l.last())
	}
	if l.apply(Change{Kind: Reprioritise, Priority: 3}); l.verdict != Already || len(l.events) != 4 {
		t.Errorf("the same priority again: verdict %d, %d events", l.verdict, len(l.events))
	}
}

func TestObservationsAreToldAndChangeNothingElse(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease, ReportRunning)
	before := l.job
	usage := &armada.Usage{Max: map[string]string{"cpu": "2"}}
	l.apply(Change{Kind: ReportUsage, Usage: usage})
	if l.last().Usage != usage {
		t.Errorf("utilisation: %+v", l.last())
	}
	l.apply(Change{Kind: ReportIngress, Addresses: map[int32]string{80: "host:1"}})
	if l.last().Addresses[80] != "host:1" || !l.last().Created.After(before.Transitioned) {
		t.Errorf("ingress info: %+v", l.last())
	}
	if before.Told = l.job.Told; !reflect.DeepEqual(l.job, before) || !l.job.Latest().Equal(l.last().Created) {
		t.Errorf("what was seen of its run has changed the job: %s", cmp.Diff(before, l.job))
	}
}

func TestWhatHelpsToFindOutIsKeptWhenTheRunEnds(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease, ReportRunning)
	l.apply(Change{Kind: ReportDebug, End: armada.RunEnd{Debug: "seen on the node"}})
	l.apply(Change{Kind: ReportReturned, End: armada.RunEnd{Reason: "no such image"}})
	if end := l.run.End; end.Debug != "seen on the node" || end.Reason != "no such image" {
		t.Errorf("the run ended with %+v", end)
	}
	queued := l.job
	l.apply(Change{Kind: ReportDebug, End: armada.RunEnd{Debug: "and the pod's events"}})
	if l.verdict != Applied || l.run.End.Debug != "and the pod's events" || !reflect.DeepEqual(l.job, queued) {
		t.Errorf("told while the job waits: verdict %d, %+v, the job %+v", l.verdict, l.run.End, l.job)
	}
	l.all(Lease, ReportFailed)
	if l.apply(Change{Kind: ReportDebug, End: armada.RunEnd{Debug: "too late"}}); l.verdict != Refused {
		t.Errorf("told after the job's end: verdict %d", l.verdict)
	}
}
