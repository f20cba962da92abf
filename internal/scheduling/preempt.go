package scheduling

import (
	"cmp"
	"math"
	"slices"
	"time"

	"armada"
	"armada/internal/scheduling/placement"
)

// victim is a run that loses its place.
type victim struct {
	job   *job
	cause Cause
	held  int64 // the share of its queue before
	// evicted tells that the nodes know.
	evicted bool
}

// wait is what a lease waits for.
type wait struct {
	lease int // in scratch.nodes
	after []armada.RunID
}

// claim is the gang for which room is made.
type claim struct {
	queue *queue
	kind  *kind
	cost  uint64 // of its queue, with it
	owed  bool   // its queue stays within its share with it
	price armada.Price
	mark  int // victims of others
	// number is of the claim, in the state of what queues hold that it is made in.
	number uint64
	// limited tells that it would have room if more might be preempted now. refused
	// tells the same of the last run that was asked for, and until when; zero is for
	// as long as the round lasts.
	limited, refused bool
	until            time.Time
}

// displaces tells whether the round may preempt for a lane's next gang at all, and
// prepares for it.
func (r *round) displaces(l *lane) bool {
	if !r.preempts() {
		return false
	}
	if r.Market != nil {
		r.claim = claim{queue: l.queue, kind: l.kind, price: l.price}
		return true
	}
	t := &l.queue.turn
	with := t.held.Add(l.kind.total)
	r.claimed++
	r.claim = claim{
		number: r.claimed, queue: l.queue, kind: l.kind, cost: r.cost(l.queue, &with),
		owed: r.scale.Share(&with) <= max(t.shares.Fair, t.shares.Adjusted),
	}
	return true
}

// Find finds a node for a member of the claim in what others owe, or in what the
// less urgent hold; but where somebody leaves already, nobody else has to.
func (r *round) Find(part int) (int32, bool) {
	d, space := r.claim.kind.parts[part].Demand, r.pool.space
	if r.Market != nil {
		return r.outbid(part)
	}
	owed := r.Preemption.FairShare && r.somebodyOwes()
	lower, urgent := r.fromLower(d)
	if !owed && !urgent {
		return 0, false
	}
	if space.Leaving() || len(r.victims) > 0 {
		if node, ok := space.Search(d, 1); ok {
			return node, true
		}
	}
	if owed {
		if node, ok := r.fromBook(part); ok {
			return node, true
		}
	}
	return lower, urgent && r.displaceLower(d, lower)
}

// Begin tells that a gang is about to be placed.
func (r *round) Begin() { r.claim.mark = len(r.victims) }

// Evicted is how many runs have lost their places for the gang.
func (r *round) Evicted() int { return len(r.victims) - r.claim.mark }

// Undo gives back what the gang took.
func (r *round) Undo() { r.spare(r.claim.mark) }

// fromLower finds the node with the least room among those that would have enough
// if all less urgent runs were gone.
func (r *round) fromLower(d *placement.Demand) (int32, bool) {
	level := r.pool.space.Below(r.claim.kind.rank)
	if level == 1 || !r.Preemption.Urgency {
		return 0, false
	}
	return r.pool.space.Search(d, level)
}

// displaceLower makes room on a node by less urgent runs.
func (r *round) displaceLower(d *placement.Demand, node int32) bool {
	rank := r.claim.kind.rank
	r.candidates = r.candidates[:0]
	for _, j := range r.runsOn(node) {
		if j.loose() && j.shape.rank < rank && j.run.lost != r.number {
			r.candidates = append(r.candidates, j)
		}
	}
	r.leastFirst()
	return r.makeRoom(d.Resources(), node, ForUrgency)
}

// leastFirst sorts the candidates in the order in which they lose their places.
func (r *round) leastFirst() {
	slices.SortFunc(r.candidates, func(a, b *job) int {
		if a.queue == b.queue {
			return cmp.Or(cmp.Compare(a.worth(), b.worth()), cmp.Compare(a.shape.rank, b.shape.rank), b.tenure().compare(a.tenure()))
		}
		return cmp.Or(
			cmp.Compare(a.worth(), b.worth()),
			cmp.Compare(a.shape.rank, b.shape.rank),
			cmp.Compare(r.cost(b.queue, &b.queue.turn.held), r.cost(a.queue, &a.queue.turn.held)),
			cmp.Compare(b.queue.name, a.queue.name),
		)
	})
}

