package kubernetes

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
)

// noPriorityClass is the [Config.PriorityClass] that takes it away.
const noPriorityClass = "none"

// podOf makes the pod of an order; nodeID is what its node says under
// [Config.NodeIDLabel]. Everything in the order's
// pod spec is passed on but the restart policy: whether a job is repeated is not
// the cluster's to say.
func podOf(c *Config, executor armada.ExecutorID, o *runs.Order, nodeID string) (*corev1.Pod, error) {
	spec, err := podspec.Decode(o.Spec)
	if err != nil {
		return nil, err
	}
	spec.AddEnv(runs.Variables(o))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: podName(o.Job), Namespace: o.Namespace, Finalizers: []string{Finalizer},
		Labels: maps.Clone(o.Labels), Annotations: maps.Clone(o.Annotations),
	}}
	if err := pod.Spec.Unmarshal(spec.Canonical()); err != nil {
		return nil, fmt.Errorf("decoding the pod spec: %w", err)
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	maps.Copy(pod.Labels, map[string]string{
		LabelJob: string(o.Job), LabelRun: string(o.Run), LabelQueue: o.Queue,
		LabelPodNumber: "0", LabelPodCount: "1", LabelExecutor: string(executor),
	})
	maps.Copy(pod.Annotations, map[string]string{
		AnnotationJobSet: string(o.JobSet), AnnotationOwner: o.Owner, AnnotationPool: o.Pool,
	})
	for _, ours := range []string{AnnotationForgotten, AnnotationWanted, AnnotationVerdict, AnnotationObjects, AnnotationGroups} {
		delete(pod.Annotations, ours)
	}
	if len(o.Objects) > 0 {
		pod.Annotations[AnnotationObjects] = jsonText(o.Objects)
		if c.ImpersonateUsers {
			pod.Annotations[AnnotationGroups] = jsonText(o.Groups)
		}
	}
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	if pod.Spec.SchedulerName == "" {
		pod.Spec.SchedulerName = c.SchedulerName
	}
	switch c.PriorityClass {
	case "":
	case noPriorityClass:
		pod.Spec.PriorityClassName = ""
	default:
		pod.Spec.PriorityClassName = c.PriorityClass
	}
	if c.PriorityClass != "" {
		pod.Spec.Priority = nil
	}
	if c.BindDirectly {
		pod.Spec.NodeName = o.Node
		return pod, nil
	}
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{}
	}
	pod.Spec.NodeSelector[c.NodeIDLabel] = nodeID
	return pod, nil
}
