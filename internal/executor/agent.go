package executor

import (
	"context"
	"errors"
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
	server  executorapi.ExecutorAgentClient // takes logs, and what becomes of commands
	runtime runs.Runtime
	log     *slog.Logger

	ledger   *ledger
	meter    *meter
	lease    *lease
	starters *crew
	stoppers *crew // others, so that a stop does not wait for starts
	sweepers *crew // and others, so that no report waits for what is forgotten
	draining atomic.Bool
	execs    chan struct{} // holds one for each command that runs
	commands sync.WaitGroup
	// forgetting is how many runs the runtime is still to forget.
	forgetting atomic.Int64

	news  *signal // the ledger may have something to report, or a session to report it in
	hello *signal // a request should be sent now

	mu      sync.Mutex
	session armada.SessionID // the open session; empty when there is none
}

// New makes an agent that speaks with the server behind the connection (see
// [Connect]), which must notice a link that is dead: the agent ends a session
// that gets no answers, but the next one is opened on the same connection. The
// runtime stays the caller's to close, after Run has returned.
func New(config Config, table armada.ResourceTable, server grpc.ClientConnInterface, runtime runs.Runtime, log *slog.Logger) (*Agent, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("executor config: %w", err)
	}
	return &Agent{
		config:   config,
		table:    table,
		api:      executorapi.NewExecutorApiClient(server),
		server:   executorapi.NewExecutorAgentClient(server),
		runtime:  runtime,
		log:      log.With("executor", config.ID),
		ledger:   newLedger(),
		meter:    newMeter(),
		lease:    newLease(time.Now().Add(config.FirstLease)),
		starters: newCrew(config.Starts),
		stoppers: newCrew(config.Starts),
		sweepers: newCrew(config.Starts),
		execs:    make(chan struct{}, config.MaxExecs),
		news:     newSignal(),
		hello:    newSignal(),
	}, nil
}

// Run works until the context ends, and returns its cause then. Runs go on: to
// end them first, call Drain.
func (a *Agent) Run(ctx context.Context) error {
	found, cursor := a.runtime.Changed(0)
	a.learn(found)
	if len(found) > 0 {
		a.log.Info("adopted runs", "runs", len(found))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.starters.work(ctx) })
	g.Go(func() error { return a.stoppers.work(ctx) })
	g.Go(func() error { return a.sweepers.work(ctx) })
	g.Go(func() error { return a.keepSession(ctx) })
	g.Go(func() error { return a.watchRuntime(ctx, cursor) })
	g.Go(func() error { return a.report(ctx) })
	g.Go(func() error { return a.measure(ctx) })
	g.Go(func() error { return a.lease.watch(ctx, a.config.Margin, a.stopForLease) })
	err := g.Wait()
	a.commands.Wait()
	return err
}

// Drain takes nothing new, stops all runs with their grace period and gives
// their leases back, so that their jobs are queued again. It returns when the
// server knows of every end and the runtime has forgotten it, or with the context's
// cause. Run must be running.
func (a *Agent) Drain(ctx context.Context) error { return a.drain(ctx, 0) }

// Kill is Drain without grace periods.
func (a *Agent) Kill(ctx context.Context) error { return a.drain(ctx, byForce) }

// byForce is the grace of a stop that does not ask.
const byForce = -time.Second

