package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

const (
	troubleInterval = 5 * time.Second
	keepInterval    = 15 * time.Second
	// cures is how many pods are cured, or removed, at a time, and curePatience how long all of
	// a round may take.
	cures        = 20
	curePatience = 2 * time.Minute
)

// lookForTrouble finds pods that do not get on, and ends them.
func (r *Runtime) lookForTrouble(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, curePatience)
	defer cancel()
	var pods []*corev1.Pod
	for _, pod := range r.caches.pods() {
		if !forgotten(pod) && !over(pod) {
			pods = append(pods, pod)
		}
	}
	unused, err := r.unusedNodes(ctx, pods)
	if err != nil {
		r.log.Warn("nodes that are not to be used could not be looked at; looking at their pods later", "error", err)
	}
	each(ctx, pods, func(pod *corev1.Pod) {
		node := r.caches.node(pod.Spec.NodeName)
		if node == nil && pod.Spec.NodeName != "" {
			var known bool
			if node, known = unused[pod.Spec.NodeName]; !known {
				return
			}
		}
		if err := r.cure(ctx, pod, node); err != nil && ctx.Err() == nil {
			r.log.Warn("a pod in trouble could not be ended; trying again", "run", runOf(pod), "error", err)
		}
	})
}

// each calls do for pods, some at a time, until the context ends.
func each(ctx context.Context, pods []*corev1.Pod, do func(*corev1.Pod)) {
	var working errgroup.Group
	working.SetLimit(cures)
	for _, pod := range pods {
		if ctx.Err() != nil {
			break
		}
		working.Go(func() error {
			do(pod)
			return nil
		})
	}
	_ = working.Wait() // it answers nothing
}

// unusedNodes reads the nodes of pods that the cache does not have, nil for those that
// are gone: runs go on where a node only is no longer one to use. It answers what it
// read before an error.
func (r *Runtime) unusedNodes(ctx context.Context, pods []*corev1.Pod) (map[string]*corev1.Node, error) {
	nodes := map[string]*corev1.Node{}
	for _, pod := range pods {
		name := pod.Spec.NodeName
		if _, read := nodes[name]; read || name == "" || r.caches.node(name) != nil {
			continue
		}
		list, err := r.clients.own.CoreV1().Nodes().List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()})
		if err != nil {
			return nodes, fmt.Errorf("reading node %s: %w", name, err)
		}
		nodes[name] = nil
		if len(list.Items) > 0 {
			nodes[name] = &list.Items[0]
		}
	}
	return nodes, nil
}

func (r *Runtime) cure(ctx context.Context, pod *corev1.Pod, node *corev1.Node) error {
	var failed error
	events := func() []corev1.Event {
		list, err := r.eventsOf(ctx, pod)
		failed = err
		return list
	}
	found := troubleWith(&r.config, pod, node, events, time.Now())
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
	each(ctx, expendablePods(&r.config, r.caches.pods(), time.Now()), func(pod *corev1.Pod) {
		if err := r.remove(ctx, pod); err != nil && ctx.Err() == nil {
			r.log.Warn("an old pod could not be removed; trying again", "run", runOf(pod), "error", err)
		}
	})
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
