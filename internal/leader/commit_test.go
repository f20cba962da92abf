package leader

import (
	"slices"
	"testing"
	"time"

	"armada/internal/store"
)

// sizes returns the units' sizes of every head until the outbox is empty.
func sizes(o *outbox) (all [][]int) {
	for {
		head := o.head()
		if len(head) == 0 {
			return all
		}
		var units []int
		for _, p := range head {
			units = append(units, len(p.unit))
		}
		all = append(all, units)
		o.drop(head)
	}
}

func outboxOf(units ...int) *outbox {
	o := newOutbox(50 * time.Millisecond)
	for _, n := range units {
		o.add(proposal{unit: make(store.Unit, n), members: make([]*entry, n)})
	}
	return &o
}

func TestUnitsAreNeverCut(t *testing.T) {
	t.Parallel()
	o := outboxOf(600, 300, 200, 1000, 1)
	got := sizes(o)
	want := [][]int{{600, 300}, {200}, {1000}, {1}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("heads are %v, want %v", got, want)
	}
	if o.changes != 0 {
		t.Errorf("%d changes are counted in an empty outbox", o.changes)
	}
}

func TestPiecesFollowTheTimeTheyTake(t *testing.T) {
	t.Parallel()
	o := outboxOf(10, 700)
	for range 20 {
		o.learn(1000, time.Second)
	}
	if o.piece != minPiece {
		t.Errorf("a slow store gets pieces of %d, want %d", o.piece, minPiece)
	}
	if got, want := sizes(o), [][]int{{10}, {700}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("heads are %v, want %v: a unit goes whole even if it is large", got, want)
	}
	o.learn(3, time.Millisecond)
	if o.piece != minPiece {
		t.Error("a piece that was not full tells nothing")
	}
	for range 20 {
		o.learn(o.piece, time.Millisecond)
	}
	if o.piece != store.MaxTransition {
		t.Errorf("a fast store gets pieces of %d, want %d", o.piece, store.MaxTransition)
	}
}
