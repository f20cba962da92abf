package scheduling

import (
	"math"
	"time"

	"armada"
	"armada/internal/scheduling/fairshare"
)

// OptimiserRules make room for large jobs in a pool in which nobody is preempted
// for fairness: small runs of queues that hold more than they are owed give way,
// all on one node, to a job of a queue that holds less. What it places is never
// small, so it never undoes what it did.
type OptimiserRules struct {
	// Large is the least that a job asks for of each resource to be placed so, and
	// Small the most that a run may hold to give way; of some resource Small must be
	// less. What Small does not bound is [Unbounded].
	Large, Small armada.Resources
	// Improvement is by which part, in millionths, what all queues together are owed
	// and do not hold must become less.
	Improvement int64
	// Interval is the time between two rounds that do this, MaxJobs bounds the jobs
	// that one of them places so, and MaxShare the share of the pool, in millionths,
	// that they get if they are several; 0 is no bound.
	Interval time.Duration
	MaxJobs  int
	MaxShare int64
}

// Unbounded is more than there is of anything.
const Unbounded = math.MaxInt64

// optimise is the last step of a round that places anything: it swaps small runs
// for large jobs that have found no place. What it may not do yet it does in a
// later round, which it asks for.
func (r *round) optimise() {
	rules := r.Optimiser
	if rules == nil || r.full.Code != armada.ReasonNone {
		return
	}
	var got armada.Resources
	for jobs := 0; ; {
		l := r.neediest()
		if l == nil || r.ends(l.kind) {
			return
		}
		with := got.Add(l.kind.total)
		switch {
		case !r.pool.optimised.IsZero() && r.in.Now.Before(r.pool.optimised.Add(rules.Interval)):
			r.wakeAt(r.pool.optimised.Add(rules.Interval))
			return
		case rules.MaxJobs > 0 && jobs == rules.MaxJobs, rules.MaxShare > 0 && jobs > 0 && r.scale.Share(&with) > rules.MaxShare:
			r.wakeAt(r.in.Now.Add(rules.Interval))
			return
		case !r.swap(l):
			l.swapless = r.number
			continue
		}
		got, jobs = with, jobs+1
		l.take()
	}
}

// neediest finds the lane whose next job is large and may be placed by a swap: of
// the queue that costs least with it, among those that hold less than they are
// owed.
func (r *round) neediest() *lane {
	rules := r.Optimiser
	var best *lane
	var least uint64
	for _, q := range r.pool.byName {
		t := &q.turn
		if !q.known || q.settings.Cordoned || t.stopped.Code != armada.ReasonNone || r.scale.Share(&t.held) >= t.shares.Adjusted {
			continue
		}
		for _, l := range q.inOrder {
			k := l.kind
			if !l.waits() || l.swapless == r.number || k.failed != r.number || k.size > 1 || k.reason.Code == armada.ReasonFloating ||
				!rules.Large.Fits(&k.total) {
				continue
			}
			if _, over := r.overLimit(l); over || !t.tokens.allow(1) {
				continue
			}
			if cost := r.costWith(q, k); best == nil || cost < least {
				best, least = l, cost
			}
			break // a queue's jobs go in order
		}
	}
	return best
}

// swap places the lane's next job where that does the least harm, if what is owed
// becomes little enough.
func (r *round) swap(l *lane) bool {
	k, before := l.kind, len(r.victims)
	r.claimed++
	r.claim = claim{number: r.claimed, queue: l.queue, kind: k, cost: r.costWith(l.queue, k), mark: before}
	node, ok := r.leastHarm()
	if !ok {
		return false
	}
	nodes, _, ok := r.pool.space.Place(k.parts, k.uniform, onto{r, node}, r.nodes)
	if !ok {
		return false
	}
	r.settleVictims()
	r.settle(l, nodes, before, "")
	return true
}

// onto makes room on one node.
type onto struct {
	*round
	node int32
}

// Find makes small runs leave the node.
func (o onto) Find(int) (int32, bool) { return o.node, o.displaceSmall(o.node) }

// displaceSmall makes room for the claim on a node, if small runs leave enough.
func (r *round) displaceSmall(node int32) bool {
	needs, room := r.claim.kind.parts[0].Demand.Resources(), *r.pool.space.Room(1, node)
	r.candidates = r.candidates[:0]
	for _, j := range r.runsOn(node) {
		if j.loose() && j.gang == nil && j.run.lost != r.number && r.outranks(j, ForLargeJob) && r.overShare(j.queue) {
			r.candidates = append(r.candidates, j)
			room = room.Add(*j.shape.demand.Resources())
		}
	}
	if !needs.Fits(&room) {
		return false
	}
	r.leastFirst()
	return r.makeRoom(needs, node, ForLargeJob)
}

// leastHarm finds the node on which a swap leaves the least owed; among equals the
// one that loses the least, then the first.
func (r *round) leastHarm() (best int32, ok bool) {
	c := &r.claim
	owed := r.owedInAll(nil)
	limit := owed - max(1, owed*r.Optimiser.Improvement/fairshare.One)
	var harm int64
	for node := range int32(r.pool.space.Nodes()) {
		if !r.pool.space.Usable(c.kind.parts[0].Demand, node) {
			continue
		}
		mark := r.pool.space.Mark()
		if !r.displaceSmall(node) {
			continue
		}
		var lost armada.Resources
		for _, v := range r.victims[c.mark:] {
			lost = lost.Add(v.job.shape.needs.Resources)
		}
		left, share := r.owedInAll(c), r.scale.Share(&lost)
		if left < limit || left == limit && (!ok || share < harm) {
			best, limit, harm, ok = node, left, share, true
		}
		r.spare(c.mark)
		r.pool.space.Undo(mark, c.kind.parts)
	}
	return best, ok
}

// owedInAll is what all queues are owed and do not hold, with the claim if there is
// one.
func (r *round) owedInAll(c *claim) int64 {
	var owed int64
	for _, q := range r.pool.byName {
		held := q.turn.held
		if c != nil && c.queue == q {
			held = held.Add(c.kind.total)
		}
		owed += max(0, q.turn.shares.Adjusted-r.scale.Share(&held))
	}
	return owed
}