// runsOn are the runs on a node that may be preempted or leave.
func (r *round) runsOn(node int32) []*job {
	if last := len(r.victims) - 1; last >= 0 {
		if s := r.victims[last].job.run.site; r.pool.position(s) == node {
			return s.runs
		}
	}
	executor, name := r.pool.space.Node(node)
	if s := r.pool.sites[placement.NodeRef{Executor: executor, Name: name}]; s != nil {
		return s.runs
	}
	return nil
}

// makeRoom preempts candidates, all of which run on the node, in their order until
// it has room for what is needed, and no more than that takes. When they are not
// enough it preempts none.
func (r *round) makeRoom(needs *armada.Resources, node int32, why Cause) bool {
	mark, room := len(r.victims), *r.pool.space.Room(1, node)
	var kept armada.Resources // by runs that the limits of preemption keep where they are
	for _, j := range r.candidates {
		if needs.Fits(&room) {
			break
		}
		from := len(r.victims)
		if j.run.lost == r.number {
			continue
		}
		if !r.take(j, why) {
			if r.claim.refused {
				kept = kept.Add(*j.shape.demand.Resources())
			}
			continue
		}
		for _, v := range r.victims[from:] {
			if v.job.run.node == j.run.node {
				room = room.Add(*v.job.shape.demand.Resources())
			}
		}
	}
	if !needs.Fits(&room) {
		r.spare(mark)
		if room = room.Add(kept); needs.Fits(&room) {
			r.limited()
		}
		return false
	}
	r.spareNeedless(needs, &room, mark)
	for i := mark; i < len(r.victims); i++ {
		v := &r.victims[i]
		if at := r.pool.position(v.job.run.site); at >= 0 {
			r.pool.space.Evict(at, v.job.shape.demand)
			r.book.taken(v.job, at)
			v.evicted = true
		}
	}
	return true
}

// limited notes that the claim would have room but for the limits of preemption.
func (r *round) limited() {
	r.claim.limited = true
	if !r.claim.until.IsZero() {
		r.wakeAt(r.claim.until)
	}
}

// take preempts a run with its gang, if it may be.
func (r *round) take(j *job, why Cause) bool {
	r.claim.refused = false
	r.mates = append(r.mates[:0], j)
	if j.gang != nil {
		r.mates = r.mates[:0]
		for _, m := range j.gang.running {
			if !m.run.leaves && m.run.lost != r.number {
				r.mates = append(r.mates, m)
			}
		}
		slices.SortFunc(r.mates, func(a, b *job) int { return b.tenure().compare(a.tenure()) })
	}
	q := j.queue
	after := q.turn.held
	for _, m := range r.mates {
		if !m.loose() || !r.outranks(m, why) {
			return false
		}
		after = after.Sub(m.shape.needs.Resources)
	}
	if why == ForLargeJob && !r.overShare(q) {
		return false
	}
	if why == ForFairness && !r.isOwed(q, &after) || !r.withinLimits(len(r.mates), why) {
		return false
	}
	r.heldChanged()
	share := r.scale.Share(&q.turn.held)
	for _, m := range r.mates {
		m.run.lost, m.run.lostIn = r.number, r.book.number
		r.lose(m, -1)
		r.victims = append(r.victims, victim{job: m, cause: why, held: share})
	}
	return true
}

// outranks tells whether a run is lower than the claim in what the cause is about.
func (r *round) outranks(j *job, why Cause) bool {
	switch why {
	case ForFairness:
		return j.shape.rank <= r.claim.kind.rank
	case ForUrgency:
		return j.shape.rank < r.claim.kind.rank
	case ForPrice:
		return j.worth() < r.claim.price
	case ForLargeJob:
		return j.shape.rank <= r.claim.kind.rank && j.shape.needs.Resources.Fits(&r.Optimiser.Small)
	case ForRepair:
	}
	return true
}

// heldChanged makes what was found about the claim void.
func (r *round) heldChanged() {
	r.claimed++
	r.claim.number = r.claimed
}

// withinLimits tells whether so many runs more may be preempted: for the claim,
// which has to be one decision with its leases, and for fairness in this round,
// where a claim that needs more than the bound goes first or not at all.
func (r *round) withinLimits(more int, why Cause) bool {
	size := more + len(r.victims) - r.claim.mark
	if r.claim.kind != nil {
		size += r.claim.kind.size
	}
	if most := r.pool.config.MaxDecision; most > 0 && size > most {
		return false
	}
	if why != ForFairness {
		return true
	}
	for _, v := range r.victims[r.claim.mark:] {
		if v.cause == ForFairness {
			more++
		}
	}
	most := r.Preemption.MaxPerRound
	if most > 0 && r.moved.given > 0 && int(r.moved.given)+more > most {
		r.claim.refused = true
		return false
	}
	if !r.moved.allow(more) {
		r.claim.refused, r.claim.until = true, r.moved.when(more)
		return false
	}
	return true
}

