package lifecycle

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"armada"
)

// exit is the end of a run whose container ended with a code.
func exit(code int32) armada.RunEnd {
	return armada.RunEnd{Reason: "it failed", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: code, Message: "disk full"}}}
}

// on is a policy with one rule, whose default is to fail.
func on(name string, rule armada.RetryRule) armada.RetryPolicy {
	rule.Action = armada.RetryAgain
	return armada.RetryPolicy{Name: name, Limit: 2, Default: armada.RetryFail, Rules: []armada.RetryRule{rule}}
}

// failing is a run's failure under policies.
func failing(end armada.RunEnd, policies ...armada.RetryPolicy) Change {
	return Change{Kind: ReportFailed, End: end, Retrying: Retrying{Policies: policies, Most: 5}}
}

func TestAPolicyGivesAFailedJobAnotherAttempt(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease, ReportRunning).apply(failing(exit(3), on("threes", armada.RetryRule{ExitCodes: []int32{3}})))
	l.ends(t, armada.JobQueued, armada.RunFailed, armada.EventLeased, armada.EventRunning, armada.EventFailed)
	if e := l.last(); !e.Retryable || e.Reason != "it failed" || len(e.End.Containers) != 1 {
		t.Errorf("the attempt's event is %+v", e)
	}
	if l.job.Reason != "" {
		t.Errorf("the job goes on and has the reason %q", l.job.Reason)
	}
}

func TestAPolicyGivesAsManyAttemptsAsItsLimitAndTheInstallationsAllow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, most, attempts int
		reason                string
	}{
		{2, 5, 3, `it failed (tried again 2 times, as often as the retry policy "always" allows)`},
		{9, 1, 2, "it failed (tried again once, as often as this installation allows)"},
		{0, 5, 1, `it failed (the retry policy "always" allows no other attempt)`},
		{5, 0, 1, "it failed (this installation allows no other attempt)"},
	} {
		l := submitted()
		for l.job.State == armada.JobQueued {
			l.all(Lease).apply(Change{Kind: ReportFailed, End: exit(1), Retrying: Retrying{Policies: always(c.limit), Most: c.most}})
		}
		if l.job.State != armada.JobFailed || l.job.Attempts != c.attempts || l.job.Reason != c.reason || l.last().Retryable {
			t.Errorf("limit %d of %d: the job is %s after %d attempts, since %q", c.limit, c.most, l.job.State, l.job.Attempts, l.job.Reason)
		}
	}
}

func TestGivenBackLeasesAndRetriesAreCountedApart(t *testing.T) {
	t.Parallel()
	back := Change{Kind: ReportReturned, MaxAttempts: 2}
	again := Change{Kind: ReportFailed, End: exit(1), Retrying: Retrying{Policies: always(1), Most: 5}}
	drained := Change{Kind: ReportReturned}
	l := submitted()
	for _, c := range []Change{drained, back, again, drained} {
		if l.all(Lease).apply(c); l.job.State != armada.JobQueued {
			t.Fatalf("after %d attempts the job is %s", l.job.Attempts, l.job.State)
		}
	}
	for _, c := range []Change{back, again} {
		after := *l
		if after.all(Lease).apply(c); after.job.State != armada.JobFailed {
			t.Errorf("after the second %s the job is %s", c.Kind, after.job.State)
		}
	}
}

func TestTheFirstPolicyWithAMatchingRuleDecides(t *testing.T) {
	t.Parallel()
	three, memory := on("threes", armada.RetryRule{ExitCodes: []int32{3}}), on("memory", armada.RetryRule{Conditions: []armada.RetryCondition{armada.RetryOnOutOfMemory}})
	strict := armada.RetryPolicy{Name: "strict", Limit: 1, Default: armada.RetryFail, Rules: []armada.RetryRule{{Action: armada.RetryFail, ExitCodes: []int32{3}}}}
	eager := armada.RetryPolicy{Name: "eager", Limit: 1, Default: armada.RetryAgain}
	for _, c := range []struct {
		policies []armada.RetryPolicy
		want     armada.JobState
	}{
		{nil, armada.JobFailed},
		{[]armada.RetryPolicy{memory}, armada.JobFailed},
		{[]armada.RetryPolicy{memory, three}, armada.JobQueued},
		{[]armada.RetryPolicy{strict, three}, armada.JobFailed},
		{[]armada.RetryPolicy{three, strict}, armada.JobQueued},
		{[]armada.RetryPolicy{eager, memory}, armada.JobQueued}, // nobody has a rule: the first one's default
		{[]armada.RetryPolicy{memory, eager}, armada.JobFailed},
		{[]armada.RetryPolicy{eager, strict}, armada.JobFailed},
	} {
		l := submitted().all(Lease).apply(failing(exit(3), c.policies...))
		if l.job.State != c.want {
			var names []string
			for _, p := range c.policies {
				names = append(names, p.Name)
			}
			t.Errorf("with %s the job is %s, want %s", strings.Join(names, ", "), l.job.State, c.want)
		}
	}
}

