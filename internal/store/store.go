package store

import (
	"context"
	"time"

	"armada"
	"armada/internal/lifecycle"
)

// Store remembers everything. It is the union of what its users need; each of
// them asks for the part that it uses.
type Store interface {
	Queues
	RetryPolicies
	Jobs
	Events
	Leadership
	Feed
	Executors
	Asking
	Retention
	Restoration

	// Close waits for calls in flight and releases everything. Calls made
	// afterwards answer Unavailable.
	Close() error
}

// Queues keeps the queues.
type Queues interface {
	// PutQueue creates the queue or replaces it whole.
	PutQueue(ctx context.Context, q armada.Queue) error
	// UpdateQueue replaces an existing queue; NotFound when there is none.
	UpdateQueue(ctx context.Context, q armada.Queue) error
	// DeleteQueue forgets a queue. It succeeds when there is none, and answers
	// Precondition while the queue has active jobs, other than jobs with a wish
	// to cancel.
	DeleteQueue(ctx context.Context, name string) error
	// Queue returns one queue; NotFound when there is none.
	Queue(ctx context.Context, name string) (armada.Queue, error)
	// Queues returns all queues, ordered by name.
	Queues(ctx context.Context) ([]armada.Queue, error)
}

// RetryPolicies keeps the retry policies. A transition asks those of the job's
// queue whether an attempt that it ends is repeated; a name without a policy says
// nothing, and a queue without names has the policy [Retries.Default].
type RetryPolicies interface {
	// PutRetryPolicy creates the policy or replaces it whole.
	PutRetryPolicy(ctx context.Context, p armada.RetryPolicy) error
	// UpdateRetryPolicy replaces an existing policy; NotFound when there is none.
	UpdateRetryPolicy(ctx context.Context, p armada.RetryPolicy) error
	// DeleteRetryPolicy forgets a policy and takes it off every queue. It succeeds
	// when there is none.
	DeleteRetryPolicy(ctx context.Context, name string) error
	// RetryPolicy returns one policy; NotFound when there is none.
	RetryPolicy(ctx context.Context, name string) (armada.RetryPolicy, error)
	// RetryPolicies returns all policies, ordered by name.
	RetryPolicies(ctx context.Context) ([]armada.RetryPolicy, error)
}

// Retries is how attempts are repeated whatever policies say.
type Retries struct {
	Most    int    // attempts that policies may give to a job; 0 is none at all
	Default string // the policy of queues that name none; may be empty
}

// Jobs takes jobs in and moves them through their lives.
type Jobs interface {
	// Submit takes jobs of one job set in, all or none: one answer per job, in
	// order. NotFound when the queue does not exist. Events are written in one
	// block, in the order of the jobs. A job whose (queue, client id) is known,
	// from earlier or from earlier in the same submission, is not taken again
	// and answers with the first one's id. Precondition when a limit of queued
	// jobs per queue is reached, or when a job's id belongs to another job, or, as
	// a [GangError], when its gang has all its members: those of the job set that
	// are active count, and those that had a run as long as they are remembered.
	// Invalid when a template or shape that a new job names is not given.
	Submit(ctx context.Context, s Submission) ([]Submitted, error)

	// Transition applies changes. Every unit is taken wholly or, when one of
	// its changes is refused, not at all; units do not depend on each other and
	// happen in order. One answer per unit, in order. Changes of unknown jobs
	// are refused, and so is an Expire that names a session which is not its
	// executor's current one any more. At most [MaxTransition] changes; callers cut larger lists.
	// Fenced when the fence does not hold any more; then nothing was done.
	Transition(ctx context.Context, fence Fence, units []Unit) ([]UnitResult, error)
}

// MaxTransition bounds the changes of one Transition call.
const MaxTransition = 1000

// Submission is a request to run jobs.
type Submission struct {
	Queue     string
	JobSet    armada.JobSet
	Jobs      []NewJob
	Templates map[armada.TemplateID][]byte            // every template that Jobs name, by content hash
	Shapes    map[armada.ShapeID]*armada.Requirements // every shape that Jobs name
}

// NewJob is a job to be taken in. Its Queue, JobSet, Number, State, Version and
// times are set by the store.
type NewJob struct {
	Job     armada.Job
	Details armada.JobDetails
}

// Submitted is the answer for one job.
type Submitted struct {
	ID        armada.JobID
	Duplicate bool // the id is that of the job first submitted with the client id
}

// Unit is a list of changes that happen wholly or not at all.
type Unit []lifecycle.Change

