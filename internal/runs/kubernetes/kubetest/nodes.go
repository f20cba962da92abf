package kubetest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// Nodes are nodes of the shared cluster, with a namespace and the label that
// tells them from those of other tests. Their kubelets are played until the test
// ends.
type Nodes struct {
	Cluster   *Cluster
	Name      string // theirs alone
	Namespace string // of their pods
	Selector  string // of the nodes
	Names     []string

	own     map[string]bool
	port    int32
	ctx     context.Context
	binding errgroup.Group

	mu    sync.Mutex
	pods  map[string]*life   // by uid
	named map[string][]*life // by name, the latest last
	once  map[string]bool    // names of pods that were refused once
	deaf  map[string]bool    // nodes whose kubelets do nothing
}

var worlds atomic.Int64

const worldLabel = "kubetest/world"

// Played is a label that every node here has, with the value "yes".
const Played = "kubetest/played"

// NewNodes makes nodes of 32 cores and 128Gi each in the cluster that Main started.
func NewNodes(t testing.TB, count int) *Nodes {
	t.Helper()
	return Shared(t).NewNodes(t, count)
}

// NewNodes makes nodes of 32 cores and 128Gi each.
func (c *Cluster) NewNodes(t testing.TB, count int) *Nodes {
	t.Helper()
	name := fmt.Sprintf("w%d", worlds.Add(1))
	c.newNamespace(t, name)
	return c.newNodes(t, name, name, count)
}

// Sisters makes more nodes, as of another cluster, whose pods are in the same
// namespace.
func (n *Nodes) Sisters(t testing.TB, count int) *Nodes {
	t.Helper()
	return n.Cluster.newNodes(t, fmt.Sprintf("w%d", worlds.Add(1)), n.Namespace, count)
}

// SistersIn makes nodes in another cluster, whose pods are in a namespace of the
// same name.
func (n *Nodes) SistersIn(t testing.TB, c *Cluster, count int) *Nodes {
	t.Helper()
	c.newNamespace(t, n.Namespace)
	return c.newNodes(t, fmt.Sprintf("w%d", worlds.Add(1)), n.Namespace, count)
}

func (c *Cluster) newNamespace(t testing.TB, name string) {
	t.Helper()
	_, err := c.Client.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) newNodes(t testing.TB, name, namespace string, count int) *Nodes {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n := &Nodes{
		Cluster: c, Name: name, Namespace: namespace, Selector: worldLabel + "=" + name,
		own: map[string]bool{}, ctx: ctx, pods: map[string]*life{}, named: map[string][]*life{}, once: map[string]bool{}, deaf: map[string]bool{},
	}
	n.binding.SetLimit(atATime)
	listener, stopServing := n.serve(t)
	n.port = int32(listener.(*net.TCPAddr).Port)
	var adding errgroup.Group
	adding.SetLimit(atATime)
	for i := range count {
		adding.Go(func() error { return n.addNode(fmt.Sprintf("%s-node-%d", name, i+1)) })
	}
	if err := adding.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(n.Names)
	done := n.play(t)
	t.Cleanup(func() {
		cancel()
		<-done
		stopServing()
		err := c.Client.CoreV1().Nodes().DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: n.Selector})
		if err != nil {
			t.Errorf("removing nodes: %v", err)
		}
	})
	return n
}

// atATime is how many nodes are made, and pods bound, at a time.
const atATime = 16

// AddNode makes a node that is ready.
func (n *Nodes) AddNode(t testing.TB, name string) {
	t.Helper()
	if err := n.addNode(name); err != nil {
		t.Fatal(err)
	}
}

func (n *Nodes) addNode(name string) error {
	nodes := n.Cluster.Client.CoreV1().Nodes()
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("128Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("500Gi"), corev1.ResourcePods: resource.MustParse("1000"),
	}
	node, err := nodes.Create(n.ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{worldLabel: n.Name, corev1.LabelHostname: name, Played: "yes"},
	}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	node.Status = corev1.NodeStatus{
		Capacity: room, Allocatable: room,
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: n.port}},
		Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(), LastHeartbeatTime: metav1.Now()}},
	}
	if _, err = nodes.UpdateStatus(n.ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	n.mu.Lock()
	n.Names, n.own[name] = append(n.Names, name), true
	n.mu.Unlock()
	return nil
}

