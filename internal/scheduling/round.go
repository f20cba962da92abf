package scheduling

import (
	"slices"
	"time"

	"armada"
	"armada/internal/scheduling/fairshare"
)

// Round is one round of one pool; see the package comment.
func Round(in Input) Outcome {
	r := begin(in)
	r.owe()
	r.admit()
	out := r.outcome()
	r.pool.space.Rewind()
	clear(r.placed) // so that no job outlives its time here
	return out
}

// scratch is what a round works with and the next one uses again.
type scratch struct {
	number  uint64 // of the round
	order   []*queue
	placed  []placed
	nodes   []int32
	claims  []fairshare.Claim
	members []*job
}

// placed is a gang that got its place, and where in scratch.nodes that stands.
type placed struct {
	first *job // lone, or the turn of its gang
	nodes int
}

// turn is a queue's part in the current round.
type turn struct {
	lanes  []*lane          // heap of what may still be offered, next first
	held   armada.Resources // with what the round gave it
	cost   uint64           // of held with its next gang
	rank   int32            // class priority of its next gang
	looked int
	given  int
	shares fairshare.Shares
	demand int64
	// stopped is why it offers nothing more although it could.
	stopped armada.Reason
	classes []classTurn // by class, where it has limits
	tokens  allowance
}

// round is one round while it runs.
type round struct {
	*scratch
	pool     *Pool
	in       Input
	capacity armada.Resources
	scale    fairshare.Scale
	leases   int
	full     armada.Reason // why nothing more is placed; none while more may be

	given   armada.Resources // by this round, in all
	most    bound            // of it
	unspent bound            // of floating resources
	tokens  allowance
	wake    time.Time
}

func begin(in Input) *round {
	p := in.Pool
	p.settle()
	p.space.Settle()
	r := &round{scratch: &p.scratch, pool: p, in: in, capacity: p.space.Capacity().Add(p.config.Budgeted(p.name))}
	r.scale = fairshare.NewScale(r.capacity, p.config.FairnessMultipliers)
	r.number++
	r.placed, r.nodes = r.placed[:0], r.nodes[:0]
	r.bind()
	for _, q := range p.byName {
		q.turn = turn{lanes: q.turn.lanes[:0], held: q.held, classes: q.turn.classes}
		r.bindQueue(q)
		for _, l := range q.inOrder {
			l.rewind()
		}
		q.sortLanes()
	}
	return r
}

// owe finds what each queue is owed.
func (r *round) owe() {
	r.claims = r.claims[:0]
	for _, q := range r.pool.byName {
		want := r.demand(q)
		q.turn.demand = min(r.scale.Share(&want), fairshare.One)
		if !q.known {
			q.turn.demand = 0
		}
		r.claims = append(r.claims, fairshare.Claim{Factor: q.factor, Demand: q.turn.demand})
	}
	for i, s := range fairshare.Divide(r.claims) {
		r.pool.byName[i].turn.shares = s
	}
}

// admit lets the queue with the lowest cost place its next gang until nothing
// that waits has a place.
//
// Where members differ, best fit may miss a way to place them that it finds
// when the nodes are fuller. Such gangs are offered again for as long as
// anything was placed after they failed: a second round would find no more.
func (r *round) admit() {
	r.takeTurns(func(*lane) bool { return true })
	for r.progressed() {
		r.takeTurns(func(l *lane) bool { return l.kind.again == r.number })
	}
}

// progressed tells whether gangs should be offered again, and marks them.
func (r *round) progressed() bool {
	any := false
	for _, q := range r.pool.byName {
		for _, l := range q.inOrder {
			k := l.kind
			if k.failed != r.number {
				continue
			}
			k.again = 0
			if len(k.parts) > 1 && k.failedAt < r.leases && r.full.Code == armada.ReasonNone {
				k.again, any = r.number, true
			}
		}
	}
	return any
}

