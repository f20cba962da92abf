package podspec

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"armada"
)

// nodeNameField is the one field of a node that affinity can look at.
const nodeNameField = "metadata.name"

// Requirements returns what the scheduler needs to know of a valid spec, in
// canonical form: specs that ask for the same in another order or twice give
// equal requirements. Call it after [Spec.Default].
func (s *Spec) Requirements(rules *Rules) *armada.Requirements {
	class := s.pod.PriorityClassName
	if class == "" {
		class = rules.config.DefaultPriorityClassName
	}
	return &armada.Requirements{
		PriorityClass: class,
		Resources:     s.total(rules.table),
		NodeSelector:  selector(s.pod.NodeSelector),
		Tolerations:   tolerations(s.pod.Tolerations),
		Affinity:      affinity(&s.pod),
	}
}

// demand is what is asked for: the requests, and the limits where there is no
// request.
func demand(r *corev1.ResourceRequirements) corev1.ResourceList {
	if len(r.Limits) == 0 {
		return r.Requests
	}
	d := maps.Clone(r.Limits)
	maps.Copy(d, r.Requests)
	return d
}

// amounts converts what the table counts, rounded up.
func amounts(list corev1.ResourceList, table armada.ResourceTable) armada.Resources {
	var a armada.Resources
	for name, q := range list {
		if i, counted := table.Index(string(name)); counted {
			amount, ok := amountOf(q, table.At(i), true)
			if !ok {
				amount = MaxAmount // an invalid spec: it fits nowhere
			}
			a[i] = amount
		}
	}
	return a
}

// total is what the pod takes of a node, by Kubernetes' rule. Containers and
// sidecars (init containers that go on) run together; each other init container
// runs alone with the sidecars before it; what the pod as a whole asks for
// stands in place of that; the overhead comes on top.
func (s *Spec) total(table armada.ResourceTable) armada.Resources {
	var together, peak armada.Resources
	for i := range s.pod.InitContainers {
		c := &s.pod.InitContainers[i]
		asks := amounts(demand(&c.Resources), table)
		if sidecar(c) {
			together = plus(together, asks)
			peak = larger(peak, together)
		} else {
			peak = larger(peak, plus(together, asks))
		}
	}
	for i := range s.pod.Containers {
		together = plus(together, amounts(demand(&s.pod.Containers[i].Resources), table))
	}
	all := larger(together, peak)
	if s.pod.Resources != nil {
		whole := demand(s.pod.Resources)
		for name := range whole {
			if i, counted := table.Index(string(name)); counted {
				all[i] = amounts(corev1.ResourceList{name: whole[name]}, table)[i]
			}
		}
	}
	return plus(all, amounts(s.pod.Overhead, table))
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// plus is a + b, where nothing grows beyond [MaxAmount].
func plus(a, b armada.Resources) armada.Resources {
	for i := range a {
		a[i] = min(a[i]+b[i], MaxAmount)
	}
	return a
}

func larger(a, b armada.Resources) armada.Resources {
	for i := range a {
		a[i] = max(a[i], b[i])
	}
	return a
}

func selector(labels map[string]string) []armada.Label {
	var s []armada.Label
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		s = append(s, armada.Label{Key: key, Value: labels[key]})
	}
	return s
}

// toleration leaves out what makes no difference to a taint that is there.
func toleration(t corev1.Toleration) armada.Toleration {
	return armada.Toleration{
		Key: t.Key, Exists: t.Operator == corev1.TolerationOpExists, Value: t.Value, Effect: armada.TaintEffect(t.Effect),
	}
}

func tolerations(given []corev1.Toleration) []armada.Toleration {
	var ts []armada.Toleration
	for _, t := range given {
		ts = append(ts, toleration(t))
	}
	return sortedSet(ts, func(a, b armada.Toleration) int {
		return cmp.Or(
			cmp.Compare(a.Key, b.Key), compareBool(a.Exists, b.Exists),
			cmp.Compare(a.Value, b.Value), cmp.Compare(a.Effect, b.Effect),
		)
	})
}

// affinity returns the required terms. A node name that the user has set is one
// more demand in each of them.
func affinity(pod *corev1.PodSpec) []armada.NodeTerm {
	var terms []armada.NodeTerm
	if pod.Affinity != nil && pod.Affinity.NodeAffinity != nil {
		if required := pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
			for i := range required.NodeSelectorTerms {
				terms = append(terms, term(&required.NodeSelectorTerms[i]))
			}
		}
	}
	if pod.NodeName != "" {
		named := armada.NodeExpression{Key: nodeNameField, Operator: armada.OpIn, Values: []string{pod.NodeName}, Field: true}
		if len(terms) == 0 {
			return []armada.NodeTerm{{Expressions: []armada.NodeExpression{named}}}
		}
		for i := range terms {
			if len(terms[i].Expressions) > 0 { // an empty term matches nothing, and stays so
				terms[i].Expressions = sortedSet(append(terms[i].Expressions, named), compareExpressions)
			}
		}
	}
	return sortedSet(terms, func(a, b armada.NodeTerm) int {
		return slices.CompareFunc(a.Expressions, b.Expressions, compareExpressions)
	})
}

func term(t *corev1.NodeSelectorTerm) armada.NodeTerm {
	var expressions []armada.NodeExpression
	add := func(given []corev1.NodeSelectorRequirement, field bool) {
		for _, e := range given {
			expressions = append(expressions, armada.NodeExpression{
				Key: e.Key, Operator: armada.NodeOperator(e.Operator), Field: field,
				Values: sortedSet(slices.Clone(e.Values), cmp.Compare[string]),
			})
		}
	}
	add(t.MatchExpressions, false)
	add(t.MatchFields, true)
	return armada.NodeTerm{Expressions: sortedSet(expressions, compareExpressions)}
}

func compareExpressions(a, b armada.NodeExpression) int {
	return cmp.Or(
		cmp.Compare(a.Key, b.Key), compareBool(a.Field, b.Field),
		cmp.Compare(a.Operator, b.Operator), slices.Compare(a.Values, b.Values),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// sortedSet sorts s in place and drops repeats; nil when it is empty.
func sortedSet[E any](s []E, compare func(a, b E) int) []E {
	if len(s) == 0 {
		return nil
	}
	slices.SortFunc(s, compare)
	return slices.CompactFunc(s, func(a, b E) bool { return compare(a, b) == 0 })
}
