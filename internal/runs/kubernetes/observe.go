package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"armada"
	"armada/internal/runs"
)

// lookers is how many runs are looked at at a time.
const lookers = 16

// follow has the queue and the listener told of what the caches hear.
func (r *Runtime) follow() error {
	if _, err := r.caches.ours.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.heard(obj.(*corev1.Pod), false) },
		UpdateFunc: func(_, obj any) { r.heard(obj.(*corev1.Pod), false) },
		DeleteFunc: func(obj any) {
			if missed, is := obj.(cache.DeletedFinalStateUnknown); is {
				obj = missed.Obj
			}
			if pod, is := obj.(*corev1.Pod); is {
				r.heard(pod, true)
			}
		},
	}); err != nil {
		return fmt.Errorf("following pods: %w", err)
	}
	nodes := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { r.ledger.Signal() }, DeleteFunc: func(any) { r.ledger.Signal() },
		UpdateFunc: func(before, now any) {
			if nodeChanged(before.(*corev1.Node), now.(*corev1.Node)) {
				r.ledger.Signal()
			}
		},
	}
	if _, err := r.caches.nodes.AddEventHandler(nodes); err != nil {
		return fmt.Errorf("following nodes: %w", err)
	}
	return nil
}

// nodeChanged tells whether a node differs in what Nodes tells: its heartbeats
// are no news.
func nodeChanged(a, b *corev1.Node) bool {
	_, quiet := silent(a)
	_, nowQuiet := silent(b)
	return quiet != nowQuiet || a.Spec.Unschedulable != b.Spec.Unschedulable || (a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) ||
		!maps.Equal(a.Labels, b.Labels) || !slices.Equal(a.Spec.Taints, b.Spec.Taints) ||
		!maps.EqualFunc(a.Status.Allocatable, b.Status.Allocatable, func(x, y resource.Quantity) bool { return x.Cmp(y) == 0 })
}

// heard takes what a cache has learned of a pod.
func (r *Runtime) heard(pod *corev1.Pod, gone bool) {
	run := runOf(pod)
	r.mu.Lock()
	if made := r.made[run]; made != nil && made.UID == pod.UID {
		delete(r.made, run)
	}
	if gone || forgotten(pod) {
		delete(r.dropped, run)
	}
	r.mu.Unlock()
	r.queue.Add(run)
}

// lookAtRuns looks at runs of which something was heard, until the queue is shut
// down. A look that fails is repeated later.
func (r *Runtime) lookAtRuns(ctx context.Context) {
	for {
		run, shut := r.queue.Get()
		if shut {
			return
		}
		if err := r.look(ctx, run); err != nil && ctx.Err() == nil {
			r.log.Warn("a run's pod could not be followed; trying again", "run", run, "error", err)
			r.queue.AddRateLimited(run)
		} else {
			r.queue.Forget(run)
		}
		r.queue.Done(run)
	}
}

// look brings what is known of a run up to what its pod says. One run is looked
// at by one goroutine at a time.
func (r *Runtime) look(ctx context.Context, run armada.RunID) error {
	known, tracked := r.ledger.Get(run)
	pod := r.pod(run)
	r.mu.Lock()
	dropped := r.dropped[run]
	r.mu.Unlock()
	switch {
	case pod != nil && forgotten(pod):
		return r.makeRoom(ctx, pod)
	case dropped, tracked && known.Phase.Ended():
		return nil
	case pod == nil && tracked:
		known.Phase, known.Ended, known.Stopping = runs.Unknown, time.Now(), false
		known.End = armada.RunEnd{
			Reason: "the pod is gone and nobody saw its end", Category: armada.CategoryInternal, Subcategory: subcategoryMissing,
		}
		r.ledger.Put(known)
		return nil
	case pod == nil:
		return nil
	}
	s := statusOf(pod, time.Now())
	var failed error // which keeps nobody from being told the rest
	if s.Phase.Ended() {
		r.finish(ctx, pod, &s)
	} else {
		failed = r.makeObjects(ctx, pod)
	}
	r.mu.Lock()
	s.Addresses = r.reached[run]
	r.mu.Unlock()
	if tracked {
		s = onwards(known, s)
		if same(known, s) {
			return failed
		}
	}
	r.ledger.Put(s)
	return failed
}