func TestRulesAreAboutEverythingThatTheyName(t *testing.T) {
	t.Parallel()
	oom := armada.RunEnd{Category: "infra", Subcategory: "node", Containers: []armada.ContainerEnd{{ExitCode: 0}, {ExitCode: 137, Cause: armada.CauseOutOfMemory, Message: "killed: out of memory"}}}
	evicted := armada.RunEnd{Cause: armada.CauseEvicted}
	for _, c := range []struct {
		sentence string
		rule     armada.RetryRule
		end      armada.RunEnd
		want     bool
	}{
		{"category", armada.RetryRule{Category: "infra"}, oom, true},
		{"another category", armada.RetryRule{Category: "Infra"}, oom, false},
		{"subcategory", armada.RetryRule{Category: "infra", Subcategory: "node"}, oom, true},
		{"another subcategory", armada.RetryRule{Category: "infra", Subcategory: "disk"}, oom, false},
		{"exit code of one container", armada.RetryRule{ExitCodes: []int32{1, 137}}, oom, true},
		{"another exit code", armada.RetryRule{ExitCodes: []int32{1}}, oom, false},
		{"no container", armada.RetryRule{ExitCodes: []int32{137}}, evicted, false},
		{"condition of a container", armada.RetryRule{Conditions: []armada.RetryCondition{armada.RetryOnOutOfMemory}}, oom, true},
		{"condition of the run", armada.RetryRule{Conditions: []armada.RetryCondition{armada.RetryOnOutOfMemory, armada.RetryOnEvicted}}, evicted, true},
		{"another condition", armada.RetryRule{Conditions: []armada.RetryCondition{armada.RetryOnDeadlineExceeded}}, evicted, false},
		{"not preempted", armada.RetryRule{Conditions: []armada.RetryCondition{armada.RetryOnPreempted}}, evicted, false},
		{"message", armada.RetryRule{Message: "^killed: .* memory$"}, oom, true},
		{"another message", armada.RetryRule{Message: "^out of"}, oom, false},
		{"all of it", armada.RetryRule{Category: "infra", ExitCodes: []int32{137}, Message: "memory"}, oom, true},
		{"all but one", armada.RetryRule{Category: "infra", ExitCodes: []int32{1}, Message: "memory"}, oom, false},
	} {
		l := submitted().all(Lease).apply(failing(c.end, on("p", c.rule)))
		if got := l.job.State == armada.JobQueued; got != c.want {
			t.Errorf("%s: the rule matches: %t, want %t", c.sentence, got, c.want)
		}
	}
}

func TestAPreemptedJobIsQueuedAgainInItsPlaceWhenARuleNamesThat(t *testing.T) {
	t.Parallel()
	preempted := []armada.RetryPolicy{on("keep", armada.RetryRule{Conditions: []armada.RetryCondition{armada.RetryOnPreempted}})}
	others := []armada.RetryPolicy{{Name: "eager", Limit: 2, Default: armada.RetryAgain, Rules: []armada.RetryRule{{Action: armada.RetryAgain, ExitCodes: []int32{143}}}}}
	for _, kind := range []ChangeKind{ReportStopped, ReportFailed, ReportReturned, ReportUnknown, Expire} {
		begin := func() *life {
			return submitted().all(Lease, ReportRunning).apply(Change{Kind: Preempt, Reason: "over its share", For: "01other"})
		}
		l := begin()
		number, priority := l.job.Number, l.job.Priority
		l.apply(Change{Kind: kind, End: exit(143), Retrying: Retrying{Policies: preempted, Most: 5}})
		last := l.events[len(l.events)-2:]
		if l.job.State != armada.JobQueued || l.job.Number != number || l.job.Priority != priority || l.job.Wish != (armada.Wish{}) {
			t.Errorf("%s: the job is %+v", kind, l.job)
		}
		if last[0].Kind != armada.EventPreempted || last[0].For != "01other" || last[1].Kind != armada.EventFailed || !last[1].Retryable || last[1].Reason != "preempted: over its share" {
			t.Errorf("%s: events %+v", kind, last)
		}
		if l = begin().apply(Change{Kind: kind, End: exit(143), Retrying: Retrying{Policies: others, Most: 5}}); l.job.State != armada.JobPreempted || l.last().Retryable {
			t.Errorf("%s: no rule names preemption and the job is %s", kind, l.job.State)
		}
	}
}

