package scheduling

import (
	"cmp"
	"fmt"
	"slices"

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
	// limited tells that it would have room if more might be preempted now.
	limited bool
}

// displaces tells whether the round may preempt for a lane's next gang at all, and
// prepares for it.
func (r *round) displaces(l *lane) bool {
	if !r.preempts() {
		return false
	}
	if r.pool.market != nil {
		r.claim = claim{queue: l.queue, kind: l.kind, price: l.price}
		return true
	}
	t := &l.queue.turn
	with := t.held.Add(l.kind.total)
	r.claim = claim{
		queue: l.queue, kind: l.kind, cost: r.scale.Cost(&with, l.queue.factor),
		owed: r.scale.Share(&with) <= max(t.shares.Fair, t.shares.Adjusted),
	}
	return true
}

// Find finds a node for a member of the claim in what others owe, or in what the
// less urgent hold; but where somebody leaves already, nobody else has to.
func (r *round) Find(part int) (int32, bool) {
	d, space := r.claim.kind.parts[part].Demand, r.pool.space
	if r.pool.market != nil {
		return r.outbid(part)
	}
	owed := r.preemption.FairShare && r.somebodyOwes()
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

// Undo gives back what the gang took.
func (r *round) Undo() { r.spare(r.claim.mark) }

// fromLower finds the node with the least room among those that would have enough
// if all less urgent runs were gone.
func (r *round) fromLower(d *placement.Demand) (int32, bool) {
	level := r.pool.space.Below(r.claim.kind.rank)
	if level == 1 || !r.preemption.Urgency {
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
			cmp.Compare(r.scale.Cost(&b.queue.turn.held, b.queue.factor), r.scale.Cost(&a.queue.turn.held, a.queue.factor)),
			cmp.Compare(b.queue.name, a.queue.name),
		)
	})
}

func (r *round) runsOn(node int32) []*job {
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
	for _, j := range r.candidates {
		if needs.Fits(&room) {
			break
		}
		from := len(r.victims)
		if j.run.lost == r.number || !r.take(j, why) {
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
		return false
	}
	r.spareNeedless(needs, &room, mark)
	for i := mark; i < len(r.victims); i++ {
		v := &r.victims[i]
		if at, known := r.pool.space.At(v.job.run.node); known {
			r.pool.space.Evict(at, v.job.shape.demand)
			r.book.taken(v.job, at)
			v.evicted = true
		}
	}
	return true
}

// take preempts a run with its gang, if it may be.
func (r *round) take(j *job, why Cause) bool {
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
	if why == ForFairness && !r.isOwed(q, &after) || !r.withinLimits(len(r.mates), why) {
		return false
	}
	if why == ForFairness {
		r.moved.given += int64(len(r.mates))
	}
	share := r.scale.Share(&q.turn.held)
	for _, m := range r.mates {
		m.run.lost = r.number
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
	case ForRepair:
	}
	return true
}

// withinLimits tells whether so many runs more may be preempted: for the claim,
// which has to be one decision with its leases, and for fairness in this round.
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
	most := r.preemption.MaxPerRound
	if most > 0 && r.moved.given > 0 && int(r.moved.given)+more > most {
		r.claim.limited = true
		return false
	}
	if !r.moved.allow(more) {
		r.claim.limited = true
		r.wakeAt(r.moved.when(more))
		return false
	}
	return true
}