// takeTurns offers what the lanes hold that are let through.
func (r *round) takeTurns(through func(*lane) bool) {
	r.order = r.order[:0]
	for _, q := range r.pool.byName {
		if !q.known || q.settings.Cordoned || q.turn.stopped.Code != armada.ReasonNone {
			continue
		}
		q.turn.lanes = q.turn.lanes[:0]
		for _, l := range q.inOrder {
			if l.waits() && through(l) {
				l.kind.failed = 0
				q.turn.lanes = append(q.turn.lanes, l)
			}
		}
		heapify(q.turn.lanes, (*lane).goesBefore)
		if r.offer(q) {
			r.order = append(r.order, q)
		}
	}
	heapify(r.order, (*queue).goesBefore)
	for len(r.order) > 0 {
		q := r.order[0]
		l := q.turn.lanes[0]
		if r.ends(l.kind) {
			return
		}
		if !r.place(l) {
			r.passOver(l.kind)
			continue
		}
		if l.take() {
			sink(q.turn.lanes, 0, (*lane).goesBefore)
		} else {
			q.turn.lanes = pop(q.turn.lanes, (*lane).goesBefore)
		}
		if r.offer(q) {
			sink(r.order, 0, (*queue).goesBefore)
		} else {
			r.order = pop(r.order, (*queue).goesBefore)
		}
	}
}

// passOver makes every queue that was to offer a gang of the kind next, which
// has failed, offer something else.
func (r *round) passOver(k *kind) {
	r.order = slices.DeleteFunc(r.order, func(q *queue) bool {
		return q.turn.lanes[0].kind == k && !r.offer(q)
	})
	heapify(r.order, (*queue).goesBefore)
}

// offer finds the queue's next gang and what it would cost, passing over the
// kinds that are known not to fit and those that its limits bar. It returns false when nothing is left.
func (r *round) offer(q *queue) bool {
	t := &q.turn
	for len(t.lanes) > 0 && r.barred(t.lanes[0]) {
		t.lanes = pop(t.lanes, (*lane).goesBefore)
	}
	if len(t.lanes) == 0 {
		return false
	}
	if limit := r.pool.config.MaxQueueLookback; limit > 0 && t.looked >= limit {
		t.stopped = armada.Reason{Code: armada.ReasonNotConsidered, Pool: r.pool.name}
		return false
	}
	k := t.lanes[0].kind
	if r.tooFast(q, k) {
		return false
	}
	with := t.held
	for i := range with {
		with[i] += k.total[i]
	}
	t.cost, t.rank = r.scale.Cost(&with, q.factor), k.rank
	return true
}

// place finds nodes for the lane's next gang. When there are none, no gang of
// its kind has a place in this round: room only becomes less.
func (r *round) place(l *lane) bool {
	k, t := l.kind, &l.queue.turn
	t.looked += k.size
	if reason, sinks := r.sinks(k); sinks {
		k.failed, k.failedAt, k.reason = r.number, r.leases, reason
		return false
	}
	nodes, most, ok := r.pool.space.Place(k.parts, k.uniform, r.nodes)
	if !ok {
		k.failed, k.failedAt, k.reason = r.number, r.leases, r.why(k, most)
		return false
	}
	r.nodes = nodes
	r.placed = append(r.placed, placed{l.next.job, k.size})
	r.give(l.queue, k)
	return true
}

// why tells why a kind has no place: because of a member that has none even
// alone, or because they have none together.
func (r *round) why(k *kind, most int) armada.Reason {
	reason := armada.Reason{Code: armada.ReasonGangDoesNotFit, Have: int64(most), Want: int64(k.size)}
	for _, m := range k.members {
		if !r.pool.space.Fits(m.shape.demand) {
			reason = r.pool.space.Explain(m.shape.demand)
			break
		}
	}
	reason.Pool = r.pool.name
	return reason
}

// goesBefore orders the queues: the higher class of what they offer first, then
// the lower cost, then the name.
func (q *queue) goesBefore(o *queue) bool {
	if q.turn.rank != o.turn.rank {
		return q.turn.rank > o.turn.rank
	}
	if q.turn.cost != o.turn.cost {
		return q.turn.cost < o.turn.cost
	}
	return q.name < o.name
}
