package placement

import (
	"slices"

	"armada"
)

// hostname is the label that tells nodes apart. A demand that mentions it is
// matched against nodes one by one; otherwise every node would be a type of
// its own.
const hostname = armada.LabelHostname

// Demand is what a job of one shape asks of its node. It belongs to the space
// that made it.
type Demand struct {
	needs *armada.Requirements
	low   uint64 // the key of the resources asked for
	reach int    // levels below it see the job's resources in use
	keys  []string
	// pinned demands look at nodes and not at types: at those called by pins,
	// or at all where pins is empty.
	pinned bool
	pins   []string

	// What matches, as of a generation of the space's types or labels.
	matched    uint64
	accepted   []bool  // by type, or by node when pinned without pins
	types      []int32 // those accepted
	nodes      []int32 // when pinned: those accepted and open
	mismatches mismatches
	home       *Demand // of a job that is away: it does not go where that could

	at []position // by level

	explained uint64 // the generation of amounts that reason is for
	reason    armada.Reason
}

// position is where a search stands: the best node as of seen changes within an
// epoch.
type position struct {
	epoch uint64
	seen  int
	best  spot
}

// forget voids the search positions.
func (d *Demand) forget() {
	d.explained = 0
	for l := range d.at {
		d.at[l].epoch = 0
	}
}

// mismatches counts the open nodes that a demand cannot use whatever they hold.
type mismatches struct{ selector, taints, small, podsOnly int }

// AddDemand resolves what a shape needs. The requirements must not change.
func (s *Space) AddDemand(needs *armada.Requirements) *Demand {
	d := &Demand{needs: needs, low: s.keyer.key(&needs.Resources), reach: s.reach(needs.PriorityClass), at: make([]position, s.height())}
	for _, l := range needs.NodeSelector {
		d.mention(l.Key, false)
	}
	for _, term := range needs.Affinity {
		for _, e := range term.Expressions {
			d.mention(e.Key, e.Field)
		}
	}
	if d.pinned {
		d.keys, d.pins = nil, pins(needs)
	}
	for _, key := range d.keys {
		s.addKey(key)
	}
	return d
}

// AddAway resolves what a shape needs where it is away: on nodes that it would
// not be accepted on at home.
func (s *Space) AddAway(needs *armada.Requirements, home *Demand) *Demand {
	d := s.AddDemand(needs)
	d.home = home
	return d
}

// RemoveDemand tells that the demand will not be asked for again.
func (s *Space) RemoveDemand(d *Demand) {
	for _, key := range d.keys {
		s.removeKey(key)
	}
}

// Resources is what one job asks for.
func (d *Demand) Resources() *armada.Resources { return &d.needs.Resources }

// Larger orders demands for a gang: the larger is placed first.
func (d *Demand) Larger(o *Demand) bool { return d.low > o.low }

func (d *Demand) mention(key string, field bool) {
	if field || key == hostname {
		d.pinned = true
		return
	}
	if !slices.Contains(d.keys, key) {
		d.keys = append(d.keys, key)
	}
}

// match brings what the demand accepts up to date with the nodes.
func (s *Space) match(d *Demand) {
	if d.matched == s.labelled {
		return
	}
	d.matched, d.explained = s.labelled, 0
	d.forget()
	d.types, d.nodes, d.mismatches = d.types[:0], d.nodes[:0], mismatches{}
	if d.pinned {
		s.matchNodes(d)
		return
	}
	d.accepted = slices.Grow(d.accepted[:0], len(s.types))[:len(s.types)]
	for i := range s.types {
		t := &s.types[i]
		d.accepted[i] = t.index.count > 0 && d.accepts(&t.like, "", t.index.count)
		if d.accepted[i] {
			d.types = append(d.types, int32(i))
		}
	}
}

// accepts tells whether so many nodes like this suit the demand by their labels,
// their taints and the jobs they want, and counts those that do not.
func (d *Demand) accepts(like *armada.Node, name string, nodes int) bool {
	if !d.needs.Matches(like.Labels, name) {
		d.mismatches.selector += nodes
		return false
	}
	if _, ok := d.needs.Tolerates(like.Taints); !ok {
		d.mismatches.taints += nodes
		return false
	}
	if d.home != nil {
		if _, ok := d.home.needs.Tolerates(like.Taints); ok {
			return false
		}
	}
	if !like.MinimumJob.Fits(&d.needs.Resources) {
		d.mismatches.small += nodes
		return false
	}
	if d.needs.MoreThanPod && like.PodsOnly {
		d.mismatches.podsOnly += nodes
		return false
	}
	return true
}

// pins returns the names that a node must have one of, by its own name or its
// hostname, or nothing when the demand is not of that form.
func pins(needs *armada.Requirements) []string {
	for _, l := range needs.NodeSelector {
		if l.Key == hostname {
			return []string{l.Value}
		}
	}
	var names []string
	for _, term := range needs.Affinity {
		at := slices.IndexFunc(term.Expressions, func(e armada.NodeExpression) bool {
			return (e.Field || e.Key == hostname) && e.Operator == armada.OpIn
		})
		if at < 0 {
			return nil
		}
		names = append(names, term.Expressions[at].Values...)
	}
	return names
}

func (s *Space) matchNodes(d *Demand) {
	look := func(node int32) bool {
		spec := &s.nodes[node].spec
		accepted := s.typeOf[node] >= 0 && d.accepts(spec, spec.Name, 1)
		if accepted {
			d.nodes = append(d.nodes, node)
		}
		return accepted
	}
	if d.pins == nil {
		d.accepted = slices.Grow(d.accepted[:0], len(s.nodes))[:len(s.nodes)]
		for node := range s.nodes {
			d.accepted[node] = look(int32(node))
		}
		return
	}
	var seen []int32 // a node may be called by two of the names
	for _, name := range d.pins {
		for _, node := range s.called(name) {
			if !slices.Contains(seen, node) {
				seen = append(seen, node)
				look(node)
			}
		}
	}
	open := 0
	for i := range s.types {
		open += s.types[i].index.count
	}
	d.mismatches.selector = open - len(d.nodes) - d.mismatches.taints - d.mismatches.small - d.mismatches.podsOnly
}

// called returns the nodes with the name, or with it for their hostname.
func (s *Space) called(name string) []int32 {
	if s.named != s.labelled {
		s.named, s.byName = s.labelled, make(map[string][]int32, len(s.nodes))
		for i, n := range s.nodes {
			s.byName[n.spec.Name] = append(s.byName[n.spec.Name], int32(i))
			if h := n.spec.Labels[hostname]; h != n.spec.Name {
				s.byName[h] = append(s.byName[h], int32(i))
			}
		}
	}
	return s.byName[name]
}
