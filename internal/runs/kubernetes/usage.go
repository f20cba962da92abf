package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"armada"
	"armada/internal/runs"
)

var _ runs.Measurer = (*Runtime)(nil)

// metricsGroup is the API that metrics-server, or whoever stands in for it, adds to
// a cluster.
const metricsGroup = "metrics.k8s.io"

// usagePatience is how long the cluster may take to tell what all pods use.
const usagePatience = 15 * time.Second

// podMetrics is what is read of a list of metrics.k8s.io/v1beta1. It is read here:
// the module with the type would be a dependency for three fields.
type podMetrics struct {
	Items []struct {
		Metadata struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
		Timestamp  metav1.Time     `json:"timestamp"`
		Window     metav1.Duration `json:"window"`
		Containers []struct {
			Usage struct {
				CPU    resource.Quantity `json:"cpu"`
				Memory resource.Quantity `json:"memory"`
			} `json:"usage"`
		} `json:"containers"`
	} `json:"items"`
}

// Usage asks the cluster's metrics what the pods of runs use. A sample that is
// older than the containers of a pod is of another pod of that name.
func (r *Runtime) Usage(ctx context.Context) (map[armada.RunID]runs.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, usagePatience)
	defer cancel()
	body, err := r.clients.own.CoreV1().RESTClient().Get().AbsPath("/apis", metricsGroup, "v1beta1", "pods").
		Param("labelSelector", LabelExecutor+"="+string(r.executor)).SetHeader("Accept", "application/json").Stream(ctx)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsServiceUnavailable(err):
		return nil, fmt.Errorf("%w: the cluster has no working %s: %w", runs.ErrNotMeasured, metricsGroup, err)
	case err != nil:
		return nil, fmt.Errorf("asking for the usage of pods: %w", err)
	}
	defer body.Close()
	var metrics podMetrics
	if err := json.NewDecoder(body).Decode(&metrics); err != nil {
		return nil, fmt.Errorf("reading the usage of pods: %w", err)
	}
	began := map[types.NamespacedName]metav1.Time{}
	of := map[types.NamespacedName]armada.RunID{}
	for _, pod := range r.caches.pods() {
		if started(pod) && !over(pod) {
			name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
			began[name], of[name] = firstStart(pod), runOf(pod)
		}
	}
	samples := map[armada.RunID]runs.Sample{}
	for i := range metrics.Items {
		item := &metrics.Items[i]
		name := types.NamespacedName{Namespace: item.Metadata.Namespace, Name: item.Metadata.Name}
		run, known := of[name]
		if start := began[name]; !known || item.Timestamp.Before(&start) {
			continue
		}
		sample := runs.Sample{At: item.Timestamp.Time, Window: item.Window.Duration}
		for j := range item.Containers {
			sample.CPU += item.Containers[j].Usage.CPU.ScaledValue(resource.Nano)
			sample.Memory += item.Containers[j].Usage.Memory.Value()
		}
		samples[run] = sample
	}
	return samples, nil
}
