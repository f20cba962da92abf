package scheduling

import (
	"slices"

	"armada"
	"armada/internal/scheduling/placement"
)

// Away lets jobs of a class run where they are not at home: on nodes of a type
// whose taints keep them off otherwise. There they have a priority of their own,
// and those who are at home displace them.
type Away struct {
	Class    string // preemptible
	NodeType string
	Taints   []armada.Taint // of the node type; with the value "*" any value is meant
	Priority int32          // lower than that of the class
	// AtLeast and AtMost bound what a job must ask for in order to go away; a
	// resource of which any amount is right is not named. All must hold.
	AtLeast, AtMost map[string]int64
}

// AnyValue is the value of a taint that stands for every one.
const AnyValue = "*"

// admits tells whether a job may go away.
func (a *Away) admits(needs *armada.Requirements, table armada.ResourceTable) bool {
	if needs.PriorityClass != a.Class {
		return false
	}
	for i := range table.Len() {
		asked := needs.Resources[i]
		if least, said := a.AtLeast[table.At(i).Name]; said && asked < least {
			return false
		}
		if most, said := a.AtMost[table.At(i).Name]; said && asked > most {
			return false
		}
	}
	return true
}

// Tolerations accept the taints of the node type.
func (a *Away) Tolerations() []armada.Toleration {
	var all []armada.Toleration
	for _, t := range a.Taints {
		tolerates := armada.Toleration{Key: t.Key, Value: t.Value, Effect: t.Effect}
		if t.Value == AnyValue {
			tolerates.Value, tolerates.Exists = "", true
		}
		all = append(all, tolerates)
	}
	return all
}

// pseudoClass is the class of jobs that are away, for their levels on nodes.
func (a *Away) pseudoClass() armada.PriorityClass {
	return armada.PriorityClass{Name: a.Class + " away on " + a.NodeType, Priority: a.Priority, Preemptible: true}
}

// levels are the classes by which nodes of a pool tell who may displace whom.
func (c *Config) levels(pool string) []armada.PriorityClass {
	levels := slices.Clone(c.Classes)
	for i := range c.Away {
		levels = append(levels, c.Away[i].pseudoClass())
	}
	if len(c.lenders(pool)) > 0 {
		levels = append(levels, c.guestClass())
	}
	return levels
}

// Elsewhere is what a job needs where it may go besides, in the order in which
// that is tried. Its tolerations are not sorted.
func (c *Config) Elsewhere(needs *armada.Requirements) []*armada.Requirements {
	var all []*armada.Requirements
	for i := range c.Away {
		if c.Away[i].admits(needs, c.Resources) {
			all = append(all, c.Away[i].elsewhere(needs))
		}
	}
	return all
}

func (a *Away) elsewhere(needs *armada.Requirements) *armada.Requirements {
	away := *needs
	away.Tolerations = slices.Concat(needs.Tolerations, a.Tolerations())
	return &away
}

// addAway makes the forms that a shape has where it is away.
func (p *Pool) addAway(home *shape) {
	for i := range p.config.Away {
		a := &p.config.Away[i]
		if !a.admits(home.needs, p.config.Resources) {
			continue
		}
		ranked := *p.onNode(a.elsewhere(home.needs))
		if p.rules.Market == nil {
			ranked.PriorityClass = a.pseudoClass().Name
		}
		home.away = append(home.away, &shape{
			id: home.id, needs: home.needs, demand: p.space.AddAway(&ranked, home.demand),
			rank: a.Priority, loose: true, class: home.class, home: home, nodeType: a.NodeType,
		})
	}
}

// on is the form of a shape that a run has: away on a type of nodes, a guest, or at
// home. One that is not away by any rule that holds now is at home.
func (s *shape) on(nodeType string) *shape {
	for _, forms := range [][]*shape{s.away, s.guests} {
		for _, away := range forms {
			if away.nodeType == nodeType {
				return away
			}
		}
	}
	return s
}

// trip is how a gang is placed on one type of nodes where it is away.
type trip struct {
	nodeType string
	parts    []placement.Part
}

// trips are those that all members may go on.
func trips(members []member) []trip {
	var all []trip
	for _, first := range members[0].shape.away {
		t := trip{nodeType: first.nodeType}
		for _, m := range members {
			if there := m.shape.on(first.nodeType); there != m.shape {
				t.parts = append(t.parts, placement.Part{Demand: there.demand, Count: m.count})
			}
		}
		if len(t.parts) == len(members) {
			all = append(all, t)
		}
	}
	return all
}

// placeAway finds nodes for a gang that has no place at home. It goes away as a
// whole, to nodes of one type, and displaces nobody there.
func (r *round) placeAway(k *kind) (nodes []int32, nodeType string, ok bool) {
	for _, t := range k.trips {
		if nodes, _, ok = r.pool.space.Place(t.parts, k.uniform, nil, r.nodes); ok {
			return nodes, t.nodeType, true
		}
	}
	return r.nodes, "", false
}
