package kube_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
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
	"armada/pkg/api/lookout"
	"armada/pkg/client"
	"armada/test/kube/witness"
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
// turns, and there is no executor while it is the bare loop's: it would follow the
// pods that are not its own.
func BenchmarkWholeLivesOfPods(b *testing.B) {
	count, turns := small(1_000, 100), small(5, 1)
	for b.Loop() {
		h, nodes := newHouse(b), kubetest.NewNodes(b, 100)
		executor := func() (end func()) {
			return h.executor(nodes, func(c *app.Config) {
				k := &c.Executor.Kubernetes
				k.KeepFinished, k.KeepFailed, k.KeepLogBytes = 0, 0, 0
			})
		}
		end := executor()
		like := h.example(nodes)
		end()
		ours, bare := &lives{nodes: nodes, count: count}, &lives{nodes: nodes, count: count}
		for turn := range turns {
			bare.measure(b, func() { h.bareLives(nodes, like, count) })
			end := executor()
			ours.measure(b, func() { h.lives(nodes, fmt.Sprintf("lives-%d", turn), count) })
			end()
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
	h.until("example", "it to run", func(s witness.Story) bool { return s.Count(jobs[0], armada.EventRunning) > 0 })
	pod, err := nodes.Cluster.Client.CoreV1().Pods(nodes.Namespace).Get(h.Context(), "armada-"+jobs[0]+"-0", metav1.GetOptions{})
	if err != nil {
		h.Fatal(err)
	}
	if _, err := h.client.Cancel(h.Context(), "q", "example", jobs, "seen"); err != nil {
		h.Fatal(err)
	}
	h.ended("example", jobs...)
	h.await("the example to go", func() bool { return h.objects(nodes) == 0 })
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
	jobs := h.submit(set, items...)
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	states, err := h.client.Await(ctx, client.Stream{Queue: "q", JobSet: set}, jobs, nil)
	if err != nil {
		h.Fatalf("%d of %d jobs have ended: %v", len(states), count, err)
	}
	h.await("the pods to go", func() bool { return h.objects(nodes) == 0 })
}

// bareCreators is how many pods the bare loop creates, and deletes, at a time: as
// many as an executor.
const bareCreators = 16

// bareLives has the bare loop make so many pods, until they are gone.
func (h *house) bareLives(nodes *kubetest.Nodes, like *corev1.Pod, count int) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	pods := nodes.Cluster.Client.CoreV1().Pods(nodes.Namespace)
	succeeded, done := make(chan *corev1.Pod, count), make(chan struct{})
	var gone atomic.Int64
	asked := map[types.UID]bool{}
	stop := h.follow(nodes, cache.ResourceEventHandlerFuncs{
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
	})
	defer stop()
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
		h.Fatal(err)
	}
}

// BenchmarkSubmitToPod is the time from the answer to a submit until a watcher of
// the cluster sees the pod's object, on an idle system.
func BenchmarkSubmitToPod(b *testing.B) {
	samples := small(200, 10)
	for b.Loop() {
		h, nodes := newHouse(b), kubetest.NewNodes(b, 100)
		h.executor(nodes)
		var seen sync.Map // by name, a channel of the time
		of := func(pod string) chan time.Time {
			c, _ := seen.LoadOrStore(pod, make(chan time.Time, 1))
			return c.(chan time.Time)
		}
		h.follow(nodes, cache.ResourceEventHandlerFuncs{AddFunc: func(obj any) { of(obj.(*corev1.Pod).Name) <- time.Now() }})
		var took []float64
		for i := range samples + 1 {
			jobs := h.submit("set", item(nodes.Namespace, nil))
			answered := time.Now()
			select {
			case at := <-of("armada-" + jobs[0] + "-0"):
				if i > 0 { // the first is the first of all
					took = append(took, float64(at.Sub(answered).Microseconds())/1000)
				}
			case <-time.After(patience):
				b.Fatal("a job has no pod")
			}
			h.ended("set", jobs...)
		}
		slices.Sort(took)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(took[len(took)/2], "p50-ms")
		b.ReportMetric(150, "p50-max-limit")
		b.ReportMetric(took[len(took)*99/100], "p99-ms")
		b.ReportMetric(600, "p99-max-limit")
	}
}

// follow calls the handler with what happens to the pods of a namespace until it is
// stopped, or the test ends.
func (h *house) follow(nodes *kubetest.Nodes, handler cache.ResourceEventHandler) (stop func()) {
	h.Helper()
	pods := informers.NewSharedInformerFactoryWithOptions(nodes.Cluster.Client, 0, informers.WithNamespace(nodes.Namespace)).Core().V1().Pods().Informer()
	if _, err := pods.AddEventHandler(handler); err != nil {
		h.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.Context())
	var following sync.WaitGroup
	following.Go(func() { pods.RunWithContext(ctx) })
	stop = func() { cancel(); following.Wait() }
	h.Cleanup(stop)
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced) {
		h.Fatal("the pods cannot be followed")
	}
	return stop
}

// BenchmarkMemory is what the process of an executor needs on 1,000 nodes while
// 20,000 of its pods run (or as many as ARMADA_KUBE_PODS says), and what it needs to
// start again with all of them.
func BenchmarkMemory(b *testing.B) {
	count, many := podsToRun(b, small(20_000, 200)), small(1_000, 20)
	for b.Loop() {
		h, nodes := newHouse(b), kubetest.NewNodes(b, many)
		p := h.process(nodes, nil)
		const batch = 500
		for made := 0; made < count; made += batch {
			items := make([]*api.JobSubmitRequestItem, min(batch, count-made))
			for i := range items {
				items[i] = item(nodes.Namespace, map[string]string{kubetest.Forever: "yes"})
			}
			set := fmt.Sprintf("set-%d", made/batch)
			h.running(set, h.submit(set, items...))
		}
		now, most := p.memory()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(now)/(1<<20), "MiB")
		b.ReportMetric(float64(most)/(1<<20), "most-MiB")
		p.kill()
		again := time.Now()
		p.start()
		h.await("the executor to have told of all pods again, some times", func() bool { return h.heard(nodes).After(again.Add(10 * time.Second)) })
		now, most = p.memory()
		b.ReportMetric(float64(now)/(1<<20), "restarted-MiB")
		b.ReportMetric(float64(most)/(1<<20), "restarted-most-MiB")
		b.ReportMetric(400, "max-limit")
	}
}

// heard is when the server last heard of the executor of the nodes.
func (h *house) heard(nodes *kubetest.Nodes) time.Time {
	h.Helper()
	list, err := h.client.Lookout.ListExecutors(h.Context(), &lookout.ListExecutorsRequest{})
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range list.GetExecutors() {
		if e.GetExecutor() == nodes.Name {
			return e.GetLastHeard().AsTime()
		}
	}
	return time.Time{}
}
