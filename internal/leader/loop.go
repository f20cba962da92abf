package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// term is one life of the world: it is loaded, kept, and dropped.
type term struct {
	config       Config
	store        Store
	clock        Clock
	bids         Bids
	outbid       <-chan struct{} // bids have changed
	log          *slog.Logger
	metrics      *metrics
	explanations *Explanations
	fence        store.Fence

	world  *world
	outbox outbox
	reader *reader
	commit *committer

	asking    bool      // the store was asked for all executors and has not answered
	nextRound time.Time // no round before
}

// newTerm prepares a term of a tenure.
func newTerm(l *Leader, held tenure) *term {
	log := l.log.With("epoch", held.epoch)
	t := &term{
		config: l.config, store: l.store, clock: l.clock, log: log, metrics: l.metrics, explanations: &l.explanations,
		fence:  store.Fence{Epoch: held.epoch},
		world:  newWorld(l.plans(), l.config.Expiry, held.skew),
		outbox: newOutbox(l.config.PieceTime),
	}
	if l.bids != nil {
		t.bids, t.outbid = l.bids, l.bids.Changed()
		t.world.setBids(t.bids.Latest())
	}
	t.world.since, t.world.types, t.world.rules = held.asked.Add(held.skew), l.config.NodeTypes, l.config.Scheduling
	t.world.unacknowledged = l.config.MaxUnacknowledged
	t.world.ranks = map[string]int32{}
	for _, c := range l.config.Scheduling.Classes {
		t.world.ranks[c.Name] = c.Priority
	}
	t.reader = &reader{
		store: l.store, clock: l.clock, log: log,
		limit: l.config.FeedLimit, poll: l.config.Poll, retry: l.config.RetryInterval,
		ask: make(chan struct{}, 1), pieces: make(chan piece),
	}
	t.commit = &committer{
		store: l.store, clock: l.clock, log: log, retry: l.config.RetryInterval, fence: t.fence,
		heads: make(chan []proposal), answers: make(chan answer),
	}
	return t
}

// run leads until the context is done or an error ends the term. It returns
// when everything it started has ended, and never nil.
func (t *term) run(ctx context.Context) error {
	wake, unsubscribe := t.store.Subscribe()
	defer unsubscribe()
	defer t.explanations.clear()
	t.reader.wake = wake
	if err := t.hold(ctx); err != nil {
		return err
	}
	if err := t.load(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.reader.run(ctx) })
	group.Go(func() error { return t.commit.run(ctx) })
	group.Go(func() error { return t.loop(ctx) })
	return group.Wait()
}

