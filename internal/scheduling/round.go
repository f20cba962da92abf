package scheduling

import (
	"slices"
	"time"

	"armada"
	"armada/internal/scheduling/fairshare"
	"armada/internal/scheduling/placement"
)

// Round is one round of one pool; see the package comment.
func Round(in Input) Outcome {
	r := begin(in)
	r.owe()
	r.repair()
	r.redeem()
	r.admit()
	r.optimise()
	r.tellPrices()
	kept := r.reserve()
	out := r.outcome()
	out.Reservations, out.Report.Kept = kept, kept
	r.pool.space.Rewind()
	r.forget()
	return out
}

// forget lets go of all jobs, so that none outlives its time here.
func (r *round) forget() {
	clear(r.placed)
	clear(r.victims)
	clear(r.candidates[:cap(r.candidates)])
	clear(r.mates[:cap(r.mates)])
	clear(r.failed)
	r.failed = r.failed[:0]
	for _, q := range r.pool.byName {
		clear(q.turn.begun[:cap(q.turn.begun)])
		q.turn.lane = nil
		q.rewind()
	}
	r.closeBook()
}

// scratch is what a round works with and the next one uses again.
type scratch struct {
	number  uint64 // of the round
	pass    uint64 // of its passes, counted on from round to round
	order   []*queue
	failed  []*kind // in this round, some more than once
	placed  []placed
	kept    []Reservation
	nodes   []int32
	claims  []fairshare.Claim
	members []*job

	claim      claim
	claimed    uint64 // so many claims were made, or changed
	book       book
	victims    []victim
	waits      []wait
	candidates []*job
	mates      []*job
	text       []byte
}

// placed is a gang that got its place, how many of scratch.nodes are its own, and
// how many of the victims. Without a gang the victims are those of a repair.
type placed struct {
	first          *job // lone, or the turn of its gang
	nodes, victims int
	away           string // the type of nodes where it is not at home
}

// turn is a queue's part in the current round.
type turn struct {
	lane   *lane            // what it offers next
	fresh  int              // of the lanes in order, where the first stands of which nothing was taken
	begun  []*lane          // heap of those of which something was, next first
	held   armada.Resources // with what the round gave it
	extra  armada.Resources // what it is charged for besides
	cost   uint64           // of held with its next gang
	within bool             // it prefers large gangs, and its share has room for this one
	base   uint64           // then, the cost without it
	rank   int32            // class priority of its next gang
	price  armada.Price     // of its next gang, and the turn of that, in a market
	number int64
	looked int
	given  int
	shares fairshare.Shares
	demand int64

	protected int64 // the share that fairness must leave it
	seller    seller
	robbed    bool // it lost runs since its cost was last told
	// stopped is why it offers nothing more although it could.
	stopped armada.Reason
	classes []classTurn // by class, where it has limits
	tokens  allowance
}

// round is one round while it runs.
type round struct {
	*scratch
	pool *Pool
	PoolRules
	in       Input
	capacity armada.Resources
	scale    fairshare.Scale
	leases   int
	redeemed int           // of these, on nodes that were kept
	full     armada.Reason // why nothing more is placed; none while more may be
	repeats  bool          // this pass offers again what has failed

	given   armada.Resources // by this round, in all
	most    bound            // of it
	unspent bound            // of floating resources
	tokens  allowance
	moved   allowance // of runs preempted for fairness
	stirred int       // so many leases were there when room was left over last
	dearest uint64    // the most that a queue costs which got something and owes
	owing   owing
	least   *armada.Resources // no job asks for less; nil while not known
	wake    time.Time
	prices  *Market // nil unless the pool is a market
}

func begin(in Input) *round {
	p := in.Pool
	p.settle()
	p.space.Settle()
	r := &round{scratch: &p.scratch, pool: p, in: in, capacity: p.space.Capacity().Add(p.config.Budgeted(p.name))}
	r.PoolRules = p.rules
	r.victims, r.waits = r.victims[:0], r.waits[:0]
	r.scale = fairshare.NewScale(r.capacity, p.config.FairnessMultipliers)
	r.number++
	r.pass++
	r.placed, r.nodes = r.placed[:0], r.nodes[:0]
	r.bind()
	for _, q := range p.byName {
		q.turn = turn{begun: q.turn.begun[:0], held: q.held, extra: q.extra(p.rules.Fairness, in.Now), classes: q.turn.classes}
		r.bindQueue(q)
		r.wakeForCharges(q)
		q.sortLanes()
	}
	r.keep()
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
		t := &r.pool.byName[i].turn
		t.shares, t.protected = s, r.protected(s)
	}
}

// admit lets the queue with the lowest cost place its next gang until nothing
// that waits has a place.
//
// Where members differ, best fit may miss a way to place them that it finds
// when the nodes are fuller. Such gangs are offered again for as long as anything
// was placed after they failed: a second round would find no more. So are all when
// preemption may have changed something for them, see [round.stir].
func (r *round) admit() {
	r.repeats = false
	r.takeTurns()
	for r.progressed() {
		r.repeats = true
		r.takeTurns()
	}
}

