package scheduling

import (
	"slices"
	"time"

	"armada"
	"armada/internal/scheduling/placement"
)

// ReservationRules say when nodes are kept for a gang that finds no room because
// smaller jobs take it as it comes free. The zero value keeps none.
type ReservationRules struct {
	After time.Duration // how long it must have waited since its submission
	For   time.Duration // how long nodes are kept at most; then it waits for After again
	// MostNodes bounds the nodes kept in a pool, in millionths of all. The first
	// gang gets as many as it needs whatever the bound.
	MostNodes int64
}

// Reservation is nodes kept for a gang: nobody else starts there.
type Reservation struct {
	Queue string
	Job   armada.JobID // whose turn is that of the gang
	Nodes []placement.NodeRef
	Until time.Time
	// Lapsed tells that the nodes are free again, and Until when the gang may have
	// others.
	Lapsed bool
}

// keep begins a round for what is kept: reservations end with the wait of their
// job, with a node, and with their time.
func (r *round) keep() {
	r.kept = r.kept[:0]
	var groups [][]placement.NodeRef
	for _, k := range r.pool.reservations {
		j := r.pool.jobs[k.Job]
		if j == nil || j.run != nil || slices.ContainsFunc(k.Nodes, func(n placement.NodeRef) bool { return !r.pool.space.Open(n) }) {
			continue
		}
		if !r.in.Now.Before(k.Until) {
			if k.Lapsed {
				continue
			}
			k.Nodes, k.Lapsed, k.Until = nil, true, r.in.Now.Add(r.Reservations.After)
		}
		r.kept = append(r.kept, k)
		groups = append(groups, k.Nodes)
		if l := j.lane(); l != nil && !k.Lapsed {
			l.move()
			l.holder = int32(len(groups))
		}
	}
	r.pool.space.Reserve(groups)
}

// redeem places the gangs first for which nodes are kept.
func (r *round) redeem() {
	for _, k := range r.kept {
		l := r.pool.jobs[k.Job].lane()
		if l == nil || l.holder == placement.Nobody || !l.queue.starts() || r.barred(l) || r.tooFast(l.queue, l.kind) || r.ends(l.kind) {
			continue
		}
		if r.place(l) {
			l.take()
		}
	}
	r.redeemed = r.leases
}

// become lets a kind be placed, at home and away, as the holder of what is kept.
func (r *round) become(holder int32, k *kind) {
	r.pool.space.Become(holder, k.parts)
	for _, t := range k.trips {
		r.pool.space.Become(holder, t.parts)
	}
}

// letGo ends what is kept for a lane's next gang, which got its place. What is left
// on the nodes is for all in a round that follows at once.
func (r *round) letGo(l *lane) {
	if l.holder != placement.Nobody {
		r.kept[l.holder-1].Until, l.holder = r.in.Now, placement.Nobody
		r.wakeAt(r.in.Now)
	}
}

// reserve keeps nodes for the gang that has waited longest of those that are owed
// room and have no place while others find one; a round begins to keep nodes for
// one only. It returns all that is kept from now on.
func (r *round) reserve() []Reservation {
	rules, kept := r.Reservations, 0
	if rules.After == 0 || r.Market != nil {
		return nil
	}
	out := slices.DeleteFunc(slices.Clone(r.kept), func(k Reservation) bool { return !r.in.Now.Before(k.Until) })
	for _, k := range out {
		kept += len(k.Nodes)
		r.wakeAt(k.Until)
	}
	l := r.starved()
	if l == nil {
		return out
	}
	nodes, ok := r.pool.space.WouldHold(l.kind.parts, l.kind.uniform)
	if !ok || kept > 0 && int64(kept+len(nodes))*1_000_000 > int64(r.pool.space.Nodes())*rules.MostNodes {
		return out
	}
	until := r.in.Now.Add(rules.For)
	r.wakeAt(until)
	return append(out, Reservation{Queue: l.queue.name, Job: l.next.job.id, Nodes: nodes, Until: until})
}

// starved is the lane that offers the gang to keep nodes for; nil when there is
// none. Of each queue the first such gang counts, and only if nothing is kept for
// another of it.
func (r *round) starved() *lane {
	var longest *lane
	for _, q := range r.pool.byName {
		if !q.starts() || r.scale.Share(&q.turn.held) >= max(q.turn.shares.Fair, q.turn.shares.Adjusted) ||
			slices.ContainsFunc(r.kept, func(k Reservation) bool { return k.Queue == q.name }) {
			continue
		}
		if at := slices.IndexFunc(q.inOrder, r.starves); at >= 0 && (longest == nil || q.inOrder[at].next.job.submitted < longest.next.job.submitted) {
			longest = q.inOrder[at]
		}
	}
	return longest
}

// starves tells whether a lane's next gang has found no room for long, and others
// find it now.
func (r *round) starves(l *lane) bool {
	k := l.kind
	return l.waits() && k.failed == r.number && lacksRoom(k.reason.Code) && r.leases > r.redeemed &&
		r.in.Now.Sub(time.Unix(int64(l.next.job.submitted), 0)) >= r.Reservations.After
}

// lacksRoom tells whether a gang would have a place if others left.
func lacksRoom(why armada.ReasonCode) bool {
	return why == armada.ReasonInsufficient || why == armada.ReasonReserved || why == armada.ReasonGangDoesNotFit
}

// lane is where a queued job waits; nil while its gang is incomplete.
func (j *job) lane() *lane {
	if j.gang != nil {
		return j.gang.lane
	}
	return j.queue.lanes[laneKey{j.shape.alone, bandSet(0).with(j.band)}]
}
