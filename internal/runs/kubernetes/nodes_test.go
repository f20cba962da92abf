package kubernetes_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

// table counts what the tests of nodes look at: cores in thousandths, bytes, a
// device and pods.
func table(t testing.TB) armada.ResourceTable {
	t.Helper()
	table, err := armada.NewResourceTable([]armada.Resource{
		{Name: armada.CPU, Milli: true}, {Name: armada.Memory}, {Name: "example.com/widget"}, {Name: armada.Pods},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func quantities(amounts map[string]string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, text := range amounts {
		list[corev1.ResourceName(name)] = resource.MustParse(text)
	}
	return list
}

func asks(cpu string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: quantities(map[string]string{"cpu": cpu})}
}

// changed changes a node of the world, its status too.
func (w *world) changed(t testing.TB, name string, change func(*corev1.Node)) {
	t.Helper()
	nodes := w.nodes.Cluster.Client.CoreV1().Nodes()
	node, err := nodes.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(node)
	status := node.Status
	if node, err = nodes.Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	node.Status = status
	if _, err = nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// other makes a pod that is not Armada's on the first node, where it stays.
func (w *world) other(t testing.TB, name string, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.nodes.Namespace, Annotations: map[string]string{kubetest.Forever: "yes"}},
		Spec:       corev1.PodSpec{NodeName: w.nodes.Names[0], Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
	change(pod)
	pod, err := w.nodes.Cluster.Client.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func nodesOf(t testing.TB, r *kubernetes.Runtime) map[string]armada.Node {
	t.Helper()
	list, err := r.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]armada.Node{}
	for i := range list {
		nodes[list[i].Name] = list[i]
	}
	return nodes
}

// awaitNode waits until a node is told as wanted.
func awaitNode(t testing.TB, r *kubernetes.Runtime, name, what string, is func(n armada.Node, there bool) bool) {
	t.Helper()
	var last armada.Node
	defer func() {
		if t.Failed() {
			t.Logf("the node was last told as %+v", last)
		}
	}()
	await(t, what, func(context.Context) bool {
		n, there := nodesOf(t, r)[name]
		last = n
		return is(n, there)
	})
}

// What others ask for is what Kubernetes' scheduler takes it for.
func TestWhatPodsOfOthersTakeIsCountedAsKubernetesCounts(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	runtimeClass := func(w *world) *nodev1.RuntimeClass {
		return &nodev1.RuntimeClass{
			ObjectMeta: metav1.ObjectMeta{Name: w.nodes.Namespace}, Handler: "sandbox", Overhead: &nodev1.Overhead{PodFixed: quantities(map[string]string{"cpu": "250m"})},
		}
	}
	for _, c := range []struct {
		name string
		spec func(w *world, s *corev1.PodSpec)
		want armada.Resources
	}{
		{"its containers together", func(_ *world, s *corev1.PodSpec) {
			s.Containers[0].Resources = asks("1500m")
			s.Containers = append(s.Containers, corev1.Container{Name: "second", Image: "none", Resources: asks("1")})
		}, armada.Resources{2500, 0, 0, 1}},
		{"the limit where no request is", func(_ *world, s *corev1.PodSpec) {
			s.Containers[0].Resources = corev1.ResourceRequirements{Limits: quantities(map[string]string{"cpu": "2", "memory": "1Gi"})}
		}, armada.Resources{2000, 1 << 30, 0, 1}},
		{"an init container that asks for more", func(_ *world, s *corev1.PodSpec) {
			s.Containers[0].Resources = asks("1")
			s.InitContainers = []corev1.Container{{Name: "first", Image: "none", Resources: asks("3")}, {Name: "then", Image: "none", Resources: asks("2")}}
		}, armada.Resources{3000, 0, 0, 1}},
		{"a sidecar beside", func(_ *world, s *corev1.PodSpec) {
			s.Containers[0].Resources = asks("1")
			s.InitContainers = []corev1.Container{
				{Name: "beside", Image: "none", Resources: asks("2"), RestartPolicy: &always}, {Name: "then", Image: "none", Resources: asks("500m")},
			}
		}, armada.Resources{3000, 0, 0, 1}},
		{"a sidecar beside an init container that asks for more", func(_ *world, s *corev1.PodSpec) {
			s.Containers[0].Resources = asks("1")
			s.InitContainers = []corev1.Container{
				{Name: "beside", Image: "none", Resources: asks("2"), RestartPolicy: &always}, {Name: "then", Image: "none", Resources: asks("5")},
			}
		}, armada.Resources{7000, 0, 0, 1}},
		{"the overhead of its runtime class", func(w *world, s *corev1.PodSpec) {
			s.Containers[0].Resources = asks("1")
			s.RuntimeClassName = &w.nodes.Namespace
		}, armada.Resources{1250, 0, 0, 1}},
		{"what the pod asks for as a whole", func(_ *world, s *corev1.PodSpec) {
			s.Containers[0].Resources = asks("1")
			whole := asks("4")
			s.Resources = &whole
		}, armada.Resources{4000, 0, 0, 1}},
		{"a device", func(_ *world, s *corev1.PodSpec) {
			list := quantities(map[string]string{"example.com/widget": "2"})
			s.Containers[0].Resources = corev1.ResourceRequirements{Requests: list, Limits: list}
		}, armada.Resources{0, 0, 2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.place.Table, w.config.ReservedPerNode = table(t), nil
			classes := w.nodes.Cluster.Client.NodeV1().RuntimeClasses()
			if _, err := classes.Create(t.Context(), runtimeClass(w), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			r := w.open(t)
			defer closed(t, r)
			w.other(t, "another", func(pod *corev1.Pod) { c.spec(w, &pod.Spec) })
			awaitNode(t, r, w.nodes.Names[0], "its use to be told", func(n armada.Node, _ bool) bool {
				return len(n.Others) == 1 && n.Others[0] == armada.PriorityUsage{Used: c.want}
			})
		})
	}
}

// While a pod is made smaller, it takes what its node has not taken back yet.
func TestWhatAPodOfOthersTakesWhileItIsResizedIsTheMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.place.Table, w.config.ReservedPerNode = table(t), nil
	r := w.open(t)
	defer closed(t, r)
	pods := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace)
	pod := w.other(t, "another", func(pod *corev1.Pod) { pod.Spec.Containers[0].Resources = asks("1") })
	await(t, "it to run", func(ctx context.Context) bool {
		seen, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		pod = seen
		return err == nil && pod.Status.Phase == corev1.PodRunning
	})
	list := quantities(map[string]string{"cpu": "3"})
	pod.Status.ContainerStatuses[0].Resources = &corev1.ResourceRequirements{Requests: list}
	if _, err := pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitNode(t, r, w.nodes.Names[0], "the larger amount", func(n armada.Node, _ bool) bool {
		return len(n.Others) == 1 && n.Others[0] == armada.PriorityUsage{Used: armada.Resources{3000, 0, 0, 1}}
	})
}

func TestWhatOthersTakeIsToldByPriorityAndEndsWithTheirPods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.place.Table = table(t)
	w.config.ReservedPerNode, w.config.ReservedPriority = map[string]string{"cpu": "4", "memory": "1Gi", "no.such/thing": "1"}, 7
	classes := w.nodes.Cluster.Client.SchedulingV1().PriorityClasses()
	for _, value := range []int32{3, 9} {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", w.nodes.Namespace, value)}, Value: value}
		if _, err := classes.Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r := w.open(t)
	defer closed(t, r)
	if others := nodesOf(t, r)[w.nodes.Names[1]].Others; !slices.Equal(others, []armada.PriorityUsage{{Priority: 7, Used: armada.Resources{4000, 1 << 30}}}) {
		t.Errorf("of a node without others is kept free %+v", others)
	}
	use := func(name, class, cpu string) {
		w.other(t, name, func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Resources = asks(cpu)
			if class != "" {
				pod.Spec.PriorityClassName = w.nodes.Namespace + "-" + class
			}
		})
	}
	use("low", "3", "1")
	use("high", "9", "500m")
	use("high-too", "9", "1")
	// One core and a half is missing to the four that are kept free. A pod of a run,
	// and one without a node, are not others'.
	w.begin(t, r, runstest.Job{Forever: true}, nil)
	w.other(t, "nowhere", func(pod *corev1.Pod) { pod.Spec.NodeName, pod.Spec.Containers[0].Resources = "", asks("1") })
	awaitNode(t, r, w.nodes.Names[0], "the use of each priority", func(n armada.Node, _ bool) bool {
		return slices.Equal(n.Others, []armada.PriorityUsage{
			{Priority: 3, Used: armada.Resources{1000, 0, 0, 1}},
			{Priority: 7, Used: armada.Resources{1500, 1 << 30}},
			{Priority: 9, Used: armada.Resources{1500, 0, 0, 2}},
		})
	})
	use("much", "", "20")
	w.other(t, "brief", func(pod *corev1.Pod) {
		delete(pod.Annotations, kubetest.Forever)
		pod.Spec.Containers[0].Resources = asks("1")
	})
	awaitNode(t, r, w.nodes.Names[0], "no cores to be missing", func(n armada.Node, _ bool) bool {
		return slices.Equal(n.Others, []armada.PriorityUsage{
			{Priority: 0, Used: armada.Resources{20000, 0, 0, 1}},
			{Priority: 3, Used: armada.Resources{1000, 0, 0, 1}},
			{Priority: 7, Used: armada.Resources{0, 1 << 30}},
			{Priority: 9, Used: armada.Resources{1500, 0, 0, 2}},
		})
	})
}

func TestNodesAreToldWithWhatTheClusterSaysOfThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.place.Table, w.config.ReservedPerNode = table(t), nil
	w.config.NodePoolLabel, w.config.NodeTypeLabel = "example/pool", "example/type"
	w.changed(t, w.nodes.Names[0], func(n *corev1.Node) {
		maps.Copy(n.Labels, map[string]string{"example/pool": "gpu", "example/type": "big", "zone": "a"})
		n.Spec.Taints = []corev1.Taint{{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}, {Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule}}
		n.Status.Capacity = quantities(map[string]string{"cpu": "64", "memory": "256Gi", "example.com/widget": "8", "pods": "110"})
		n.Status.Allocatable = quantities(map[string]string{"cpu": "63500m", "memory": "250Gi", "example.com/widget": "8", "pods": "110", "hugepages-2Mi": "1Gi"})
	})
	r := w.open(t)
	defer closed(t, r)
	nodes := nodesOf(t, r)
	first, second := nodes[w.nodes.Names[0]], nodes[w.nodes.Names[1]]
	if first.Pool != "gpu" || first.Type != "big" || first.Labels["zone"] != "a" || first.Unschedulable {
		t.Errorf("the first is told as %+v", first)
	}
	if want := (armada.Resources{63500, 250 << 30, 8, 110}); first.Allocatable != want {
		t.Errorf("the first has %v, want %v", first.Allocatable, want)
	}
	byKey := func(a, b armada.Taint) int { return cmp.Compare(a.Key, b.Key) }
	if want := []armada.Taint{{Key: "gpu", Value: "yes", Effect: armada.NoSchedule}, {Key: "soft", Effect: armada.PreferNoSchedule}}; !slices.Equal(slices.SortedFunc(slices.Values(first.Taints), byKey), want) {
		t.Errorf("the first has the taints %v", first.Taints)
	}
	if second.Pool != "default" || second.Type != "" || second.Labels[armada.LabelHostname] != w.nodes.Names[1] || len(second.Taints) > 0 {
		t.Errorf("the second is told as %+v", second)
	}
}

