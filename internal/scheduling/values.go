package scheduling

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"armada"
	"armada/internal/scheduling/fairshare"
)

// QueueValue is what a queue bids for its part of a market: prices times fractions
// of the pool, so that the whole pool at a price of 1 is worth 1.
type QueueValue struct {
	Queue string
	// Realised is what it bids for what it holds after the round.
	Realised armada.Price
	// Idealised is what it would bid for what it held if all nodes were one: if
	// nothing but the pool as a whole kept anybody out.
	Idealised armada.Price
}

// aspirant is who might hold something of the pool as a whole: the runs of a tenure,
// or what is left in a lane.
type aspirant struct {
	queue  *queue
	price  armada.Price
	tenure *tenure // nil for a lane
	lane   *lane
}

// byPrice sorts aspirants: the higher price first, then who runs, then the earlier
// submission or the name.
func (a aspirant) byPrice(b aspirant) int {
	if byPrice := cmp.Compare(b.price, a.price); byPrice != 0 {
		return byPrice
	}
	switch {
	case a.lane != nil && b.lane != nil:
		return cmp.Compare(a.lane.next.number, b.lane.next.number)
	case a.lane == nil && b.lane == nil:
		return cmp.Compare(a.queue.name, b.queue.name)
	case a.lane == nil:
		return -1
	}
	return 1
}

// values tells what the parts of the queues are worth, those that have any.
func (r *round) values() []QueueValue {
	held, ideal := r.holders(), map[holder]armada.Resources{}
	left := r.capacity
	for _, a := range r.aspirants() {
		if got := r.whole(a, &left); !got.IsZero() {
			h := holder{a.queue, a.price}
			ideal[h] = ideal[h].Add(got)
		}
	}
	var values []QueueValue
	for _, q := range r.pool.byName {
		v := QueueValue{Queue: q.name}
		for h, amounts := range held { // sums do not hang on the order
			if h.queue == q {
				v.Realised += r.value(h.price, &amounts)
			}
		}
		for h, amounts := range ideal {
			if h.queue == q {
				v.Idealised += r.value(h.price, &amounts)
			}
		}
		if v.Realised > 0 || v.Idealised > 0 {
			values = append(values, v)
		}
	}
	return values
}

// aspirants are all who hold something or might.
func (r *round) aspirants() []aspirant {
	var all []aspirant
	for _, q := range r.pool.byName {
		for _, t := range q.tenures {
			all = append(all, aspirant{queue: q, price: t.price, tenure: t})
		}
		if !q.starts() {
			continue
		}
		for _, l := range q.inOrder {
			if l.waits() {
				all = append(all, aspirant{queue: q, price: l.price, lane: l})
			}
		}
	}
	slices.SortStableFunc(all, aspirant.byPrice)
	return all
}

// whole gives an aspirant as much as is left of the pool as a whole.
func (r *round) whole(a aspirant, left *armada.Resources) (got armada.Resources) {
	take := func(amount armada.Resources) {
		got, *left = got.Add(amount), left.Sub(amount)
	}
	if a.lane != nil {
		n := int64(a.lane.count - a.lane.taken)
		total := a.lane.kind.total
		for i, amount := range total {
			if amount > 0 {
				n = min(n, max(left[i], 0)/amount)
			}
		}
		for i := range total {
			total[i] *= n
		}
		take(total)
		return got
	}
	if a.tenure.held.Fits(left) {
		take(a.tenure.held)
		return got
	}
	for _, block := range a.tenure.blocks {
		if !r.leastAsked().Fits(left) {
			break
		}
		for _, e := range block {
			if needs := e.job.shape.needs.Resources; needs.Fits(left) {
				take(needs)
			}
		}
	}
	return got
}

// value is what a part of the pool is worth at a price.
func (r *round) value(price armada.Price, amounts *armada.Resources) armada.Price {
	high, low := bits.Mul64(uint64(max(price, 0)), uint64(r.scale.Share(amounts)))
	if high >= fairshare.One {
		return math.MaxInt64 / fairshare.One
	}
	quotient, _ := bits.Div64(high, low, fairshare.One)
	return armada.Price(min(quotient, math.MaxInt64/fairshare.One))
}
