package placement

import "slices"

// upper orders the nodes of a level above 0 by what they have free there. It is
// made when the level is first searched, and then brought up to date before each
// search: most rounds never look at a level above 0.
type upper struct {
	built   bool
	indexes []index  // by type
	keys    []uint64 // by node, under which it stands in its index
	stale   []int32  // nodes whose place may have changed
	isStale []bool
}

// Leaving tells whether some run is about to leave, so that level 1 may have
// more room than level 0.
func (s *Space) Leaving() bool { return s.leaving > 0 }

// Below is the level that leaves out what a job of a class priority outranks:
// preemptible runs of lower priority, and those that leave.
func (s *Space) Below(priority int32) int {
	return 1 + s.ranked(priority, false)
}

// UpTo is the level that leaves out the preemptible runs of a class priority
// and all below.
func (s *Space) UpTo(priority int32) int {
	return 1 + s.ranked(priority, true)
}

// ranked counts the class priorities below one, or up to it.
func (s *Space) ranked(priority int32, included bool) int {
	at, found := slices.BinarySearch(s.levels, priority)
	if found && included {
		at++
	}
	return at
}

// order returns what a search at a level goes through: the index by type, and
// the keys.
func (s *Space) order(level int, t int32) *index {
	if level == 0 {
		return &s.types[t].index
	}
	return &s.upper[level].indexes[t]
}

func (s *Space) keysAt(level int) []uint64 {
	if level == 0 {
		return s.keys
	}
	return s.upper[level].keys
}

// freshen makes the order of a level right.
func (s *Space) freshen(level int) {
	if level == 0 {
		return
	}
	u := &s.upper[level]
	if !u.built {
		*u = upper{built: true, keys: make([]uint64, len(s.nodes)), isStale: make([]bool, len(s.nodes))}
		s.built++
		for node, t := range s.typeOf {
			if t >= 0 {
				s.join(level, t, int32(node))
			}
		}
		return
	}
	for len(u.indexes) < len(s.types) {
		u.indexes = append(u.indexes, index{})
	}
	for _, node := range u.stale {
		u.isStale[node] = false
		if t := s.typeOf[node]; t >= 0 {
			free := &s.free[level][node]
			key := s.keyer.key(free)
			u.indexes[t].move(spot{u.keys[node], node}, spot{key, node}, free, &s.nodes[node].spec.Allocatable)
			u.keys[node] = key
		}
	}
	u.stale = u.stale[:0]
}

// staleUpper notes that the amounts of a node have changed.
func (s *Space) staleUpper(node int32) {
	for l := range s.upper {
		if u := &s.upper[l]; u.built && !u.isStale[node] {
			u.isStale[node] = true
			u.stale = append(u.stale, node)
		}
	}
}

// join puts a node of a type into the order of a level.
func (s *Space) join(level int, t, node int32) {
	u := &s.upper[level]
	for len(u.indexes) < len(s.types) {
		u.indexes = append(u.indexes, index{})
	}
	free := &s.free[level][node]
	u.keys[node] = s.keyer.key(free)
	u.indexes[t].insert(spot{u.keys[node], node}, free, &s.nodes[node].spec.Allocatable)
}

func (s *Space) joinUpper(t, node int32) {
	for l := range s.upper {
		if s.upper[l].built {
			s.join(l, t, node)
		}
	}
}

func (s *Space) leaveUpper(t, node int32) {
	for l := range s.upper {
		if u := &s.upper[l]; u.built {
			u.indexes[t].remove(spot{u.keys[node], node})
		}
	}
}
