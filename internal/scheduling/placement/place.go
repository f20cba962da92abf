package placement

import (
	"math"
	"slices"

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

// Finder finds nodes where [Space.Place] by itself finds none: it may evict.
type Finder interface {
	// Begin tells that a gang is about to be placed, perhaps for another value of
	// a label.
	Begin()
	// Find returns a node with room at level 1 for a member of the part.
	Find(part int) (node int32, ok bool)
	// Evicted is how many runs have lost their places since Begin.
	Evicted() int
	// Undo tells that the gang was not placed, and its evictions are void. The same
	// again finds the same nodes.
	Undo()
}

// Place finds nodes for all members of a gang, or for none, and takes the room
// in the working view. It appends the members' nodes to out in the order of the
// parts and returns how many members it could place at most. With a finder, that
// one is asked for every member that nothing free has room for.
//
// With a uniformity label every value is tried, the one whose nodes have the
// least free in all first. Of those that hold all members the one wins for which
// the fewest runs are evicted, and of these the first: it is the tightest.
func (s *Space) Place(parts []Part, uniform Uniform, finder Finder, out []int32) (nodes []int32, most int, ok bool) {
	if uniform.Label == "" {
		return s.placeAll(parts, finder, out)
	}
	d := s.domain(uniform.Label)
	s.filter = d.valueOf
	defer func() {
		s.filter = nil
		forget(parts)
	}()
	best, fewest := int32(-1), math.MaxInt
	for _, v := range d.tightestFirst(s) {
		if uniform.Value != "" && d.values[v] != uniform.Value {
			continue
		}
		s.filterValue = v
		forget(parts)
		mark := s.Mark()
		nodes, placed, ok := s.placeAll(parts, finder, out)
		if !ok {
			most = max(most, placed)
			continue
		}
		if finder == nil || finder.Evicted() == 0 {
			return nodes, placed, true
		}
		if n := finder.Evicted(); n < fewest {
			best, fewest = v, n
		}
		s.Undo(mark, parts)
		finder.Undo()
	}
	if best < 0 {
		return out, most, false
	}
	s.filterValue = best
	forget(parts)
	return s.placeAll(parts, finder, out)
}

// forget voids the search positions, which hold for one filter only.
func forget(parts []Part) {
	for _, p := range parts {
		p.Demand.forget()
	}
}

func (s *Space) placeAll(parts []Part, finder Finder, out []int32) (nodes []int32, placed int, ok bool) {
	before, mark, changes := len(out), len(s.log), len(s.changes)
	if finder != nil {
		finder.Begin()
	}
	for i, p := range parts {
		for range p.Count {
			node, found := s.search(p.Demand, 0)
			if !found && finder != nil {
				node, found = finder.Find(i)
			}
			if !found {
				placed = len(out) - before
				if placed > 0 {
					s.undo(mark, changes, parts)
				}
				if finder != nil {
					finder.Undo()
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
	s.note(taking{node, d, false})
}

// Evict makes a run leave its node in the working view: it holds its room at
// level 0 only.
func (s *Space) Evict(node int32, d *Demand) {
	for l := 1; l < d.reach; l++ {
		s.free[l][node] = s.free[l][node].Add(d.needs.Resources)
	}
	s.note(taking{node, d, true})
}

func (s *Space) note(t taking) {
	s.moved(t.node)
	if !s.isTouched[t.node] {
		s.isTouched[t.node] = true
		s.touched = append(s.touched, t.node)
	}
	s.changes = append(s.changes, t.node)
	s.log = append(s.log, t)
}

// Search returns the node with the least room at a level of those that have
// room there for one job with the demand.
func (s *Space) Search(d *Demand, level int) (int32, bool) { return s.search(d, level) }

// Usable tells whether the demand may use the node as far as room is no matter.
func (s *Space) Usable(d *Demand, node int32) bool {
	s.match(d)
	if d.pins != nil {
		return slices.Contains(d.nodes, node) && s.through(s.typeOf[node])
	}
	return s.usable(d, node)
}

// Room is what a node has free at a level of the working view.
func (s *Space) Room(level int, node int32) *armada.Resources { return &s.free[level][node] }

// Mark is a moment of the working view.
type Mark struct{ log, changes int }

// Mark remembers this moment.
func (s *Space) Mark() Mark { return Mark{len(s.log), len(s.changes)} }

// Undo gives back all that was taken, and puts back who was evicted, since the
// mark, when only these parts were placed.
func (s *Space) Undo(m Mark, parts []Part) { s.undo(m.log, m.changes, parts) }

// undo gives back what was taken since the marks, in the log and the changes.
// Only the demands of these parts have searched since, so for all others
// nothing has happened.
func (s *Space) undo(mark, changes int, parts []Part) {
	for i := len(s.log) - 1; i >= mark; i-- {
		t := s.log[i]
		for l := range s.free[:t.demand.reach] {
			free := &s.free[l][t.node]
			switch {
			case !t.evicted:
				*free = free.Add(t.demand.needs.Resources)
			case l > 0:
				*free = free.Sub(t.demand.needs.Resources)
			}
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
	if s.built > 0 {
		s.staleUpper(node)
	}
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
