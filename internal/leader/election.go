package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// Leader is a replica that leads whenever it is elected.
type Leader struct {
	config       Config
	store        Store
	replica      store.Replica
	latest       atomic.Pointer[store.Leader] // what the store answered last
	log          *slog.Logger
	clock        Clock
	bids         Bids
	metrics      *metrics
	explanations Explanations
	plans        func() func(pool string) planner // makes those of a term
}

// New makes a replica that takes part in elections once it runs.
func New(config Config, parts Parts) (*Leader, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	l := &Leader{config: config, store: parts.Store, replica: parts.Replica, log: parts.Log, clock: parts.Clock, bids: parts.Bids}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.clock == nil {
		l.clock = MachineClock{}
	}
	l.plans = func() func(pool string) planner {
		rules := config.Scheduling
		rules.MaxDecision = store.MaxTransition
		shared := scheduling.NewShared(rules)
		return func(name string) planner { return fairPool{shared.NewPool(name)} }
	}
	l.explanations.questions = make(chan question)
	var err error
	l.metrics, err = newMetrics(parts.Metrics, &l.explanations, config.Scheduling.Resources)
	return l, err
}

// Known returns who leads, as the store told this replica last: a moment ago
// while [Leader.Run] is running. It is the zero value before the first answer
// and when nobody leads.
func (l *Leader) Known() store.Leader {
	if latest := l.latest.Load(); latest != nil {
		return *latest
	}
	return store.Leader{}
}

// Explanations returns what this replica knows of rounds while it leads.
func (l *Leader) Explanations() *Explanations { return &l.explanations }

// tenure is one epoch of leadership.
type tenure struct {
	epoch int64
	asked time.Time     // when it was asked for, by our clock
	until time.Time     // by our clock, counted from before it was asked for
	skew  time.Duration // how far the store's clock is ahead
}

var (
	errDeposed = errors.New("another replica leads")
	errLapsed  = errors.New("leadership could not be renewed in time")
)

// Run takes part in elections and leads when elected, until the context is
// done. It then resigns, so that another replica follows at once, and returns
// when everything it started has ended.
func (l *Leader) Run(ctx context.Context) {
	for {
		held, elected := l.campaign(ctx)
		if !elected {
			return
		}
		l.log.Info("this replica leads", "replica", l.replica.Name, "epoch", held.epoch)
		err := l.lead(ctx, held)
		l.log.Info("this replica leads no more", "replica", l.replica.Name, "epoch", held.epoch, "cause", err)
	}
}

// campaign asks for leadership until it is granted, or returns false when the
// context is done.
func (l *Leader) campaign(ctx context.Context) (tenure, bool) {
	failing := false
	for ctx.Err() == nil {
		held, err := l.ask(ctx)
		if err == nil {
			return held, true
		}
		failed := !errors.Is(err, errDeposed) && ctx.Err() == nil
		if failed && !failing {
			l.log.Warn("leadership cannot be asked for; it is tried again and again", "error", err)
		}
		failing = failed
		sleep(ctx, l.clock, l.config.CampaignInterval)
	}
	return tenure{}, false
}

// ask asks for leadership once; errDeposed when another replica has it.
func (l *Leader) ask(ctx context.Context) (tenure, error) {
	asked := l.clock.Now()
	leader, leads, err := l.store.Lead(ctx, l.replica, l.config.TTL)
	if err != nil {
		return tenure{}, fmt.Errorf("asking for leadership: %w", err)
	}
	l.latest.Store(&leader)
	if !leads {
		return tenure{}, errDeposed
	}
	return tenure{
		epoch: leader.Epoch,
		asked: asked,
		until: asked.Add(l.config.TTL),
		skew:  leader.Until.Add(-l.config.TTL).Sub(l.clock.Now()),
	}, nil
}

// lead leads for one tenure and returns why it ended.
func (l *Leader) lead(ctx context.Context, held tenure) error {
	l.metrics.leading.Set(1)
	defer l.metrics.leading.Set(0)
	tenureCtx, end := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		end(l.renew(tenureCtx, held))
	}()
	for tenureCtx.Err() == nil {
		err := newTerm(l, held).run(tenureCtx)
		if armada.CodeOf(err) == armada.CodeFenced {
			end(err)
		}
		if tenureCtx.Err() != nil {
			break
		}
		l.log.Error("the world is dropped and loaded again", "epoch", held.epoch, "error", err)
		sleep(tenureCtx, l.clock, l.config.RetryInterval)
	}
	end(nil)
	<-renewed
	if ctx.Err() != nil {
		l.resign(ctx, held)
	}
	return context.Cause(tenureCtx)
}

// renew keeps a tenure until its context is done, or returns why it ended.
func (l *Leader) renew(ctx context.Context, held tenure) error {
	pause, failing := l.config.TTL/3, false
	for {
		sleep(ctx, l.clock, pause)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now, err := l.askInTime(ctx, held)
		switch {
		case err == nil && now.epoch == held.epoch:
			held, pause, failing = now, l.config.TTL/3, false
		case err == nil:
			return fmt.Errorf("%w: the epoch is %d", errDeposed, now.epoch)
		case errors.Is(err, errDeposed):
			return err
		case !l.clock.Now().Before(held.until):
			return fmt.Errorf("%w: %w", errLapsed, err)
		default:
			if !failing {
				l.log.Warn("leadership cannot be renewed; it is tried again and again", "error", err)
			}
			failing = true
			pause = min(l.config.RetryInterval, held.until.Sub(l.clock.Now()))
		}
	}
}

// askInTime asks for leadership, for as long as the tenure lasts.
func (l *Leader) askInTime(ctx context.Context, held tenure) (tenure, error) {
	ctx, cancel := context.WithTimeout(ctx, held.until.Sub(l.clock.Now()))
	defer cancel()
	return l.ask(ctx)
}

// resign gives leadership up after an orderly stop, within the time that it
// would have lasted.
func (l *Leader) resign(ctx context.Context, held tenure) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.config.TTL)
	defer cancel()
	if err := l.store.Resign(ctx, held.epoch); err != nil {
		l.log.Warn("leadership cannot be given up; it will lapse", "epoch", held.epoch, "error", err)
	}
}
