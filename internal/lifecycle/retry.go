package lifecycle

import (
	"fmt"

	"armada"
)

// Retrying is what the store knows of attempts after a bad end.
type Retrying struct {
	Policies []armada.RetryPolicy // those of the job's queue, in the order in which they are asked
	Most     int                  // attempts that policies may give to a job, whatever they say
}

// retry is what policies say about one bad end. The zero value is that nobody was
// asked.
type retry struct {
	policy *armada.RetryPolicy // that decided; nil for none
	rule   armada.RetryRule
	ruled  bool // a rule of the policy matched; otherwise the rule is its default
	given  int  // attempts that policies have given to the job
	most   int  // attempts that the policy may give
}

// judge asks the policies about the end that a change tells of. The first policy
// of which a rule matches decides, by that rule; when there is none, the first
// one's default action does. Members of gangs and jobs that fail fast are not
// tried again; leases that are given back, and those that run again in any case,
// are no matter of policies.
func judge(job *armada.Job, c *Change) retry {
	preempted := job.Wish.Kind == armada.WishPreempt
	policies := c.Retrying.Policies
	if !c.Kind.EndsBadly() || (c.Kind == ReportReturned || c.Kind == Expire && c.Again) && !preempted ||
		!job.Gang.Alone() || job.Gang.FailFast || len(policies) == 0 {
		return retry{}
	}
	by := &policies[0]
	rule, matched := by.Match(&c.End, preempted)
	for i := 1; i < len(policies) && !matched; i++ {
		var other armada.RetryRule
		if other, matched = policies[i].Match(&c.End, preempted); matched {
			by, rule = &policies[i], other
		}
	}
	return retry{policy: by, rule: rule, ruled: matched, given: job.Lessons.Retries(), most: min(by.Limit, c.Retrying.Most)}
}

// RetryDecision is what retry policies said about an attempt that ended badly.
type RetryDecision struct {
	Policy   string // that decided; empty when none was asked
	Outcome  RetryOutcome
	Category string // of the attempt's end
}

// RetryOutcome is what became of a job whose attempt ended badly, and why.
type RetryOutcome string

// The outcomes.
const (
	RetryGranted        RetryOutcome = "retry"
	RetryRefusedByRule  RetryOutcome = "fail_rule"
	RetryRefusedByNone  RetryOutcome = "fail_default"      // no rule matched, and the default is to fail
	RetryPolicyUsedUp   RetryOutcome = "fail_policy_limit" // the policy gives no more attempts
	RetryEverythingUsed RetryOutcome = "fail_global_limit" // the installation gives no more
	RetryNotAsked       RetryOutcome = "not_asked"         // members of gangs and jobs that fail fast
)

// decision tells what was decided about a job by an end after which it is in a
// state; nil where policies had no part in it.
func (r *retry) decision(job *armada.Job, c *Change, then armada.JobState) *RetryDecision {
	d := &RetryDecision{Outcome: RetryNotAsked, Category: c.End.Category}
	if r.policy != nil {
		d.Policy = r.policy.Name
	}
	over := then == armada.JobFailed || then == armada.JobPreempted
	switch {
	case r.again() && then == armada.JobQueued:
		d.Outcome = RetryGranted
	case !over || !c.Kind.EndsBadly() || len(c.Retrying.Policies) == 0:
		return nil
	case r.policy == nil && (!job.Gang.Alone() || job.Gang.FailFast):
	case r.policy == nil:
		return nil // a lease that was given back
	case r.wanted() && r.policy.Limit <= r.most:
		d.Outcome = RetryPolicyUsedUp
	case r.wanted():
		d.Outcome = RetryEverythingUsed
	case r.ruled:
		d.Outcome = RetryRefusedByRule
	default:
		d.Outcome = RetryRefusedByNone
	}
	return d
}

func (r *retry) wanted() bool { return r.policy != nil && r.rule.Action == armada.RetryAgain }

// again tells whether the job gets another attempt.
func (r *retry) again() bool { return r.wanted() && r.given < r.most }

// refusal says why a job gets no other attempt although its policy would give it
// one; empty otherwise.
func (r *retry) refusal() string {
	if !r.wanted() || r.again() {
		return ""
	}
	by := "this installation"
	if r.policy.Limit <= r.most {
		by = fmt.Sprintf("the retry policy %q", r.policy.Name)
	}
	switch r.given {
	case 0:
		return " (" + by + " allows no other attempt)"
	case 1:
		return " (tried again once, as often as " + by + " allows)"
	default:
		return fmt.Sprintf(" (tried again %d times, as often as %s allows)", r.given, by)
	}
}

// lessons are what a job that is queued again has learned from its run.
func lessons(run *armada.Run, job *armada.Job, c *Change, r *retry) *armada.Lessons {
	switch {
	case r.again():
		return job.Lessons.WithRetry(run.Node, &r.rule, c.Kind == ReportFailed && job.Wish.Kind == armada.WishNone)
	case c.Kind == ReportReturned && c.MaxAttempts > 0 && !run.Polled.Delivered.IsZero():
		return job.Lessons.WithReturn("") // which node its cluster has tried nobody knows
	case c.Kind == ReportReturned && c.MaxAttempts > 0:
		return job.Lessons.WithReturn(run.Node)
	default:
		return job.Lessons
	}
}
