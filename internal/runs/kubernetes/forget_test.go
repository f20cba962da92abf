package kubernetes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

func TestAPodThatIsNotToBeKeptGoesWhenItsRunIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.config.KeepFinished, w.config.KeepFailed, w.config.KeepLogBytes = 0, 0, 0
	r := w.open(t)
	defer r.Close()
	o := w.begin(t, r, runstest.Job{}, nil)
	s := ended(t, r, o.Run)
	if err := r.Forget(t.Context(), o.Run); err != nil {
		t.Fatal(err)
	}
	pods := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace)
	if pod, err := pods.Get(t.Context(), s.Pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("its pod is still there: %v, %v", pod, err)
	}
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