// UnitResult tells what became of a unit: Applied when every change was applied
// or already true and at least one was applied, Already when nothing was to be
// done, Refused when nothing was done because of one of the changes.
type UnitResult struct {
	Verdict lifecycle.Verdict
	Why     string // of Refused
	// Jobs are the jobs as they are after the unit, one per change in order;
	// empty when the unit was refused.
	Jobs []armada.Job
	// Retries is what retry policies said about attempts that the unit ended.
	Retries []lifecycle.RetryDecision
}

// Fence is what must still be true when a transition commits. The zero value
// demands nothing.
type Fence struct {
	Epoch    int64             // leadership epoch; 0: none demanded
	Executor armada.ExecutorID // with Session: the executor's current session
	Session  armada.SessionID
}

// JobSetKey names a job set.
type JobSetKey struct {
	Queue  string
	JobSet armada.JobSet
}

// Cursor is a place in the events of a job set. A job set that is forgotten
// whole (retention, deletion of its queue) and used again begins a new
// incarnation with numbers from 1; in a store that was restored every job set is
// a new incarnation, whose numbers go on.
type Cursor struct {
	Incarnation int64
	Number      int64 // the last event that was seen; 0 before the first
}

// Events reads and waits for events.
type Events interface {
	// ReadEvents returns events after the cursor, at most limit of them, in
	// order, and the cursor of the last one; fewer only when there were no more
	// as the call began. The zero cursor, and one of an
	// incarnation that is gone, begin with the first event kept. OutOfRange
	// when events after the cursor were pruned already or its number is beyond
	// the last one written in its incarnation. NotFound when nothing was ever
	// written for the job set.
	ReadEvents(ctx context.Context, key JobSetKey, after Cursor, limit int) ([]armada.Event, Cursor, error)
	// LastEvent returns the cursor of the latest event; NotFound as ReadEvents.
	LastEvent(ctx context.Context, key JobSetKey) (Cursor, error)
	// Watch returns a channel that receives after events of the job set may
	// have been written by any replica (one signal may stand for many), and a
	// function that ends that. The channel is never closed. To miss nothing
	// call Watch before the first read.
	Watch(key JobSetKey) (signal <-chan struct{}, stop func())
}

// Leadership elects the one replica that schedules.
type Leadership interface {
	// Lead asks for leadership for a time. It answers the epoch, which grows
	// with every change of leader, and true when this replica leads; otherwise
	// it answers false and who leads. A leader calls it again to stay leader:
	// its epoch stays. Replicas are told apart by their names.
	Lead(ctx context.Context, replica Replica, ttl time.Duration) (Leader, bool, error)
	// Resign gives leadership up at once, if the epoch is current.
	Resign(ctx context.Context, epoch int64) error
}

// Replica is one of the servers that share a store.
type Replica struct {
	Name string
	Addr string // where the others reach it, host:port of its gRPC; empty for nowhere
}

// Leader is who schedules.
type Leader struct {
	Replica Replica // the zero value when the last one resigned
	Epoch   int64
	Until   time.Time // by the store's clock
}

// Position is a place in the feed, opaque to its users.
type Position []byte

// Feed tells the leader, and those who serve executors, what changed.
type Feed interface {
	// Load calls visit with pieces of the whole state: all queues, executors
	// and nodes, all active jobs with their current runs, and their shapes (a
	// shape comes in the same piece or earlier). It returns the position from
	// which Changes continues: a change committed meanwhile may be in both.
	Load(ctx context.Context, visit func(Changes) error) (Position, error)
	// Changes returns the present state of what changed after the position, at
	// most about limit entries, and the next position. It never misses a
	// commit and may repeat one: versions tell. It returns at once; at the end
	// the next position is the one given. OutOfRange when what follows the
	// position is not kept any more (minutes later, or after a restore): the
	// reader loads anew.
	Changes(ctx context.Context, after Position, limit int) (Changes, Position, error)
	// ChangedRuns is Changes for those who serve executors: of the same part of
	// the feed it tells only jobs that are not queued and have a run. The
	// position moves on even when there are none.
	ChangedRuns(ctx context.Context, after Position, limit int) ([]JobAndRun, Position, error)
	// End returns the position of the feed's present end, for those who read
	// the state by other means.
	End(ctx context.Context) (Position, error)
	// Wake returns a channel that receives after something was committed that
	// Changes would tell, by this process or another, coalesced.
	Wake() <-chan struct{}
	// Subscribe is Wake for any number of listeners, e.g. one per executor's
	// stream; stop ends it.
	Subscribe() (signal <-chan struct{}, stop func())
}

