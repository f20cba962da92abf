// Package peers is how replicas of the server ask each other for what only one
// of them knows.
//
// Nearly everything is in the store, where every replica finds it. Two things
// are not: the stream of an executor is held by one replica, and only through
// it the executor's logs can be read and commands be run; and why jobs wait, where they
// stand and how the queues share the pools is in the memory of the replica that
// leads. [Peers] tells both to the services of its own replica (asking.go, exec.go,
// shares.go): from here when that is possible, otherwise by asking the one that
// the store names, once. What it answers to others (answers.go) comes from here
// only, so that no question goes in circles.
//
// Nothing that must be right depends on this package, and nothing may be added
// that does. Without the leader a waiting job has no reason for a moment, and a log
// that cannot be read, or a command that cannot be run, is UNAVAILABLE and says which replica was not reached.
package peers

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/runs"
	"armada/internal/scheduling"
	"armada/internal/store"
	"armada/internal/wire"
)

// Executors are the executors whose streams this replica holds.
type Executors interface {
	// Holds tells whether the executor's stream is held here.
	Holds(id armada.ExecutorID) bool
	// Logs calls visit with the lines of a run, oldest first.
	Logs(ctx context.Context, id armada.ExecutorID, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error
	// RunCommand runs a command in a container of a run, with its input and output
	// on the stream, and returns when the exit code was sent.
	RunCommand(ctx context.Context, id armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error
}

// Explanations are what this replica knows of rounds while it leads.
type Explanations interface {
	// Leading tells whether there are any.
	Leading() bool
	// Reasons tells why a queued job waits in each pool, the most hopeful first.
	Reasons(job armada.Job) []armada.Reason
	// Standing tells where a queued job stands, and false when it does not wait
	// or the context is done first.
	Standing(ctx context.Context, job armada.Job) (armada.Standing, bool)
	// Reports returns the latest report of every pool, by name. They must not be
	// changed.
	Reports() []scheduling.Report
	// Waiting tells why jobs of a pool wait, one entry per shape and queue.
	Waiting(pool string) ([]scheduling.Waiting, bool)
}

// Parts are what a replica knows by itself.
type Parts struct {
	Replica      string // this one's name
	Executors    Executors
	Explanations Explanations
	Resources    armada.ResourceTable // what the amounts in explanations are of
	// Leader returns who leads, as far as this replica knows.
	Leader func() store.Leader
	// Executor returns an executor with the replica that holds its stream.
	Executor func(context.Context, armada.ExecutorID) (armada.Executor, error)
	Log      *slog.Logger
	// TLS is how others are spoken with; nil for in plain text.
	TLS *tls.Config
	// Authorization is what they are told in the header of that name; empty for
	// nothing.
	Authorization string
}

// Peers asks other replicas and answers them. Its methods may be called from
// many goroutines.
type Peers struct {
	parts Parts

	mu     sync.Mutex
	leader *grpc.ClientConn // to the leader that was asked last; nil before
	addr   string           // its address
}

// New makes the peers of a replica.
func New(parts Parts) *Peers { return &Peers{parts: parts} }

// Close ends the connections to others.
func (p *Peers) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leader == nil {
		return nil
	}
	leader := p.leader
	p.leader, p.addr = nil, ""
	return leader.Close()
}