func TestNodesThatAppearAreCordonedFallSilentOrVanishAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	const taint = "node.kubernetes.io/unschedulable"
	later := w.nodes.Name + "-later"
	told := func(t testing.TB, what string, is func(n armada.Node, there bool) bool) {
		t.Helper()
		select { // a listener is woken
		case <-r.Updates():
		case <-time.After(30 * time.Second):
			t.Fatalf("nobody is told of %s", what)
		}
		awaitNode(t, r, later, what, is)
	}
	for range len(r.Updates()) { // of the beginning
		<-r.Updates()
	}
	w.nodes.AddNode(t, later)
	told(t, "the node that appears", func(n armada.Node, there bool) bool { return there && !n.Unschedulable })
	w.changed(t, later, func(n *corev1.Node) {
		n.Spec.Unschedulable = true
		n.Spec.Taints = []corev1.Taint{{Key: taint, Effect: corev1.TaintEffectNoSchedule}}
	})
	// A cordon is no taint that a job could tolerate.
	told(t, "the cordon", func(n armada.Node, _ bool) bool { return n.Unschedulable && len(n.Taints) == 0 })
	w.changed(t, later, func(n *corev1.Node) { n.Spec.Unschedulable, n.Spec.Taints = false, nil })
	told(t, "the end of the cordon", func(n armada.Node, _ bool) bool { return !n.Unschedulable })
	w.changed(t, later, func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse })
	told(t, "a node that is not ready", func(n armada.Node, _ bool) bool { return n.Unschedulable })
	w.changed(t, later, func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionTrue })
	told(t, "a node that is ready again", func(n armada.Node, _ bool) bool { return !n.Unschedulable })
	w.changed(t, later, func(n *corev1.Node) {
		n.Status.Allocatable["cpu"], n.Status.Capacity["cpu"] = resource.MustParse("7"), resource.MustParse("7")
	})
	told(t, "a node that shrinks", func(n armada.Node, _ bool) bool { return n.Allocatable[0] == 7000 })
	w.nodes.RemoveNode(t, later)
	told(t, "a node that vanishes", func(_ armada.Node, there bool) bool { return !there })
}

func TestNodesThatAreNotToBeUsedAreNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.changed(t, w.nodes.Names[0], func(n *corev1.Node) { n.Labels["use"] = "no" })
	w.changed(t, w.nodes.Names[1], func(n *corev1.Node) { n.Labels["use"] = "yes" })
	w.config.NodeSelector += ",use!=no"
	r := w.open(t)
	defer closed(t, r)
	if got := slices.Sorted(maps.Keys(nodesOf(t, r))); !slices.Equal(got, w.nodes.Names[1:]) {
		t.Errorf("%v are told, want %v", got, w.nodes.Names[1:])
	}
}
