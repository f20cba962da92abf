package scheduling

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"armada"
	"armada/internal/scheduling/placement"
)

// pricedKind is a kind for which the report quotes a price.
type pricedKind struct {
	name string
	*kind
}

// tellPrices finds what places cost after the round, in a market.
func (r *round) tellPrices() {
	if r.Market == nil {
		return
	}
	r.closeBook()
	r.settleOnPaper()
	r.quoteWaiting()
	m := &Market{}
	r.spotPrice(m)
	m.Values = r.values()
	for _, k := range r.pool.priced {
		q := r.quote(k.kind)
		q.Shape = k.name
		m.Quotes = append(m.Quotes, q)
	}
	r.prices = m
	r.unsettleOnPaper()
}

// settleOnPaper lets what the round has placed count as runs of this moment.
func (r *round) settleOnPaper() {
	r.eachPlaced(func(j *job, node int32) {
		executor, name := r.pool.space.Node(node)
		ref := placement.NodeRef{Executor: executor, Name: name}
		j.run = &place{node: ref, site: r.pool.sites[ref], since: r.in.Now.UnixNano()}
		if j.run.site == nil {
			j.run.site = &site{ref: ref}
		}
		j.queue.joinTenure(j)
		if j.gang != nil {
			j.gang.running = append(j.gang.running, j)
		}
	})
}

// unsettleOnPaper takes back what settleOnPaper did.
func (r *round) unsettleOnPaper() {
	r.closeBook()
	r.eachPlaced(func(j *job, _ int32) {
		j.queue.leaveTenure(j)
		j.run = nil
		if j.gang != nil {
			j.gang.running = slices.DeleteFunc(j.gang.running, func(o *job) bool { return o == j })
		}
	})
}

// eachPlaced visits all jobs that the round has placed, and the positions of their
// nodes.
func (r *round) eachPlaced(visit func(j *job, node int32)) {
	nodes := r.nodes
	for _, p := range r.placed {
		switch {
		case p.first == nil:
		case p.first.gang == nil:
			visit(p.first, nodes[0])
		default:
			for i, j := range p.first.gang.due {
				visit(j, nodes[i])
			}
		}
		nodes = nodes[p.nodes:]
	}
}

// quoteWaiting finds what those would have had to bid who were outbid.
func (r *round) quoteWaiting() {
	for _, q := range r.pool.byName {
		for _, l := range q.inOrder {
			k := l.kind
			if !l.waits() || k.failed != r.number || k.quoted == r.number || k.reason.Code == armada.ReasonFloating {
				continue
			}
			k.quoted = r.number
			quote := r.quote(k)
			if k.reason = quote.Reason; k.reason.Code == armada.ReasonNone {
				k.reason = armada.Reason{Code: armada.ReasonOutbid, Pool: r.pool.name, Want: int64(quote.Outbid)}
			}
		}
	}
}

// quote tells what a gang of the kind would have to bid to be placed after the
// round. A gang that is in the way costs as much as its dearest member, which is
// not where it stands in the book, so it is asked whether less would do.
func (r *round) quote(k *kind) Quote {
	q := r.quoteBelow(k, math.MaxInt64)
	for q.Reason.Code == armada.ReasonNone && q.gangs {
		less := r.quoteBelow(k, q.Outbid)
		if less.Reason.Code != armada.ReasonNone {
			break
		}
		q = less
	}
	return q.Quote
}

// estimate is a quote, and whether gangs would lose their places.
type estimate struct {
	Quote
	gangs bool
}

// quoteBelow places a gang of the kind as if it bid that, and then nothing of it
// has happened.
func (r *round) quoteBelow(k *kind, price armada.Price) estimate {
	r.claim = claim{kind: k, price: price}
	for i := range k.members {
		k.members[i].book = 0
	}
	victims, mark := len(r.victims), r.pool.space.Mark()
	_, most, ok := r.pool.space.Place(k.parts, k.uniform, r, r.nodes)
	if !ok {
		level := 0
		if k.size > 1 {
			level = r.atMost(k.rank)
		}
		return estimate{Quote: Quote{Reason: r.why(nil, k, most, level)}}
	}
	e := estimate{Quote: Quote{Free: len(r.victims) == victims}}
	for _, v := range r.victims[victims:] {
		e.Outbid, e.gangs = max(e.Outbid, v.job.worth()), e.gangs || v.job.gang != nil
	}
	r.spare(victims)
	r.pool.space.Undo(mark, k.parts)
	return e
}

// holder is who holds something at a price.
type holder struct {
	queue *queue
	price armada.Price
}

// spotPrice finds the bid of the holder with whom more than the cutoff is held, of
// all who hold, the highest bid first.
func (r *round) spotPrice(m *Market) {
	held := r.holders()
	holders := slices.SortedFunc(maps.Keys(held), func(a, b holder) int {
		return cmp.Or(cmp.Compare(b.price, a.price), cmp.Compare(a.queue.name, b.queue.name))
	})
	var sum armada.Resources
	at := slices.IndexFunc(holders, func(h holder) bool {
		sum = sum.Add(held[h])
		return r.scale.Share(&sum) > r.Market.SpotCutoff
	})
	if at < 0 {
		return
	}
	setter := holders[at].queue
	m.SpotPrice, m.SetBy = holders[at].price, setter.name
	if m.SpotPrice == 0 {
		m.SetBy = ""
	}
	if !r.Market.SecondPrice {
		m.SetterPays = m.SpotPrice
		return
	}
	for _, h := range holders[at:] {
		if h.queue != setter {
			m.SetterPays = max(m.SetterPays, h.price)
		}
	}
	for _, q := range r.pool.byName {
		for _, l := range q.inOrder {
			if l.waits() && q != setter {
				m.SetterPays = max(m.SetterPays, min(l.price, m.SpotPrice))
			}
		}
	}
}

// holders are who holds how much after the round, at which price.
func (r *round) holders() map[holder]armada.Resources {
	held := map[holder]armada.Resources{}
	for _, q := range r.pool.byName {
		for _, t := range q.tenures {
			h := holder{q, t.price}
			held[h] = held[h].Add(t.held)
		}
	}
	for _, v := range r.victims {
		h := holder{v.job.queue, v.job.worth()}
		sum := held[h]
		count(&sum, v.job.shape, -1)
		held[h] = sum
	}
	maps.DeleteFunc(held, func(_ holder, amounts armada.Resources) bool { return amounts.IsZero() })
	return held
}
