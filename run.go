package armada

import (
	"strings"
	"time"
)

// RunState is where one attempt stands. The zero value is no state.
type RunState uint8

// The states of a run.
const (
	RunLeased    RunState = 1 + iota // the executor may start it
	RunPending                       // its pod was made
	RunRunning                       // its containers run
	RunSucceeded                     // every container ended with exit code 0
	RunFailed                        // it ended badly
	RunCancelled                     // it was stopped because its job was cancelled
	RunPreempted                     // it was stopped to make room
	RunReturned                      // the executor gave the lease back without an outcome
	RunLost                          // nobody saw its end: the lease ran out or the machine died
)

var runStateNames = [...]string{"none", "leased", "pending", "running", "succeeded", "failed", "cancelled", "preempted", "returned", "lost"}

// RunStates lists every state in the order of a run's life.
func RunStates() []RunState {
	return []RunState{RunLeased, RunPending, RunRunning, RunSucceeded, RunFailed, RunCancelled, RunPreempted, RunReturned, RunLost}
}

// String returns the lower-case name of the state.
func (s RunState) String() string {
	if int(s) < len(runStateNames) {
		return runStateNames[s]
	}
	return "unknown"
}

// Active tells whether the run may hold resources of its node.
func (s RunState) Active() bool { return s >= RunLeased && s <= RunRunning }

// Terminal tells whether the run has ended.
func (s RunState) Terminal() bool { return s >= RunSucceeded }

// Run is one attempt of a job on one node.
type Run struct {
	ID       RunID
	Job      JobID
	Attempt  int // from 1
	Executor ExecutorID
	Node     string
	Pool     string
	After    []RunID // victims: this run starts only when they have ended
	Away     string  // the type of its node if the job is not at home there, and tolerates it all the same; or see GuestOf

	State   RunState
	Version int64
	Pod     Pod
	End     RunEnd // what is known of its end; while active only Debug may be told
	Stuck   string // why its pod does not begin, as its executor last told; empty when it gets on
	Polled  Polled // of runs of [Executor2020]
	// Addresses are where its ports can be reached, host or host:port, by port;
	// not to be changed.
	Addresses map[int32]string

	Leased, Pending, Started, Finished time.Time // zero while not reached
}

// Polled is what is known of a run by the calls of an executor of 2020, which
// leases jobs, names those that it holds, and knows no runs.
type Polled struct {
	Delivered time.Time // it was handed out, and never is again
	Renewed   time.Time // the executor named it; calls that follow soon are not recorded
	Done      time.Time // the executor has done with it, and has not told how it ended
	Returned  time.Time // the executor has given it back, and has not told why
}

// Latest is when the executor last told of the run, as far as it is recorded.
func (p *Polled) Latest() time.Time {
	latest := p.Delivered
	for _, t := range []time.Time{p.Renewed, p.Done, p.Returned} {
		if t.After(latest) {
			latest = t
		}
	}
	return latest
}

// guestMark begins what Away says of a guest.
const guestMark = "pool:"

// GuestFrom is what a run's Away says of a job that is at home in another pool.
func GuestFrom(pool string) string { return guestMark + pool }

// GuestOf returns the pool in which a run's job is at home, if it is a guest in the
// run's own.
func (r *Run) GuestOf() (pool string, guest bool) { return strings.CutPrefix(r.Away, guestMark) }

// Pod is what the executor knows the run's pod by.
type Pod struct {
	Name         string
	Namespace    string
	KubernetesID string // the uid the cluster gave it
	Number       int32  // always 0 for jobs of one pod
}

// RunEnd tells how a run ended.
type RunEnd struct {
	Cause       Cause
	Reason      string // for people
	Category    string // machine readable, e.g. "internal"
	Subcategory string // e.g. "lease-expired"
	Debug       string // whatever helps to find out why; may be long
	Containers  []ContainerEnd
}

// ContainerEnd tells how one container of a run ended.
type ContainerEnd struct {
	Name     string
	ExitCode int32
	Cause    Cause
	Reason   string
	Message  string
}

// Cause is the coarse kind of a failure.
type Cause uint8

// The causes; the zero value is an error of the job itself.
const (
	CauseError Cause = iota
	CauseEvicted
	CauseOutOfMemory
	CauseDeadlineExceeded
	CauseRejected
)

var causeNames = [...]string{"error", "evicted", "out of memory", "deadline exceeded", "rejected"}

// String returns the cause in words.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// Subcategories of failures that Armada itself finds; their category is
// [CategoryInternal].
const (
	CategoryInternal = "internal"

	SubcategoryLeaseExpired   = "lease-expired"
	SubcategoryOutcomeUnknown = "outcome-unknown"
	SubcategoryJobRejected    = "job-rejected"
	SubcategoryMaxRuns        = "max-runs-exceeded"
	SubcategoryCreateFailed   = "job-creation-failed"
	SubcategoryNoNodeLeft     = "no-node-left"     // another attempt was due and could run nowhere
	SubcategoryRunSpent       = "run-spent"        // a lease given back because a run of its id has ended there before
	SubcategoryDrained        = "executor-stopped" // a lease given back because its executor stops
)
