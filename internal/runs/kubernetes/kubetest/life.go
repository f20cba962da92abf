package kubetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The annotations that say how a pod lives. Without any it runs and succeeds at
// once.
const (
	Print    = "kubetest/print"     // lines that it prints when it begins
	Earlier  = "kubetest/earlier"   // lines that a life of its container before this one printed
	ExitCode = "kubetest/exit-code" // how it ends by itself
	Lasts    = "kubetest/lasts"     // how long it runs; deleted, it ends at once with exit code 143
	Forever  = "kubetest/forever"   // it ends only when it is deleted, and then with exit code 143
	Deaf     = "kubetest/deaf"      // with Forever: not before the end of the grace period
	Finishes = "kubetest/finishes"  // with Forever: deleted, it ends with exit code 0
	Waits    = "kubetest/waits"     // it never begins: its container waits for this reason
	Reason   = "kubetest/reason"    // the reason of its container's end, such as OOMKilled
	Evicted  = "kubetest/evicted"   // its node evicts it when it runs
	Refused  = "kubetest/refused"   // its node refuses it for this reason, such as OutOfcpu
	// RefusedOnce is Refused for the first pod of its name.
	RefusedOnce = "kubetest/refused-once"
)

// life is a pod on a played kubelet.
type life struct {
	nodes *Nodes
	name  string
	uid   types.UID
	print []string
	done  chan struct{}
	// earlier is what its container printed before it was started again, with
	// times.
	earlier []string

	mu    sync.Mutex
	pod   *corev1.Pod // as last seen
	news  chan struct{}
	span  Span
	lines []string // printed, with their times
	ended chan struct{}
}

func newLife(n *Nodes, pod *corev1.Pod) *life {
	l := &life{nodes: n, name: pod.Name, uid: pod.UID, done: make(chan struct{}), news: make(chan struct{}, 1), ended: make(chan struct{})}
	if text := pod.Annotations[Print]; text != "" {
		l.print = strings.Split(text, "\n")
	}
	if text := pod.Annotations[Earlier]; text != "" {
		for line := range strings.SplitSeq(text, "\n") {
			l.earlier = append(l.earlier, pod.CreationTimestamp.UTC().Format(time.RFC3339Nano)+" "+line)
		}
	}
	l.pod = pod
	return l
}

func (l *life) seen(pod *corev1.Pod) {
	l.mu.Lock()
	l.pod = pod
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func (l *life) last() *corev1.Pod {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pod
}

func (l *life) live(t testing.TB) {
	defer close(l.done)
	err := l.phases()
	gone := apierrors.IsNotFound(err) || apierrors.IsConflict(err) // another pod has its name now
	if err != nil && l.nodes.ctx.Err() == nil && !gone && !errors.Is(err, errSilent) {
		t.Errorf("playing the kubelet of pod %s: %v", l.name, err)
	}
}

var errSilent = errors.New("the node is silent")

// phases plays the pod from its beginning to its end.
func (l *life) phases() error {
	pod := l.last()
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	name := pod.Spec.Containers[0].Name
	refused := l.nodes.refuses(pod)
	switch {
	case refused != "":
		return l.set(map[string]any{"phase": corev1.PodFailed, "reason": refused, "message": "refused"})
	case pod.Annotations[Waits] != "":
		waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: pod.Annotations[Waits], Message: "told to"}}
		if err := l.set(map[string]any{"containerStatuses": []corev1.ContainerStatus{{Name: name, State: waiting}}}); err != nil {
			return err
		}
		if _, err := l.deletion(); err != nil {
			return err
		}
		// The kubelet makes up an end of what never began, without a time.
		end := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "The container could not be located when the pod was terminated",
		}}
		if err := l.set(map[string]any{"phase": corev1.PodFailed, "containerStatuses": []corev1.ContainerStatus{{Name: name, State: end}}}); err != nil {
			return err
		}
		return l.remove()
	}
	l.mu.Lock()
	l.span.Began = time.Now()
	for _, line := range l.print {
		l.lines = append(l.lines, time.Now().UTC().Format(time.RFC3339Nano)+" "+line)
	}
	l.mu.Unlock()
	started := metav1.Now()
	if err := l.set(map[string]any{
		"phase": corev1.PodRunning, "startTime": started, "hostIP": "127.0.0.1", "podIP": "127.0.0.1",
		"containerStatuses": []corev1.ContainerStatus{{Name: name, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}}},
	}); err != nil {
		return err
	}
	code, err := l.run()
	if err != nil {
		return err
	}
	return l.end(name, started, code)
}

