package scheduling

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"armada"
	"armada/internal/scheduling/placement"
)

// kind is what a gang looks like to placement: which shapes, how many of each,
// and what their nodes must share. Where one gang of a kind does not fit, none
// does. A lone job's kind is that of its shape.
type kind struct {
	signature string // empty for a lone job's
	rank      int32  // the lowest class priority of its members
	members   []member
	parts     []placement.Part // the same, for placement
	uniform   placement.Uniform
	size      int
	total     armada.Resources
	byClass   []classTotal // the same, by class
	trips     []trip       // where else it may go
	lanes     int

	// The current round's.
	failed   uint64 // the round in which it did not fit
	failedAt int    // after so many leases
	refused  uint64 // for queues that cost so much with it, and more
	again    uint64 // the pass in which it is offered again
	chance   uint64 // the pass in which it was first offered
	reason   armada.Reason
	quoted   uint64 // the round in which its price was asked for
}

// member is how many of a gang have one shape.
type member struct {
	shape *shape
	count int

	// How far its search in the book has come, at which cost, and after how many
	// victims.
	book uint64
	page int
	cost uint64
	seen int
}

// gangKey names a gang within its pool.
type gangKey struct {
	queue string
	set   armada.JobSet
	id    string
}

// gang is the active members of a gang. It is complete when as many are queued
// as are to be placed together: its cardinality, or what is missing of it while
// others of it run (a member that lost its run joins the rest of its gang).
type gang struct {
	key         gangKey
	queue       *queue
	cardinality int
	label       string
	queued      []*job // in order
	running     []*job

	unsettled bool
	lane      *lane  // nil while incomplete
	due       []*job // the members to be placed together, as the kind's parts
	turn      *job   // the last of them, at whose place in the lane the gang stands
}

func (p *Pool) gang(v armada.Job) *gang {
	key := gangKey{v.Queue, v.JobSet, v.Gang.ID}
	g, ok := p.gangs[key]
	if !ok {
		g = &gang{key: key}
		p.gangs[key] = g
	}
	g.queue = p.queue(v.Queue)
	// Members agree, by validation; should they not, the last word holds.
	g.cardinality, g.label = v.Gang.Cardinality, v.Gang.UniformityLabel
	return g
}

func (g *gang) insert(j *job) {
	at, _ := slices.BinarySearchFunc(g.queued, j, compareJobs)
	g.queued = slices.Insert(g.queued, at, j)
}

func (g *gang) remove(j *job) {
	if at, ok := slices.BinarySearchFunc(g.queued, j, compareJobs); ok {
		g.queued = slices.Delete(g.queued, at, at+1)
	}
}

func compareJobs(a, b *job) int { return a.entry().compare(b.entry()) }

// missing is how many members are placed together now.
func (g *gang) missing() int {
	if n := len(g.running); n < g.cardinality {
		return g.cardinality - n
	}
	return g.cardinality // another gang of the same name
}

// unsettle takes a gang that is about to change out of its lane.
func (p *Pool) unsettle(g *gang) {
	if g.lane != nil {
		p.leaveLane(g.lane, g.turn)
		g.lane, g.due, g.turn = nil, nil, nil
	}
	delete(g.queue.incomplete, g)
	delete(p.anchored, g)
	if !g.unsettled {
		g.unsettled = true
		p.unsettled = append(p.unsettled, g)
	}
}

// nodeChanged looks again at the gangs whose place depends on the labels of
// nodes where members run.
func (p *Pool) nodeChanged(really bool) {
	if really && len(p.anchored) > 0 {
		for _, g := range slices.Collect(maps.Keys(p.anchored)) {
			p.unsettle(g)
		}
	}
	p.changed(really)
}

// settle puts the gangs that have changed where they belong now.
func (p *Pool) settle() {
	for _, g := range p.unsettled {
		g.unsettled = false
		switch need := g.missing(); {
		case len(g.queued) == 0 && len(g.running) == 0:
			if p.gangs[g.key] == g {
				delete(p.gangs, g.key)
			}
		case len(g.queued) == 0:
		case len(g.queued) < need:
			g.queue.incomplete[g] = struct{}{}
		default:
			if g.label != "" && len(g.running) > 0 {
				p.anchored[g] = struct{}{}
			}
			g.due = slices.Clone(g.queued[:need])
			g.turn = g.due[need-1]
			g.lane = g.queue.lane(p.kindOf(g), g.bands())
			g.lane.insert(g.turn.entry())
		}
	}
	p.unsettled = p.unsettled[:0]
}

// kindOf sorts the due members by shape, the largest first, and finds or makes
// their kind.
func (p *Pool) kindOf(g *gang) *kind {
	slices.SortFunc(g.due, func(a, b *job) int {
		switch {
		case a.shape == b.shape:
			return compareJobs(a, b)
		case a.shape.demand.Larger(b.shape.demand):
			return -1
		case b.shape.demand.Larger(a.shape.demand):
			return 1
		}
		return cmp.Or(cmp.Compare(a.shape.id, b.shape.id), cmp.Compare(a.shape.nodeType, b.shape.nodeType))
	})
	k := kind{rank: g.due[0].shape.rank, size: len(g.due), uniform: p.uniform(g)}
	for _, j := range g.due {
		k.rank = min(k.rank, j.shape.rank)
		k.total = k.total.Add(j.shape.needs.Resources)
		if last := len(k.members) - 1; last >= 0 && k.members[last].shape == j.shape {
			k.members[last].count++
			k.parts[last].Count++
			continue
		}
		k.members = append(k.members, member{shape: j.shape, count: 1})
		k.parts = append(k.parts, placement.Part{Demand: j.shape.demand, Count: 1})
	}
	k.byClass, k.trips = totals(k.members), trips(k.members)
	id := append([]byte(k.uniform.Label), '=')
	id = append(id, k.uniform.Value...)
	for _, m := range k.members {
		id = append(strconv.AppendInt(append(id, ' '), int64(m.count), 10), '*')
		id = append(append(id, m.shape.id...), m.shape.nodeType...)
	}
	k.signature = string(id)
	if known, ok := p.kinds[k.signature]; ok {
		return known
	}
	p.kinds[k.signature] = &k
	if k.uniform.Label != "" {
		p.space.AddLabel(k.uniform.Label)
	}
	return &k
}

// uniform is what the nodes of the due members must share: with members that
// run already, the value of theirs.
func (p *Pool) uniform(g *gang) placement.Uniform {
	u := placement.Uniform{Label: g.label}
	if u.Label == "" || len(g.running) >= g.cardinality {
		return u
	}
	for _, j := range g.running {
		if v, ok := p.space.LabelOf(j.run.node, u.Label); ok && (u.Value == "" || v < u.Value) {
			u.Value = v
		}
	}
	return u
}
