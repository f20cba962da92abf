package kubernetes_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/runstest"
)

// forgetful is a world in which no pod is kept for its logs.
func forgetful(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 1)
	w.config.KeepFinished, w.config.KeepFailed, w.config.KeepLogBytes = 0, 0, 0
	return w
}

// pods is where the world's pods are.
func (w *world) pods() typed.PodInterface {
	return w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace)
}

// writes forgets a run and tells what its pod was at each write, until it was gone.
func (w *world) writes(t *testing.T, r *kubernetes.Runtime, s runs.Status) (kinds []watch.EventType, first *corev1.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	pod, err := w.pods().Get(ctx, s.Pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	news, err := w.pods().Watch(ctx, metav1.SingleObject(pod.ObjectMeta))
	if err != nil {
		t.Fatal(err)
	}
	defer news.Stop()
	if err := r.Forget(ctx, s.Run); err != nil {
		t.Fatal(err)
	}
	for event := range news.ResultChan() {
		if kinds = append(kinds, event.Type); first == nil {
			first, _ = event.Object.(*corev1.Pod)
		}
		if event.Type == watch.Deleted {
			return kinds, first
		}
	}
	t.Fatalf("its pod is not gone after %v", kinds)
	return nil, nil
}

func (w *world) mustBeGone(t *testing.T, s runs.Status) {
	t.Helper()
	if pod, err := w.pods().Get(t.Context(), s.Pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("its pod is still there: %v, %v", pod, err)
	}
}

func TestAPodThatIsNotToBeKeptGoesWhenItsRunIsForgotten(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]runstest.Job{"succeeded": {}, "failed": {ExitCode: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := forgetful(t)
			r := w.open(t)
			defer r.Close()
			o := w.begin(t, r, job, nil)
			s := ended(t, r, o.Run)
			if err := r.Forget(t.Context(), o.Run); err != nil {
				t.Fatal(err)
			}
			w.mustBeGone(t, s)
		})
	}
}

// Each write costs the API server more than all else of a life.
func TestAPodThatSucceededGoesByTwoWrites(t *testing.T) {
	t.Parallel()
	w := forgetful(t)
	r := w.open(t)
	defer r.Close()
	o := w.begin(t, r, runstest.Job{}, nil)
	kinds, _ := w.writes(t, r, ended(t, r, o.Run))
	if !slices.Equal(kinds, []watch.EventType{watch.Modified, watch.Deleted}) {
		t.Errorf("it was %v; want it written down as deleted, and then gone", kinds)
	}
}

// Deleted before, it would seem to have failed because it was.
func TestAPodThatFailedIsLetGoBeforeItIsDeleted(t *testing.T) {
	t.Parallel()
	w := forgetful(t)
	r := w.open(t)
	defer r.Close()
	o := w.begin(t, r, runstest.Job{ExitCode: 3}, nil)
	if _, first := w.writes(t, r, ended(t, r, o.Run)); len(first.Finalizers) > 0 || first.DeletionTimestamp != nil {
		t.Errorf("at first it has the finalizers %v and was deleted at %v; want neither", first.Finalizers, first.DeletionTimestamp)
	}
}

// So an executor leaves a pod that is killed between the two writes.
func TestAPodThatIsDeletedButNotLetGoTellsItsSuccessAgain(t *testing.T) {
	t.Parallel()
	w := forgetful(t)
	r := w.open(t)
	o := w.begin(t, r, runstest.Job{}, nil)
	s := ended(t, r, o.Run)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.pods().Delete(t.Context(), s.Pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r = w.open(t)
	defer r.Close()
	if again := ended(t, r, o.Run); again.Phase != runs.Succeeded || again.End.Reason != s.End.Reason {
		t.Errorf("it ended as %+v; want it as before, %+v", again, s)
	}
	if err := r.Forget(t.Context(), o.Run); err != nil {
		t.Fatal(err)
	}
	w.mustBeGone(t, s)
}

// The server leases the next attempt when it has heard of the last one's end, which
// may be before the last one is forgotten.
func TestTheNextAttemptWaitsUntilTheLastIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer r.Close()
	first := w.begin(t, r, runstest.Job{ExitCode: 1}, nil)
	ended(t, r, first.Run)
	second := first
	second.Run = armada.NewRunID(first.Job, 2)
	w.spec(&second, runstest.Job{})
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := r.Start(short, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("starting it before that answers %v; want it to wait", err)
	}
	if err := r.Forget(t.Context(), first.Run); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, r, second.Run); s.Phase != runs.Succeeded {
		t.Errorf("it ended as %+v", s)
	}
}
