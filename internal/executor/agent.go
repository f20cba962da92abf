package executor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"armada"
	"armada/internal/runs"
	"armada/pkg/api/executorapi"
)

// Agent is the executor of one cluster. Make it with [New] and let it work with
// [Agent.Run].
type Agent struct {
	config  Config
	table   armada.ResourceTable
	api     executorapi.ExecutorApiClient
	logs    executorapi.ExecutorAgentClient
	runtime runs.Runtime
	log     *slog.Logger

	ledger   *ledger
	seen     runs.Cursor // up to which the ledger has learned from the runtime; of the goroutine that reports
	lease    *lease
	starts   chan struct{} // one token per start in progress
	draining atomic.Bool

	news   *signal // the runtime or the ledger may have something to report
	hello  *signal // a request should be sent now
	opened *signal // a session was opened

	mu      sync.Mutex
	session armada.SessionID // the open session; empty when there is none
}

// New makes an agent that speaks with the server behind the connection. The
// runtime stays the caller's to close, after Run has returned.
func New(config Config, table armada.ResourceTable, server grpc.ClientConnInterface, runtime runs.Runtime, log *slog.Logger) (*Agent, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("executor config: %w", err)
	}
	return &Agent{
		config:  config,
		table:   table,
		api:     executorapi.NewExecutorApiClient(server),
		logs:    executorapi.NewExecutorAgentClient(server),
		runtime: runtime,
		log:     log.With("executor", config.ID),
		ledger:  newLedger(),
		lease:   newLease(time.Now().Add(config.FirstLease)),
		starts:  make(chan struct{}, config.Starts),
		news:    newSignal(),
		hello:   newSignal(),
		opened:  newSignal(),
	}, nil
}

// Run works until the context ends, and returns its cause then. Runs go on: to
// end them first, call Drain.
func (a *Agent) Run(ctx context.Context) error {
	var statuses []runs.Status
	statuses, a.seen = a.runtime.Changed(0)
	a.ledger.learn(statuses)
	if len(statuses) > 0 {
		a.log.Info("adopted runs", "runs", len(statuses))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.keepSession(ctx) })
	g.Go(func() error { return a.watchRuntime(ctx) })
	g.Go(func() error { return a.report(ctx) })
	g.Go(func() error { return a.lease.watch(ctx, a.config.Margin, a.stopForLease) })
	return g.Wait()
}

// Drain takes nothing new, stops all runs with their grace period and gives
// their leases back, so that their jobs are queued again. It returns when the
// server knows of every end, or with the context's cause. Run must be running.
func (a *Agent) Drain(ctx context.Context) error { return a.drain(ctx, 0) }

// Kill is Drain without grace periods.
func (a *Agent) Kill(ctx context.Context) error { return a.drain(ctx, -1) }

func (a *Agent) drain(ctx context.Context, grace time.Duration) error {
	a.draining.Store(true)
	a.hello.raise()
	a.stopAll(ctx, grace)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for a.ledger.size() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d runs have not ended: %w", a.ledger.size(), context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// Holds tells how many runs the agent answers for.
func (a *Agent) Holds() int { return a.ledger.size() }

// watchRuntime turns the runtime's updates into news.
func (a *Agent) watchRuntime(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.runtime.Updates():
			a.news.raise()
		}
	}
}

// stopForLease stops every run because the lease is about to end: the server
// may give them up soon after. Their jobs fail: whether they may be repeated is
// not ours to say.
func (a *Agent) stopForLease(ctx context.Context) {
	stopping := a.ledger.loseLease()
	if len(stopping) == 0 {
		return
	}
	a.log.Error("the lease was not renewed in time; stopping all runs", "runs", len(stopping))
	for _, run := range stopping {
		a.stop(ctx, run, a.config.Margin/3)
	}
}

// stopAll asks every active run to end; grace 0 stands for each run's own.
func (a *Agent) stopAll(ctx context.Context, grace time.Duration) {
	for _, run := range a.ledger.active() {
		a.stop(ctx, run, grace)
	}
}

// signal is a condition that may have come true; raising it twice is raising
// it once.
type signal struct{ c chan struct{} }

func newSignal() *signal { return &signal{make(chan struct{}, 1)} }

func (s *signal) raise() {
	select {
	case s.c <- struct{}{}:
	default:
	}
}