// hold waits for as long as nothing may be started.
func (t *term) hold(ctx context.Context) error {
	for told := false; ; told = true {
		left, err := t.store.Held(ctx)
		if err != nil {
			return fmt.Errorf("asking whether anything may be started: %w", err)
		}
		if left <= 0 {
			return nil
		}
		if !told {
			t.log.Warn("the store was restored: nothing is started until executors have stopped what it does not know", "left", left)
		}
		sleep(ctx, t.clock, min(left, t.config.Poll))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// load fills the world from the store.
func (t *term) load(ctx context.Context) error {
	begun := t.clock.Now()
	position, err := t.store.Load(ctx, func(c store.Changes) error {
		return t.apply(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("loading the world: %w", err)
	}
	t.reader.position = position
	t.log.Info("the world is loaded", "jobs", len(t.world.jobs), "executors", len(t.world.executors),
		"pools", len(t.world.pools), "took", t.clock.Now().Sub(begun))
	return nil
}

// apply takes a piece of state over. Shapes that a form of the store thinks the
// leader knows are asked for.
func (t *term) apply(ctx context.Context, c store.Changes) error {
	for _, id := range t.world.missing(c) {
		requirements, err := t.store.Requirements(ctx, id)
		if err != nil {
			if transient(err) || ctx.Err() != nil {
				return fmt.Errorf("asking for the shape %s: %w", id, err)
			}
			t.log.Error("jobs of an unknown shape are left out", "shape", id, "error", err)
			continue
		}
		t.world.learnShape(id, requirements)
	}
	t.world.apply(c, t.clock.Now())
	return nil
}

// loop owns the world. It alternates between deciding what is due and waiting
// for news, answers, or the next moment at which something will be due.
func (t *term) loop(ctx context.Context) error {
	for {
		now := t.clock.Now()
		t.world.release(now)
		t.suspect(now)
		t.reject(now)
		t.rounds(now)

		head := t.outbox.head()
		var heads chan<- []proposal
		if len(head) > 0 {
			heads = t.commit.heads
		}
		due, stop := t.due()
		var err error
		select {
		case p := <-t.reader.pieces:
			err = t.take(ctx, p)
		case a := <-t.commit.answers:
			t.settle(a)
		case heads <- head:
			t.outbox.drop(head)
		case q := <-t.explanations.questions:
			q.answer <- t.world.standing(q.job)
		case <-t.outbid:
			t.world.setBids(t.bids.Latest())
		case <-due:
		case <-ctx.Done():
			err = ctx.Err()
		}
		stop()
		if err != nil {
			return err
		}
	}
}

// take applies news. Silence is judged only by answers that tell of every
// executor.
func (t *term) take(ctx context.Context, p piece) error {
	if err := t.apply(ctx, p.changes); err != nil {
		return err
	}
	if p.asked.IsZero() {
		return nil
	}
	t.asking = false
	t.world.judge(p.asked)
	for _, p := range t.world.overdue(p.asked) {
		change := p.unit[0]
		t.log.Warn("a run is given up: its executor was silent for too long", "run", change.Run)
		t.outbox.add(p)
	}
	return nil
}

// suspect asks the store for all executors when one seems to be silent.
func (t *term) suspect(now time.Time) {
	at := t.world.suspicious()
	if t.asking || at.IsZero() || now.Before(at) {
		return
	}
	t.asking = true
	t.reader.ask <- struct{}{} // holds one, and one is asked at a time
}

// reject puts the rejections of jobs that can never run in the outbox.
func (t *term) reject(now time.Time) {
	for _, p := range t.world.rejections(now, store.MaxTransition-t.outbox.changes) {
		t.log.Info("jobs are rejected", "jobs", len(p.unit), "first", p.unit[0].Job, "why", p.unit[0].Reason)
		t.outbox.add(p)
	}
}

// settle replaces what proposals wanted by what became of them.
func (t *term) settle(a answer) {
	now := t.clock.Now()
	t.outbox.learn(a.changes, a.took)
	t.metrics.committed(a)
	for i, p := range a.proposals {
		r := a.results[i]
		if r.Verdict == lifecycle.Refused {
			t.log.Info("a decision lost", "pool", p.pool, "changes", len(p.unit), "why", r.Why)
		}
		t.world.settle(p, r, now)
	}
}

// ready tells whether a pool wants a round.
func (p *pool) ready(now time.Time) bool {
	return p.dirty || !p.wake.IsZero() && !now.Before(p.wake)
}

// rounds runs a round of every pool that wants one, in order, unless the last
// ones were too recent or the store has not kept up with them.
func (t *term) rounds(now time.Time) {
	if now.Before(t.nextRound) || t.outbox.changes >= store.MaxTransition {
		return
	}
	ran := false
	for _, p := range t.world.inTurn() {
		if p.ready(now) {
			t.round(p)
			ran = true
		}
	}
	if !ran && t.explanations.pools() == len(t.world.pools) {
		return
	}
	t.explanations.publish(t.world.pools)
	if ran {
		end := t.clock.Now()
		t.nextRound = end.Add(max(t.config.MinRoundInterval, end.Sub(now)))
	}
}

// round runs one round of a pool and puts its decisions in the outbox.
func (t *term) round(p *pool) {
	begun := t.clock.Now()
	outcome := p.plan.Round(begun)
	t.metrics.round(p.name, t.clock.Now().Sub(begun))
	p.dirty, p.wake = cutShort(outcome), outcome.Wake
	p.report, p.waiting = outcome.Report, outcome.Waiting
	for _, d := range outcome.Decisions {
		proposal, err := t.world.propose(p.name, d, begun)
		if errors.Is(err, errInFlight) {
			p.dirty = true
			continue
		}
		if err != nil {
			t.log.Error("a decision is dropped", "pool", p.name, "error", err)
			continue
		}
		t.outbox.add(proposal)
	}
}

// cutShort tells whether a round placed something and stopped before it had
// looked at everything.
func cutShort(o scheduling.Outcome) bool {
	if len(o.Decisions) == 0 {
		return false
	}
	for i := range o.Waiting {
		switch o.Waiting[i].Reason.Code {
		case armada.ReasonRoundLimit, armada.ReasonNotConsidered:
			return true
		default:
		}
	}
	return false
}

// due returns a channel that receives when something is due by itself.
func (t *term) due() (<-chan time.Time, func()) {
	at := earlier(t.world.released(), t.world.survey.again)
	if !t.asking {
		at = earlier(at, t.world.suspicious())
	}
	if t.outbox.changes < store.MaxTransition {
		for _, p := range t.world.pools {
			switch {
			case p.dirty:
				at = earlier(at, t.nextRound)
			case !p.wake.IsZero():
				wake := p.wake
				if wake.Before(t.nextRound) {
					wake = t.nextRound
				}
				at = earlier(at, wake)
			}
		}
	}
	if at.IsZero() {
		return nil, func() {}
	}
	return t.clock.After(max(0, at.Sub(t.clock.Now())))
}
