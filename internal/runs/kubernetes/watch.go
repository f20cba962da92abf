package kubernetes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	resourcehelper "k8s.io/component-helpers/resource"

	"armada"
)

// byRun is the index of our pods by run.
const byRun = "run"

// resync is 0: what a cache holds is not told again. The rounds look at all of it.
const resync = 0

// caches follow the cluster: our pods, what others' pods take, and the nodes.
type caches struct {
	ours   cache.SharedIndexInformer
	others cache.SharedIndexInformer
	nodes  cache.SharedIndexInformer
}

func nodeSelector(text string) (labels.Selector, error) { return labels.Parse(text) }

// newCaches makes the caches of an executor. They hold no more than is read from
// them: a cluster may have many more pods than ours.
func newCaches(client kubernetes.Interface, executor armada.ExecutorID, nodes string) (*caches, error) {
	pods := func(selector string, active bool) cache.SharedIndexInformer {
		tweak := func(o *metav1.ListOptions) {
			o.LabelSelector = selector
			if active {
				o.FieldSelector = fields.AndSelectors(
					fields.OneTermNotEqualSelector("spec.nodeName", ""),
					fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
					fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
				).String()
			}
		}
		return informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTweakListOptions(tweak)).Core().V1().Pods().Informer()
	}
	c := &caches{
		ours:   pods(LabelExecutor+"="+string(executor), false),
		others: pods(LabelExecutor+"!="+string(executor), true),
		nodes: informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = nodes
		})).Core().V1().Nodes().Informer(),
	}
	if err := c.ours.AddIndexers(cache.Indexers{byRun: func(obj any) ([]string, error) {
		return []string{string(runOf(obj.(*corev1.Pod)))}, nil
	}}); err != nil {
		return nil, fmt.Errorf("indexing pods: %w", err)
	}
	for informer, transform := range map[cache.SharedIndexInformer]cache.TransformFunc{c.ours: ourPart, c.others: theirPart, c.nodes: nodePart} {
		if err := informer.SetTransform(transform); err != nil {
			return nil, fmt.Errorf("setting up a cache: %w", err)
		}
	}
	return c, nil
}

// run follows the cluster until the context ends.
func (c *caches) run(ctx context.Context) {
	done := make(chan struct{}, 3)
	for _, informer := range []cache.SharedIndexInformer{c.ours, c.others, c.nodes} {
		go func() {
			informer.RunWithContext(ctx)
			done <- struct{}{}
		}()
	}
	for range 3 {
		<-done
	}
}

// sync waits until the caches hold the cluster as it is.
func (c *caches) sync(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), c.ours.HasSynced, c.others.HasSynced, c.nodes.HasSynced) {
		return fmt.Errorf("the cluster's pods and nodes could not be read in time: %w", context.Cause(ctx))
	}
	return nil
}

// ourPart keeps of our pods what statusOf, trouble and logs read.
func ourPart(obj any) (any, error) {
	pod, is := obj.(*corev1.Pod)
	if !is {
		return obj, nil
	}
	pod.ManagedFields = nil
	spec := corev1.PodSpec{
		NodeName: pod.Spec.NodeName, Priority: pod.Spec.Priority,
		ActiveDeadlineSeconds: pod.Spec.ActiveDeadlineSeconds, TerminationGracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds,
		InitContainers: names(pod.Spec.InitContainers), Containers: names(pod.Spec.Containers),
	}
	pod.Spec = spec
	return pod, nil
}

func names(containers []corev1.Container) []corev1.Container {
	short := make([]corev1.Container, len(containers))
	for i := range containers {
		short[i] = corev1.Container{Name: containers[i].Name, RestartPolicy: containers[i].RestartPolicy}
	}
	return short
}

// theirPart keeps of others' pods what they take from their nodes, as if by one
// container: Kubernetes' own rule for that reads most of a pod, the state of a change
// of its resources too.
func theirPart(obj any) (any, error) {
	pod, is := obj.(*corev1.Pod)
	if !is {
		return obj, nil
	}
	asks := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{
		UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true,
	})
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, Priority: pod.Spec.Priority,
			Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: asks}}},
		},
	}, nil
}

// nodePart leaves the images and volumes of a node out.
func nodePart(obj any) (any, error) {
	node, is := obj.(*corev1.Node)
	if !is {
		return obj, nil
	}
	node.ManagedFields, node.Annotations = nil, nil
	node.Status = corev1.NodeStatus{Allocatable: node.Status.Allocatable, Conditions: node.Status.Conditions}
	return node, nil
}

// pod returns our pod of a run; nil when the cache has none.
func (c *caches) pod(run armada.RunID) *corev1.Pod {
	found, err := c.ours.GetIndexer().ByIndex(byRun, string(run))
	if err != nil || len(found) == 0 {
		return nil
	}
	return found[0].(*corev1.Pod)
}

// pods returns all our pods.
func (c *caches) pods() []*corev1.Pod { return listed[*corev1.Pod](c.ours) }

// node returns a node; nil when there is none of the name.
func (c *caches) node(name string) *corev1.Node {
	found, exists, err := c.nodes.GetIndexer().GetByKey(name)
	if err != nil || !exists {
		return nil
	}
	return found.(*corev1.Node)
}

func listed[T runtime.Object](informer cache.SharedIndexInformer) []T {
	list := informer.GetIndexer().List()
	typed := make([]T, len(list))
	for i := range list {
		typed[i] = list[i].(T)
	}
	return typed
}

// silent tells since when a node has not said that it is ready; the zero time for
// one that is.
func silent(node *corev1.Node) (since time.Time, yes bool) {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.LastTransitionTime.Time, c.Status != corev1.ConditionTrue
		}
	}
	return node.CreationTimestamp.Time, true
}
