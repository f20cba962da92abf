package wire

import (
	"google.golang.org/protobuf/proto"

	"armada/internal/store"
	"armada/pkg/api/executorapi"
)

// What pods of gangs learn about the label that their nodes share; executors of
// 2026 make variables of these annotations, by the same names.
const (
	annotationUniformityName  = "ARMADA_GANG_NODE_UNIFORMITY_LABEL_NAME"
	annotationUniformityValue = "ARMADA_GANG_NODE_UNIFORMITY_LABEL_VALUE"
)

// Pinning says how the pods of an executor of 2026 get to their nodes.
type Pinning struct {
	// NodeIDLabel is the label by whose value a node is chosen.
	NodeIDLabel string
	// PriorityClass is the class of the cluster's that every pod gets; empty is
	// none.
	PriorityClass string
}

// Lease2026 makes of a lease what an executor of 2026 needs: it looks at no field
// of ours, so the node is in the pod's selector, and the services and ingresses
// are there as objects. Labels are those that the executor reports of the node;
// where the one that tells nodes apart is missing, the pod is not bound to a node.
// The lease is changed, its pod spec, which is shared, is not.
func Lease2026(l *executorapi.JobRunLease, o *store.Order, labels map[string]string, p Pinning) *executorapi.JobRunLease {
	pod := l.GetJob().GetMainObject().GetPodSpec()
	spec := proto.CloneOf(pod.GetPodSpec())
	if value, told := labels[p.NodeIDLabel]; told {
		if spec.NodeSelector == nil {
			spec.NodeSelector = map[string]string{}
		}
		spec.NodeSelector[p.NodeIDLabel] = value
	}
	spec.PriorityClassName, spec.Priority = nil, nil
	if p.PriorityClass != "" {
		spec.PriorityClassName = proto.String(p.PriorityClass)
	}
	pod.PodSpec = spec
	if label := o.Job.Gang.UniformityLabel; label != "" {
		l.Job.ObjectMeta.Annotations[annotationUniformityName] = label
		l.Job.ObjectMeta.Annotations[annotationUniformityValue] = labels[label]
	}
	l.NodeName, l.Pool, l.AfterRunIds = "", "", nil
	return l
}
