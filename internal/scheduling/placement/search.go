package placement

import "math"

// nowhere is past every spot.
var nowhere = spot{key: math.MaxUint64, node: math.MaxInt32}

// search returns the node with the least free capacity that has room for the
// demand, among the nodes that the filter in force lets through.
//
// Within an epoch free amounts only shrink, so a node that had no room has none
// now. What can have changed since the demand's last search is that its best
// node is full, which makes a new search necessary, or that a node which had
// room has come to stand before it; such a node is among the changes.
func (s *Space) search(d *Demand) (int32, bool) {
	s.match(d)
	if d.epoch == s.epoch && d.pins == nil {
		if d.best == nowhere {
			return 0, false
		}
		if backlog := s.changes[d.seen:]; len(backlog) <= s.backlogLimit && d.needs.Resources.Fits(&s.free[0][d.best.node]) {
			best := spot{s.keys[d.best.node], d.best.node}
			for _, node := range backlog {
				if c := (spot{s.keys[node], node}); c.before(best) && s.usable(d, node) && d.needs.Resources.Fits(&s.free[0][node]) {
					best = c
				}
			}
			d.best, d.seen = best, len(s.changes)
			return best.node, true
		}
	}
	d.best, d.epoch, d.seen = s.searchAll(d), s.epoch, len(s.changes)
	return d.best.node, d.best != nowhere
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

// through tells whether the filter lets nodes of the type through.
func (s *Space) through(t int32) bool { return s.filter == nil || s.filter[t] == s.filterValue }

func (s *Space) searchAll(d *Demand) spot {
	best := nowhere
	if d.pinned {
		for _, node := range d.nodes {
			if c := (spot{s.keys[node], node}); s.through(s.typeOf[node]) && c.before(best) && d.needs.Resources.Fits(&s.free[0][node]) {
				best = c
			}
		}
		return best
	}
	for _, t := range d.types {
		if !s.through(t) {
			continue
		}
		if c, ok := s.types[t].index.first(&d.needs.Resources, d.low, best, s.free[0]); ok {
			best = c
		}
	}
	return best
}
