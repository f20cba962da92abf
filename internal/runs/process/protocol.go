//go:build linux

package process

import (
	"time"

	"armada"
	"armada/internal/runs"
)

// protocolVersion is that of the messages below. A supervisor outlives the
// binary that started it, so a newer client may meet an older supervisor: a
// change that the other side would misunderstand needs a new number, and the
// client keeps speaking the older one until no supervisor can speak it.
const protocolVersion = 1

// request is one line of JSON from the client. One field besides ID is set; the
// first request of a connection is Hello. Every request is answered, and all
// may be repeated.
type request struct {
	ID     uint64        `json:"id"`
	Hello  *hello        `json:"hello,omitempty"`
	Start  *runs.Order   `json:"start,omitempty"`
	Stop   *stopRequest  `json:"stop,omitempty"`
	Forget armada.RunID  `json:"forget,omitempty"`
	Prune  *pruneRequest `json:"prune,omitempty"`
	Usage  bool          `json:"usage,omitempty"` // what the living runs have used
	Quit   bool          `json:"quit,omitempty"`  // end, if nothing runs
	// Exec needs no Hello and is all that its connection is for: the command is
	// killed when that ends. With the line come the handles of what the command
	// reads and writes.
	Exec *execRequest `json:"exec,omitempty"`
}

type hello struct {
	Version int `json:"version"`
}

type stopRequest struct {
	Run   armada.RunID  `json:"run"`
	Grace time.Duration `json:"grace"` // nanoseconds
}

type execRequest struct {
	Run       armada.RunID `json:"run"`
	Container string       `json:"container,omitempty"`
	Args      []string     `json:"args"`
	// Terminal tells that one handle comes, of a terminal; otherwise there are
	// three, of input, output and errors.
	Terminal bool `json:"terminal,omitempty"`
}

type pruneRequest struct {
	Before time.Time `json:"before"`
	Size   int64     `json:"size"` // bytes
}

// reply is one line of JSON from the supervisor: the answer to the request of
// the same ID, or, with ID 0, the status of a run that has changed. Before an
// answer come all changes that happened before it; before that to Hello come
// all runs.
type reply struct {
	ID       uint64       `json:"id,omitempty"`
	Status   *runs.Status `json:"status,omitempty"`
	Failure  failure      `json:"failure,omitempty"`
	Text     string       `json:"text,omitempty"`     // of a failure, for people
	Version  int          `json:"version,omitempty"`  // to Hello: what the supervisor speaks
	Limits   bool         `json:"limits,omitempty"`   // to Hello: memory limits are enforced
	Features string       `json:"features,omitempty"` // to Hello: what it can do, for people
	Commands bool         `json:"commands,omitempty"` // to Hello: it knows Exec
	Measures bool         `json:"measures,omitempty"` // to Hello: it answers Usage
	Pruned   int          `json:"pruned,omitempty"`   // to Prune
	ExitCode *int32       `json:"exitCode,omitempty"` // to Exec; Text says why the command could not begin

	Usage map[armada.RunID]reading `json:"usage,omitempty"` // to Usage
}

// failure is the kind of an answer that is none.
type failure string

const (
	failed         failure = "failed"  // nothing was done
	failureUnknown failure = "unknown" // the run is not known
	failureSpent   failure = "spent"   // the run has ended and was forgotten
	failureIdle    failure = "idle"    // the container does not run
	failureBusy    failure = "busy"    // runs live
	failureLeaving failure = "leaving" // the supervisor ends; the next one can be asked
)
