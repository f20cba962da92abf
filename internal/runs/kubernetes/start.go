package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
)

// Start makes the pod of an order. While it is not known whether the pod was
// made, it asks again.
func (r *Runtime) Start(ctx context.Context, o runs.Order) error {
	if _, known := r.ledger.Get(o.Run); known {
		return nil
	}
	nodeID, err := r.nodeID(o.Node)
	if err != nil {
		return fmt.Errorf("run %s: %w", o.Run, err)
	}
	pod, err := podOf(&r.config, r.executor, &o, nodeID)
	if err != nil {
		return r.refuse(&o, err)
	}
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		made, err := r.make(ctx, pod, &o, time.Since(began) >= forgetPatience/2)
		switch {
		case err == nil:
			r.note(made)
			return nil
		case errors.Is(err, errNotForgotten) && time.Since(began) < forgetPatience:
			if err := sleep(ctx, pause); err != nil {
				return fmt.Errorf("making pod %s: %w", pod.Name, err)
			}
			continue
		case errors.Is(err, runs.ErrSpent), errors.Is(err, errInTheWay), errors.Is(err, errNotForgotten):
			return err
		case r.fatal(err):
			return r.refuse(&o, err)
		case certain(err):
			return fmt.Errorf("making pod %s: %w", pod.Name, err)
		}
		if ctx.Err() == nil {
			r.log.Warn("it is not known whether a pod was made; asking again", "run", o.Run, "error", err)
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("making pod %s: %w", pod.Name, err)
		}
	}
}

// How long is waited between attempts.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
	// forgetPatience is for an earlier attempt that has ended: the server knows
	// that, for it has leased the next, but we may be about to forget it only.
	forgetPatience = 5 * time.Second
)

// What is answered when another run's pod has the name.
var (
	errInTheWay     = errors.New("the pod of another attempt of the job is still there")
	errNotForgotten = errors.New("the pod of another attempt of the job has ended and is not forgotten yet")
)

// make makes the pod, or finds that it is there. When it is late, an executor whose
// pod has the name has had its time to make room.
func (r *Runtime) make(ctx context.Context, pod *corev1.Pod, o *runs.Order, late bool) (*corev1.Pod, error) {
	client, err := r.clients.of(o.Owner, o.Groups)
	if err != nil {
		return nil, err
	}
	pods := client.CoreV1().Pods(pod.Namespace)
	made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return made, err
	}
	there, err := r.clients.own.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return pods.Create(ctx, pod, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, err
	}
	switch {
	case runOf(there) == o.Run && forgotten(there):
		return nil, fmt.Errorf("run %s: %w", o.Run, runs.ErrSpent)
	case runOf(there) == o.Run:
		return there, nil
	case !over(there):
		return nil, fmt.Errorf("pod %s of run %q: %w", there.Name, runOf(there), errInTheWay)
	case there.Labels[LabelExecutor] != string(r.executor):
		if err := r.takeName(ctx, there, o.Run, late); err != nil {
			return nil, err
		}
	case !forgotten(there):
		return nil, fmt.Errorf("pod %s of run %q: %w", there.Name, runOf(there), errNotForgotten)
	default: // its name is needed, and its logs are kept before it goes
		if err := r.remove(ctx, there); err != nil {
			return nil, err
		}
	}
	if err := r.gone(ctx, there); err != nil {
		return nil, err
	}
	return pods.Create(ctx, pod, metav1.CreateOptions{})
}

// note puts a pod that was just made into what is known.
func (r *Runtime) note(pod *corev1.Pod) {
	run := runOf(pod)
	r.mu.Lock()
	delete(r.dropped, run)
	if r.caches.pod(run) == nil {
		r.made[run] = pod
	}
	r.mu.Unlock()
	if _, known := r.ledger.Get(run); !known {
		r.ledger.Put(statusOf(pod, time.Now()))
	}
	r.queue.Add(run)
}

// refuse ends a run whose pod can never be made.
func (r *Runtime) refuse(o *runs.Order, why error) error {
	now := time.Now()
	r.ledger.Put(runs.Status{
		Run: o.Run, Job: o.Job, Queue: o.Queue, JobSet: o.JobSet, Node: o.Node, Phase: runs.Failed, Pending: now, Ended: now,
		Pod: armada.Pod{Name: podName(o.Job), Namespace: o.Namespace},
		End: armada.RunEnd{
			Reason:   "the pod could not be made: " + why.Error(),
			Category: armada.CategoryInternal, Subcategory: armada.SubcategoryCreateFailed,
		},
	})
	return nil
}

// fatal tells whether an error says that the pod can never be made.
func (r *Runtime) fatal(err error) bool {
	if errors.Is(err, errNoOwner) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return true
	}
	for _, p := range r.config.FatalSubmissionErrors {
		if p.MatchString(err.Error()) {
			return true
		}
	}
	return false
}

// certain tells whether an error says that nothing was made.
func certain(err error) bool {
	reason := apierrors.ReasonForError(err)
	return reason != metav1.StatusReasonUnknown && reason != metav1.StatusReasonTimeout && reason != metav1.StatusReasonInternalError &&
		reason != metav1.StatusReasonServerTimeout && reason != metav1.StatusReasonServiceUnavailable && reason != metav1.StatusReasonTooManyRequests &&
		reason != metav1.StatusReasonAlreadyExists
}

// nodeID is what a node says under the label that pods select it by. Without it a pod
// would run anywhere.
func (r *Runtime) nodeID(name string) (string, error) {
	n := r.caches.node(name)
	if n == nil {
		return "", fmt.Errorf("node %q is not, or no longer, one that the executor uses", name)
	}
	id := n.Labels[r.config.NodeIDLabel]
	if id == "" && !r.config.BindDirectly {
		return "", fmt.Errorf("node %s has no label %s (executor.kubernetes.nodeIDLabel) by which a pod could be led to it", name, r.config.NodeIDLabel)
	}
	return id, nil
}
