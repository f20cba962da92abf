package placement

import "math"

// nowhere is past every spot.
var nowhere = spot{key: math.MaxUint64, node: math.MaxInt32}

// search returns the node with the least free capacity at a level that has room
// for the demand, among the nodes that the filter in force lets through.
//
// Within an epoch free amounts only shrink, but for evictions, which change
// levels above 0. So a node that had no room has none now, unless it is among the
// changes. What can have changed besides since the demand's last search is that
// its best node is full, which makes a new search necessary, or that a node which
// had room has come to stand before it; such a node is among the changes.
func (s *Space) search(d *Demand, level int) (int32, bool) {
	s.match(d)
	s.freshen(level)
	p := &d.at[level]
	if p.epoch == s.epoch && d.pins == nil {
		if p.best == nowhere && level == 0 {
			return 0, false
		}
		if backlog := s.changes[p.seen:]; len(backlog) <= s.backlogLimit && (p.best == nowhere || d.needs.Resources.Fits(&s.free[level][p.best.node])) {
			best, keys := p.best, s.keysAt(level)
			if best != nowhere {
				best.key = keys[best.node]
			}
			for _, node := range backlog {
				if c := (spot{keys[node], node}); c.before(best) && s.usable(d, node) && d.needs.Resources.Fits(&s.free[level][node]) {
					best = c
				}
			}
			p.best, p.seen = best, len(s.changes)
			return best.node, best != nowhere
		}
	}
	p.best, p.epoch, p.seen = s.searchAll(d, level), s.epoch, len(s.changes)
	return p.best.node, p.best != nowhere
}

// usable tells whether the node is open, accepted and let through. It is not
// asked for demands with pins, which look at their few nodes every time.
func (s *Space) usable(d *Demand, node int32) bool {
	t := s.typeOf[node]
	if t < 0 || !s.through(t) {
		return false
	}
	if d.pinned {
		return d.accepted[node]
	}
	return d.accepted[t]
}

// through tells whether the filter lets nodes of the type through, and they are not
// kept for somebody else.
func (s *Space) through(t int32) bool {
	holder := s.types[t].holder
	return (holder == Nobody || holder == s.holder) && (s.filter == nil || s.filter[t] == s.filterValue)
}

func (s *Space) searchAll(d *Demand, level int) spot {
	best, free := nowhere, s.free[level]
	if d.pinned {
		keys := s.keysAt(level)
		for _, node := range d.nodes {
			if c := (spot{keys[node], node}); s.through(s.typeOf[node]) && c.before(best) && d.needs.Resources.Fits(&free[node]) {
				best = c
			}
		}
		return best
	}
	for _, t := range d.types {
		if !s.through(t) {
			continue
		}
		if c, ok := s.order(level, t).first(&d.needs.Resources, d.low, best, free); ok {
			best = c
		}
	}
	return best
}