// progressed tells whether gangs should be offered again, and marks them.
func (r *round) progressed() bool {
	r.pass++
	any := false
	for _, k := range r.failed {
		if k.failed == r.number && k.again != r.pass && r.withinReach(k) && r.full.Code == armada.ReasonNone {
			k.again, k.failedAt, any = r.pass, r.leases, true
		}
	}
	r.dearest = 0
	return any
}

// fail notes that a kind has no place, and whom it was refused: queues that cost so
// much with it and more, or all of them.
func (r *round) fail(k *kind, refused uint64, why armada.Reason) {
	k.failed, k.failedAt, k.refused, k.reason = r.number, r.leases, refused, why
	r.failed = append(r.failed, k)
}

// takeTurns offers what waits; when it repeats, of the kinds only that are to be
// offered again.
func (r *round) takeTurns() {
	r.order = r.order[:0]
	r.closeBook()
	for _, q := range r.pool.byName {
		if !q.starts() || q.turn.stopped.Code != armada.ReasonNone {
			continue
		}
		q.turn.fresh, q.turn.begun = 0, q.turn.begun[:0]
		for _, l := range q.moved {
			if l.taken > 0 && l.waits() && r.offers(l) {
				q.turn.begun = append(q.turn.begun, l)
			}
		}
		heapify(q.turn.begun, (*lane).goesBefore)
		if r.offer(q) {
			r.order = append(r.order, q)
		}
	}
	heapify(r.order, (*queue).goesBefore)
	for len(r.order) > 0 {
		q := r.order[0]
		l := q.turn.lane
		if r.ends(l.kind) {
			return
		}
		if !r.place(l) {
			r.passOver(l.kind)
			continue
		}
		q.turn.take()
		if r.offer(q) {
			sink(r.order, 0, (*queue).goesBefore)
		} else {
			r.order = pop(r.order, (*queue).goesBefore)
		}
		r.tellCosts()
	}
}

// offers tells whether a lane may offer something in this pass, in which its kind
// has a new chance then.
func (r *round) offers(l *lane) bool {
	k := l.kind
	if r.repeats && k.again != r.pass {
		return false
	}
	if k.chance != r.pass {
		k.chance, k.failed = r.pass, 0
	}
	return true
}

// next is the lane that a queue offers next, nil when there is none. The lanes of
// which nothing was taken are in order.
func (r *round) next(q *queue) *lane {
	t := &q.turn
	for {
		for t.fresh < len(q.inOrder) && (q.inOrder[t.fresh].taken > 0 || !r.offers(q.inOrder[t.fresh])) {
			t.fresh++
		}
		var l *lane
		if t.fresh < len(q.inOrder) {
			l = q.inOrder[t.fresh]
		}
		if len(t.begun) > 0 && (l == nil || t.begun[0].goesBefore(l)) {
			l = t.begun[0]
		}
		if l == nil || !r.barred(l) {
			return l
		}
		t.lane = l
		t.drop()
	}
}

// drop passes over the lane that is next.
func (t *turn) drop() {
	if len(t.begun) > 0 && t.begun[0] == t.lane {
		t.begun = pop(t.begun, (*lane).goesBefore)
	} else {
		t.fresh++
	}
}

// take takes what is next.
func (t *turn) take() {
	l := t.lane
	begun := l.taken > 0
	switch more := l.take(); {
	case begun && more:
		sink(t.begun, 0, (*lane).goesBefore)
	case begun:
		t.begun = pop(t.begun, (*lane).goesBefore)
	default:
		t.fresh++
		if more {
			t.begun = push(t.begun, l, (*lane).goesBefore)
		}
	}
}

// tellCosts puts queues that lost runs where their cost belongs now.
func (r *round) tellCosts() {
	robbed := false
	r.order = slices.DeleteFunc(r.order, func(q *queue) bool {
		was := q.turn.robbed
		q.turn.robbed, robbed = false, robbed || was
		return was && !r.offer(q)
	})
	if robbed {
		heapify(r.order, (*queue).goesBefore)
	}
}

// passOver makes every queue that was to offer a gang of the kind next, which
// has failed, offer something else.
func (r *round) passOver(k *kind) {
	r.order = slices.DeleteFunc(r.order, func(q *queue) bool {
		return q.turn.lane.kind == k && !r.offer(q)
	})
	heapify(r.order, (*queue).goesBefore)
}

