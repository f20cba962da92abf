package kubernetes_test

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/runstest"
)

// sister is another executor in the cluster and namespace of a world.
func (w *world) sister(t *testing.T) *world {
	t.Helper()
	nodes := w.nodes.Sisters(t, 1)
	s := &world{nodes: nodes, config: w.config, place: w.place}
	s.config.NodeSelector, s.place.Executor, s.place.Dir = nodes.Selector, armada.ExecutorID(nodes.Name), t.TempDir()
	return s
}

// next is an order of the next run of a job, on another executor.
func (w *world) next(o runs.Order) runs.Order {
	o.Run, o.Node, o.Annotations = armada.NewRunID(o.Job, 2), w.nodes.Names[0], nil
	w.spec(&o, runstest.Job{Print: []string{"second"}})
	return o
}

// executorOf is whose pod has the name of a job's pods.
func (w *world) executorOf(t *testing.T, job armada.JobID) string {
	t.Helper()
	pod, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Get(t.Context(), "armada-"+string(job)+"-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod.Labels[kubernetes.LabelExecutor]
}

func TestAJobGoesOnInAnotherExecutorOfTheClusterWhenTheFirstIsGoneAndItsPodHasEnded(t *testing.T) {
	t.Parallel()
	east := newWorld(t, 1)
	west := east.sister(t)
	r := east.open(t)
	first := east.begin(t, r, runstest.Job{ExitCode: 1}, nil)
	ended(t, r, first.Run)
	closed(t, r) // and it never tells of the end
	other := west.open(t)
	defer closed(t, other)
	second := west.next(first)
	if err := other.Start(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, other, second.Run, runs.Succeeded)
	if who := west.executorOf(t, first.Job); who != west.nodes.Name {
		t.Errorf("the pod is that of %s", who)
	}
}

func TestAPodThatRunsIsNotTakenFromAnotherExecutor(t *testing.T) {
	t.Parallel()
	east := newWorld(t, 1)
	west := east.sister(t)
	r := east.open(t)
	defer closed(t, r)
	first := east.beginAs(t, r, runstest.Job{Forever: true}, func(o *runs.Order) { o.Run = armada.NewRunID(o.Job, 2) })
	runstest.AwaitPhase(t, r, first.Run, runs.Running)
	other := west.open(t)
	defer closed(t, other)
	next, stale := west.next(first), west.next(first)
	next.Run, stale.Run = armada.NewRunID(first.Job, 3), armada.NewRunID(first.Job, 1)
	if err := other.Start(t.Context(), next); err == nil || !strings.Contains(err.Error(), "is still there") {
		t.Errorf("starting the next attempt answers %v", err)
	}
	runstest.AwaitPhase(t, r, first.Run, runs.Running)

	// Nor is one that has ended by an order that is older than its run.
	if err := r.Stop(t.Context(), first.Run, -1); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, first.Run, runs.Stopped)
	if err := other.Start(t.Context(), stale); err == nil || !strings.Contains(err.Error(), "is still there") {
		t.Errorf("starting an attempt before it answers %v", err)
	}
	if who := west.executorOf(t, first.Job); who != string(east.place.Executor) {
		t.Errorf("the pod is that of %s", who)
	}
}

// An executor that is there keeps the log before it makes room.
func TestAnExecutorMakesRoomForAnotherAndKeepsTheLog(t *testing.T) {
	t.Parallel()
	east := newWorld(t, 1)
	east.config.KeepFinished, east.config.KeepFailed = time.Hour, time.Hour
	west := east.sister(t)
	r := east.open(t)
	defer closed(t, r)
	first := east.begin(t, r, runstest.Job{ExitCode: 1, Print: []string{"first"}}, nil)
	ended(t, r, first.Run)
	if err := r.Forget(t.Context(), first.Run); err != nil {
		t.Fatal(err)
	}
	other := west.open(t)
	defer closed(t, other)
	second := west.next(first)
	if err := other.Start(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, other, second.Run, runs.Succeeded)
	var got []string
	if err := r.Logs(context.Background(), first.Run, runs.LogQuery{}, func(l runs.LogLine) error {
		got = append(got, string(l.Text))
		return nil
	}); err != nil || strings.Join(got, "|") != "first" {
		t.Errorf("of the first attempt there is %q, %v", got, err)
	}
}
