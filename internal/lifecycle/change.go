package lifecycle

import (
	"time"

	"armada"
)

// ChangeKind is what happened to a job or was asked for.
type ChangeKind uint8

// The kinds of changes, by who causes them.
const (
	// By users.
	Cancel       ChangeKind = 1 + iota // the job is not wanted any more
	Reprioritise                       // the job moves within its queue
	// By the leader.
	Lease   // the job may run on a node
	Preempt // the job's place is taken away (also asked for by users)
	Reject  // the job can never run
	Expire  // the run's executor was silent for too long
	Abandon // another attempt is due and there is no node for it
	// By the executor that holds the run.
	ReportPending   // the pod was made
	ReportRunning   // the containers run
	ReportSucceeded // every container ended with exit code 0
	ReportFailed    // the run ended badly
	ReportStopped   // the run was ended because that was asked for
	ReportReturned  // the lease is given back: no outcome, another attempt may follow
	ReportUnknown   // the run is gone and nobody saw its end
	ReportUsage     // what the run used
	ReportIngress   // where the run can be reached
	ReportDebug     // what helps to find out how the run ends; of no use once the job has ended
	ReportMark      // what is noted of the run and is no part of its life, see [Mark]
)

var changeNames = [...]string{
	"none", "cancel", "reprioritise", "lease", "preempt", "reject", "expire", "abandon", "report pending", "report running",
	"report succeeded", "report failed", "report stopped", "report returned", "report unknown", "report usage", "report ingress", "report debug", "report mark",
}

// ChangeKinds lists every kind.
func ChangeKinds() []ChangeKind {
	kinds := make([]ChangeKind, 0, len(changeNames)-1)
	for k := Cancel; int(k) < len(changeNames); k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// String returns the kind in words.
func (k ChangeKind) String() string {
	if int(k) < len(changeNames) {
		return changeNames[k]
	}
	return "unknown"
}

// FromExecutor tells whether the change is a report about one run.
func (k ChangeKind) FromExecutor() bool { return k >= ReportPending }

// EndsBadly tells whether the change ends a run without success, so that it may
// be repeated.
func (k ChangeKind) EndsBadly() bool {
	switch k {
	case Expire, ReportFailed, ReportStopped, ReportReturned, ReportUnknown:
		return true
	default:
		return false
	}
}

// Change is one thing that happened to a job or was asked for. Fields that the
// kind does not name are ignored.
type Change struct {
	Kind ChangeKind
	Job  armada.JobID
	// Run names the run that a report or an Expire speaks of, and may name that
	// of a Preempt: the change is refused unless it is the job's current run.
	Run armada.RunID
	// Session is of an Expire the session that was silent: the store refuses
	// the change when the executor has opened another one since.
	Session armada.SessionID
	// RunVersion is of an Expire or a ReportUnknown for want of news the version of
	// the run that there was no news of: with another one it is refused. 0 is any.
	RunVersion int64
	// At is when it happened by the causer's clock; zero means now. It is
	// clamped so that a job's events never go back in time nor lie ahead.
	At time.Time

	By       string       // Cancel, Reprioritise, Preempt: who asked
	Reason   string       // Cancel, Preempt, Reject, Abandon: why
	For      armada.JobID // Preempt: the job that gets the place
	Announce bool         // Preempt: asked for by a user, so watchers see it before it happens
	Priority uint32       // Reprioritise

	Lease Terms // Lease

	Executor    armada.ExecutorID // reports: who reports; refused unless it holds the run
	Node        string            // reports: the node's name as the executor knows it; may be empty
	Pod         armada.Pod        // reports: what is known of the pod
	End         armada.RunEnd     // Expire and the reports of an end; ReportDebug: its Debug
	Attempted   bool              // ReportReturned: the pod may have run
	MaxAttempts int               // ReportReturned: when so many leases were given back the job fails; 0 does not count this one
	Retrying    Retrying          // of those that [ChangeKind.EndsBadly]

	Again     bool             // Expire: the job is queued again, as executors of 2020 are promised
	Mark      Mark             // ReportMark
	Usage     *armada.Usage    // ReportUsage
	Addresses map[int32]string // ReportIngress
}

// Mark is what is noted of a run and changes no state. All but the last pass between
// the server and an executor of 2020, and [armada.Polled] keeps them.
type Mark uint8

// The marks.
const (
	MarkDelivered Mark = 1 + iota // it is handed out: true once in the life of the run
	MarkRenewed                   // the executor holds it
	MarkDone                      // the executor has done with it
	MarkReturned                  // the executor gives it back, and will tell why
	MarkStuck                     // its pod does not begin; End.Reason says why, or by being empty that it gets on
)

// Terms are the terms of a lease.
type Terms struct {
	Executor armada.ExecutorID
	Node     string
	Pool     string
	After    []armada.RunID // victims that must have ended before the run starts
	Away     string         // that of [armada.Run]
}
