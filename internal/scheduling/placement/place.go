package placement

import (
	"cmp"
	"slices"
	"strconv"

	"armada"
)

// Part is how many members of a gang share a demand.
type Part struct {
	Demand *Demand
	Count  int
}

// Uniform asks for nodes that share a label's value; no Label asks for nothing.
// With a Value it must be that one.
type Uniform struct{ Label, Value string }

// Place finds nodes for all members of a gang, or for none, and takes the room
// in the working view. It appends the members' nodes to out in the order of the
// parts and returns how many members it could place at most.
//
// With a uniformity label every value is tried, the one whose nodes have the
// least free in all first, and the first that holds all members wins: it is
// the tightest.
func (s *Space) Place(parts []Part, uniform Uniform, out []int32) (nodes []int32, most int, ok bool) {
	if uniform.Label == "" {
		return s.placeAll(parts, out)
	}
	d := s.domain(uniform.Label)
	s.filter = d.valueOf
	for _, v := range d.tightestFirst(s) {
		if uniform.Value != "" && d.values[v] != uniform.Value {
			continue
		}
		s.filterValue = v
		forget(parts)
		var placed int
		if nodes, placed, ok = s.placeAll(parts, out); ok {
			s.filter = nil
			forget(parts)
			return nodes, placed, true
		}
		most = max(most, placed)
	}
	s.filter = nil
	forget(parts)
	return out, most, false
}

// forget voids the search positions, which hold for one filter only.
func forget(parts []Part) {
	for _, p := range parts {
		p.Demand.epoch = 0
	}
}

func (s *Space) placeAll(parts []Part, out []int32) (nodes []int32, placed int, ok bool) {
	before, mark, changes := len(out), len(s.log), len(s.changes)
	for _, p := range parts {
		for range p.Count {
			node, found := s.search(p.Demand)
			if !found {
				placed = len(out) - before
				if placed > 0 {
					s.undo(mark, changes, parts)
				}
				return out[:before], placed, false
			}
			s.take(node, p.Demand)
			out = append(out, node)
		}
	}
	return out, len(out) - before, true
}

// take gives a node's room away in the working view.
func (s *Space) take(node int32, d *Demand) {
	for l := range s.free[:d.reach] {
		free := &s.free[l][node]
		for i := range free {
			free[i] -= d.needs.Resources[i]
		}
	}
	s.moved(node)
	if !s.isTouched[node] {
		s.isTouched[node] = true
		s.touched = append(s.touched, node)
	}
	s.changes = append(s.changes, node)
	s.log = append(s.log, taking{node, d})
}

// Fits tells whether one job with the demand would have a place now.
func (s *Space) Fits(d *Demand) bool {
	_, ok := s.search(d)
	return ok
}

// undo gives back what was taken since the marks, in the log and the changes.
// Only the demands of these parts have searched since, so for all others
// nothing has happened.
func (s *Space) undo(mark, changes int, parts []Part) {
	for i := len(s.log) - 1; i >= mark; i-- {
		t := s.log[i]
		for l := range s.free[:t.demand.reach] {
			s.free[l][t.node] = s.free[l][t.node].Add(t.demand.needs.Resources)
		}
		s.moved(t.node)
	}
	s.log, s.changes = s.log[:mark], s.changes[:changes]
	forget(parts)
}

// moved puts a node whose free amounts have changed where it belongs.
func (s *Space) moved(node int32) {
	key := s.keyer.key(&s.free[0][node])
	if t := s.typeOf[node]; t >= 0 {
		s.types[t].index.move(spot{s.keys[node], node}, spot{key, node}, &s.free[0][node], &s.nodes[node].spec.Allocatable)
	}
	s.keys[node] = key
	s.amounts++
}

// Rewind makes the working view equal to the base.
func (s *Space) Rewind() {
	if len(s.touched) == 0 {
		return
	}
	for _, node := range s.touched {
		for l := range s.base {
			s.free[l][node] = s.base[l][node]
		}
		s.moved(node)
		s.isTouched[node] = false
	}
	s.touched, s.log, s.changes = s.touched[:0], s.log[:0], s.changes[:0]
	s.epoch++
}

// typeID names what matters about a node's labels and taints.
func (s *Space) typeID(n *node) string {
	var id []byte
	word := func(w string) { id = append(append(strconv.AppendInt(id, int64(len(w)), 10), ':'), w...) }
	taints := slices.Clone(n.spec.Taints)
	slices.SortFunc(taints, func(a, b armada.Taint) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Effect, b.Effect))
	})
	for _, t := range taints {
		word(t.Key)
		word(t.Value)
		word(string(t.Effect))
	}
	keys := make([]string, 0, len(s.labels))
	for key := range s.labels {
		if _, ok := n.spec.Labels[key]; ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	id = append(id, '|')
	for _, key := range keys {
		word(key)
		word(n.spec.Labels[key])
	}
	return string(id)
}

// domain divides the types by the value of a label.
type domain struct {
	labelled uint64
	values   []string
	valueOf  []int32 // by type; -1 without the label
	sums     []armada.Resources
	order    []int32
}

func (s *Space) domain(label string) *domain {
	d := s.domains[label]
	if d == nil {
		d = &domain{}
		if s.domains == nil {
			s.domains = map[string]*domain{}
		}
		s.domains[label] = d
	}
	if d.labelled == s.labelled {
		return d
	}
	d.labelled, d.values, d.valueOf = s.labelled, d.values[:0], d.valueOf[:0]
	position := map[string]int32{}
	for i := range s.types {
		value, ok := s.types[i].labels[label]
		if !ok || s.types[i].index.count == 0 {
			d.valueOf = append(d.valueOf, -1)
			continue
		}
		v, known := position[value]
		if !known {
			v = int32(len(d.values))
			position[value] = v
			d.values = append(d.values, value)
		}
		d.valueOf = append(d.valueOf, v)
	}
	return d
}

// tightestFirst orders the values by what their open nodes have free in all.
func (d *domain) tightestFirst(s *Space) []int32 {
	d.sums = slices.Grow(d.sums[:0], len(d.values))[:len(d.values)]
	clear(d.sums)
	for i, t := range s.typeOf {
		if t < 0 || d.valueOf[t] < 0 {
			continue
		}
		sum := &d.sums[d.valueOf[t]]
		for r := range sum {
			sum[r] += max(s.free[0][i][r], 0)
		}
	}
	d.order = d.order[:0]
	for v := range d.values {
		d.order = append(d.order, int32(v))
	}
	slices.SortFunc(d.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.keyer.key(&d.sums[a]), s.keyer.key(&d.sums[b])), cmp.Compare(d.values[a], d.values[b]))
	})
	return d.order
}