// Changes is a piece of state.
type Changes struct {
	Queues    []armada.Queue
	Gone      []string // queues that were deleted
	Shapes    map[armada.ShapeID]*armada.Requirements
	Jobs      []JobAndRun // active jobs, and jobs that ended since the position
	Executors []ExecutorNodes
}

// JobAndRun is a job with its current or latest run.
type JobAndRun struct {
	Job armada.Job
	Run *armada.Run // nil when it was never leased
}

// ExecutorNodes is an executor with its nodes.
type ExecutorNodes struct {
	Executor armada.Executor
	Nodes    []armada.Node
	// Kinds are those of the nodes and of those that have gone since less than
	// [KindsKept], as [RememberKinds] tells; they outlive sessions.
	Kinds []armada.NodeKind
	// Reported tells whether the current session has put its nodes.
	Reported bool
	Deleted  bool
}

// Executors keeps what is known of executors.
type Executors interface {
	// OpenSession makes e.Session the executor's current session, creating the
	// executor if need be, and voids older ones. Settings (cordons) stay.
	OpenSession(ctx context.Context, e armada.Executor) error
	// Acknowledge records that the executor was heard of, and returns how much
	// is left of its lease, counted from the record. Fenced when the session is
	// not the current one. Forms write at most every third of the lease and
	// answer other calls from memory, with accordingly less left.
	Acknowledge(ctx context.Context, id armada.ExecutorID, session armada.SessionID) (left time.Duration, err error)
	// PutNodes replaces the executor's nodes and remembers their kinds; equal
	// nodes of one session write nothing. Fenced when the session is not the
	// current one.
	PutNodes(ctx context.Context, id armada.ExecutorID, session armada.SessionID, nodes []armada.Node) error
	// Executor returns one executor; NotFound when there is none.
	Executor(ctx context.Context, id armada.ExecutorID) (armada.Executor, error)
	// Executors returns all executors with their nodes, ordered by id.
	Executors(ctx context.Context) ([]ExecutorNodes, error)
	// CordonExecutor records the setting; NotFound for an unknown executor.
	CordonExecutor(ctx context.Context, id armada.ExecutorID, cordoned bool, reason string) error
	// CordonNode closes a node of an executor, or opens it: from then on the node
	// is told as unschedulable, whatever its executor says, until it is opened.
	// Sessions and lists of nodes do not change that; the node need not be there.
	// NotFound for an unknown executor, Invalid for a name with a line break.
	CordonNode(ctx context.Context, id armada.ExecutorID, node string, cordoned bool) error
	// DeleteExecutor forgets an executor; Precondition while it has runs.
	DeleteExecutor(ctx context.Context, id armada.ExecutorID) error
	// RunsOf returns the active runs of an executor with their jobs, ordered by
	// run id: what it should hold.
	RunsOf(ctx context.Context, id armada.ExecutorID) ([]JobAndRun, error)
	// Orders returns what an executor needs to start runs. Runs that are not
	// active any more are left out.
	Orders(ctx context.Context, runs []armada.RunID) ([]Order, error)
}

// Order is a run with all that is needed to start it.
type Order struct {
	Job      armada.Job
	Run      armada.Run
	Details  armada.JobDetails
	Template []byte // the pod spec's canonical bytes
}

// Retention forgets what is old.
type Retention interface {
	// Prune forgets, in pieces and while serving, finished jobs that are not to
	// be kept, with their runs and events, and then job sets, templates, shapes
	// and client ids that nothing uses any more. It never touches an active job
	// or an event of one. It does at most about limit rows of work, and calls
	// until nothing is left make a pass.
	Prune(ctx context.Context, keep Keep, limit int) (Forgotten, error)
}

// Keep says which finished jobs are kept.
type Keep struct {
	Since time.Time // those that ended then or later;
	// Queues has another time for jobs of some queues, by name.
	Queues map[string]time.Time
	// Most is about how many of these, of all queues, 0 for all. When there are
	// more, a tenth of Most goes with the surplus, so that not every pass has to
	// look; those that ended first go first, whatever their queue.
	Most int
}

// Of is the time from which on jobs of a queue are kept.
func (k Keep) Of(queue string) time.Time {
	if since, own := k.Queues[queue]; own {
		return since
	}
	return k.Since
}

// Earliest is the time before which no queue's jobs are kept.
func (k Keep) Earliest() time.Time {
	earliest := k.Since
	for _, since := range k.Queues {
		if since.Before(earliest) {
			earliest = since
		}
	}
	return earliest
}

// Forgotten is what a call of Prune did.
type Forgotten struct {
	Jobs, Events, ClientIDs int
	Before                  time.Time // jobs that ended earlier are not kept, of no queue
	More                    bool      // the pass is not complete
}
