// Package fairshare tells what each queue of a pool is owed and what an
// allocation costs it: weighted dominant resource fairness (Ghodsi et al.,
// NSDI 2011) in integers.
//
// The words: a queue's *share* is the largest fraction of the pool's capacity
// that it holds of any resource, each weighed by a multiplier; its *cost* is
// its share times its priority factor, and the queue whose cost stays lowest
// goes first; its *fair share* is its part by weight; its *adjusted share* is
// that part after queues which want less gave the rest away.
//
// The package must never sum in floating point or depend on the order of
// queues. Who goes first is decided by the scheduling package.
package fairshare

import (
	"math"
	"math/bits"
	"slices"

	"armada"
)

// One is a share of the whole pool, in millionths.
const One = 1_000_000

// Factor is a queue's priority factor in units of 2^-20.
type Factor uint64

// factorOne is the factor 1; Unit is the cost of the whole pool at factor 1
// and multiplier 1: small enough for factors up to 2^20 and multipliers up to 200,
// and fine enough for a thousandth of a core among a million cores.
const (
	factorOne = 1 << 20
	Unit      = 1 << 36
)

// NewFactor converts a priority factor; below 1 it is 1.
func NewFactor(priorityFactor float64) Factor {
	if !(priorityFactor > 1) {
		return factorOne
	}
	return Factor(min(math.Round(priorityFactor*factorOne), 1<<40))
}

// weight is the inverse of the factor: 2^40 at factor 1.
func (f Factor) weight() uint64 { return max((1<<60)/uint64(max(f, factorOne)), 1) }

// Scale turns amounts into costs and shares of one pool.
type Scale struct {
	parts [armada.MaxResources]scalePart
	count int
}

type scalePart struct {
	resource int
	total    uint64
	weigh    uint64 // the multiplier in thousandths
}

// NewScale measures by a pool's capacity. Multipliers are in thousandths, 0
// leaves a resource out; when all are 0 every resource counts once. Resources
// that the pool has nothing of do not count.
func NewScale(capacity armada.Resources, multipliers [armada.MaxResources]int64) Scale {
	var s Scale
	all := multipliers == [armada.MaxResources]int64{}
	for i, total := range capacity {
		weigh := multipliers[i]
		if all {
			weigh = 1000
		}
		if total > 0 && weigh > 0 {
			s.parts[s.count] = scalePart{resource: i, total: uint64(total), weigh: uint64(min(weigh, 200_000))}
			s.count++
		}
	}
	return s
}

// Cost is what it costs a queue to hold an amount; never negative, and at most
// the largest number.
func (s *Scale) Cost(held *armada.Resources, factor Factor) uint64 {
	var cost uint64
	for i := range s.parts[:s.count] {
		p := &s.parts[i]
		cost = max(cost, fraction(held[p.resource], p.total, p.weigh*uint64(factor)/1000*(Unit/factorOne)))
	}
	return cost
}

// Share is the largest fraction held, in millionths, whatever the weight.
func (s *Scale) Share(held *armada.Resources) int64 {
	var share uint64
	for i := range s.parts[:s.count] {
		p := &s.parts[i]
		share = max(share, fraction(held[p.resource], p.total, p.weigh*(One/1000)))
	}
	return int64(min(share, math.MaxInt64))
}

// fraction is held × scale / total without overflow.
func fraction(held int64, total, scale uint64) uint64 {
	if held <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(held), scale)
	if high >= total {
		return math.MaxUint64
	}
	quotient, _ := bits.Div64(high, low, total)
	return quotient
}

// Claim is what one queue wants: Demand is the share that all its jobs,
// running and queued, would make; queues that want nothing have no part.
type Claim struct {
	Factor Factor
	Demand int64
}

// Shares is what one queue is owed, in millionths.
type Shares struct {
	Fair     int64
	Adjusted int64 // never above the demand
	// Uncapped is what Adjusted would be if the claim were for the whole pool.
	Uncapped int64
}

// Divide gives every claim its shares. Adjusted shares are found by filling:
// the claims that are satisfied first, by demand relative to weight, leave
// what they do not want to the others.
func Divide(claims []Claim) []Shares {
	shares := make([]Shares, len(claims))
	var weights uint64
	order := make([]int, 0, len(claims))
	for i, c := range claims {
		if c.Demand > 0 {
			weights += c.Factor.weight()
			order = append(order, i)
		}
	}
	for _, i := range order {
		shares[i].Fair = portion(One, claims[i].Factor.weight(), weights)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		ah, al := bits.Mul64(uint64(claims[a].Demand), claims[b].Factor.weight())
		bh, bl := bits.Mul64(uint64(claims[b].Demand), claims[a].Factor.weight())
		switch {
		case ah < bh || ah == bh && al < bl:
			return -1
		case ah > bh || al > bl:
			return 1
		}
		return 0
	})
	for at, i := range order {
		shares[i].Uncapped = uncapped(claims, order, at, weights)
	}
	rest := int64(One)
	for _, i := range order {
		weight := claims[i].Factor.weight()
		shares[i].Adjusted = min(portion(rest, weight, weights), claims[i].Demand)
		rest -= shares[i].Adjusted
		weights -= weight
	}
	return shares
}

// uncapped is what the claim at a place in the order would get without its own
// demand: the claims that are satisfied first leave what they do not want, until
// one wants more than its part of the rest.
func uncapped(claims []Claim, order []int, at int, weights uint64) int64 {
	rest, own := int64(One), claims[order[at]].Factor.weight()
	for place, i := range order {
		if place == at {
			continue
		}
		weight := claims[i].Factor.weight()
		if claims[i].Demand > portion(rest, weight, weights) {
			break
		}
		rest -= claims[i].Demand
		weights -= weight
	}
	return portion(rest, own, weights)
}

func portion(whole int64, weight, weights uint64) int64 {
	high, low := bits.Mul64(uint64(whole), weight)
	quotient, _ := bits.Div64(high, low, weights)
	return int64(quotient)
}
