package scheduling

import (
	"math"
	"slices"

	"armada"
	"armada/internal/scheduling/placement"
)

// In a market-driven pool places go to who bids most. The order of everything is
// the price: of what waits the highest goes first, of what runs the lowest is
// displaced first, by whoever bids more, whatever its class is. Who bids as much
// does not displace.

// bandSet is bands of jobs that are placed together, a bit for each.
type bandSet uint16

func (s bandSet) with(b armada.PriceBand) bandSet { return s | 1<<b }

// bands are those of the members that are placed together.
func (g *gang) bands() bandSet {
	var s bandSet
	for _, j := range g.due {
		s = s.with(j.band)
	}
	return s
}

// priceOf is what a queue bids for jobs of these bands: as much as the lowest of
// them does.
func (q *queue) priceOf(bands bandSet) armada.Price {
	lowest := armada.Price(math.MaxInt64)
	for b := range armada.PriceBand(len(q.bids)) {
		if bands&(1<<b) != 0 {
			lowest = min(lowest, q.bids[b].Queued)
		}
	}
	return lowest
}

// price is what the job bids for a place, or the gang of which it is the turn.
func (j *job) price() armada.Price {
	if j.gang != nil {
		return j.queue.priceOf(j.gang.bands())
	}
	return j.queue.priceOf(bandSet(0).with(j.band))
}

// worth is what a run bids to keep its place, and 0 outside markets. It is no less
// than what it would bid for one: otherwise those whom it has displaced could
// displace it at once.
func (j *job) worth() armada.Price {
	b := j.queue.bids[j.band]
	return max(b.Queued, b.Running)
}

// SetBids replaces what queues bid in this pool, and tells whether a round may
// decide anything new for it. In a pool that is no market it does nothing. The map
// must not change any more.
func (p *Pool) SetBids(bids map[string]armada.QueueBids) bool {
	if p.rules.Market == nil {
		return false
	}
	p.bids = bids
	changed := false
	for _, q := range p.byName {
		changed = q.bid(bids[q.name]) || changed
	}
	p.changed(changed)
	return changed
}

// bid sets what a queue bids and tells whether that is something new.
func (q *queue) bid(bids armada.QueueBids) bool {
	if q.bids == bids {
		return false
	}
	q.bids, q.unsorted = bids, true
	for _, l := range q.inOrder {
		l.price = q.priceOf(l.bands)
	}
	for _, t := range q.tenures {
		t.price = t.blocks[0][0].job.worth()
	}
	slices.SortFunc(q.tenures, (*tenure).goesFirst)
	return true
}

// classless is the only class of a market, as far as nodes are concerned: whatever
// runs there may be displaced.
var classless = []armada.PriorityClass{{Preemptible: true}}

// onNode is what a job takes of its node.
func (p *Pool) onNode(needs *armada.Requirements) *armada.Requirements {
	needs = p.config.onNode(needs)
	if p.rules.Market == nil || needs.PriorityClass == classless[0].Name {
		return needs
	}
	same := *needs
	same.PriorityClass = classless[0].Name
	return &same
}

// openMarket makes an empty pool a market.
func (p *Pool) openMarket() {
	p.space = placement.NewSpace(p.config.Resources, classless)
	for _, said := range p.rules.Market.Shapes {
		s, jobs := p.shape("", said.Requirements), max(said.Jobs, 1)
		s.jobs++ // so that it stays
		k := &kind{
			rank: s.rank, members: []member{{shape: s, count: jobs}}, parts: []placement.Part{{Demand: s.demand, Count: jobs}},
			size: jobs, uniform: placement.Uniform{Label: said.UniformityLabel},
		}
		for range jobs {
			k.total = k.total.Add(s.needs.Resources)
		}
		if k.uniform.Label != "" {
			p.space.AddLabel(k.uniform.Label)
		}
		p.priced = append(p.priced, pricedKind{said.Name, k})
	}
}

// atMost is the level that leaves out all that a claim of a class priority may
// displace by way of the book.
func (r *round) atMost(rank int32) int {
	if r.Market != nil {
		return r.pool.space.UpTo(classless[0].Priority)
	}
	return r.pool.space.UpTo(rank)
}

// bookCause is why somebody is taken from the book.
func (r *round) bookCause() Cause {
	if r.Market != nil {
		return ForPrice
	}
	return ForFairness
}

// outbid finds a node for a member of the claim in what others leave already, and
// then in what is held by those who bid less.
func (r *round) outbid(part int) (int32, bool) {
	if node, ok := r.pool.space.Search(r.claim.kind.parts[part].Demand, 1); ok {
		return node, true
	}
	return r.fromBook(part)
}
