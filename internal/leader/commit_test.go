package leader

import (
	"slices"
	"testing"
	"time"

	"armada"
	"armada/internal/scheduling"
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

func TestExplanationsTellTheMostHopefulReasonFirst(t *testing.T) {
	t.Parallel()
	var x Explanations
	job := aJob("j1")
	job.State = armada.JobQueued
	if r := x.Reasons(job); r != nil || x.Leading() {
		t.Errorf("a replica that does not lead explains: %v", r)
	}
	x.publish(nil)
	if r := x.Reasons(job); len(r) != 1 || r[0].Code != armada.ReasonNoExecutor {
		t.Errorf("without pools the reasons are %v", r)
	}
	waits := func(code armada.ReasonCode) []scheduling.Waiting {
		return []scheduling.Waiting{{Queue: "physics", Shape: twoCores}, {Queue: "physics", Shape: oneCore, Reason: armada.Reason{Code: code}}}
	}
	x.publish([]*pool{
		{name: "cpu", waiting: waits(armada.ReasonTooLarge)},
		{name: "gpu", waiting: waits(armada.ReasonInsufficient)},
		{name: "new"},
	})
	var told []string
	for _, r := range x.Reasons(job) {
		told = append(told, r.Pool+": "+r.String())
	}
	want := []string{"new: not considered yet", "gpu: no node has enough free resources (0 looked at)", "cpu: no node is large enough (0 looked at)"}
	if !slices.Equal(told, want) {
		t.Errorf("reasons are %q, want %q", told, want)
	}
	job.State = armada.JobRunning
	if r := x.Reasons(job); r != nil {
		t.Errorf("a running job waits: %v", r)
	}
	if w, known := x.Waiting("gpu"); !known || len(w) != 2 {
		t.Errorf("pool gpu: %v, %v", w, known)
	}
	if _, known := x.Waiting("none"); known {
		t.Error("an unknown pool is known")
	}
	x.clear()
	if x.Leading() {
		t.Error("cleared, and still leading")
	}
}