func (a *Agent) drain(ctx context.Context, grace time.Duration) error {
	a.draining.Store(true)
	a.hello.raise()
	for _, run := range a.ledger.active() {
		a.stop(run, grace)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for a.Holds() > 0 || a.forgetting.Load() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d runs have not ended, and %d are not forgotten: %w", a.Holds(), a.forgetting.Load(), context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// Holds tells how many runs the agent answers for.
func (a *Agent) Holds() int { return a.ledger.size() }

// watchRuntime takes over what the runtime tells: what has waited for an end
// can start, and the server is to know.
func (a *Agent) watchRuntime(ctx context.Context, cursor runs.Cursor) error {
	for {
		a.learned()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.runtime.Updates():
		}
		var changed []runs.Status
		changed, cursor = a.runtime.Changed(cursor)
		a.learn(changed)
	}
}

// learn enters what the runtime tells, with failures named, and with what a run
// has used before its end.
func (a *Agent) learn(statuses []runs.Status) {
	for i := range statuses {
		a.config.Categories.name(&statuses[i])
		if s := &statuses[i]; s.Phase.Ended() {
			a.ledger.used(s.Run, a.meter.end(s.Run))
		}
	}
	a.ledger.learn(statuses)
}

// learned does what follows from news in the ledger.
func (a *Agent) learned() {
	for _, run := range a.ledger.release() {
		a.start(run)
	}
	a.news.raise()
}

// start has the runtime start a queued run.
func (a *Agent) start(run armada.RunID) {
	a.starters.give(func(ctx context.Context) {
		if !a.lease.allows(a.config.Margin) {
			a.giveBack(run, leaseEnds)
			return
		}
		o := a.ledger.begin(run)
		if o == nil {
			return
		}
		err := a.runtime.Start(ctx, *o)
		switch {
		case err == nil:
			if grace, stop := a.ledger.started(run); stop {
				a.stop(run, grace)
			}
		case ctx.Err() != nil: // the run may exist: the next agent finds it if it does
		case errors.Is(err, runs.ErrSpent):
			a.giveBack(run, giveBack{reason: err.Error(), subcategory: armada.SubcategoryRunSpent})
		default:
			a.log.Warn("a run could not be started; its lease is given back", "run", run, "error", err)
			a.giveBack(run, giveBack{reason: "the pod could not be made: " + err.Error()})
		}
	})
}

// leaseEnds is why a run that came too late is given back: the server's word
// arrives, but what it hears of the agent does not renew the lease, so it may
// give the run up before it has begun.
var leaseEnds = giveBack{reason: "the executor's lease is about to end", subcategory: armada.SubcategoryLeaseExpired}

// giveBack gives the lease of a run back that never ran.
func (a *Agent) giveBack(run armada.RunID, why giveBack) {
	a.ledger.giveBack(run, why)
	a.learned()
}

// stop asks a run to end; grace is as for the runtime. A run that nobody here
// knows is none that could run.
func (a *Agent) stop(run armada.RunID, grace time.Duration) {
	if !a.ledger.stop(run, grace) {
		a.learned()
		return
	}
	a.stoppers.give(func(ctx context.Context) {
		err := a.runtime.Stop(ctx, run, grace)
		a.ledger.stopAsked(run)
		switch {
		case errors.Is(err, runs.ErrUnknownRun):
			a.ledger.lost(run)
			a.learned()
		case err != nil:
			a.log.Error("a run could not be asked to stop", "run", run, "error", err)
		}
	})
}

// forget has the runtime forget a run whose end the server knows. One that cannot
// be forgotten now is later: what its runtime keeps of it would stay for good.
func (a *Agent) forget(run armada.RunID) {
	a.forgetting.Add(1)
	a.tryToForget(run, a.config.RetryMin)
}

func (a *Agent) tryToForget(run armada.RunID, pause time.Duration) {
	a.sweepers.give(func(ctx context.Context) {
		err := a.runtime.Forget(ctx, run)
		switch {
		case err == nil:
			a.forgetting.Add(-1)
		case ctx.Err() != nil: // the next agent finds it, and reports its end again
		default:
			a.log.Error("an ended run could not be forgotten; trying again", "run", run, "retry", pause, "error", err)
			time.AfterFunc(pause, func() { a.tryToForget(run, min(2*pause, a.config.RetryMax)) })
		}
	})
}

// stopForLease stops every run because the lease is about to end: the server
// may give them up soon after. Their jobs fail: whether they may be repeated is
// not ours to say. What has not begun is given back.
func (a *Agent) stopForLease() {
	stopping, news := a.ledger.loseLease()
	if news > 0 {
		a.log.Error("the lease was not renewed in time; stopping all runs", "runs", len(stopping))
	}
	for _, run := range stopping {
		a.stop(run, a.config.Margin/3)
	}
	a.learned()
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
