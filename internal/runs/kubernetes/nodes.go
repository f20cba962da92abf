package kubernetes

import (
	"cmp"
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/podspec"
)

// Nodes returns the nodes of the cluster with what pods that are not ours take
// from them. A node that is cordoned, not ready or deleted takes nothing new.
func (r *Runtime) Nodes(context.Context) ([]armada.Node, error) {
	used := r.usedByOthers()
	nodes := make([]armada.Node, 0, len(r.caches.nodes.GetIndexer().ListKeys()))
	for _, n := range listed[*corev1.Node](r.caches.nodes) {
		nodes = append(nodes, r.node(n, used[n.Name]))
	}
	slices.SortFunc(nodes, func(a, b armada.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, nil
}

func (r *Runtime) node(n *corev1.Node, used map[int32]armada.Resources) armada.Node {
	_, quiet := silent(n)
	node := armada.Node{
		Name: n.Name, Labels: maps.Clone(n.Labels), Type: n.Labels[r.config.NodeTypeLabel],
		Pool:          cmp.Or(n.Labels[r.config.NodePoolLabel], r.pool),
		Allocatable:   r.amounts(n.Status.Allocatable, false),
		Unschedulable: n.Spec.Unschedulable || quiet || n.DeletionTimestamp != nil,
	}
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	if node.Labels[armada.LabelHostname] == "" {
		node.Labels[armada.LabelHostname] = n.Name
	}
	for _, t := range n.Spec.Taints {
		if t.Key == corev1.TaintNodeUnschedulable || t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
			continue // told by Unschedulable
		}
		node.Taints = append(node.Taints, armada.Taint{Key: t.Key, Value: t.Value, Effect: armada.TaintEffect(t.Effect)})
	}
	for _, priority := range slices.Sorted(maps.Keys(used)) {
		node.Others = append(node.Others, armada.PriorityUsage{Priority: priority, Used: used[priority]})
	}
	node.Others = r.padded(node.Others)
	return node
}

// padded raises what others use to what is kept free for them.
func (r *Runtime) padded(others []armada.PriorityUsage) []armada.PriorityUsage {
	missing, total := r.reserved, armada.Resources{}
	for _, o := range others {
		total = total.Add(o.Used)
	}
	var lacks bool
	for i := range missing {
		missing[i] = max(0, missing[i]-total[i])
		lacks = lacks || missing[i] > 0
	}
	if !lacks {
		return others
	}
	i, found := slices.BinarySearchFunc(others, r.config.ReservedPriority, func(o armada.PriorityUsage, p int32) int { return cmp.Compare(o.Priority, p) })
	if !found {
		return slices.Insert(others, i, armada.PriorityUsage{Priority: r.config.ReservedPriority, Used: missing})
	}
	others[i].Used = others[i].Used.Add(missing)
	return others
}

// usedByOthers sums what theirPart says of pods that are not ours, by node and
// priority.
func (r *Runtime) usedByOthers() map[string]map[int32]armada.Resources {
	used := map[string]map[int32]armada.Resources{}
	for _, pod := range listed[*corev1.Pod](r.caches.others) {
		asks := r.amounts(pod.Spec.Containers[0].Resources.Requests, true)
		if i, counted := r.table.Index(armada.Pods); counted {
			asks[i]++
		}
		var priority int32
		if pod.Spec.Priority != nil {
			priority = *pod.Spec.Priority
		}
		at := used[pod.Spec.NodeName]
		if at == nil {
			at = map[int32]armada.Resources{}
			used[pod.Spec.NodeName] = at
		}
		at[priority] = at[priority].Add(asks)
	}
	return used
}

// amounts reads what is counted of a list, rounded up or down. A quantity beyond
// what can be counted counts as the most.
func (r *Runtime) amounts(list corev1.ResourceList, up bool) armada.Resources {
	var amounts armada.Resources
	for i := range r.table.Len() {
		q, named := list[corev1.ResourceName(r.table.At(i).Name)]
		if !named {
			continue
		}
		amount, err := podspec.ParseQuantity(q.String(), r.table.At(i), up)
		if err != nil {
			amount = podspec.MaxAmount
		}
		amounts[i] = amount
	}
	return amounts
}