// RemoveNode removes a node from the cluster; its pods stay as they are.
func (n *Nodes) RemoveNode(t testing.TB, name string) {
	err := n.Cluster.Client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("removing node %s: %v", name, err)
	}
}

// Silence makes a node's kubelet do nothing any more, and the node not ready
// since a time.
func (n *Nodes) Silence(t testing.TB, name string, since time.Time) {
	t.Helper()
	n.mu.Lock()
	n.deaf[name] = true
	n.mu.Unlock()
	nodes := n.Cluster.Client.CoreV1().Nodes()
	node, err := nodes.Get(n.ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", LastTransitionTime: metav1.NewTime(since),
	}}
	if _, err := nodes.UpdateStatus(n.ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// play follows the pods of the namespace: it binds those that select a node of
// ours, as the cluster's scheduler would, and plays the kubelets of those that
// are bound.
func (n *Nodes) play(t testing.TB) <-chan struct{} {
	t.Helper()
	pods := informers.NewSharedInformerFactoryWithOptions(n.Cluster.Client, 0, informers.WithNamespace(n.Namespace)).Core().V1().Pods().Informer()
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { n.see(t, obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { n.see(t, obj.(*corev1.Pod)) },
	}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		pods.RunWithContext(n.ctx)
		_ = n.binding.Wait() // it answers nothing
		n.mu.Lock()
		lives := n.pods
		n.mu.Unlock()
		for _, l := range lives {
			<-l.done
		}
	}()
	return done
}

func (n *Nodes) see(t testing.TB, pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		if node := pod.Spec.NodeSelector[corev1.LabelHostname]; pod.DeletionTimestamp == nil && n.mine(node) {
			n.binding.Go(func() error {
				n.bind(pod, node)
				return nil
			})
		}
		return
	}
	if !n.mine(pod.Spec.NodeName) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.pods[string(pod.UID)]
	if l == nil {
		l = newLife(n, pod)
		n.pods[string(pod.UID)] = l
		n.named[pod.Name] = append(n.named[pod.Name], l)
		go l.live(t)
	}
	l.seen(pod)
}

// Lives tells how many pods of a name were seen on these nodes.
func (n *Nodes) Lives(pod string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.named[pod])
}

// Span is when the container of a pod ran; Ended is the zero time while it runs.
type Span struct{ Began, Ended time.Time }

// Spans tells of the pods of a name whose containers ran on these nodes, in the
// order in which they were seen.
func (n *Nodes) Spans(pod string) []Span {
	n.mu.Lock()
	defer n.mu.Unlock()
	var spans []Span
	for _, l := range n.named[pod] {
		l.mu.Lock()
		if !l.span.Began.IsZero() {
			spans = append(spans, l.span)
		}
		l.mu.Unlock()
	}
	return spans
}

// refuses tells whether a pod is refused, and for which reason.
func (n *Nodes) refuses(pod *corev1.Pod) string {
	if reason := pod.Annotations[Refused]; reason != "" {
		return reason
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	reason := pod.Annotations[RefusedOnce]
	if reason == "" || n.once[pod.Name] {
		return ""
	}
	n.once[pod.Name] = true
	return reason
}

func (n *Nodes) mine(node string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.own[node] && !n.deaf[node]
}

func (n *Nodes) silent(node string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.deaf[node]
}

func (n *Nodes) bind(pod *corev1.Pod, node string) {
	// A pod that is gone or bound meanwhile needs no binding.
	_ = n.insist(func() error {
		return n.Cluster.Client.CoreV1().Pods(pod.Namespace).Bind(n.ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
		}, metav1.CreateOptions{})
	})
}

// insist asks again while the API server does not answer, or answers that it
// cannot.
func (n *Nodes) insist(ask func() error) error {
	for {
		err := ask()
		switch apierrors.ReasonForError(err) {
		case metav1.StatusReasonUnknown, metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout, metav1.StatusReasonInternalError,
			metav1.StatusReasonServiceUnavailable, metav1.StatusReasonTooManyRequests:
		default:
			return err
		}
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-n.ctx.Done():
			return context.Cause(n.ctx)
		}
	}
}

// number reads a number of an annotation.
func number(pod *corev1.Pod, annotation string) int32 {
	n, _ := strconv.ParseInt(pod.Annotations[annotation], 10, 32)
	return int32(n)
}
