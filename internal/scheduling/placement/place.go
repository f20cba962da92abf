package placement

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