// run waits for the pod's end and tells its exit code.
func (l *life) run() (int32, error) {
	pod := l.last()
	if pod.Annotations[Forever] == "" {
		lasts, _ := time.ParseDuration(pod.Annotations[Lasts])
		over := time.After(lasts)
		for {
			select {
			case <-over:
				return number(pod, ExitCode), nil
			case <-l.news:
				if l.last().DeletionTimestamp != nil {
					return 143, nil
				}
			case <-l.nodes.ctx.Done():
				return 0, context.Cause(l.nodes.ctx)
			}
		}
	}
	asked, err := l.deletion()
	if err != nil {
		return 0, err
	}
	switch {
	case pod.Annotations[Finishes] != "" && !grace0(l.last()):
		return 0, nil
	case pod.Annotations[Deaf] == "":
		return 143, nil
	}
	for {
		late := l.last()
		var grace time.Duration
		if s := late.DeletionGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		select {
		case <-time.After(time.Until(asked.Add(grace))):
			return 137, nil
		case <-l.news:
		case <-l.nodes.ctx.Done():
			return 0, context.Cause(l.nodes.ctx)
		}
	}
}

func grace0(pod *corev1.Pod) bool {
	return pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
}

// deletion waits until somebody deletes the pod, and tells when it was seen.
func (l *life) deletion() (time.Time, error) {
	for {
		if l.nodes.silent(l.last().Spec.NodeName) {
			return time.Time{}, errSilent
		}
		if l.last().DeletionTimestamp != nil {
			return time.Now(), nil
		}
		select {
		case <-l.news:
		case <-l.nodes.ctx.Done():
			return time.Time{}, context.Cause(l.nodes.ctx)
		}
	}
}

// end tells how the container ended, and removes the pod if it was deleted.
func (l *life) end(name string, started metav1.Time, code int32) error {
	pod := l.last()
	l.mu.Lock()
	l.span.Ended = time.Now()
	close(l.ended)
	l.mu.Unlock()
	phase, reason := corev1.PodSucceeded, "Completed"
	if code != 0 {
		phase, reason = corev1.PodFailed, "Error"
	}
	if own := pod.Annotations[Reason]; own != "" {
		reason = own
	}
	state := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: started, FinishedAt: metav1.Now()}}
	status := map[string]any{"phase": phase, "containerStatuses": []corev1.ContainerStatus{{Name: name, State: state}}}
	if pod.Annotations[Evicted] != "" {
		status["phase"], status["reason"], status["message"] = corev1.PodFailed, "Evicted", pod.Annotations[Evicted]
	}
	if err := l.set(status); err != nil {
		return err
	}
	if _, err := l.deletion(); err != nil {
		return err
	}
	return l.remove()
}

// remove deletes the object of a pod that was deleted and has ended. One without
// a phase of an end gets one, as from a real kubelet.
func (l *life) remove() error {
	pod := l.last()
	if pod.Status.Phase == corev1.PodPending {
		if err := l.set(map[string]any{"phase": corev1.PodFailed}); err != nil {
			return err
		}
	}
	now := int64(0)
	return l.nodes.insist(func() error {
		return l.nodes.Cluster.Client.CoreV1().Pods(pod.Namespace).Delete(l.nodes.ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
		})
	})
}

// set changes the pod's status.
func (l *life) set(status map[string]any) error {
	pod := l.last()
	if l.nodes.silent(pod.Spec.NodeName) {
		return errSilent
	}
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": l.uid}, "status": status})
	if err != nil {
		return err
	}
	err = l.nodes.insist(func() error {
		_, err := l.nodes.Cluster.Client.CoreV1().Pods(pod.Namespace).Patch(l.nodes.ctx, l.name, types.StrategicMergePatchType, text, metav1.PatchOptions{}, "status")
		return err
	})
	if err != nil {
		return fmt.Errorf("setting the status: %w", err)
	}
	return nil
}
