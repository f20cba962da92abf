package leader

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"armada/internal/store"
)

// minPiece is the least number of changes that a transition is cut to: most of
// the time that a smaller one takes is waiting for the disk.
const minPiece = 200

// outbox holds proposals that were decided and not sent yet, in order, and
// decides how many go into one transition.
type outbox struct {
	proposals []proposal
	changes   int // of all of them
	piece     int // how many changes go into one transition
	pieceTime time.Duration
}

func newOutbox(pieceTime time.Duration) outbox {
	return outbox{piece: store.MaxTransition, pieceTime: pieceTime}
}

// add puts a proposal at the end.
func (o *outbox) add(p proposal) {
	o.proposals = append(o.proposals, p)
	o.changes += len(p.unit)
}

// head returns the proposals of the next transition: as many whole ones as a
// piece may hold, and at least one if there is any.
func (o *outbox) head() []proposal {
	n, changes := 0, 0
	for n < len(o.proposals) && (n == 0 || changes+len(o.proposals[n].unit) <= o.piece) {
		changes += len(o.proposals[n].unit)
		n++
	}
	return o.proposals[:n:n]
}

// drop removes a head that was sent.
func (o *outbox) drop(head []proposal) {
	for _, p := range head {
		o.changes -= len(p.unit)
	}
	if o.proposals = o.proposals[len(head):]; len(o.proposals) == 0 {
		o.proposals = nil
	}
}

// learn adapts the size of a piece to the time that one took.
func (o *outbox) learn(changes int, took time.Duration) {
	switch {
	case took > o.pieceTime:
		o.piece = max(minPiece, o.piece/2)
	case took < o.pieceTime/2 && 2*changes > o.piece:
		o.piece = min(store.MaxTransition, 2*o.piece)
	}
}

// answer is what became of a head.
type answer struct {
	proposals []proposal
	results   []store.UnitResult
	changes   int
	took      time.Duration // of the call that succeeded
}

// committer sends transitions for the loop, one after the other. It runs until
// its context is done or an error tells that leading has to end.
type committer struct {
	store   Store
	clock   Clock
	retry   time.Duration
	fence   store.Fence
	heads   chan []proposal
	answers chan answer
	log     *slog.Logger
}

func (c *committer) run(ctx context.Context) error {
	for {
		var head []proposal
		select {
		case head = <-c.heads:
		case <-ctx.Done():
			return ctx.Err()
		}
		a, err := c.commit(ctx, head)
		if err != nil {
			return err
		}
		select {
		case c.answers <- a:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// commit sends one head until the store has answered. An error other than that
// nothing was done leaves it open what happened.
func (c *committer) commit(ctx context.Context, head []proposal) (answer, error) {
	units := make([]store.Unit, len(head))
	a := answer{proposals: head}
	for i, p := range head {
		units[i] = p.unit
		a.changes += len(p.unit)
	}
	for tries := 0; ; tries++ {
		begun := c.clock.Now()
		results, err := c.store.Transition(ctx, c.fence, units)
		switch {
		case err == nil && len(results) != len(units):
			return a, fmt.Errorf("committing %d units: the store answered %d", len(units), len(results))
		case err == nil:
			a.results, a.took = results, c.clock.Now().Sub(begun)
			return a, nil
		case !transient(err):
			return a, fmt.Errorf("committing %d units: %w", len(units), err)
		case ctx.Err() != nil:
			return a, ctx.Err()
		}
		if tries == 0 {
			c.log.Warn("decisions cannot be committed; it is tried again and again", "units", len(units), "error", err)
		}
		sleep(ctx, c.clock, c.retry)
	}
}
