package armada

import "time"

// EventKind is what happened to a job.
type EventKind uint8

// The kinds, in the order in which a job's life shows them. The numbers are
// stored: they are never reused.
const (
	EventSubmitted      EventKind = 1
	EventQueued         EventKind = 2
	EventLeased         EventKind = 3
	EventLeaseReturned  EventKind = 4
	EventLeaseExpired   EventKind = 5
	EventPending        EventKind = 6
	EventRunning        EventKind = 7
	EventFailed         EventKind = 8
	EventSucceeded      EventKind = 9
	EventReprioritizing EventKind = 10
	EventReprioritized  EventKind = 11
	EventCancelling     EventKind = 12
	EventCancelled      EventKind = 13
	EventPreempting     EventKind = 14
	EventPreempted      EventKind = 15
	EventUtilisation    EventKind = 16
	EventIngressInfo    EventKind = 17
)

var eventKindNames = [...]string{
	"none", "submitted", "queued", "leased", "lease returned", "lease expired", "pending", "running", "failed",
	"succeeded", "reprioritizing", "reprioritized", "cancelling", "cancelled", "preempting", "preempted", "utilisation", "ingress info",
}

// String returns the kind in words.
func (k EventKind) String() string {
	if int(k) < len(eventKindNames) {
		return eventKindNames[k]
	}
	return "unknown"
}

// Event is one thing that happened to a job. Which fields are set depends on
// the kind; those of other kinds are zero.
type Event struct {
	// Number counts the events of one incarnation of a job set: 1, 2, 3, …
	// without gap. It is zero until the store has given it.
	Number  int64
	Kind    EventKind
	Job     JobID
	Created time.Time // never before that of the job's previous event

	Run      RunID      // all kinds that concern one attempt
	Executor ExecutorID // likewise
	Pool     string     // leased, pending, running
	Node     string     // running, failed, succeeded, ingress info
	Pod      Pod        // pending, running, failed, succeeded, ingress info

	By       string  // who asked: reprioritiz*, cancel*, preempt*
	Reason   string  // failed, lease returned, cancel*, preempt*
	Priority uint32  // submitted, reprioritiz*
	For      JobID   // preempted: the job that gets the place
	End      *RunEnd // failed: cause, category, containers
	// Retryable tells of a failed event that another attempt follows.
	Retryable bool
	// Attempted tells of a returned lease that the pod may have run.
	Attempted bool
	Addresses map[int32]string // ingress info: address by container port
	Usage     *Usage           // utilisation
}

// Usage is what a run used over a period, by resource name, as decimal
// quantities in Kubernetes' notation.
type Usage struct {
	Max, Average, Cumulative map[string]string
}
