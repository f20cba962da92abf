package leader

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"armada"
	"armada/internal/store"
)

// piece is news from the store. Asked is when the store was asked, for answers
// that tell of every executor, and zero for others.
type piece struct {
	changes store.Changes
	asked   time.Time
}

// reader reads the feed for the loop. It runs until its context is done.
type reader struct {
	store    Store
	clock    Clock
	limit    int
	poll     time.Duration
	retry    time.Duration
	position store.Position
	wake     <-chan struct{}
	ask      chan struct{} // takes a request to ask for all executors; holds one
	pieces   chan piece
	log      *slog.Logger
}

// run reads whenever it is woken, asked or the poll is due, until nothing is
// left, and hands every piece to the loop.
func (r *reader) run(ctx context.Context) error {
	asked, failing := false, false
	for {
		more, err := r.changes(ctx)
		if err == nil && asked {
			if err = r.executors(ctx); err == nil {
				asked = false
			}
		}
		switch {
		case err == nil && more:
			continue
		case err != nil && (ctx.Err() != nil || !transient(err)):
			return err
		}
		pause := r.poll
		if err != nil {
			pause = r.retry
			if !failing {
				r.log.Warn("the store cannot be read; it is tried again and again", "error", err)
			}
		}
		failing = err != nil
		due, stop := r.clock.After(pause)
		select {
		case <-r.wake:
		case <-due:
		case <-r.ask:
			asked = true
		case <-ctx.Done():
			stop()
			return ctx.Err()
		}
		stop()
	}
}

// changes hands over what is next in the feed and tells whether more may be
// there already.
func (r *reader) changes(ctx context.Context) (more bool, err error) {
	c, next, err := r.store.Changes(ctx, r.position, r.limit)
	if err != nil {
		return false, fmt.Errorf("reading the feed: %w", err)
	}
	r.position = next
	n := len(c.Queues) + len(c.Gone) + len(c.Jobs) + len(c.Executors)
	if n == 0 {
		return false, nil
	}
	if err := r.hand(ctx, piece{changes: c}); err != nil {
		return false, err
	}
	return n >= r.limit/2, nil
}

// executors hands over what the store knows of all executors.
func (r *reader) executors(ctx context.Context) error {
	asked := r.clock.Now()
	all, err := r.store.Executors(ctx)
	if err != nil {
		return fmt.Errorf("asking for the executors: %w", err)
	}
	return r.hand(ctx, piece{changes: store.Changes{Executors: all}, asked: asked})
}

func (r *reader) hand(ctx context.Context, p piece) error {
	select {
	case r.pieces <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transient tells of errors after which the same call may succeed, because
// nothing was done.
func transient(err error) bool {
	code := armada.CodeOf(err)
	return code == armada.CodeUnavailable || code == armada.CodeExhausted
}
