package kubernetes_test

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

// begin starts a run that does a job, with more annotations and objects beside
// its pod, and returns its order.
func (w *world) begin(t testing.TB, r *kubernetes.Runtime, job runstest.Job, annotations map[string]string, objects ...runs.Object) runs.Order {
	t.Helper()
	return w.beginAs(t, r, job, func(o *runs.Order) {
		maps.Copy(o.Annotations, annotations)
		o.Objects = objects
	})
}

// beginAs is begin with an order that is changed before.
func (w *world) beginAs(t testing.TB, r *kubernetes.Runtime, job runstest.Job, change func(*runs.Order)) runs.Order {
	t.Helper()
	w.runs++
	id := armada.JobID("01arz3ndektsv4rrffq69g" + string(rune('a'+w.runs/26)) + string(rune('a'+w.runs%26)) + "00")
	o := runs.Order{Run: armada.NewRunID(id, 1), Job: id, Queue: "a-queue", JobSet: "a-set", Node: w.nodes.Names[0], Pool: "default"}
	w.spec(&o, job)
	change(&o)
	if err := r.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// ended waits for the end of a run, however it ends.
func ended(t testing.TB, r *kubernetes.Runtime, run armada.RunID) runs.Status {
	t.Helper()
	var last runs.Status
	runstest.Await(t, r, string(run)+" to end", func(s map[armada.RunID]runs.Status) bool {
		last = s[run]
		return last.Phase.Ended()
	})
	return last
}

func TestWhatHappensToPodsIsToldInOneClearEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		job         runstest.Job
		annotations map[string]string
		interfere   func(t *testing.T, w *world, pod *corev1.Pod)
		phase       runs.Phase
		cause       armada.Cause
		subcategory string
		giveBack    bool
		reason      string
	}{
		{name: "out of memory", job: runstest.Job{ExitCode: 137}, annotations: map[string]string{kubetest.Reason: "OOMKilled"}, phase: runs.Failed, cause: armada.CauseOutOfMemory, reason: "container main ended with exit code 137 (OOMKilled)"},
		{name: "evicted", job: runstest.Job{ExitCode: 137}, annotations: map[string]string{kubetest.Evicted: "The node was low on resource: memory."}, phase: runs.Failed, cause: armada.CauseEvicted, reason: "low on resource"},
		{name: "evicted, and its containers end well", annotations: map[string]string{kubetest.Evicted: "The node was low on resource: memory."}, phase: runs.Failed, cause: armada.CauseEvicted, reason: "low on resource"},
		{name: "refused by its node", annotations: map[string]string{kubetest.Refused: "OutOfcpu"}, phase: runs.Failed, giveBack: true, reason: "the node refused the pod: OutOfcpu"},
		{name: "a bad image name", annotations: map[string]string{kubetest.Waits: "InvalidImageName"}, phase: runs.Failed, subcategory: "stuck-starting-up", reason: "container main does not begin: InvalidImageName"},
		{name: "an image that cannot be pulled", annotations: map[string]string{kubetest.Waits: "ImagePullBackOff"}, phase: runs.Failed, giveBack: true, subcategory: "stuck-starting-up", reason: "ImagePullBackOff"},
		{
			name: "deleted by somebody else", job: runstest.Job{Forever: true}, phase: runs.Failed, subcategory: "externally-deleted", reason: "deleted by somebody else",
			interfere: func(t *testing.T, w *world, pod *corev1.Pod) {
				if err := w.nodes.Cluster.Client.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			},
		},
		{
			name: "evicted by the API, as when its node is drained", job: runstest.Job{Forever: true}, phase: runs.Failed, cause: armada.CauseEvicted, reason: "EvictionByEvictionAPI",
			interfere: func(t *testing.T, w *world, pod *corev1.Pod) {
				eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}}
				if err := w.nodes.Cluster.Client.PolicyV1().Evictions(pod.Namespace).Evict(t.Context(), eviction); err != nil {
					t.Error(err)
				}
			},
		},
		{
			name: "its node is silent", job: runstest.Job{Forever: true}, phase: runs.Unknown, subcategory: "node-lost", reason: "is silent since",
			interfere: func(t *testing.T, w *world, pod *corev1.Pod) {
				w.nodes.Silence(t, pod.Spec.NodeName, time.Now().Add(-time.Hour))
			},
		},
		{
			name: "its node does not say that it ended", job: runstest.Job{Forever: true}, phase: runs.Unknown, subcategory: "stuck-terminating", reason: "deleted by force",
			interfere: func(t *testing.T, w *world, pod *corev1.Pod) {
				w.nodes.Silence(t, pod.Spec.NodeName, time.Now())
				if err := w.nodes.Cluster.Client.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(1)); err != nil {
					t.Error(err)
				}
			},
		},
		{
			name: "its object was removed in spite of the finalizer", job: runstest.Job{Forever: true}, phase: runs.Unknown, subcategory: "pod-missing", reason: "the pod is gone",
			interfere: func(t *testing.T, w *world, pod *corev1.Pod) {
				w.nodes.Silence(t, pod.Spec.NodeName, time.Now())
				pods := w.nodes.Cluster.Client.CoreV1().Pods(pod.Namespace)
				pod.Finalizers = nil
				if _, err := pods.Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
					t.Error(err)
				}
				if err := pods.Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
					t.Error(err)
				}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.config.StuckTerminating = time.Second
			w.config.Pending.ContainerStatuses = []kubernetes.ContainerRule{
				{ReasonRegexp: pattern("InvalidImageName"), Action: kubernetes.ActionFail},
				{ReasonRegexp: pattern(".*"), Action: kubernetes.ActionRetry},
			}
			r := w.open(t)
			defer closed(t, r)
			o := w.begin(t, r, c.job, c.annotations)
			if c.interfere != nil {
				runstest.AwaitPhase(t, r, o.Run, runs.Running)
				pod, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Get(t.Context(), "armada-"+string(o.Job)+"-0", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				c.interfere(t, w, pod)
			}
			s := ended(t, r, o.Run)
			if s.Phase != c.phase || s.End.Cause != c.cause || s.End.Subcategory != c.subcategory || s.GiveBack != c.giveBack || !strings.Contains(s.End.Reason, c.reason) {
				t.Errorf("it ended as %v, give back %v: %+v", s.Phase, s.GiveBack, s.End)
			}
			if s.End.Debug == "" && c.subcategory != "pod-missing" {
				t.Error("nothing helps to find out why")
			}
		})
	}
}