// isOwed tells whether a queue owes the claim what it would lose. It must hold more
// than what is protected, and cost more than the claim's queue would; and the
// claim must stay within its queue's share, or its queue stay no costlier than the
// other, so that nobody could take the room back for the same reason.
func (r *round) isOwed(q *queue, after *armada.Resources) bool {
	return r.overShare(q) && r.scale.Cost(&q.turn.held, q.factor) > r.claim.cost &&
		(r.claim.owed || r.scale.Cost(after, q.factor) >= r.claim.cost)
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
	if v.cause == ForFairness {
		r.moved.given--
	}
	if v.evicted {
		if at, known := r.pool.space.At(v.job.run.node); known {
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
	if !r.preemption.Repair {
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

// waitFor notes what the leases of a gang just placed wait for, on nodes that have
// no room before somebody has left.
func (r *round) waitFor(k *kind, nodes []int32) {
	if !r.pool.space.Leaving() && len(r.victims) == 0 {
		return
	}
	var nothing armada.Resources
	for i, node := range nodes {
		if !nothing.Fits(r.pool.space.Room(0, node)) {
			r.waits = append(r.waits, wait{lease: len(r.nodes) - len(nodes) + i, after: r.whoLeaves(k, nodes, node)})
		}
	}
}

// whoLeaves are the runs whose end a gang waits for on a node: its victims there,
// and when those do not make all of the room, everybody who leaves. So no two gangs
// count on the same room.
func (r *round) whoLeaves(k *kind, nodes []int32, node int32) []armada.RunID {
	var taken, given armada.Resources
	next := 0
	for _, p := range k.parts {
		for range p.Count {
			if nodes[next] == node {
				taken = taken.Add(*p.Demand.Resources())
			}
			next++
		}
	}
	room := r.pool.space.Room(0, node).Add(taken)
	for i := range room {
		given[i] = max(room[i], 0)
	}
	runs := r.runsOn(node)
	var mine, all []armada.RunID
	for _, j := range runs {
		switch {
		case j.run.lost == r.number && r.madeRoom(j):
			mine = append(mine, j.run.id)
			given = given.Add(*j.shape.demand.Resources())
		case j.run.lost == r.number || j.run.leaves:
			all = append(all, j.run.id)
		}
	}
	if !taken.Fits(&given) {
		mine = append(mine, all...)
	}
	slices.Sort(mine)
	return mine
}

// madeRoom tells whether a run made room for the claim.
func (r *round) madeRoom(j *job) bool {
	return slices.ContainsFunc(r.victims[r.claim.mark:], func(v victim) bool { return v.job == j })
}

// lossReason tells the owner of a preempted job why it lost its place.
func (r *round) lossReason(v *victim, by *job) string {
	q := v.job.queue
	text := "its node has less room than its jobs hold"
	switch v.cause {
	case ForFairness:
		text = fmt.Sprintf("fair share: queue %s held %s of pool %s, more than its share of %s; job %s of queue %s gets the room",
			q.name, percent(v.held), r.pool.name, percent(max(q.turn.shares.Fair, q.turn.shares.Adjusted)), by.id, by.queue.name)
	case ForUrgency:
		text = fmt.Sprintf("urgency: job %s of queue %s gets the room, for its priority class ranks higher (%d, this one %d)",
			by.id, by.queue.name, by.shape.rank, v.job.shape.rank)
	case ForPrice:
		text = fmt.Sprintf("price: job %s of queue %s bids %v, this one %v, and gets the room",
			by.id, by.queue.name, by.price(), v.job.worth())
	case ForRepair:
	}
	if v.job.gang != nil {
		text += "; a gang goes as a whole"
	}
	return text
}

// percent writes millionths for people.
func percent(millionths int64) string {
	return fmt.Sprintf("%d.%d%%", millionths/10_000, millionths%10_000/1000)
}

// preempts tells whether runs may lose their places in this round.
func (r *round) preempts() bool {
	return r.preemption.FairShare || r.preemption.Urgency || r.pool.market != nil
}

// outOfReach tells whether a queue's job of the shape would have room if runs of
// other queues went that may stay: they hold no more than they are owed.
func (r *round) outOfReach(q *queue, s *shape) bool {
	others := func(o *queue) bool { return o != q && len(o.tenures) > 0 }
	if !r.preemption.FairShare || !slices.ContainsFunc(r.pool.byName, others) {
		return false
	}
	_, could := r.pool.space.Search(s.demand, r.pool.space.UpTo(s.rank))
	return could
}
