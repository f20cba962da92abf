// Package runs is the contract of what runs pods: it starts and stops them,
// tells what they do, and keeps what they print. The forms are process (the
// containers' commands as process groups of this machine), kubernetes (pods)
// and simulated (made-up nodes); runstest is the one suite that all pass.
//
// The words: an order says what to run and where; a status is what the runtime
// knows of one run; an ended run stays known, with its outcome and its logs,
// until it is forgotten.
//
// A runtime is used by one executor. It outlives the executor where it can: a
// new executor finds by Statuses what is there and adopts it. It must never
// start a run twice, never decide what runs, and never talk to the server.
package runs

import (
	"context"
	"errors"
	"time"

	"armada"
)

// ErrUnknownRun is answered for a run that the runtime does not know.
var ErrUnknownRun = errors.New("the runtime does not know the run")

// ErrSpent is answered to an order for a run that has ended and was forgotten:
// nobody would ever tell of it again. A server whose store was restored may give
// one.
var ErrSpent = errors.New("a run of this id has ended here before")

// Runtime runs pods. All methods may be called from many goroutines.
type Runtime interface {
	// Nodes returns the nodes there are, with what Armada may use of each. The
	// Executor of a node is set by the caller.
	Nodes(ctx context.Context) ([]armada.Node, error)
	// Start makes the pod of an order. It is idempotent: an order whose run is
	// known, even ended, is not started again and is no error. It returns when
	// the runtime has recorded that the run exists, not when it runs. An order
	// that can never work ends at once as Failed; an error means that nothing
	// was done and the lease may be returned, unless it is the context's: then
	// the run may exist or come to. For a run that was forgotten it is ErrSpent
	// where the runtime still remembers that.
	Start(ctx context.Context, o Order) error
	// Stop asks a run to end: politely, after grace by force. Grace 0 stands for
	// the grace period of its pod spec, a negative one for force at once; a later
	// Stop may shorten the grace, not lengthen it. A run whose containers all end
	// with exit code 0 has succeeded, even after a Stop, and one that failed
	// before it has failed. Stopping an ended run does nothing. ErrUnknownRun when
	// the run is not known.
	Stop(ctx context.Context, run armada.RunID, grace time.Duration) error
	// Forget drops an ended run from Statuses when the server has acknowledged
	// its end; its logs stay for their own time. Forgetting an unknown run does
	// nothing.
	Forget(ctx context.Context, run armada.RunID) error
	// Statuses returns every run that is known, ended ones too.
	Statuses(ctx context.Context) ([]Status, error)
	// Changer is how a listener follows the runs.
	Changer
	// Updates returns a channel that receives when Statuses or Nodes may answer
	// differently, coalesced. One listener.
	Updates() <-chan struct{}
	// Logs calls visit with the lines of a run, oldest first, until the end or,
	// with Follow, until the run has ended. ErrUnknownRun when nothing is kept.
	Logs(ctx context.Context, run armada.RunID, q LogQuery, visit func(LogLine) error) error
	// Execer runs commands beside those of the pods.
	Execer
	// Close releases what this process holds; runs go on where the form allows.
	Close() error
}

// Order says what to run.
type Order struct {
	Run         armada.RunID
	Job         armada.JobID
	Queue       string
	JobSet      armada.JobSet
	Owner       string
	Groups      []string
	Node        string
	Pool        string
	Namespace   string
	Labels      map[string]string
	Annotations map[string]string
	Spec        []byte // the pod spec's bytes, for internal/podspec
	// Objects are to be made beside the pod, where there is a cluster to have them
	// in; they go when the run ends.
	Objects []Object `json:",omitempty"`
}

// Object is a service or an ingress: the bytes of one of Kubernetes' specs. The
// selector of a service is the runtime's to write, and the end of an ingress's
// hosts.
type Object struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	Service     []byte // k8s.io.api.core.v1.ServiceSpec
	Ingress     []byte // k8s.io.api.networking.v1.IngressSpec
}

// Phase is how far a run has come, as its runtime sees it.
type Phase uint8

// The phases.
const (
	Pending   Phase = 1 + iota // known, its containers do not run yet
	Running                    // its containers run
	Succeeded                  // every container ended with exit code 0
	Failed                     // it ended badly by itself
	Stopped                    // it ended because Stop was called
	Unknown                    // it is gone and nobody saw its end
)

// String returns the lower-case name of the phase.
func (p Phase) String() string {
	names := [...]string{"none", "pending", "running", "succeeded", "failed", "stopped", "unknown"}
	if int(p) < len(names) {
		return names[p]
	}
	return "invalid"
}

// Ended tells whether the run is over.
func (p Phase) Ended() bool { return p >= Succeeded }

// Status is what the runtime knows of a run.
type Status struct {
	Run      armada.RunID
	Job      armada.JobID
	Queue    string
	JobSet   armada.JobSet
	Phase    Phase
	Node     string
	Pod      armada.Pod
	Pending  time.Time // when the phases were reached; zero where they were not
	Running  time.Time
	Ended    time.Time
	End      armada.RunEnd // of an ended run
	Stopping bool          // Stop was called and the run has not ended
	// Stuck says why a pending run does not begin; empty when it gets on, or nobody
	// knows.
	Stuck string `json:",omitempty"`
	// GiveBack tells of an ended run that it never began, through no fault of its
	// job: its lease may be given back, and the job run elsewhere.
	GiveBack bool `json:",omitempty"`
	// Events are what the cluster said of the pod of a run that ended badly, oldest
	// first: the reason and the message of each.
	Events []string `json:",omitempty"`
	// Addresses are where the ports of its services and ingresses are reached from
	// outside, by the container's port; nil until all of them are known.
	Addresses map[uint32]string `json:",omitempty"`
}

// LogQuery selects lines of a run.
type LogQuery struct {
	Container string    // empty: all
	Tail      int64     // only the last lines; 0: all
	Since     time.Time // only lines from then on; zero: all
	Follow    bool      // wait for more until the run ends
	// Previous asks for what containers printed in the life before their latest,
	// where they were started again, as sidecars are; then Follow waits for nothing.
	Previous bool
}

// LogLine is one line that a container printed, without its newline. Lines
// longer than 64 KiB come in pieces.
type LogLine struct {
	Time      time.Time
	Container string
	Stderr    bool
	Text      []byte // owned by the receiver
}