// onwards keeps what was told before: a phase is not left for an earlier one, and
// was reached once.
func onwards(before, s runs.Status) runs.Status {
	s.Phase = max(s.Phase, before.Phase)
	if s.Phase > runs.Pending {
		s.Stuck = ""
	}
	s.Stopping = s.Stopping || before.Stopping && !s.Phase.Ended()
	if !before.Pending.IsZero() {
		s.Pending = before.Pending
	}
	if !before.Running.IsZero() {
		s.Running = before.Running
	}
	if !s.Ended.IsZero() {
		s.Ended = later(later(s.Ended, s.Running), s.Pending)
	}
	return s
}

func same(a, b runs.Status) bool {
	return a.Phase == b.Phase && a.Stopping == b.Stopping && a.Node == b.Node && a.Stuck == b.Stuck && len(a.Addresses) == len(b.Addresses) && a.Pod == b.Pod
}

// finish completes the end of a run with what only the cluster can tell, and
// keeps what would go with its pod.
func (r *Runtime) finish(ctx context.Context, pod *corev1.Pod, s *runs.Status) {
	if s.Phase == runs.Failed || s.Phase == runs.Unknown {
		events, err := r.eventsOf(ctx, pod)
		if err != nil {
			r.log.Warn("the events of a failed pod could not be read", "run", s.Run, "error", err)
		}
		s.End.Debug = debugText(pod, events)
		for i := range events {
			s.Events = append(s.Events, words(events[i].Reason, strings.TrimSpace(events[i].Message)))
		}
		s.GiveBack = s.GiveBack || s.Phase == runs.Failed && neverRan(&r.config.Failed, pod, events)
	}
	if pod.DeletionTimestamp != nil {
		r.keepLogs(ctx, pod)
	}
	r.removeObjects(ctx, pod)
}

// eventPatience is how long the cluster may take to tell of a pod's events.
const eventPatience = 5 * time.Second

// eventsOf reads the events of a pod, oldest first.
func (r *Runtime) eventsOf(ctx context.Context, pod *corev1.Pod) ([]corev1.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, eventPatience)
	defer cancel()
	list, err := r.clients.own.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(), Limit: 100,
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return happened(&a).Compare(happened(&b)) })
	return list.Items, nil
}

// happened is when an event was last seen.
func happened(e *corev1.Event) time.Time {
	return later(later(e.LastTimestamp.Time, e.EventTime.Time), e.CreationTimestamp.Time)
}

// mostEvents is how many events of a pod are told.
const mostEvents = 10

// debugText tells what helps to find out why a pod failed.
func debugText(pod *corev1.Pod, events []corev1.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pod %s/%s on node %q, phase %s", pod.Namespace, pod.Name, pod.Spec.NodeName, pod.Status.Phase)
	if said := words(pod.Status.Reason, pod.Status.Message); said != "" {
		fmt.Fprintf(&b, " (%s)", said)
	}
	b.WriteString("\n")
	for _, c := range pod.Status.Conditions {
		if said := words(c.Reason, c.Message); said != "" {
			fmt.Fprintf(&b, "condition %s is %s: %s\n", c.Type, c.Status, said)
		}
	}
	for _, s := range allStatuses(pod) {
		if w := s.State.Waiting; w != nil {
			fmt.Fprintf(&b, "container %s waits: %s\n", s.Name, words(w.Reason, w.Message))
		}
	}
	for i := max(0, len(events)-mostEvents); i < len(events); i++ {
		e := &events[i]
		fmt.Fprintf(&b, "%s %s %s: %s\n", happened(e).UTC().Format(time.RFC3339), e.Type, e.Reason, strings.TrimSpace(e.Message))
	}
	return b.String()
}
