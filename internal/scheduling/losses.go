package scheduling

import (
	"slices"
	"strconv"

	"armada"
)

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
// count on the same room. A victim that waits itself has no room to give; and where
// more is promised than there will be, because a decision was not carried out,
// nobody can count on anything alone.
func (r *round) whoLeaves(k *kind, nodes []int32, node int32) []armada.RunID {
	var made, given armada.Resources
	var mine, all []armada.RunID
	for _, j := range r.runsOn(node) {
		switch {
		case j.run.lost == r.number && r.madeRoom(j):
			mine = append(mine, j.run.id)
			if made = made.Add(*j.shape.demand.Resources()); !j.waits() {
				given = given.Add(*j.shape.demand.Resources())
			}
		case j.run.lost == r.number || j.run.leaves:
			all = append(all, j.run.id)
		}
	}
	taken := takenOn(node, k, nodes)
	free, promised := r.pool.space.Room(0, node).Add(taken), r.pool.space.Room(1, node).Add(taken).Sub(made)
	for i := range given {
		given[i] += max(free[i], 0)
	}
	if !taken.Fits(&given) || !(&armada.Resources{}).Fits(&promised) {
		mine = append(mine, all...)
	}
	slices.Sort(mine)
	return mine
}

// takenOn is what a gang takes of one of its nodes.
func takenOn(node int32, k *kind, nodes []int32) armada.Resources {
	var taken armada.Resources
	next := 0
	for _, p := range k.parts {
		for range p.Count {
			if nodes[next] == node {
				taken = taken.Add(*p.Demand.Resources())
			}
			next++
		}
	}
	return taken
}

// madeRoom tells whether a run made room for the claim.
func (r *round) madeRoom(j *job) bool {
	return slices.ContainsFunc(r.victims[r.claim.mark:], func(v victim) bool { return v.job == j })
}

// outOfReach tells whether a queue's job of the shape would have room if runs of
// other queues went that may stay: they hold no more than they are owed.
func (r *round) outOfReach(q *queue, s *shape) bool {
	others := func(o *queue) bool { return o != q && len(o.tenures) > 0 }
	if !r.Preemption.FairShare || !slices.ContainsFunc(r.pool.byName, others) {
		return false
	}
	_, could := r.pool.space.Search(s.demand, r.pool.space.UpTo(s.rank))
	return could
}

// preemptions tells what those lose who make room for a gang, whose turn is that
// of the job; it is nil where nobody gets the room. They are appended to all.
func (r *round) preemptions(all []Preemption, by *job, victims []victim) []Preemption {
	for i := range victims {
		v := &victims[i]
		loss := Preemption{Job: v.job.id, Run: v.job.run.id, Cause: v.cause, Reason: r.lossReason(v, by)}
		if by != nil {
			loss.For = by.id
		}
		all = append(all, loss)
	}
	return all
}

// lossReason tells the owner of a preempted job why it lost its place.
func (r *round) lossReason(v *victim, by *job) string {
	text := r.text[:0]
	say := func(words ...string) {
		for _, w := range words {
			text = append(text, w...)
		}
	}
	q := v.job.queue
	switch v.cause {
	case ForFairness:
		say("fair share: queue ", q.name, " held ")
		text = appendPercent(text, v.held)
		say(" of pool ", r.pool.name, ", more than its share of ")
		text = appendPercent(text, max(q.turn.shares.Fair, q.turn.shares.Adjusted))
		say("; job ", string(by.id), " of queue ", by.queue.name, " gets the room")
	case ForUrgency:
		say("urgency: job ", string(by.id), " of queue ", by.queue.name, " gets the room, for its priority class ranks higher (")
		text = strconv.AppendInt(text, int64(by.shape.rank), 10)
		say(", this one ")
		text = strconv.AppendInt(text, int64(v.job.shape.rank), 10)
		say(")")
	case ForPrice:
		say("price: job ", string(by.id), " of queue ", by.queue.name, " bids ", by.price().String(), ", this one ",
			v.job.worth().String(), ", and gets the room")
	case ForLargeJob:
		say("optimiser: queue ", q.name, " held ")
		text = appendPercent(text, v.held)
		say(" of pool ", r.pool.name, ", more than its share of ")
		text = appendPercent(text, max(q.turn.shares.Fair, q.turn.shares.Adjusted))
		say("; the large job ", string(by.id), " of queue ", by.queue.name, " gets the room")
	case ForRepair:
		say("its node has less room than its jobs hold")
	}
	if v.job.gang != nil {
		say("; a gang goes as a whole")
	}
	r.text = text
	return string(text)
}

// appendPercent writes millionths for people.
func appendPercent(text []byte, millionths int64) []byte {
	text = strconv.AppendInt(text, millionths/10_000, 10)
	text = append(text, '.')
	text = strconv.AppendInt(text, millionths%10_000/1000, 10)
	return append(text, '%')
}