// settleVictims counts those who lose their places for the claim, which got its
// own.
func (r *round) settleVictims() {
	for _, v := range r.victims[r.claim.mark:] {
		if v.cause == ForFairness {
			r.moved.given++
		}
	}
}

// isOwed tells whether a queue owes the claim what it would lose. It must hold more
// than what is protected, and cost more than the claim's queue would; and the
// claim must stay within its queue's share, or its queue stay no costlier than the
// other, so that nobody could take the room back for the same reason.
func (r *round) isOwed(q *queue, after *armada.Resources) bool {
	return r.overShare(q) && r.cost(q, &q.turn.held) > r.claim.cost &&
		(r.claim.owed || r.cost(q, after) >= r.claim.cost)
}

// spare gives the latest victims their places back.
func (r *round) spare(mark int) {
	for i := len(r.victims) - 1; i >= mark; i-- {
		r.spareOne(i)
	}
}

func (r *round) spareOne(i int) {
	v := r.victims[i]
	v.job.run.lost = 0
	r.lose(v.job, 1)
	r.heldChanged()
	if v.evicted {
		if at := r.pool.position(v.job.run.site); at >= 0 {
			r.book.givenBack(v.job, at)
		}
	}
	r.victims = slices.Delete(r.victims, i, i+1)
}

// spareNeedless gives back the places of lone victims without which there is room
// enough, first of those that would have lost theirs last.
func (r *round) spareNeedless(needs, room *armada.Resources, mark int) {
	for i := len(r.victims) - 1; i >= mark; i-- {
		j := r.victims[i].job
		if without := room.Sub(*j.shape.demand.Resources()); j.gang == nil && needs.Fits(&without) {
			r.spareOne(i)
			*room = without
		}
	}
}

// repair takes the lowest runs off nodes that have less than their runs hold.
func (r *round) repair() {
	if !r.Preemption.Repair {
		return
	}
	var nothing armada.Resources
	for node := range int32(r.pool.space.Nodes()) {
		if nothing.Fits(r.pool.space.Room(1, node)) {
			continue
		}
		r.candidates = r.candidates[:0]
		for _, j := range r.runsOn(node) {
			if j.loose() && j.run.lost != r.number {
				r.candidates = append(r.candidates, j)
			}
		}
		r.leastFirst()
		r.claim = claim{mark: len(r.victims)}
		if r.makeRoom(&nothing, node, ForRepair) {
			r.placed = append(r.placed, placed{victims: len(r.victims) - r.claim.mark})
		}
	}
}

// stir notes what may give gangs that were refused room after all: that those who
// lost their places left more than was needed, or that a queue which got something
// owes more now. In a market whatever is left may be enough with the next run.
func (r *round) stir(q *queue, victims []victim) {
	if !r.preempts() {
		return
	}
	if r.Market == nil && len(q.tenures) > 0 && r.overShare(q) {
		r.dearest = max(r.dearest, r.cost(q, &q.turn.held))
	}
	if r.Market != nil && len(victims) > 0 || slices.ContainsFunc(victims, r.leftRoom) {
		r.stirred = r.leases
	}
}

// withinReach tells whether a gang of a kind that was refused may find room by now.
func (r *round) withinReach(k *kind) bool {
	mixed := len(k.parts) > 1 && k.failedAt < r.leases
	return mixed || k.failedAt < r.stirred || k.failedAt < r.leases && k.refused < r.dearest
}

// leftRoom tells whether the node of a victim has room for the smallest of jobs.
func (r *round) leftRoom(v victim) bool {
	at := r.pool.position(v.job.run.site)
	return at >= 0 && r.leastAsked().Fits(r.pool.space.Room(1, at))
}

// leastAsked is what every job asks for at least.
func (r *round) leastAsked() *armada.Resources {
	if r.least == nil {
		r.least = &armada.Resources{}
		for i := range r.least {
			r.least[i] = math.MaxInt64
		}
		for _, s := range r.pool.shapes {
			for i, amount := range s.demand.Resources() {
				r.least[i] = min(r.least[i], amount)
			}
		}
	}
	return r.least
}

// preempts tells whether runs may lose their places in this round.
func (r *round) preempts() bool {
	return r.Preemption.FairShare || r.Preemption.Urgency || r.Market != nil
}
