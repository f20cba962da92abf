package placement

import (
	"cmp"
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
	var open, large, small int
	nearest := miss{shortage: ^uint64(0)}
	look := func(node int32) {
		free, code := &s.free[0][node], armada.ReasonInsufficient
		small++
		if !d.needs.Resources.Fits(&s.nodes[node].spec.Allocatable) {
			free, code = &s.nodes[node].spec.Allocatable, armada.ReasonTooLarge
			small, large = small-1, large+1
		}
		nearest.consider(&d.needs.Resources, free, code, node)
	}
	for i := range s.types {
		open += s.types[i].index.count
		if d.pinned || !d.accepted[i] {
			continue
		}
		for _, b := range s.types[i].index.blocks {
			for _, spot := range b.spots {
				look(spot.node)
			}
		}
	}
	for _, node := range d.nodes {
		look(node)
	}
	reason := armada.Reason{Nodes: len(s.nodes)}
	for _, e := range []armada.Excluded{
		{Code: armada.ReasonInsufficient, Nodes: small},
		{Code: armada.ReasonTooLarge, Nodes: large},
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
		reason.Resource = s.table.At(nearest.resource).Name
		reason.Have, reason.Want = max(nearest.have, 0), d.needs.Resources[nearest.resource]
	}
	return reason
}

// miss is the node that comes nearest to fitting and what it is most short of.
type miss struct {
	code     armada.ReasonCode
	shortage uint64 // in millionths of what is asked for
	node     int32
	resource int
	have     int64
}

// consider keeps the nearer of two nodes: one that could fit when empty, then
// the one with the smaller worst shortage, then the first.
func (m *miss) consider(need, free *armada.Resources, code armada.ReasonCode, node int32) {
	c := miss{code: code, node: node}
	for i := range need {
		if need[i] <= free[i] {
			continue
		}
		shortage := uint64(1_000_000)
		if need[i] > 0 && free[i] > 0 {
			high, low := bits.Mul64(uint64(need[i]-free[i]), 1_000_000)
			shortage, _ = bits.Div64(high, low, uint64(need[i]))
		}
		if shortage >= c.shortage {
			c.shortage, c.resource, c.have = shortage, i, free[i]
		}
	}
	if m.shortage == ^uint64(0) || cmp.Or(cmp.Compare(c.code, m.code), cmp.Compare(c.shortage, m.shortage), cmp.Compare(c.node, m.node)) < 0 {
		*m = c
	}
}
