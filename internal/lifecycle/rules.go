package lifecycle

import "armada"

// Guard is a condition of a rule beyond state and wish.
type Guard uint8

// The guards.
const (
	Always    Guard = iota
	Exhausted       // the change's MaxAttempts are used up
	FailsFast       // the lease's return counts and the job is not tried again
	Unleased        // the job was never leased
	Leased          // the job was leased before
	Retried         // a retry policy gives the job another attempt
	RunsAgain       // the change says that the job is queued again
)

// String returns the guard in words; empty for Always.
func (g Guard) String() string {
	return [...]string{"", "attempts used up", "fails fast", "never leased", "leased before", "retry policy", "executor of 2020"}[g]
}

// AnyWish stands in a rule for every wish.
const AnyWish armada.WishKind = 255

// Rule is one legal transition.
type Rule struct {
	On    ChangeKind
	From  []armada.JobState
	Wish  armada.WishKind // the wish that the job has, or AnyWish
	Guard Guard

	To    armada.JobState    // 0: the job's state stays
	Run   armada.RunState    // the run's state afterwards; 0: it stays
	Wants armada.WishKind    // the wish recorded by the change; 0: it stays
	Emits []armada.EventKind // in this order
}

var (
	queued  = []armada.JobState{armada.JobQueued}
	started = []armada.JobState{armada.JobLeased, armada.JobPending, armada.JobRunning}
	active  = []armada.JobState{armada.JobQueued, armada.JobLeased, armada.JobPending, armada.JobRunning}
)

func emits(kinds ...armada.EventKind) []armada.EventKind { return kinds }

