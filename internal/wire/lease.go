package wire

import (
	"maps"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/store"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// What a leased job's pod tells about itself.
const (
	AnnotationPool   = "armadaproject.io/pool"
	LabelPreemptible = "armada_preemptible"
)

// WithoutFloating takes what is no part of nodes out of what a pod's containers
// ask for: a cluster knows nothing of it, and would have no node for the pod.
func WithoutFloating(spec *corev1.PodSpec, table armada.ResourceTable) {
	var floating []string
	for i := range table.Len() {
		if r := table.At(i); r.Floating {
			floating = append(floating, r.Name)
		}
	}
	Without(spec, floating)
}

// Tolerating returns the spec with more tolerations; the spec is not changed.
func Tolerating(spec *corev1.PodSpec, more []armada.Toleration) *corev1.PodSpec {
	out := proto.CloneOf(spec)
	for _, t := range more {
		toleration := &corev1.Toleration{Key: proto.String(t.Key), Operator: proto.String("Equal"), Value: proto.String(t.Value), Effect: proto.String(string(t.Effect))}
		if t.Exists {
			toleration.Operator, toleration.Value = proto.String("Exists"), nil
		}
		out.Tolerations = append(out.Tolerations, toleration)
	}
	return out
}

// Lease writes the order to start a run. The spec is what the pod is made from;
// it is shared and must not be changed. Labels and annotations stand where
// executors of 2026 look for them, the memory that the job's attempts have taught it
// to ask for is in the spec, and the object that holds them is always
// there because those executors do not check.
func Lease(o *store.Order, spec *corev1.PodSpec, preemptible bool) *executorapi.JobRunLease {
	job, run, details := &o.Job, &o.Run, &o.Details
	spec = grown(spec, job.Lessons)
	labels, annotations := maps.Clone(details.Labels), maps.Clone(details.Annotations)
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	labels[LabelPreemptible] = "false"
	if preemptible {
		labels[LabelPreemptible] = "true"
	}
	annotations[AnnotationPool] = run.Pool
	after := make([]string, 0, len(run.After))
	for _, id := range run.After {
		after = append(after, string(id))
	}
	return &executorapi.JobRunLease{
		Queue:    job.Queue,
		Jobset:   string(job.JobSet),
		User:     job.Owner,
		Groups:   job.Groups,
		JobRunId: string(run.ID),
		Job: &armadaevents.SubmitJob{
			JobId:       string(job.ID),
			Priority:    job.Priority,
			Preemptible: preemptible,
			Scheduler:   details.Scheduler,
			ObjectMeta:  &armadaevents.ObjectMeta{Namespace: details.Namespace, Labels: labels, Annotations: annotations},
			MainObject: &armadaevents.KubernetesMainObject{Object: &armadaevents.KubernetesMainObject_PodSpec{
				PodSpec: &armadaevents.PodSpecWithAvoidList{PodSpec: spec},
			}},
			Objects:        Objects(o, spec),
			ExternalJobUri: details.ExternalURI,
		},
		NodeName:    run.Node,
		Pool:        run.Pool,
		AfterRunIds: after,
	}
}