// offer finds the queue's next gang and what it would cost, passing over the
// kinds that are known not to fit and those that its limits bar. It returns false
// when nothing is left.
func (r *round) offer(q *queue) bool {
	t := &q.turn
	l := r.next(q)
	if t.lane = l; l == nil {
		return false
	}
	if limit := r.pool.config.MaxQueueLookback; limit > 0 && t.looked >= limit {
		t.stopped = armada.Reason{Code: armada.ReasonNotConsidered, Pool: r.pool.name}
		return false
	}
	k := l.kind
	if r.tooFast(q, k) {
		return false
	}
	t.cost, t.rank = r.costWith(q, k), k.rank
	if r.Market != nil {
		t.price, t.number = l.price, l.next.number
	}
	if r.Fairness.PreferLargeJobs {
		with := t.held.Add(k.total)
		t.within, t.base = r.scale.Share(&with) <= max(t.shares.Fair, t.shares.Adjusted), r.cost(q, &t.held)
	}
	return true
}

// costWith is what a queue would cost with a gang of the kind.
func (r *round) costWith(q *queue, k *kind) uint64 {
	with := q.turn.held
	for i := range with {
		with[i] += k.total[i]
	}
	return r.cost(q, &with)
}

// cost is what it costs a queue to hold an amount, with what else it is charged for.
func (r *round) cost(q *queue, held *armada.Resources) uint64 {
	all := q.turn.extra
	for i := range all {
		all[i] += held[i]
	}
	return r.scale.Cost(&all, q.factor)
}

// refused tells whether a gang of the kind failed already in this round for a
// queue to which as much or more is owed.
func (r *round) refused(q *queue, k *kind) bool {
	return k.failed == r.number && (k.refused == 0 || r.costWith(q, k) >= k.refused)
}

// place finds nodes for the lane's next gang. When there are none, no gang of
// its kind has a place in this round: room only becomes less.
func (r *round) place(l *lane) bool {
	k, t := l.kind, &l.queue.turn
	t.looked += k.size
	if reason, sinks := r.sinks(k); sinks {
		r.fail(k, 0, reason)
		return false
	}
	if l.holder != placement.Nobody {
		r.become(l.holder, k)
		defer r.become(placement.Nobody, k)
	}
	before, refused := len(r.victims), uint64(0)
	nodes, most, ok := r.pool.space.Place(k.parts, k.uniform, nil, r.nodes)
	if !ok && r.displaces(l) {
		if nodes, most, ok = r.pool.space.Place(k.parts, k.uniform, r, r.nodes); ok {
			r.settleVictims()
		}
		refused = r.claim.cost
	}
	away := ""
	if !ok {
		nodes, away, ok = r.placeAway(k)
	}
	if !ok {
		r.fail(k, refused, r.why(l.queue, k, most, 0))
		return false
	}
	r.settle(l, nodes, before, away)
	return true
}

// settle notes that the lane's next gang got nodes, at the cost of all victims but
// those before, and on which type of nodes it is away.
func (r *round) settle(l *lane, nodes []int32, before int, away string) {
	k := l.kind
	r.nodes = nodes
	r.waitFor(k, nodes[len(nodes)-k.size:])
	r.placed = append(r.placed, placed{l.next.job, k.size, len(r.victims) - before, away})
	r.give(l.queue, k)
	r.letGo(l)
	r.stir(l.queue, r.victims[before:])
}

// why tells why a queue's gang has no place: because of a member that has none even
// alone at a level, or because they have none together.
func (r *round) why(q *queue, k *kind, most, level int) armada.Reason {
	reason := armada.Reason{Code: armada.ReasonGangDoesNotFit, Have: int64(most), Want: int64(k.size)}
	for _, m := range k.members {
		if _, fits := r.pool.space.Search(m.shape.demand, level); !fits {
			reason = r.pool.space.Explain(m.shape.demand)
			switch {
			case !r.outOfReach(q, m.shape):
			case r.claim.limited:
				reason.Code = armada.ReasonPreemptionRate
			default:
				reason.Code = armada.ReasonOverFairShare
			}
			break
		}
	}
	reason.Pool = r.pool.name
	return reason
}

// goesBefore orders the queues: in a market the higher price of what they offer
// first, then the earlier submit; elsewhere the higher class first, then the lower
// cost, then the name. Where large gangs are preferred, those within the share of
// their queue go before others, by the cost without them and then by the higher
// with them.
func (q *queue) goesBefore(o *queue) bool {
	if q.turn.price != o.turn.price {
		return q.turn.price > o.turn.price
	}
	if q.turn.number != o.turn.number {
		return q.turn.number < o.turn.number
	}
	if q.turn.rank != o.turn.rank {
		return q.turn.rank > o.turn.rank
	}
	if q.turn.within != o.turn.within {
		return q.turn.within
	}
	if q.turn.within && (q.turn.base != o.turn.base || q.turn.cost != o.turn.cost) {
		return q.turn.base < o.turn.base || q.turn.base == o.turn.base && q.turn.cost > o.turn.cost
	}
	if q.turn.cost != o.turn.cost {
		return q.turn.cost < o.turn.cost
	}
	return q.name < o.name
}