func TestNoPolicyRepeatsACancelledJobAGangsMemberOrOneThatFailsFast(t *testing.T) {
	t.Parallel()
	again := Change{Kind: ReportFailed, End: exit(1), Retrying: Retrying{Policies: always(2), Most: 5}}
	if l := submitted().all(Lease, Cancel).apply(again); l.job.State != armada.JobCancelled {
		t.Errorf("a cancelled job is %s", l.job.State)
	}
	for _, gang := range []armada.Gang{{ID: "g", Cardinality: 2}, {FailFast: true}} {
		l := submitted()
		l.job.Gang = gang
		if l.all(Lease).apply(again); l.job.State != armada.JobFailed {
			t.Errorf("%+v: the job is %s", gang, l.job.State)
		}
	}
}

func TestAJobThatFailsFastIsNotQueuedAgainUnlessItsExecutorIsToBlame(t *testing.T) {
	t.Parallel()
	l := submitted()
	l.job.Gang = armada.Gang{ID: "g", Cardinality: 2, FailFast: true}
	if l.all(Lease).apply(Change{Kind: ReportReturned}); l.job.State != armada.JobQueued {
		t.Fatalf("its executor gave the lease back and the job is %s", l.job.State)
	}
	l.all(Lease).apply(Change{Kind: ReportReturned, MaxAttempts: 4, End: armada.RunEnd{Reason: "no such image"}})
	l.ends(t, armada.JobFailed, armada.RunReturned, armada.EventLeased, armada.EventLeaseReturned, armada.EventLeased, armada.EventLeaseReturned, armada.EventFailed)
	if !strings.HasSuffix(l.job.Reason, "no such image") {
		t.Errorf("it failed since %q", l.job.Reason)
	}
}

func TestALostLeaseIsRepeatedByAPolicyForIt(t *testing.T) {
	t.Parallel()
	lost := Change{Kind: Expire, Retrying: Retrying{Most: 5, Policies: []armada.RetryPolicy{
		on("lost", armada.RetryRule{Category: armada.CategoryInternal, Subcategory: armada.SubcategoryLeaseExpired}),
	}}}
	l := submitted().all(Lease, ReportRunning).apply(lost)
	l.ends(t, armada.JobQueued, armada.RunLost, armada.EventLeased, armada.EventRunning, armada.EventLeaseExpired, armada.EventFailed)
	if !l.last().Retryable {
		t.Error("the failed event says that the job has ended")
	}
	if l.apply(Change{Kind: ReportSucceeded, Run: l.run.ID}); l.verdict != Refused {
		t.Errorf("a success of the lost run is %d", l.verdict)
	}
}

// again leases to a node and lets the run end so.
func (l *life) again(node string, c Change) *life {
	return l.apply(Change{Kind: Lease, Lease: Terms{Executor: "east", Node: node, Pool: "default"}}).apply(c)
}

func TestTheNextAttemptAvoidsNodesAndGetsMoreMemory(t *testing.T) {
	t.Parallel()
	oom := armada.RunEnd{Cause: armada.CauseOutOfMemory}
	twice := on("twice", armada.RetryRule{Conditions: []armada.RetryCondition{armada.RetryOnOutOfMemory}, AvoidNode: true, Memory: armada.MemoryGrowth{Factor: 2}})
	lost := on("lost", armada.RetryRule{Category: armada.CategoryInternal, AvoidNode: true, Memory: armada.MemoryGrowth{Factor: 2}})
	lost.Limit = 9
	l := submitted().
		again("n1", Change{Kind: ReportReturned, MaxAttempts: 4}).
		again("n2", Change{Kind: ReportReturned}). // no fault of job or node
		again("n3", failing(oom, twice)).
		again("n1", failing(oom, twice)).
		again("n4", Change{Kind: Expire, Retrying: Retrying{Policies: []armada.RetryPolicy{lost}, Most: 9}})
	want := &armada.Lessons{Returned: 1, Retried: 3, Avoid: []string{"n1", "n3", "n4"}, Memory: armada.MemoryGrowth{Factor: 4}}
	if diff := cmp.Diff(want, l.job.Lessons); diff != "" {
		t.Errorf("lessons (-want +got):\n%s", diff)
	}
	for range armada.MaxAvoided {
		l.again("n"+string(armada.NewRunID("", l.job.Attempts)), Change{Kind: ReportReturned, MaxAttempts: 99})
	}
	if got := l.job.Lessons.Avoid; len(got) != armada.MaxAvoided || slices.Contains(got, "n4") {
		t.Errorf("%d nodes are avoided: %v", len(got), got)
	}
}

