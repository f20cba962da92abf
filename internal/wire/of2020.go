package wire

import (
	"maps"
	"slices"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// notCounted is the amount of a resource that a cluster does not count: more than
// its jobs ask for together, and few enough to be added up.
const notCounted = 1 << 50

// Offer2020 is what an executor of 2020 asks for jobs with.
type Offer2020 struct {
	Nodes   []armada.Node
	Free    armada.Resources // of all nodes together; jobs beyond it wait for another call
	Minimum armada.Resources // jobs that ask for less of any resource are not wanted
	// Uncounted are resources that jobs may ask for, or have by default, and that
	// no node of the cluster has a number of: a pod that asks for one would never
	// begin.
	Uncounted []string
}

// ReadOffer2020 reads what an executor of 2020 offers, for a pool. Bound is what is
// in use on nodes by pods that are known to be ours; what is in use beyond that is
// others'. Only local storage may go uncounted: a cluster that has no number
// of another resource has none of it.
func ReadOffer2020(r *api.LeaseRequest, pool string, table armada.ResourceTable, bound map[string]armada.Resources) Offer2020 {
	offer := Offer2020{Free: resources(r.GetResources(), table, false), Minimum: resources(r.GetMinimumJobSize(), table, true)}
	storage, counted := table.Index(armada.EphemeralStorage)
	counted = counted && !slices.ContainsFunc(r.GetNodes(), func(n *api.NodeInfo) bool {
		_, told := n.GetAllocatableResources()[armada.EphemeralStorage]
		return told
	})
	if counted {
		offer.Uncounted = []string{armada.EphemeralStorage}
		offer.Free[storage] = notCounted
	}
	for i := range table.Len() {
		if table.At(i).Floating {
			offer.Free[i] = notCounted // no matter of nodes
		}
	}
	for _, n := range r.GetNodes() {
		if n.GetName() == "" {
			continue
		}
		node := armada.Node{
			Name: Text(n.GetName()), Executor: armada.ExecutorID(r.GetClusterId()), Pool: pool, Labels: n.GetLabels(), Taints: taints(n.GetTaints()),
			Allocatable: resources(n.GetAllocatableResources(), table, false), MinimumJob: offer.Minimum, PodsOnly: true,
		}
		if len(n.GetAvailableResources()) > 0 {
			node.Others = foreign(&node.Allocatable, resources(n.GetAvailableResources(), table, false), bound[node.Name])
		}
		if counted {
			node.Allocatable[storage] = notCounted
		}
		offer.Nodes = append(offer.Nodes, node)
	}
	return offer
}

// foreign is what is neither free nor ours.
func foreign(all *armada.Resources, free, ours armada.Resources) []armada.PriorityUsage {
	var used armada.Resources
	for i := range all {
		used[i] = max(0, all[i]-free[i]-ours[i])
	}
	if used.IsZero() {
		return nil
	}
	return []armada.PriorityUsage{{Used: used}}
}

// Job2020 writes a job as an executor of 2020 leases it. The spec is what the pod
// is made from; it is shared and must not be changed.
func Job2020(o *store.Order, spec *corev1.PodSpec) *api.Job {
	return &api.Job{
		Id:          string(o.Job.ID),
		JobSetId:    string(o.Job.JobSet),
		Queue:       o.Job.Queue,
		Priority:    float64(o.Job.Priority),
		PodSpec:     grown(spec, o.Job.Lessons), // the only field that they read
		Created:     timestamp(o.Job.Submitted),
		Namespace:   o.Details.Namespace,
		Owner:       o.Job.Owner,
		Labels:      o.Details.Labels,
		Annotations: o.Details.Annotations,
	}
}

// Without takes resources out of what a pod's containers ask for.
func Without(spec *corev1.PodSpec, names []string) {
	for _, c := range slices.Concat(spec.GetInitContainers(), spec.GetContainers()) {
		for _, name := range names {
			delete(c.GetResources().GetRequests(), name)
			delete(c.GetResources().GetLimits(), name)
		}
	}
}

// Report2020 is what an executor of 2020 tells about a job that it has leased: it
// knows no runs.
type Report2020 struct {
	Cluster armada.ExecutorID
	// Change is what is told, without the run; its pod has no more than a uid, if
	// that is told.
	Change lifecycle.Change
}

// ReadUse2020 reads what an executor of 2020 says of its cluster's use, which belongs
// to a pool. What is no name of a queue is left out, and of a queue that is named
// again the first counts.
func ReadUse2020(r *api.ClusterUsageReport, pool string, table armada.ResourceTable) armada.ClusterUse {
	use := armada.ClusterUse{
		Executor: armada.ExecutorID(r.GetClusterId()), Pool: pool,
		Capacity: resources(r.GetClusterCapacity(), table, false), Available: resources(r.GetClusterAvailableCapacity(), table, false),
	}
	seen := map[string]bool{}
	for _, q := range r.GetQueues() {
		if seen[q.GetName()] || armada.ValidateQueueName(q.GetName()) != nil {
			continue
		}
		seen[q.GetName()] = true
		use.Queues = append(use.Queues, armada.QueueUse{
			Queue: q.GetName(), Asked: resources(q.GetResources(), table, true), Used: resources(q.GetResourcesUsed(), table, true),
		})
	}
	return use
}

// told is what all events of executors of 2020 begin with.
type told interface {
	GetJobId() string
	GetClusterId() string
}

// ReadReport2020 reads one event of an executor of 2020, and answers false for
// what changes nothing.
func ReadReport2020(m *api.EventMessage) (Report2020, bool) {
	var r Report2020
	c := &r.Change
	begin := func(e told) {
		c.Job, r.Cluster = armada.JobID(e.GetJobId()), armada.ExecutorID(e.GetClusterId())
		c.Executor = r.Cluster
	}
	switch e := m.GetEvents().(type) {
	case *api.EventMessage_Pending:
		begin(e.Pending)
		c.Kind, c.At, c.Pod.KubernetesID = lifecycle.ReportPending, instant(e.Pending.GetCreated()), Text(e.Pending.GetKubernetesId())
	case *api.EventMessage_Running:
		begin(e.Running)
		c.Kind, c.At, c.Pod.KubernetesID = lifecycle.ReportRunning, instant(e.Running.GetCreated()), Text(e.Running.GetKubernetesId())
		c.Node = Text(e.Running.GetNodeName())
	case *api.EventMessage_Succeeded:
		begin(e.Succeeded)
		c.Kind, c.At, c.Pod.KubernetesID = lifecycle.ReportSucceeded, instant(e.Succeeded.GetCreated()), Text(e.Succeeded.GetKubernetesId())
		c.Node = Text(e.Succeeded.GetNodeName())
	case *api.EventMessage_Failed:
		begin(e.Failed)
		failed2020(c, e.Failed)
	case *api.EventMessage_UnableToSchedule:
		begin(e.UnableToSchedule)
		c.Kind, c.Mark, c.Pod.KubernetesID = lifecycle.ReportMark, lifecycle.MarkStuck, Text(e.UnableToSchedule.GetKubernetesId())
		c.End.Reason = Text(e.UnableToSchedule.GetReason())
	case *api.EventMessage_LeaseReturned:
		begin(e.LeaseReturned)
		c.Kind, c.At, c.End.Reason = lifecycle.ReportReturned, instant(e.LeaseReturned.GetCreated()), Text(e.LeaseReturned.GetReason())
	case *api.EventMessage_Utilisation:
		begin(e.Utilisation)
		c.Kind, c.At, c.Pod.KubernetesID = lifecycle.ReportUsage, instant(e.Utilisation.GetCreated()), Text(e.Utilisation.GetKubernetesId())
		c.Usage = &armada.Usage{Max: amounts(e.Utilisation.GetMaxResourcesForPeriod())}
	default:
		return r, false
	}
	return r, true
}

// failed2020 reads exit codes as the ends of containers, by name.
func failed2020(c *lifecycle.Change, e *api.JobFailedEvent) {
	c.Kind, c.At, c.Pod.KubernetesID = lifecycle.ReportFailed, instant(e.GetCreated()), Text(e.GetKubernetesId())
	c.Node, c.End.Reason = Text(e.GetNodeName()), Text(e.GetReason())
	codes := e.GetExitCodes() // that is where those executors tell them
	for _, name := range slices.Sorted(maps.Keys(codes)) {
		if len(c.End.Containers) == maxContainers {
			break
		}
		c.End.Containers = append(c.End.Containers, armada.ContainerEnd{Name: Text(name), ExitCode: codes[name]})
	}
}
