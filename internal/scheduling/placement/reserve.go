package placement

import (
	"cmp"
	"slices"

	"armada"
)

// Nobody is who may use nodes that are kept for nobody.
const Nobody = 0

// Reserve keeps the nodes of each group for a holder, the first group for holder
// 1: nobody else finds a place there. Nodes of no group are free for all. It is
// called after [Space.Settle]; saying the same again costs next to nothing.
func (s *Space) Reserve(groups [][]NodeRef) {
	if len(groups) == 0 && len(s.reserved) == 0 {
		return
	}
	holders := map[*node]int32{}
	for i, group := range groups {
		for _, ref := range group {
			if n := s.byRef[ref]; n != nil && n.known {
				holders[n] = int32(i + 1)
			}
		}
	}
	for _, n := range s.reserved {
		if _, still := holders[n]; !still {
			s.keepFor(n, Nobody)
		}
	}
	s.reserved = s.reserved[:0]
	for _, group := range groups {
		for _, ref := range group {
			if n := s.byRef[ref]; n != nil && n.known {
				s.keepFor(n, holders[n])
				s.reserved = append(s.reserved, n)
			}
		}
	}
}

func (s *Space) keepFor(n *node, holder int32) {
	if n.holder == holder {
		return
	}
	s.Rewind()
	n.holder = holder
	s.refresh(n)
}

// Become lets the parts be placed as a holder, who may use the nodes that are kept
// for it beside those that are free for all.
func (s *Space) Become(holder int32, parts []Part) {
	s.holder = holder
	forget(parts)
}

// Open tells whether a node is there and may get something new.
func (s *Space) Open(ref NodeRef) bool {
	n := s.byRef[ref]
	return n != nil && n.known && s.open(n)
}

// WouldHold chooses nodes that would hold all members of a gang if nothing of
// Armada's ran there, among those that are kept for nobody: those first that have
// most free already. With a uniformity label they share a value.
func (s *Space) WouldHold(parts []Part, uniform Uniform) ([]NodeRef, bool) {
	if uniform.Label == "" {
		return s.wouldHold(parts)
	}
	d := s.domain(uniform.Label)
	s.filter = d.valueOf
	defer func() { s.filter = nil }()
	values := slices.Clone(d.tightestFirst(s))
	slices.Reverse(values)
	for _, v := range values {
		if uniform.Value != "" && d.values[v] != uniform.Value {
			continue
		}
		s.filterValue = v
		if nodes, ok := s.wouldHold(parts); ok {
			return nodes, true
		}
	}
	return nil, false
}

func (s *Space) wouldHold(parts []Part) ([]NodeRef, bool) {
	order := make([]int32, 0, len(s.nodes))
	for i, t := range s.typeOf {
		if t >= 0 && s.through(t) {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.keys[b], s.keys[a]), cmp.Compare(a, b))
	})
	room := map[int32]*armada.Resources{} // of the nodes chosen
	var chosen []int32
	for _, p := range parts {
		next := 0
		for range p.Count {
			at := slices.IndexFunc(chosen, func(n int32) bool { return s.Usable(p.Demand, n) && p.Demand.Resources().Fits(room[n]) })
			if at < 0 {
				for ; next < len(order); next++ {
					n := order[next]
					if room[n] == nil && s.Usable(p.Demand, n) {
						if all := s.nodes[n].own(); p.Demand.Resources().Fits(&all) {
							room[n] = &all
							at, chosen = len(chosen), append(chosen, n)
							break
						}
					}
				}
			}
			if at < 0 {
				return nil, false
			}
			left := room[chosen[at]].Sub(*p.Demand.Resources())
			*room[chosen[at]] = left
		}
	}
	refs := make([]NodeRef, len(chosen))
	for i, n := range chosen {
		refs[i] = NodeRef{s.nodes[n].spec.Executor, s.nodes[n].spec.Name}
	}
	return refs, true
}

// own is what a node has for Armada's jobs, whatever of them runs there.
func (n *node) own() armada.Resources {
	all := n.spec.Allocatable
	for _, o := range n.spec.Others {
		all = all.Sub(o.Used)
	}
	return all
}
