package placement

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"armada"
)

// Explain tells why no node has room for the demand in the working view. The
// code is that of the hindrance nearest to fitting; Excluded belongs to the
// caller.
func (s *Space) Explain(d *Demand) armada.Reason {
	s.match(d)
	if d.explained != s.amounts {
		d.explained, d.reason = s.amounts, s.explain(d)
	}
	reason := d.reason
	reason.Excluded = slices.Clone(reason.Excluded)
	return reason
}

func (s *Space) explain(d *Demand) armada.Reason {
	e := explanation{space: s, need: &d.needs.Resources, nearest: nowhereNear}
	open, reserved := 0, 0
	for i := range s.types {
		open += s.types[i].index.count
		switch {
		case d.pinned || !d.accepted[i]:
		case !s.through(int32(i)):
			reserved += s.types[i].index.count
		default:
			for b := range s.types[i].index.blocks {
				e.lookAtBlock(&s.types[i].index.blocks[b])
			}
		}
	}
	for _, node := range d.nodes {
		if !s.through(s.typeOf[node]) {
			reserved++
			continue
		}
		e.lookAt(node)
	}
	small, large, nearest := e.small, e.large, e.nearest
	reason := armada.Reason{Nodes: len(s.nodes)}
	for _, e := range []armada.Excluded{
		{Code: armada.ReasonInsufficient, Nodes: small},
		{Code: armada.ReasonReserved, Nodes: reserved},
		{Code: armada.ReasonTooLarge, Nodes: large},
		{Code: armada.ReasonTooSmall, Nodes: d.mismatches.small},
		{Code: armada.ReasonPodsOnly, Nodes: d.mismatches.podsOnly},
		{Code: armada.ReasonTaints, Nodes: d.mismatches.taints},
		{Code: armada.ReasonNodeSelector, Nodes: d.mismatches.selector},
		{Code: armada.ReasonNodeClosed, Nodes: len(s.nodes) - open},
	} {
		if e.Nodes == 0 {
			continue
		}
		if reason.Code == armada.ReasonNone {
			reason.Code = e.Code
		}
		reason.Excluded = append(reason.Excluded, e)
	}
	slices.SortStableFunc(reason.Excluded, func(a, b armada.Excluded) int { return cmp.Compare(b.Nodes, a.Nodes) })
	if len(s.nodes) == 0 {
		reason.Code = armada.ReasonNoExecutor
	}
	if small+large > 0 {
		reason.Resource = s.table.At(nearest.resource)
		reason.Have, reason.Want = nearest.have, d.needs.Resources[nearest.resource]
		reason.WouldDo = s.wouldDo(d, nearest)
	}
	return reason
}

// wouldDo counts the nodes that the demand would fit on if it asked for no more
// than the nearest node has of what that is short of. Of nodes that are too full
// what is free counts, otherwise what they have in all.
func (s *Space) wouldDo(d *Demand, nearest miss) int {
	if nearest.have <= 0 {
		return 0
	}
	need := d.needs.Resources
	need[nearest.resource] = nearest.have
	full := nearest.code == armada.ReasonInsufficient
	fits := func(node int32) bool {
		if full {
			return need.Fits(&s.free[0][node])
		}
		return need.Fits(&s.nodes[node].spec.Allocatable)
	}
	count := 0
	for _, t := range d.types {
		if !s.through(t) {
			continue
		}
		for b := range s.types[t].index.blocks {
			block := &s.types[t].index.blocks[b]
			if full && !need.Fits(&block.most) || !full && !need.Fits(&block.large) {
				continue
			}
			for _, spot := range block.spots {
				if fits(spot.node) {
					count++
				}
			}
		}
	}
	for _, node := range d.nodes {
		if s.through(s.typeOf[node]) && fits(node) {
			count++
		}
	}
	return count
}

// explanation counts the nodes that suit a demand and have no room for it.
type explanation struct {
	space        *Space
	need         *armada.Resources
	small, large int // nodes with too little free, and too small even when empty
	nearest      miss
}

// miss is how far a node is from fitting and what it is most short of.
type miss struct {
	code     armada.ReasonCode
	shortage uint64 // in millionths of what is asked for
	resource int
	have     int64
}

var nowhereNear = miss{code: armada.ReasonTooLarge, shortage: math.MaxUint64}

// compare puts the nearer first: what could fit when the node is empty, then
// the smaller worst shortage. Misses that compare equal are equal, so it does
// not matter which of two nodes is seen first.
func (m miss) compare(o miss) int {
	return cmp.Or(cmp.Compare(m.code, o.code), cmp.Compare(m.shortage, o.shortage), cmp.Compare(m.resource, o.resource), cmp.Compare(o.have, m.have))
}

func missOf(need, have *armada.Resources, code armada.ReasonCode) miss {
	m := miss{code: code}
	for i := range need {
		if need[i] <= have[i] {
			continue
		}
		shortage := uint64(1_000_000)
		if need[i] > 0 && have[i] > 0 {
			high, low := bits.Mul64(uint64(need[i]-have[i]), 1_000_000)
			shortage, _ = bits.Div64(high, low, uint64(need[i]))
		}
		// The last of equals: so a miss of bounds is never after the miss of a
		// node within them.
		if shortage >= m.shortage {
			m.shortage, m.resource, m.have = shortage, i, max(have[i], 0)
		}
	}
	return m
}

func (e *explanation) consider(m miss) {
	if m.compare(e.nearest) < 0 {
		e.nearest = m
	}
}

func (e *explanation) lookAt(node int32) {
	if all := &e.space.nodes[node].spec.Allocatable; e.need.Fits(all) {
		e.small++
		e.consider(missOf(e.need, &e.space.free[0][node], armada.ReasonInsufficient))
	} else {
		e.large++
		e.consider(missOf(e.need, all, armada.ReasonTooLarge))
	}
}

// lookAtBlock looks at the nodes of a block only where its bounds leave open
// how they count, or whether one comes nearer than what was seen.
func (e *explanation) lookAtBlock(b *block) {
	switch {
	case e.need.Fits(&b.small):
		if missOf(e.need, &b.most, armada.ReasonInsufficient).compare(e.nearest) >= 0 {
			e.small += len(b.spots)
			return
		}
		b.tighten(e.space.free[0])
		if missOf(e.need, &b.most, armada.ReasonInsufficient).compare(e.nearest) >= 0 {
			e.small += len(b.spots)
			return
		}
	case !e.need.Fits(&b.large):
		if missOf(e.need, &b.large, armada.ReasonTooLarge).compare(e.nearest) >= 0 {
			e.large += len(b.spots)
			return
		}
	}
	for _, s := range b.spots {
		e.lookAt(s.node)
	}
}