func TestAnAbandonedJobFailsWithWhatCameBefore(t *testing.T) {
	t.Parallel()
	l := submitted().apply(Change{Kind: Abandon})
	if l.verdict != Refused {
		t.Fatalf("a job that was never leased was abandoned: %d", l.verdict)
	}
	l.again("n1", Change{Kind: ReportReturned, MaxAttempts: 4, End: armada.RunEnd{Reason: "no such image"}}).
		apply(Change{Kind: Abandon, Reason: "n1 was tried"})
	l.ends(t, armada.JobFailed, armada.RunReturned, armada.EventLeased, armada.EventLeaseReturned, armada.EventFailed)
	e := l.last()
	if e.Reason != "n1 was tried; the attempt before ended so: no such image" || e.End.Subcategory != armada.SubcategoryNoNodeLeft || e.Retryable {
		t.Errorf("it failed with %+v", e)
	}
}

func TestADecisionTellsWhatPoliciesSaid(t *testing.T) {
	t.Parallel()
	never := armada.RetryPolicy{Name: "never", Limit: 3, Default: armada.RetryFail, Rules: []armada.RetryRule{{Action: armada.RetryFail, ExitCodes: []int32{3}}}}
	for _, c := range []struct {
		what     string
		gang     armada.Gang
		before   []ChangeKind
		policies []armada.RetryPolicy
		code     int32
		most     int
		want     *RetryDecision
	}{
		{what: "granted", policies: always(1), most: 5, want: &RetryDecision{Policy: "always", Outcome: RetryGranted}},
		{what: "the policy's limit", policies: always(0), most: 5, want: &RetryDecision{Policy: "always", Outcome: RetryPolicyUsedUp}},
		{what: "the installation's limit", policies: always(5), want: &RetryDecision{Policy: "always", Outcome: RetryEverythingUsed}},
		{what: "a rule", policies: []armada.RetryPolicy{never}, code: 3, most: 5, want: &RetryDecision{Policy: "never", Outcome: RetryRefusedByRule}},
		{what: "the default", policies: []armada.RetryPolicy{never}, code: 4, most: 5, want: &RetryDecision{Policy: "never", Outcome: RetryRefusedByNone}},
		{what: "a gang", gang: armada.Gang{ID: "g", Cardinality: 2}, policies: always(1), most: 5, want: &RetryDecision{Outcome: RetryNotAsked}},
		{what: "fail fast", gang: armada.Gang{FailFast: true}, policies: always(1), most: 5, want: &RetryDecision{Outcome: RetryNotAsked}},
		{what: "no policy", most: 5},
		{what: "cancelled", before: []ChangeKind{Cancel}, policies: always(1), most: 5},
	} {
		l := submitted()
		l.job.Gang = c.gang
		l.all(Lease).all(c.before...)
		end := exit(c.code)
		end.Category = "application"
		change := l.addressed(failing(end, c.policies...))
		change.Retrying.Most = c.most
		if c.want != nil {
			c.want.Category = "application"
		}
		if diff := cmp.Diff(c.want, Apply(l.job, l.run, change, l.now).Retry); diff != "" {
			t.Errorf("%s: the decision (-want +got):\n%s", c.what, diff)
		}
	}
	succeeded := submitted().all(Lease)
	if step := Apply(succeeded.job, succeeded.run, succeeded.addressed(Change{Kind: ReportSucceeded, Retrying: Retrying{Policies: always(1), Most: 5}}), succeeded.now); step.Retry != nil {
		t.Errorf("about a success it was decided %+v", step.Retry)
	}
}
