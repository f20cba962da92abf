package scheduling

import (
	"cmp"
	"slices"

	"armada"
	"armada/internal/scheduling/placement"
)

// place is what a run holds.
type place struct {
	id     armada.RunID
	node   placement.NodeRef
	site   *site
	since  int64 // when it was leased
	after  []armada.RunID
	leaves bool // it was asked to end, and holds its room until it has

	// The current round's.
	lost    uint64 // the round that takes its room away
	lostIn  uint64 // the book that was open then, or the last
	offered uint64 // the book that has it
}

// site is the runs of one node that may be preempted or that leave.
type site struct {
	ref  placement.NodeRef
	runs []*job

	// Where the node stands, as of a layout of the nodes; -1 if it is not known.
	layout uint64
	at     int32
}

// tenure is the runs of one queue, one band and one class priority that may be
// preempted, in the order in which they keep their places: lower priority number
// first, then the earlier lease.
type tenure struct {
	line
	price armada.Price // 0 outside markets
	rank  int32
	band  armada.PriceBand
	held  armada.Resources // by them
}

// waits tells whether the run has no room yet: somebody that it waits for holds it.
func (j *job) waits() bool {
	return len(j.run.after) > 0 && slices.ContainsFunc(j.run.site.runs, func(o *job) bool {
		return slices.Contains(j.run.after, o.run.id)
	})
}

// tenure is the run's place among those of its queue.
func (j *job) tenure() entry { return entry{j.run.since, j.priority, j} }

// loose tells whether the run may be preempted.
func (j *job) loose() bool { return j.shape.loose && !j.run.leaves }

// position is where a site's node stands, or -1 if it is not known.
func (p *Pool) position(s *site) int32 {
	if layout := p.space.Layout(); s.layout != layout {
		at, known := p.space.At(s.ref)
		if s.layout, s.at = layout, at; !known {
			s.at = -1
		}
	}
	return s.at
}

// settleIn counts a run for its queue and its node.
func (p *Pool) settleIn(j *job) {
	p.space.Hold(j.run.node, j.shape.demand, j.run.leaves)
	p.hold(j, 1)
	if j.loose() {
		j.queue.joinTenure(j)
	}
	if j.loose() || j.run.leaves {
		s := p.sites[j.run.node]
		if s == nil {
			s = &site{ref: j.run.node}
			p.sites[j.run.node] = s
		}
		s.runs = append(s.runs, j)
		j.run.site = s
	}
	if j.gang != nil {
		j.gang.running = append(j.gang.running, j)
		p.unsettle(j.gang)
	}
}

// moveOut takes back what settleIn counted.
func (p *Pool) moveOut(j *job) {
	p.space.Release(j.run.node, j.shape.demand, j.run.leaves)
	p.hold(j, -1)
	if j.loose() {
		j.queue.leaveTenure(j)
	}
	if s := j.run.site; s != nil {
		s.runs = slices.DeleteFunc(s.runs, func(o *job) bool { return o == j })
		if len(s.runs) == 0 {
			delete(p.sites, j.run.node)
		}
	}
	if g := j.gang; g != nil {
		g.running = slices.DeleteFunc(g.running, func(o *job) bool { return o == j })
		p.unsettle(g)
	}
}

// goesFirst orders the tenures of a queue by who loses a place first.
func (t *tenure) goesFirst(o *tenure) int {
	return cmp.Or(cmp.Compare(t.price, o.price), cmp.Compare(t.rank, o.rank), cmp.Compare(t.band, o.band))
}

// tenure finds or makes the tenure of a run.
func (q *queue) tenure(j *job) *tenure {
	if at := q.tenureAt(j); at >= 0 {
		return q.tenures[at]
	}
	t := &tenure{price: j.worth(), rank: j.shape.rank, band: j.band}
	at, _ := slices.BinarySearchFunc(q.tenures, t, (*tenure).goesFirst)
	q.tenures = slices.Insert(q.tenures, at, t)
	return t
}

func (q *queue) tenureAt(j *job) int {
	return slices.IndexFunc(q.tenures, func(t *tenure) bool { return t.rank == j.shape.rank && t.band == j.band })
}

func (q *queue) joinTenure(j *job) {
	t := q.tenure(j)
	t.insert(j.tenure())
	count(&t.held, j.shape, 1)
}

func (q *queue) leaveTenure(j *job) {
	at := q.tenureAt(j)
	count(&q.tenures[at].held, j.shape, -1)
	if q.tenures[at].remove(j.tenure()); q.tenures[at].count == 0 {
		q.tenures = slices.Delete(q.tenures, at, at+1)
	}
}
