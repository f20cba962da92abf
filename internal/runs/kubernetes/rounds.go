package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	troubleInterval = 5 * time.Second
	keepInterval    = 15 * time.Second
	// cures is how many pods are cured at a time, and curePatience how long all of
	// a round may take.
	cures        = 20
	curePatience = 2 * time.Minute
)

// lookForTrouble finds pods that do not get on, and ends them.
func (r *Runtime) lookForTrouble(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, curePatience)
	defer cancel()
	var working sync.WaitGroup
	slots := make(chan struct{}, cures)
	for _, pod := range r.caches.pods() {
		if forgotten(pod) || over(pod) {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		working.Go(func() {
			defer func() { <-slots }()
			if err := r.cure(ctx, pod); err != nil && ctx.Err() == nil {
				r.log.Warn("a pod in trouble could not be ended; trying again", "run", runOf(pod), "error", err)
			}
		})
	}
	working.Wait()
}

func (r *Runtime) cure(ctx context.Context, pod *corev1.Pod) error {
	var failed error
	events := func() []corev1.Event {
		list, err := r.eventsOf(ctx, pod)
		failed = err
		return list
	}
	found := troubleWith(&r.config, pod, r.caches.node(pod.Spec.NodeName), events, time.Now())
	if found == nil || failed != nil {
		return failed
	}
	v := found.verdict
	if v == nil {
		r.log.Warn("a deleted pod does not go; deleting it by force", "run", runOf(pod))
	} else {
		r.log.Warn("a pod does not get on; ending it", "run", runOf(pod), "why", v.Reason, "give_back", v.GiveBack)
	}
	return r.condemn(ctx, pod, v, found.grace)
}

// removeOldPods removes forgotten pods whose time is over, and those that are too
// many.
func (r *Runtime) removeOldPods(ctx context.Context) {
	old := expendablePods(&r.config, r.caches.pods(), time.Now())
	slots := make(chan struct{}, cures)
	var working sync.WaitGroup
	for _, pod := range old {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		working.Go(func() {
			defer func() { <-slots }()
			if err := r.remove(ctx, pod); err != nil && ctx.Err() == nil {
				r.log.Warn("an old pod could not be removed; trying again", "run", runOf(pod), "error", err)
			}
		})
	}
	working.Wait()
}

// expendablePods picks the forgotten pods that need not be kept any more.
func expendablePods(c *Config, pods []*corev1.Pod, now time.Time) []*corev1.Pod {
	var old, kept []*corev1.Pod
	for _, pod := range pods {
		switch {
		case !forgotten(pod) || pod.DeletionTimestamp != nil:
		case wanted(pod), now.Sub(forgottenAt(pod)) > c.keptFor(pod):
			old = append(old, pod)
		default:
			kept = append(kept, pod)
		}
	}
	return append(old, surplus(kept, c.KeepPods)...)
}

// keptFor is how long a pod is kept after its end was told.
func (c *Config) keptFor(pod *corev1.Pod) time.Duration {
	if pod.Status.Phase == corev1.PodFailed {
		return c.KeepFailed
	}
	return c.KeepFinished
}

// endedAt is when a forgotten pod ended.
func endedAt(pod *corev1.Pod) time.Time {
	if at := lastEnd(pod); !at.IsZero() {
		return at.Time
	}
	return pod.CreationTimestamp.Time
}

// surplus picks the pods that are too many, none when most is 0: always the oldest
// of the queue that has most, so that no queue's crowd takes the logs of another.
func surplus(pods []*corev1.Pod, most int) []*corev1.Pod {
	many := len(pods) - most
	if most == 0 || many <= 0 {
		return nil
	}
	byQueue := map[string][]*corev1.Pod{}
	for _, pod := range pods {
		queue := pod.Labels[LabelQueue]
		byQueue[queue] = append(byQueue[queue], pod)
	}
	queues := make([]string, 0, len(byQueue))
	for queue, pods := range byQueue {
		slices.SortFunc(pods, func(a, b *corev1.Pod) int {
			return cmp.Or(endedAt(a).Compare(endedAt(b)), cmp.Compare(a.Name, b.Name))
		})
		queues = append(queues, queue)
	}
	slices.Sort(queues)
	var gone []*corev1.Pod
	for range many {
		largest := slices.MaxFunc(queues, func(a, b string) int { return cmp.Compare(len(byQueue[a]), len(byQueue[b])) })
		gone = append(gone, byQueue[largest][0])
		byQueue[largest] = byQueue[largest][1:]
	}
	return gone
}

// remove deletes a forgotten pod when its logs are kept.
func (r *Runtime) remove(ctx context.Context, pod *corev1.Pod) error {
	r.keepLogs(ctx, pod)
	return r.deleteNow(ctx, pod)
}

// deleteNow deletes a pod that has ended, if it is still the one it was.
func (r *Runtime) deleteNow(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	err := r.clients.own.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting pod %s: %w", pod.Name, err)
	}
	return nil
}

// gone waits until the object of a deleted pod is gone.
func (r *Runtime) gone(ctx context.Context, pod *corev1.Pod) error {
	for pause := firstPause; ; pause = min(2*pause, time.Second) {
		there, err := r.clients.own.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && there.UID != pod.UID {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("waiting for pod %s to go: %w", pod.Name, err)
		}
	}
}
