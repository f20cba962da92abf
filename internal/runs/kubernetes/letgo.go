package kubernetes

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// letGo takes the finalizer off a pod whose end was told, and removes the pod when
// it is not to be kept. A pod that succeeded is deleted before: that changes nothing
// about how it ended, and the API server, which writes a pod down as deleted before
// it removes it, then removes it with the finalizer. The other way round each life
// would have one write more.
func (r *Runtime) letGo(ctx context.Context, pod *corev1.Pod) error {
	stays := r.config.keptFor(pod) > 0
	if !stays && pod.Status.Phase == corev1.PodSucceeded && pod.DeletionTimestamp == nil {
		if err := r.remove(ctx, pod); err != nil {
			return err
		}
	}
	change := release(pod)
	if !stays {
		// Nobody will ask who wrote which field. An empty entry has the API server
		// keep no account of that, which is half of what the write would cost it.
		change["managedFields"] = []struct{}{{}}
	}
	now, err := r.patch(ctx, pod, map[string]any{"metadata": change})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone already
	}
	if err != nil || stays || removed(now) {
		return err
	}
	if err := r.remove(ctx, now); err != nil && ctx.Err() == nil { // the keeper tries again
		r.log.Warn("a forgotten pod could not be removed yet", "run", runOf(pod), "error", err)
	}
	return nil
}

// release is the change of a pod's metadata that takes the finalizer off and says
// since when nobody awaits its end.
func release(pod *corev1.Pod) map[string]any {
	return map[string]any{
		"uid":                                 pod.UID,
		"annotations":                         map[string]string{AnnotationForgotten: time.Now().UTC().Format(time.RFC3339)},
		"$deleteFromPrimitiveList/finalizers": []string{Finalizer},
	}
}

// removed tells whether a pod went with its last finalizer: it was deleted, and its
// grace was over.
func removed(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && len(pod.Finalizers) == 0 &&
		(pod.DeletionGracePeriodSeconds == nil || *pod.DeletionGracePeriodSeconds == 0)
}
