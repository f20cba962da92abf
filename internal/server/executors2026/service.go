package executors2026

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"armada"
	"armada/internal/podspec"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
)

// Config is what an operator decides about executors of 2026.
type Config struct {
	// ClosedAfter is for how long such an executor may be silent before nothing
	// new is placed there.
	ClosedAfter time.Duration
	// MaxAttempts is how many leases of a job are given back until it fails.
	MaxAttempts int
	// Pinning says how pods get to their nodes.
	Pinning wire.Pinning
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{ClosedAfter: time.Minute, MaxAttempts: 4, Pinning: wire.Pinning{NodeIDLabel: armada.LabelHostname}}
}

// Validate tells everything that is wrong with the config.
func (c Config) Validate() error {
	var errs []error
	if c.ClosedAfter < 15*time.Second {
		errs = append(errs, fmt.Errorf("original2026.closedAfter: must be at least 15s, three times the pause between two requests, is %s", c.ClosedAfter))
	}
	if c.MaxAttempts < 1 {
		errs = append(errs, fmt.Errorf("original2026.maxAttempts: must be at least 1, is %d", c.MaxAttempts))
	}
	for _, v := range podspec.ValidateLabel(c.Pinning.NodeIDLabel, "", func() string { return "" }) {
		errs = append(errs, fmt.Errorf("original2026.nodeIDLabel: %s", v.Message))
	}
	return errors.Join(errs...)
}

// Store is the part of the store that serving these executors needs.
type Store interface {
	store.Executors
	store.Restoration
	JobsByID(ctx context.Context, ids []armada.JobID) ([]store.FullJob, error)
	Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error)
}

// Parts are what a service is made of.
type Parts struct {
	Store Store
	Table armada.ResourceTable
	// Lease makes the lease of a run as any executor gets it. Its pod spec is
	// shared.
	Lease func(ctx context.Context, o *store.Order) (*executorapi.JobRunLease, error)
	// Authorize tells whether the caller of a context may act as an executor.
	Authorize func(ctx context.Context, id armada.ExecutorID) error
	Log       *slog.Logger
}

// Service serves executors of 2026. It is safe for concurrent use.
type Service struct {
	config Config
	Parts

	mu    sync.Mutex
	peers map[armada.ExecutorID]*peer
}

// New makes a service.
func New(config Config, parts Parts) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Service{config: config, Parts: parts, peers: map[armada.ExecutorID]*peer{}}, nil
}

// peer is what this replica remembers of an executor. Requests of one executor
// are answered one after the other.
type peer struct {
	turn   chan struct{} // holds one: whoever has it answers
	latest context.CancelCauseFunc

	// missing tells since when runs that had begun are on no list, and ended since
	// when runs that the executor itself ended are listed all the same.
	missing, ended map[armada.RunID]time.Time
}

// errOvertaken ends the answer to a request when another one of the same executor
// has come: whoever made it does not wait any more, or is another process.
var errOvertaken = &armada.Error{Code: armada.CodeFenced, Message: "a newer request of this executor has come"}

// takeTurn waits until older requests of the executor are answered or given up,
// and returns what is remembered of it; done must be called afterwards.
func (s *Service) takeTurn(ctx context.Context, id armada.ExecutorID) (_ context.Context, p *peer, done func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	p = s.peers[id]
	if p == nil {
		p = &peer{turn: make(chan struct{}, 1), latest: func(error) {}, missing: map[armada.RunID]time.Time{}, ended: map[armada.RunID]time.Time{}}
		s.peers[id] = p
	}
	p.latest(errOvertaken)
	p.latest = cancel
	s.mu.Unlock()
	select {
	case p.turn <- struct{}{}:
		return ctx, p, func() {
			<-p.turn
			cancel(nil)
		}, nil
	case <-ctx.Done():
		defer cancel(nil)
		return nil, nil, nil, context.Cause(ctx)
	}
}

// since returns for how long something has been so that is so now.
func since(seen map[armada.RunID]time.Time, run armada.RunID, now time.Time) time.Duration {
	first, known := seen[run]
	if !known {
		first = now
		seen[run] = now
	}
	return now.Sub(first)
}
