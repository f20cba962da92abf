package armada

import "time"

// JobState is where a job stands. The zero value is no state.
type JobState uint8

// The states of a job. Which may follow which is the table of
// internal/lifecycle.
const (
	JobQueued    JobState = 1 + iota // waits for a place
	JobLeased                        // an executor may start its run
	JobPending                       // its pod was made and is not running yet
	JobRunning                       // its containers run
	JobSucceeded                     // every container ended with exit code 0
	JobFailed                        // its run ended badly and is not repeated
	JobCancelled                     // a user did not want it any more
	JobPreempted                     // the scheduler took its place away
	JobRejected                      // it can never run here
)

var jobStateNames = [...]string{"none", "queued", "leased", "pending", "running", "succeeded", "failed", "cancelled", "preempted", "rejected"}

// JobStates lists every state in the order of a job's life.
func JobStates() []JobState {
	return []JobState{JobQueued, JobLeased, JobPending, JobRunning, JobSucceeded, JobFailed, JobCancelled, JobPreempted, JobRejected}
}

// String returns the lower-case name of the state.
func (s JobState) String() string {
	if int(s) < len(jobStateNames) {
		return jobStateNames[s]
	}
	return "unknown"
}

// Active tells whether the job may still change: it is queued or has a run.
func (s JobState) Active() bool { return s >= JobQueued && s <= JobRunning }

// Terminal tells whether the job has reached its end.
func (s JobState) Terminal() bool { return s >= JobSucceeded && s <= JobRejected }

// Job is what a user asked to run once, as far as the scheduler and the life
// cycle need it. What only users and executors need is in [JobDetails]; the
// pod spec is the template.
type Job struct {
	ID       JobID
	Number   int64 // submit number: the store's order of submission, from 1
	Queue    string
	JobSet   JobSet
	Owner    string   // the user who submitted it
	Groups   []string // the owner's groups at that time
	ClientID string   // the submitter's own id, for exact deduplication; may be empty
	Priority uint32   // order within the queue, low first
	Template TemplateID
	Shape    ShapeID
	Gang     Gang
	Band     PriceBand // of its bids, in market-driven pools

	State    JobState
	Version  int64  // +1 per transition, from 1
	Wish     Wish   // what was asked for and has not happened yet
	Attempts int    // runs begun so far; the current run is Attempts'th
	Reason   string // why the job ended as it did; empty otherwise
	Lessons  *Lessons

	Submitted    time.Time
	Transitioned time.Time // of the latest transition; never decreases
	Told         time.Time // of the latest event, where that was none (usage, addresses); zero otherwise
}

// Latest is the time of the job's latest event, before which none is dated.
func (j *Job) Latest() time.Time {
	if j.Told.After(j.Transitioned) {
		return j.Told
	}
	return j.Transitioned
}

// Run returns the id of the job's current or latest run, and false for a job
// that was never leased.
func (j Job) Run() (RunID, bool) {
	if j.Attempts == 0 {
		return "", false
	}
	return NewRunID(j.ID, j.Attempts), true
}

// Cancellation tells who cancelled the job, or asks for it, and why; false when
// nobody does.
func (j *Job) Cancellation() (by, why string, cancelled bool) {
	switch {
	case j.Wish.Kind == WishCancel:
		return j.Wish.By, j.Wish.Why, true
	case j.State == JobCancelled:
		return "", j.Reason, true
	default:
		return "", "", false
	}
}

// WishKind is what somebody wants to happen to a job with a run. A wish is a
// field and not a state: the run may still end by itself first.
type WishKind uint8

// The wishes.
const (
	WishNone    WishKind = iota
	WishCancel           // a user wants the job to end
	WishPreempt          // the scheduler or a user wants its place
)

// Wish is a request to end a job, recorded until its run has ended.
type Wish struct {
	Kind WishKind
	By   string // who asked: a user name, or "scheduler"
	Why  string // the reason given; may be empty
	For  JobID  // the job that gets the place of a preempted one; may be empty
	At   time.Time
}

// JobDetails is the part of a job that no decision depends on. It does not
// change after submission.
type JobDetails struct {
	Namespace   string
	Labels      map[string]string
	Annotations map[string]string
	ExternalURI string
	Scheduler   string
	Ingresses   []IngressRequest
	Services    []ServiceRequest
}

// IngressRequest asks for ports of the job's pod to be reachable from outside
// the cluster.
type IngressRequest struct {
	Ports        []uint32
	Annotations  map[string]string
	TLS          bool
	CertName     string
	UseClusterIP bool
}

// ServiceRequest asks for a service in front of the job's pod.
type ServiceRequest struct {
	Headless bool // otherwise a node port
	Ports    []uint32
	Name     string
}