// rules is the table. Of the rules for one change the first that fits counts.
var rules = []Rule{
	// What users ask for.
	{On: Cancel, From: queued, Wish: AnyWish, To: armada.JobCancelled, Wants: armada.WishCancel, Emits: emits(armada.EventCancelling, armada.EventCancelled)},
	{On: Cancel, From: started, Wish: armada.WishNone, Wants: armada.WishCancel, Emits: emits(armada.EventCancelling)},
	{On: Cancel, From: started, Wish: armada.WishPreempt, Wants: armada.WishCancel, Emits: emits(armada.EventCancelling)},
	{On: Reprioritise, From: active, Wish: AnyWish, Emits: emits(armada.EventReprioritizing, armada.EventReprioritized)},

	// What the leader decides.
	{On: Lease, From: queued, Wish: AnyWish, To: armada.JobLeased, Run: armada.RunLeased, Emits: emits(armada.EventLeased)},
	{On: Preempt, From: started, Wish: armada.WishNone, Wants: armada.WishPreempt},
	{On: Reject, From: queued, Wish: AnyWish, Guard: Unleased, To: armada.JobRejected, Emits: emits(armada.EventFailed)},
	{On: Expire, From: started, Wish: armada.WishCancel, To: armada.JobCancelled, Run: armada.RunLost, Emits: emits(armada.EventCancelled)},
	{On: Abandon, From: queued, Wish: AnyWish, Guard: Leased, To: armada.JobFailed, Emits: emits(armada.EventFailed)},
	{On: Expire, From: started, Wish: armada.WishPreempt, Guard: Retried, To: armada.JobQueued, Run: armada.RunLost, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: Expire, From: started, Wish: armada.WishPreempt, To: armada.JobPreempted, Run: armada.RunLost, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: Expire, From: started, Wish: armada.WishNone, Guard: RunsAgain, To: armada.JobQueued, Run: armada.RunLost, Emits: emits(armada.EventLeaseExpired)},
	{On: Expire, From: started, Wish: armada.WishNone, Guard: Retried, To: armada.JobQueued, Run: armada.RunLost, Emits: emits(armada.EventLeaseExpired, armada.EventFailed)},
	{On: Expire, From: started, Wish: armada.WishNone, To: armada.JobFailed, Run: armada.RunLost, Emits: emits(armada.EventLeaseExpired, armada.EventFailed)},

	// What the executor that holds the run reports.
	{On: ReportPending, From: []armada.JobState{armada.JobLeased}, Wish: AnyWish, To: armada.JobPending, Run: armada.RunPending, Emits: emits(armada.EventPending)},
	{On: ReportRunning, From: []armada.JobState{armada.JobLeased, armada.JobPending}, Wish: AnyWish, To: armada.JobRunning, Run: armada.RunRunning, Emits: emits(armada.EventRunning)},
	{On: ReportSucceeded, From: started, Wish: AnyWish, To: armada.JobSucceeded, Run: armada.RunSucceeded, Emits: emits(armada.EventSucceeded)},

	{On: ReportFailed, From: started, Wish: armada.WishCancel, To: armada.JobCancelled, Run: armada.RunCancelled, Emits: emits(armada.EventCancelled)},
	{On: ReportFailed, From: started, Wish: armada.WishPreempt, Guard: Retried, To: armada.JobQueued, Run: armada.RunPreempted, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportFailed, From: started, Wish: armada.WishPreempt, To: armada.JobPreempted, Run: armada.RunPreempted, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportFailed, From: started, Wish: armada.WishNone, Guard: Retried, To: armada.JobQueued, Run: armada.RunFailed, Emits: emits(armada.EventFailed)},
	{On: ReportFailed, From: started, Wish: armada.WishNone, To: armada.JobFailed, Run: armada.RunFailed, Emits: emits(armada.EventFailed)},

	{On: ReportStopped, From: started, Wish: armada.WishCancel, To: armada.JobCancelled, Run: armada.RunCancelled, Emits: emits(armada.EventCancelled)},
	{On: ReportStopped, From: started, Wish: armada.WishPreempt, Guard: Retried, To: armada.JobQueued, Run: armada.RunPreempted, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportStopped, From: started, Wish: armada.WishPreempt, To: armada.JobPreempted, Run: armada.RunPreempted, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportStopped, From: started, Wish: armada.WishNone, Guard: Retried, To: armada.JobQueued, Run: armada.RunFailed, Emits: emits(armada.EventFailed)},
	{On: ReportStopped, From: started, Wish: armada.WishNone, To: armada.JobFailed, Run: armada.RunFailed, Emits: emits(armada.EventFailed)},

	{On: ReportReturned, From: started, Wish: armada.WishCancel, To: armada.JobCancelled, Run: armada.RunReturned, Emits: emits(armada.EventCancelled)},
	{On: ReportReturned, From: started, Wish: armada.WishPreempt, Guard: Retried, To: armada.JobQueued, Run: armada.RunReturned, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportReturned, From: started, Wish: armada.WishPreempt, To: armada.JobPreempted, Run: armada.RunReturned, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportReturned, From: started, Wish: armada.WishNone, Guard: FailsFast, To: armada.JobFailed, Run: armada.RunReturned, Emits: emits(armada.EventLeaseReturned, armada.EventFailed)},
	{On: ReportReturned, From: started, Wish: armada.WishNone, Guard: Exhausted, To: armada.JobFailed, Run: armada.RunReturned, Emits: emits(armada.EventLeaseReturned, armada.EventFailed)},
	{On: ReportReturned, From: started, Wish: armada.WishNone, To: armada.JobQueued, Run: armada.RunReturned, Emits: emits(armada.EventLeaseReturned)},

	{On: ReportUnknown, From: started, Wish: armada.WishCancel, To: armada.JobCancelled, Run: armada.RunLost, Emits: emits(armada.EventCancelled)},
	{On: ReportUnknown, From: started, Wish: armada.WishPreempt, Guard: Retried, To: armada.JobQueued, Run: armada.RunLost, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportUnknown, From: started, Wish: armada.WishPreempt, To: armada.JobPreempted, Run: armada.RunLost, Emits: emits(armada.EventPreempted, armada.EventFailed)},
	{On: ReportUnknown, From: started, Wish: armada.WishNone, Guard: Retried, To: armada.JobQueued, Run: armada.RunLost, Emits: emits(armada.EventFailed)},
	{On: ReportUnknown, From: started, Wish: armada.WishNone, To: armada.JobFailed, Run: armada.RunLost, Emits: emits(armada.EventFailed)},

	{On: ReportUsage, From: started, Wish: AnyWish, Emits: emits(armada.EventUtilisation)},
	{On: ReportIngress, From: started, Wish: AnyWish, Emits: emits(armada.EventIngressInfo)},
	{On: ReportDebug, From: active, Wish: AnyWish}, // of the latest run; a job that has ended is not written any more
	{On: ReportMark, From: started, Wish: AnyWish},
}

// Rules returns the table, in order of precedence. The caller must not change it.
func Rules() []Rule { return rules }

// rule finds the rule for a change of a job, and false when there is none. Retry
// is what policies say about the end that the change tells of.
func rule(job *armada.Job, c *Change, retry *retry) (*Rule, bool) {
	for i := range rules {
		r := &rules[i]
		if r.On == c.Kind && (r.Wish == AnyWish || r.Wish == job.Wish.Kind) && contains(r.From, job.State) && r.Guard.holds(job, c, retry) {
			return r, true
		}
	}
	return nil, false
}

func (g Guard) holds(job *armada.Job, c *Change, retry *retry) bool {
	switch g {
	case Exhausted:
		return c.MaxAttempts > 0 && job.Lessons.Returns()+1 >= c.MaxAttempts
	case FailsFast:
		return c.MaxAttempts > 0 && job.Gang.FailFast
	case Unleased:
		return job.Attempts == 0
	case Leased:
		return job.Attempts > 0
	case Retried:
		return retry.again()
	case RunsAgain:
		return c.Again
	case Always:
		return true
	}
	return false
}

func contains(states []armada.JobState, s armada.JobState) bool {
	for _, have := range states {
		if have == s {
			return true
		}
	}
	return false
}