func closed(t testing.TB, r *kubernetes.Runtime) {
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func pattern(text string) runs.Pattern {
	var p runs.Pattern
	if err := p.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return p
}

// await polls the cluster for a condition that no status tells.
func await(t testing.TB, what string, is func(ctx context.Context) bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !is(t.Context()) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited for %s", what)
		}
	}
}

func TestThePodOfANextAttemptReplacesTheOneBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	first := w.begin(t, r, runstest.Job{ExitCode: 1, Print: []string{"first"}}, nil)
	ended(t, r, first.Run)
	second := first
	second.Run = armada.NewRunID(first.Job, 2)
	w.spec(&second, runstest.Job{Print: []string{"second"}})
	if err := r.Start(t.Context(), second); err == nil {
		t.Fatal("a second attempt's pod was made although the end of the first was not told")
	}
	if err := r.Forget(t.Context(), first.Run); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, second.Run, runs.Succeeded)
	for run, want := range map[armada.RunID]string{first.Run: "first", second.Run: "second"} {
		var got []string
		if err := r.Logs(t.Context(), run, runs.LogQuery{}, func(l runs.LogLine) error {
			got = append(got, string(l.Text))
			return nil
		}); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("run %s printed %q, %v", run, got, err)
		}
	}
}

func TestForgottenPodsAreRemovedInTimeAndTheirLogsStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.config.KeepFinished, w.config.KeepFailed = 0, 0
	r := w.open(t)
	defer closed(t, r)
	o := w.begin(t, r, runstest.Job{Print: []string{"kept"}}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Succeeded)
	if err := r.Forget(t.Context(), o.Run); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod to be removed", func(ctx context.Context) bool {
		_, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Get(ctx, "armada-"+string(o.Job)+"-0", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	runstest.AwaitLine(t, r, o.Run, "kept")
}

func TestLogsInABucketAreReadWithoutTheFolderOfTheExecutorBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.config.KeepFinished, w.config.KeepFailed = 0, 0
	w.config.KeepLogsIn = kubernetes.LogsIn(t)
	r := w.open(t)
	o := w.begin(t, r, runstest.Job{Print: []string{"kept"}}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Succeeded)
	if err := r.Forget(t.Context(), o.Run); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod to be removed and its log to be in the bucket", func(ctx context.Context) bool {
		_, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Get(ctx, "armada-"+string(o.Job)+"-0", metav1.GetOptions{})
		left, reading := os.ReadDir(w.place.Dir)
		return apierrors.IsNotFound(err) && reading == nil && len(left) == 0
	})
	closed(t, r)
	w.place.Dir = t.TempDir()
	next := w.open(t)
	defer closed(t, next)
	runstest.AwaitLine(t, next, o.Run, "kept")
}

func TestAPodThatCanNeverBeMadeFailsItsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	w.nodes.Namespace = "there-is-none"
	o := w.begin(t, r, runstest.Job{}, nil)
	s := ended(t, r, o.Run)
	if s.Phase != runs.Failed || !strings.Contains(s.End.Reason, `namespaces "there-is-none" not found`) || s.End.Subcategory != armada.SubcategoryCreateFailed {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
}

func TestTheEndOfAFailedRunHasTheEventsOfItsPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	o := w.begin(t, r, runstest.Job{Forever: true}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Running)
	core := w.nodes.Cluster.Client.CoreV1()
	pod, err := core.Pods(w.nodes.Namespace).Get(t.Context(), "armada-"+string(o.Job)+"-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.Events(pod.Namespace).Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "told-of-" + pod.Name},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Reason:         "FailedMount", Message: "there is no such volume", Type: "Warning", LastTimestamp: metav1.Now(),
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := core.Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, r, o.Run); !slices.Contains(s.Events, "FailedMount: there is no such volume") {
		t.Errorf("it ended as %v and has the events %q", s.Phase, s.Events)
	}
}
