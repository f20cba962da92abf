package kube_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"armada"
	"armada/internal/app"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	"armada/pkg/client"
)

// small is the size of a benchmark under -short.
func small(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

// BenchmarkWholeLivesOfPods takes empty jobs from their submission until their
// pods are gone, through a server and one executor, and compares that with a bare
// loop over client-go that creates the same pods in the same cluster, watches them
// and deletes those that have succeeded. Neither keeps pods or logs. They take
// turns.
func BenchmarkWholeLivesOfPods(b *testing.B) {
	count, turns := small(1_000, 100), small(5, 1)
	for b.Loop() {
		h, nodes := newHouse(b), kubetest.NewNodes(b, 100)
		h.executor(nodes, func(c *app.Config) {
			k := &c.Executor.Kubernetes
			k.KeepFinished, k.KeepFailed, k.KeepLogBytes = 0, 0, 0
		})
		like := h.example(nodes)
		ours, bare := &lives{nodes: nodes, count: count}, &lives{nodes: nodes, count: count}
		for turn := range turns {
			bare.measure(b, func() { bareLives(b, nodes, like, count) })
			ours.measure(b, func() { h.lives(nodes, fmt.Sprintf("lives-%d", turn), count) })
			b.Logf("a bare loop %.0f pods/s, an executor %.0f", bare.rates[turn], ours.rates[turn])
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(ours.rates), "pods/s")
		b.ReportMetric(median(bare.rates), "bare-pods/s")
		b.ReportMetric(100*median(ours.rates)/median(bare.rates), "%-of-bare")
		b.ReportMetric(80, "min-limit")
		b.ReportMetric(median(ours.cpu), "cpu-us/pod")
		b.ReportMetric(median(bare.cpu), "bare-cpu-us/pod")
		b.ReportMetric(100*median(bare.cpu)/median(ours.cpu), "%-of-bare-by-cpu")
	}
}

// lives is how fast whole lives of pods were, turn by turn.
type lives struct {
	nodes *kubetest.Nodes
	count int
	rates []float64 // pods in a second
	cpu   []float64 // microseconds of processor time for a pod, of etcd, API server, kubelets and who drives them
}

func (l *lives) measure(b *testing.B, live func()) {
	b.Helper()
	used, began := ownCPU()+l.nodes.Cluster.CPU(b), time.Now()
	live()
	l.rates = append(l.rates, float64(l.count)/time.Since(began).Seconds())
	used = ownCPU() + l.nodes.Cluster.CPU(b) - used
	l.cpu = append(l.cpu, float64(used.Microseconds())/float64(l.count))
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // never for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// example runs a job and returns its pod as it was made.
func (h *house) example(nodes *kubetest.Nodes) *corev1.Pod {
	h.Helper()
	jobs := h.submit("example", item(nodes.Namespace, map[string]string{kubetest.Forever: "yes"}))
	h.until("example", "it to run", func(s story) bool { return s.count(jobs[0], armada.EventRunning) > 0 })
	pod, err := nodes.Cluster.Client.CoreV1().Pods(nodes.Namespace).Get(h.Context(), "armada-"+jobs[0]+"-0", metav1.GetOptions{})
	if err != nil {
		h.Fatal(err)
	}
	if _, err := h.client.Cancel(h.Context(), "q", "example", jobs, "seen"); err != nil {
		h.Fatal(err)
	}
	h.ended("example", jobs...)
	h.await("the example to go", func() bool { return podsIn(h, nodes) == 0 })
	like := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec}
	delete(like.Annotations, kubetest.Forever)
	for label := range like.Labels {
		if label == "armadaproject.io/executor" {
			delete(like.Labels, label)
		}
	}
	like.Spec.NodeName = ""
	return like
}

// lives has an executor do so many jobs, until their pods are gone.
func (h *house) lives(nodes *kubetest.Nodes, set string, count int) {
	h.Helper()
	items := make([]*api.JobSubmitRequestItem, count)
	for i := range items {
		items[i] = item(nodes.Namespace, nil)
	}
	began := time.Now()
	jobs := h.submit(set, items...)
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	states, err := h.client.Await(ctx, client.Stream{Queue: "q", JobSet: set}, jobs, nil)
	if err != nil {
		h.Fatalf("%d of %d jobs have ended: %v", len(states), count, err)
	}
	ended := time.Now()
	h.await("the pods to go", func() bool { return podsIn(h, nodes) == 0 })
	h.Logf("told %v, gone %v", ended.Sub(began), time.Since(began))
}

// podsIn counts the pods of a namespace.
func podsIn(t testing.TB, nodes *kubetest.Nodes) int {
	t.Helper()
	list, err := nodes.Cluster.Client.CoreV1().Pods(nodes.Namespace).List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := len(list.Items)
	if more := list.RemainingItemCount; more != nil {
		n += int(*more)
	}
	return n
}

// bareCreators is how many pods the bare loop creates, and deletes, at a time: as
// many as an executor.
const bareCreators = 16

// bareLives has the bare loop make so many pods, until they are gone.
func bareLives(b *testing.B, nodes *kubetest.Nodes, like *corev1.Pod, count int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	pods := nodes.Cluster.Client.CoreV1().Pods(nodes.Namespace)
	succeeded, done := make(chan *corev1.Pod, count), make(chan struct{})
	var gone atomic.Int64
	asked := map[types.UID]bool{}
	informer := informers.NewSharedInformerFactoryWithOptions(nodes.Cluster.Client, 0, informers.WithNamespace(nodes.Namespace)).Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, obj any) {
			if pod := obj.(*corev1.Pod); pod.Status.Phase == corev1.PodSucceeded && !asked[pod.UID] {
				asked[pod.UID] = true
				succeeded <- pod
			}
		},
		DeleteFunc: func(any) {
			if gone.Add(1) == int64(count) {
				close(done)
			}
		},
	}); err != nil {
		b.Fatal(err)
	}
	following, stop := context.WithCancel(b.Context())
	var informing errgroup.Group
	informing.Go(func() error { informer.RunWithContext(following); return nil })
	defer func() { stop(); _ = informing.Wait() }()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		b.Fatal("the pods cannot be followed")
	}
	var working errgroup.Group
	var next atomic.Int64
	for range bareCreators {
		working.Go(func() error {
			for i := next.Add(1); i <= int64(count); i = next.Add(1) {
				pod := like.DeepCopy()
				pod.Name = fmt.Sprintf("bare-%d", i)
				pod.Spec.NodeSelector[corev1.LabelHostname] = nodes.Names[int(i)%len(nodes.Names)]
				if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
		working.Go(func() error {
			for {
				select {
				case pod := <-succeeded:
					if err := pods.Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
						return err
					}
				case <-done:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	if err := working.Wait(); err != nil {
		b.Fatal(err)
	}
}
