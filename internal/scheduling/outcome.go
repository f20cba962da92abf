package scheduling

import (
	"cmp"
	"slices"

	"armada"
)

// outcome turns what the round found into what the caller gets.
func (r *round) outcome() Outcome {
	out := Outcome{Report: r.report(), Wake: r.wake}
	out.Decisions = r.decisions()
	count := 0
	for _, q := range r.pool.byName {
		count += len(q.inOrder) + len(q.incomplete)
	}
	if count > 0 {
		out.Waiting = make([]Waiting, 0, count)
	}
	for _, q := range r.pool.byName {
		out.Waiting = r.waiting(out.Waiting, q)
	}
	return out
}

func (r *round) decisions() []Decision {
	if len(r.placed) == 0 {
		return nil
	}
	decisions := make([]Decision, len(r.placed))
	leases, losses := make([]Lease, 0, len(r.nodes)), make([]Preemption, 0, len(r.victims))
	nodes, victims, waits := r.nodes, r.victims, r.waits
	for i, p := range r.placed {
		if p.victims > 0 {
			before := len(losses)
			losses = r.preemptions(losses, p.first, victims[:p.victims])
			decisions[i].Preemptions = losses[before:len(losses):len(losses)]
			victims = victims[p.victims:]
		}
		if p.first == nil {
			continue
		}
		begin := len(leases)
		r.members = append(r.members[:0], p.first)
		if g := p.first.gang; g != nil {
			r.members = append(r.members[:0], g.due...)
		}
		for m, j := range r.members {
			executor, name := r.pool.space.Node(nodes[m])
			l := Lease{Job: j.id, Executor: executor, Node: name, Away: cmp.Or(p.away, j.shape.nodeType)}
			if len(waits) > 0 && waits[0].lease == len(leases) {
				l.After, waits = waits[0].after, waits[1:]
			}
			leases = append(leases, l)
		}
		nodes = nodes[p.nodes:]
		decisions[i].Leases = leases[begin:len(leases):len(leases)]
	}
	return decisions
}

// report describes the round, and leaves each queue's lanes in order of turn.
func (r *round) report() Report {
	report := Report{Pool: r.pool.name, At: r.in.Now, Capacity: r.capacity, Market: r.prices}
	for _, q := range r.pool.byName {
		t := &q.turn
		q.unsorted = q.unsorted || t.given > 0
		q.sortLanes()
		if !q.known {
			continue
		}
		stopped := armada.Reason{}
		if at := slices.IndexFunc(q.inOrder, (*lane).waits); at >= 0 {
			r.explain(q.inOrder[at], &stopped)
		} else if g := q.firstIncomplete(); g != nil {
			stopped = r.incomplete(g)
		}
		report.Queues = append(report.Queues, QueueReport{
			Queue: q.name, Weight: q.settings.Weight(),
			FairShare: t.shares.Fair, AdjustedShare: t.shares.Adjusted, UncappedShare: t.shares.Uncapped, Demand: t.demand,
			Share: r.scale.Share(&t.held), Cost: r.cost(q, &t.held), Allocated: t.held,
			Queued: q.queued - t.given, Placed: t.given, Stopped: stopped,
		})
	}
	return report
}

// waits tells whether anything is left in the lane.
func (l *lane) waits() bool { return l.taken < l.count }

// explain tells why what is left in a lane was not placed.
func (r *round) explain(l *lane, reason *armada.Reason) {
	q := l.queue
	if l.kind.failed == r.number && !(q.known && q.settings.Cordoned) {
		if *reason = l.kind.reason; reason.Code == armada.ReasonOutbid {
			reason.Have = int64(l.price)
		}
		return
	}
	*reason = armada.Reason{Code: armada.ReasonNotConsidered, Pool: r.pool.name}
	limit, over := r.overLimit(l)
	switch {
	case q.known && q.settings.Cordoned:
		reason.Code = armada.ReasonQueueCordoned
	case over:
		*reason = limit
	case q.turn.stopped.Code != armada.ReasonNone:
		*reason = q.turn.stopped
	case r.full.Code != armada.ReasonNone:
		*reason = r.full
	}
}

func (r *round) waiting(out []Waiting, q *queue) []Waiting {
	for _, l := range q.inOrder {
		if !l.waits() {
			continue
		}
		left := l.count - l.taken
		if l.kind.signature == "" {
			out = slices.Grow(out, 1)[:len(out)+1]
			w := &out[len(out)-1] // in place, for there are many
			w.Queue, w.Shape, w.Jobs, w.First = q.name, l.kind.members[0].shape.id, left, l.first()
			r.explain(l, &w.Reason)
			continue
		}
		members := l.next.job.gang.due
		for _, m := range l.kind.members {
			w := Waiting{Queue: q.name, Shape: m.shape.id, Jobs: left * m.count, First: members[0].id}
			r.explain(l, &w.Reason)
			out = append(out, w)
			members = members[m.count:]
		}
	}
	for _, g := range q.incompleteInOrder() {
		for i := 0; i < len(g.queued); i++ {
			j := g.queued[i]
			if at := slices.IndexFunc(g.queued, func(o *job) bool { return o.shape == j.shape }); at < i {
				continue
			}
			w := Waiting{Queue: q.name, Shape: j.shape.id, JobSet: g.key.set, Gang: g.key.id, First: j.id, Reason: r.incomplete(g)}
			for _, o := range g.queued[i:] {
				if o.shape == j.shape {
					w.Jobs++
				}
			}
			out = append(out, w)
		}
	}
	return out
}

func (r *round) incomplete(g *gang) armada.Reason {
	return armada.Reason{Code: armada.ReasonGangIncomplete, Pool: r.pool.name, Have: int64(len(g.queued)), Want: int64(g.missing())}
}

// incompleteInOrder lists the gangs that wait for members, by turn.
func (q *queue) incompleteInOrder() []*gang {
	gangs := make([]*gang, 0, len(q.incomplete))
	for g := range q.incomplete {
		gangs = append(gangs, g)
	}
	slices.SortFunc(gangs, func(a, b *gang) int { return compareJobs(a.queued[0], b.queued[0]) })
	return gangs
}

func (q *queue) firstIncomplete() *gang {
	var first *gang
	for g := range q.incomplete {
		if first == nil || compareJobs(g.queued[0], first.queued[0]) < 0 {
			first = g
		}
	}
	return first
}
