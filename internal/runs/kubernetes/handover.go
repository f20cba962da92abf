package kubernetes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"armada"
)

// takeName gets the name of a pod that has ended, of another executor of this
// cluster, for a later run of its job. The server leased that run because it has
// closed the earlier one, so what the pod may still tell is awaited by nobody. Its
// executor is asked to remove it, for it can keep the logs; when it is late and
// that has not happened, the executor is cut off or gone, and the pod is removed
// without it.
func (r *Runtime) takeName(ctx context.Context, there *corev1.Pod, run armada.RunID, late bool) error {
	if !earlier(runOf(there), run) || there.Labels[LabelExecutor] == "" {
		return fmt.Errorf("pod %s of run %q: %w", there.Name, runOf(there), errInTheWay)
	}
	switch {
	case late:
		r.log.Warn("removing an ended pod of another executor, which does not make room", "run", runOf(there), "executor", there.Labels[LabelExecutor])
		return r.evict(ctx, there)
	case !wanted(there):
		_, err := r.patch(ctx, there, map[string]any{"metadata": map[string]any{
			"uid": there.UID, "annotations": map[string]string{AnnotationWanted: string(run)},
		}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return err
		}
	}
	return fmt.Errorf("pod %s of run %q: %w", there.Name, runOf(there), errNotForgotten)
}

// evict removes the object of an ended pod whose end nobody awaits.
func (r *Runtime) evict(ctx context.Context, pod *corev1.Pod) error {
	_, err := r.patch(ctx, pod, map[string]any{"metadata": release(pod)})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	return r.deleteNow(ctx, pod)
}

// makeRoom removes a forgotten pod whose name another executor needs.
func (r *Runtime) makeRoom(ctx context.Context, pod *corev1.Pod) error {
	if !wanted(pod) || pod.DeletionTimestamp != nil {
		return nil
	}
	return r.remove(ctx, pod)
}

// wanted tells whether another executor needs the name of a pod.
func wanted(pod *corev1.Pod) bool {
	_, yes := pod.Annotations[AnnotationWanted]
	return yes
}

// earlier tells whether a run is an attempt of the same job before another.
func earlier(a, b armada.RunID) bool {
	one, known := a.Job()
	other, too := b.Job()
	return known && too && one == other && (len(a) < len(b) || len(a) == len(b) && a < b)
}
