package scheduling

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"armada"
)

// KnownKind is a kind of nodes with how people find it: the cluster that has
// such nodes, or the name of a configured node type.
type KnownKind struct {
	Executor armada.ExecutorID
	NodeType string // of a configured one; otherwise empty
	armada.NodeKind
}

// CouldRun returns the first of the known kinds on an empty node of which a job
// that needs this could run, at home or away. With a label it asks whether it
// could as a member of a gang whose nodes must share a value of that label. What
// depends on the name of a node is taken to be fulfilled: names are no matter of
// kinds.
func (c *Config) CouldRun(needs *armada.Requirements, label string, known []KnownKind) (where KnownKind, yes bool) {
	for _, form := range append(c.Elsewhere(needs), needs) {
		for i := range known {
			if c.fits(form, label, &known[i]) {
				return known[i], true
			}
		}
	}
	return KnownKind{}, false
}

// fits tells whether a job could run on an empty node of a kind.
func (c *Config) fits(needs *armada.Requirements, label string, known *KnownKind) bool {
	kind := c.withBudget(known)
	return needs.Resources.Fits(&kind.Allocatable) && obstacle(needs, label, kind) == armada.ReasonNone
}

// withBudget is a kind with what its pool may use of floating resources, as if
// each node had it.
func (c *Config) withBudget(k *KnownKind) *armada.NodeKind {
	kind := k.NodeKind
	kind.Allocatable = kind.Allocatable.Add(c.Budgeted(k.Pool))
	return &kind
}

// obstacle is what keeps a job off every node of a kind, however large.
func obstacle(needs *armada.Requirements, label string, kind *armada.NodeKind) armada.ReasonCode {
	if _, labelled := kind.Labels[label]; label != "" && label != armada.LabelHostname && !labelled {
		return armada.ReasonGangDoesNotFit
	}
	nameless := armada.Requirements{
		NodeSelector: slices.DeleteFunc(slices.Clone(needs.NodeSelector), func(l armada.Label) bool { return l.Key == armada.LabelHostname }),
	}
	for _, term := range needs.Affinity {
		rest := slices.DeleteFunc(slices.Clone(term.Expressions), func(e armada.NodeExpression) bool {
			return e.Field || e.Key == armada.LabelHostname
		})
		if len(rest) == 0 && len(term.Expressions) > 0 {
			nameless.Affinity = nil // the name decides alone
			break
		}
		nameless.Affinity = append(nameless.Affinity, armada.NodeTerm{Expressions: rest})
	}
	if !nameless.Matches(kind.Labels, "") {
		return armada.ReasonNodeSelector
	}
	if _, ok := needs.Tolerates(kind.Taints); !ok {
		return armada.ReasonTaints
	}
	if !kind.MinimumJob.Fits(&needs.Resources) {
		return armada.ReasonTooSmall
	}
	if needs.MoreThanPod && kind.PodsOnly {
		return armada.ReasonPodsOnly
	}
	return armada.ReasonNone
}

// maxPlaces bounds how many places WhyNever names.
const maxPlaces = 6

// WhyNever tells a person why a job can run on none of the known kinds, place
// by place, without a full stop. CouldRun is false for each of them; their
// order is that of the places in the text.
func (c *Config) WhyNever(needs *armada.Requirements, label string, known []KnownKind) string {
	type place struct {
		name  string
		kinds []*armada.NodeKind
	}
	var places []place
	for i := range known {
		k := &known[i]
		name := fmt.Sprintf("cluster %s, pool %s", k.Executor, k.Pool)
		if k.NodeType != "" {
			name = fmt.Sprintf("node type %s, pool %s", k.NodeType, k.Pool)
		}
		at := slices.IndexFunc(places, func(p place) bool { return p.name == name })
		if at < 0 {
			at, places = len(places), append(places, place{name: name})
		}
		places[at].kinds = append(places[at].kinds, c.withBudget(k))
	}
	var said []string
	for _, p := range places[:min(len(places), maxPlaces)] {
		said = append(said, p.name+": "+whyNot(needs, label, p.kinds, c.Resources))
	}
	if more := len(places) - maxPlaces; more > 0 {
		said = append(said, fmt.Sprintf("and %d more like these", more))
	}
	return "no known node fits: " + strings.Join(said, "; ")
}

// whyNot tells what is nearest to fitting among kinds of one place.
func whyNot(needs *armada.Requirements, label string, kinds []*armada.NodeKind, table armada.ResourceTable) string {
	var nearest *armada.NodeKind
	best := -1.0
	found := map[armada.ReasonCode]bool{}
	for _, k := range kinds {
		code := obstacle(needs, label, k)
		found[code] = true
		if _, has := scarcest(needs, k); code == armada.ReasonNone && has > best {
			nearest, best = k, has
		}
	}
	switch {
	case nearest != nil:
		i, _ := scarcest(needs, nearest)
		r := table.At(i)
		if r.Floating {
			return fmt.Sprintf("it asks for %s %s, all that the pool may use is %s", r.Format(needs.Resources[i]), r.Name, r.Format(nearest.Allocatable[i]))
		}
		with := ""
		if label != "" {
			with = " with the label " + label
		}
		return fmt.Sprintf("it asks for %s %s, the largest node%s has %s",
			r.Format(needs.Resources[i]), r.Name, with, r.Format(max(nearest.Allocatable[i], 0)))
	case found[armada.ReasonTooSmall]:
		return "it is smaller than the jobs that the nodes are for"
	case found[armada.ReasonPodsOnly]:
		return "the executors run pods without services, ingresses and gangs, and it has some"
	case found[armada.ReasonTaints]:
		return "the nodes have taints that it does not tolerate"
	case found[armada.ReasonNodeSelector]:
		return "no node matches its node selector or affinity"
	default:
		return "no node has the label " + label + ", of which its gang must share a value"
	}
}

// scarcest returns the resource of which a kind has the smallest part of what
// is asked for, and that part.
func scarcest(needs *armada.Requirements, kind *armada.NodeKind) (resource int, part float64) {
	part = 1
	for i, want := range needs.Resources {
		if want <= 0 {
			continue
		}
		if has := float64(max(kind.Allocatable[i], 0)) / float64(want); has < part {
			resource, part = i, has
		}
	}
	return resource, part
}

// SortKnown orders kinds by cluster or node type and pool, as WhyNever tells
// them.
func SortKnown(known []KnownKind) {
	slices.SortStableFunc(known, func(a, b KnownKind) int {
		return cmp.Or(cmp.Compare(a.NodeType, b.NodeType), cmp.Compare(a.Executor, b.Executor), cmp.Compare(a.Pool, b.Pool))
	})
}
