// Package checker proves, from what clients saw and from what really ran on
// the nodes, that a system of servers, executors and a database kept its
// promises while everything around it broke.
//
// It is written apart from the server, on purpose: it imports nothing of it,
// knows states and events by their names on the wire only, and has an opinion
// of its own about what is legal. What it is given is a [History]; what it finds
// are [Violation] values. It never explains a violation away: whoever breaks
// things must record that, so that what follows from it can be told apart.
//
// Start reading at [Check].
package checker

import (
	"fmt"
	"time"
)

// History is what was recorded by those who used the system, and by those who
// run its pods. Times are durations since any moment that is the same for all.
type History struct {
	Submits    []Submit
	Cancels    []Cancel
	Priorities []Priority
	Reads      []Read
	Watches    []Watch
	Listings   []Listing
	Pods       []Pod
	Nodes      map[Node]int64 // what each has, in thousandths of a core
}

// Submit is one attempt to submit one job. Several may carry one client id.
type Submit struct {
	JobSet   string
	ClientID string
	CPU      int64  // thousandths of a core
	Job      string // the id that was answered; empty when there was no answer or an error
}

// Cancel is one call to cancel jobs: those that were asked for, and those that
// the answer named.
type Cancel struct {
	Asked, Answered []string
}

// Priority is a call to reprioritise one job that was answered with success.
type Priority struct {
	Job string
	To  float64
}

// Read is a look for a job on one server right after another one, or the same,
// had acknowledged its submission.
type Read struct {
	Job, Server string
	Seen        bool
}

// Watch is all that one watcher saw of a job set, over all its connections.
type Watch struct {
	Watcher string
	JobSet  string
	Events  []Event
}

// Event is an event as it came over the wire.
type Event struct {
	ID        string // incarnation-number
	Kind      string // the name of the field of EventMessage
	Job       string
	ClientID  string // of submitted
	Created   time.Time
	Priority  float64 // of reprioritized
	Retryable bool    // of failed
}

// Listing is what one server said at the very end: states by job, as often as
// each was listed.
type Listing struct {
	Server string
	Jobs   []Listed
}

// Listed is a job in a listing.
type Listed struct{ Job, State string }

// Node names a node of a cluster.
type Node struct{ Executor, Name string }

// Pod is the time that a pod really was on a node.
type Pod struct {
	Node    Node
	Run     string
	Job     string
	Began   time.Duration
	Ended   time.Duration
	Outcome string // succeeded, failed, stopped; killed when its runtime was
	Life    int    // of the runtime: each forgets what the one before knew
}

// Violation is a promise that was not kept.
type Violation struct {
	Promise string
	Detail  string
}

func (v Violation) String() string { return v.Promise + ": " + v.Detail }

// findings collects violations.
type findings struct{ all []Violation }

func (f *findings) add(promise, format string, args ...any) {
	f.all = append(f.all, Violation{promise, fmt.Sprintf(format, args...)})
}

// Check returns every promise that the history shows to be broken, in the order
// in which the promises stand here.
func Check(h *History) []Violation {
	f := &findings{}
	events := agree(f, h.Watches)
	jobs := lives(f, events)
	submitted(f, h, jobs)
	listed(f, h, jobs)
	wishes(f, h, jobs)
	pods(f, h, jobs)
	return f.all
}
