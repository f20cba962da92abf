package wire

import (
	"cmp"
	"slices"

	"armada"
	"armada/internal/podspec"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// Nodes reads the nodes that an executor reports. One without a name is left
// out, and so are resources that are not counted and quantities that are none:
// one odd node must not take a cluster out of use. Nodes that name no pool are
// in the request's, and without one in the default pool.
func Nodes(r *executorapi.LeaseRequest, table armada.ResourceTable) []armada.Node {
	nodes := make([]armada.Node, 0, len(r.GetNodes()))
	for _, n := range r.GetNodes() {
		if n.GetName() == "" {
			continue
		}
		nodes = append(nodes, armada.Node{
			Name:          n.GetName(),
			Executor:      armada.ExecutorID(r.GetExecutorId()),
			Pool:          cmp.Or(n.GetPool(), r.GetPool(), armada.DefaultPool),
			Type:          n.GetNodeType(),
			Labels:        n.GetLabels(),
			Taints:        taints(n.GetTaints()),
			Allocatable:   capacity(n, table),
			MinimumJob:    resources(r.GetMinimumJobSize(), table, true),
			Unschedulable: n.GetUnschedulable(),
			Others:        others(n.GetNonArmadaAllocatedResources(), table),
		})
	}
	return nodes
}

// capacity is what the node has for jobs; executors that do not tell report
// what pods may use.
func capacity(n *executorapi.NodeInfo, table armada.ResourceTable) armada.Resources {
	if total := n.GetTotalResources(); len(total) > 0 {
		return resources(total, table, false)
	}
	return resources(n.GetAllocatableResources(), table, false)
}

func taints(in []*corev1.Taint) []armada.Taint {
	var out []armada.Taint
	for _, t := range in {
		out = append(out, armada.Taint{Key: t.GetKey(), Value: t.GetValue(), Effect: armada.TaintEffect(t.GetEffect())})
	}
	return out
}

func others(in map[int32]*executorapi.ComputeResource, table armada.ResourceTable) []armada.PriorityUsage {
	var out []armada.PriorityUsage
	for priority, used := range in {
		if amounts := resources(used.GetResources(), table, true); !amounts.IsZero() {
			out = append(out, armada.PriorityUsage{Priority: priority, Used: amounts})
		}
	}
	slices.SortFunc(out, func(a, b armada.PriorityUsage) int { return cmp.Compare(a.Priority, b.Priority) })
	return out
}

// resources reads the quantities of counted resources, each by itself.
func resources(in map[string]*resource.Quantity, table armada.ResourceTable, up bool) armada.Resources {
	var out armada.Resources
	for i := range table.Len() {
		q, told := in[table.At(i).Name]
		if !told {
			continue
		}
		if amount, err := podspec.ParseQuantity(q.GetString_(), table.At(i), up); err == nil {
			out[i] = amount
		}
	}
	return out
}
