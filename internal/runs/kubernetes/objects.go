package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"armada"
	"armada/internal/runs"
)

// jsonText is how objects, and the groups in whose name they are made, are written
// down on their pod, so that whoever looks at it can make them.
func jsonText[T runs.Object | string](list []T) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // texts and bytes
	}
	return string(text)
}

// listOn reads a list that was written down on a pod; nil when none was.
func listOn[T runs.Object | string](pod *corev1.Pod, annotation string) ([]T, error) {
	text, any := pod.Annotations[annotation]
	if !any {
		return nil, nil
	}
	var list []T
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading the annotation %s of pod %s: %w", annotation, pod.Name, err)
	}
	return list, nil
}

// makeObjects makes what is to be beside a pod and is not there yet, and notes
// where it is reached when all of it is known. An object that can never be made
// fails the run.
func (r *Runtime) makeObjects(ctx context.Context, pod *corev1.Pod) error {
	run := runOf(pod)
	r.mu.Lock()
	_, reached := r.reached[run]
	r.mu.Unlock()
	objects, err := listOn[runs.Object](pod, AnnotationObjects)
	if err != nil || len(objects) == 0 || reached || pod.DeletionTimestamp != nil {
		return err
	}
	groups, err := listOn[string](pod, AnnotationGroups)
	if err != nil {
		return err
	}
	client, err := r.clients.of(pod.Annotations[AnnotationOwner], groups)
	if err != nil {
		return err
	}
	addresses, complete := map[uint32]string{}, true
	for i := range objects {
		o := &objects[i]
		made, err := r.makeObject(ctx, client, pod, o)
		if err != nil && (r.fatal(err) || errors.Is(err, errTaken) && time.Since(pod.CreationTimestamp.Time) > takenPatience) {
			v := verdict{
				At: pod.CreationTimestamp.Time, Phase: runs.Failed, Reason: fmt.Sprintf("%s could not be made: %v", o.Name, err),
				Category: armada.CategoryInternal, Subcategory: subcategoryStartingUp,
			}
			return r.condemn(ctx, pod, &v, 0)
		}
		if err != nil {
			return fmt.Errorf("making %s: %w", o.Name, err)
		}
		complete = made(addresses) && complete
	}
	if complete {
		r.mu.Lock()
		r.reached[run] = addresses
		r.mu.Unlock()
	}
	return nil
}

// reach tells the addresses of an object, and whether all are known.
type reach func(map[uint32]string) bool

// makeObject makes a service or an ingress by the client of the job's owner, or
// finds that it is there, for which the owner needs no right.
func (r *Runtime) makeObject(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, o *runs.Object) (reach, error) {
	meta := r.objectMeta(pod, o)
	if o.Service != nil {
		service := &corev1.Service{ObjectMeta: meta}
		if err := service.Spec.Unmarshal(o.Service); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		service.Spec.Selector = map[string]string{
			LabelJob: pod.Labels[LabelJob], LabelQueue: pod.Labels[LabelQueue], LabelPodNumber: pod.Labels[LabelPodNumber],
		}
		made, err := client.CoreV1().Services(pod.Namespace).Create(ctx, service, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			made, err = r.clients.own.CoreV1().Services(pod.Namespace).Get(ctx, meta.Name, metav1.GetOptions{})
		}
		if err == nil {
			err = taken(made, pod)
		}
		if err != nil {
			return nil, err
		}
		return func(addresses map[uint32]string) bool { return serviceAddresses(made, pod.Status.HostIP, addresses) }, nil
	}
	ingress := &networkingv1.Ingress{ObjectMeta: meta}
	if err := ingress.Spec.Unmarshal(o.Ingress); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	r.completeIngress(ingress)
	made, err := client.NetworkingV1().Ingresses(pod.Namespace).Create(ctx, ingress, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = r.clients.own.NetworkingV1().Ingresses(pod.Namespace).Get(ctx, meta.Name, metav1.GetOptions{})
	}
	if err == nil {
		err = taken(made, pod)
	}
	if err != nil {
		return nil, err
	}
	return func(addresses map[uint32]string) bool { return ingressAddresses(made, addresses) }, nil
}

// errTaken is answered where an object has the name that is not the pod's. A job may
// name its services, so it may be anybody's.
var errTaken = errors.New("another one of that name is there, which is not this pod's")

// takenPatience is for what is about to go: it was that of a job that has ended.
const takenPatience = 30 * time.Second

// taken is errTaken for an object that is not a pod's.
func taken(o metav1.Object, pod *corev1.Pod) error {
	for _, owner := range o.GetOwnerReferences() {
		if owner.UID == pod.UID {
			return nil
		}
	}
	return errTaken
}

// objectMeta makes an object go with its pod.
func (r *Runtime) objectMeta(pod *corev1.Pod, o *runs.Object) metav1.ObjectMeta {
	labels := maps.Clone(o.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, key := range []string{LabelJob, LabelRun, LabelQueue, LabelPodNumber, LabelExecutor} {
		labels[key] = pod.Labels[key]
	}
	return metav1.ObjectMeta{
		Name: o.Name, Namespace: pod.Namespace, Labels: labels, Annotations: maps.Clone(o.Annotations),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
	}
}

// completeIngress puts the cluster's suffixes and annotations on an ingress. The
// hosts of jobs end where a suffix can follow.
func (r *Runtime) completeIngress(ingress *networkingv1.Ingress) {
	if ingress.Annotations == nil {
		ingress.Annotations = map[string]string{}
	}
	for key, value := range r.config.Ingress.Annotations {
		if _, own := ingress.Annotations[key]; !own {
			ingress.Annotations[key] = value
		}
	}
	for i := range ingress.Spec.Rules {
		ingress.Spec.Rules[i].Host += r.config.Ingress.HostnameSuffix
	}
	for i := range ingress.Spec.TLS {
		if secret := &ingress.Spec.TLS[i].SecretName; strings.HasSuffix(*secret, "-") { // not one that the job names
			*secret += r.config.Ingress.CertNameSuffix
		}
		for h := range ingress.Spec.TLS[i].Hosts {
			ingress.Spec.TLS[i].Hosts[h] += r.config.Ingress.HostnameSuffix
		}
	}
}

// serviceAddresses are those of a service with ports of its own on every node.
func serviceAddresses(s *corev1.Service, host string, addresses map[uint32]string) bool {
	if s.Spec.Type != corev1.ServiceTypeNodePort {
		return true
	}
	if host == "" {
		return false
	}
	for _, p := range s.Spec.Ports {
		port := p.TargetPort.IntValue()
		if port == 0 {
			port = int(p.Port)
		}
		addresses[uint32(port)] = host + ":" + strconv.Itoa(int(p.NodePort))
	}
	return true
}

func ingressAddresses(i *networkingv1.Ingress, addresses map[uint32]string) bool {
	for _, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service != nil {
				addresses[uint32(path.Backend.Service.Port.Number)] = rule.Host
			}
		}
	}
	return true
}

// removeObjects removes what was made beside a pod that has ended. The cluster
// removes the rest when the pod is gone.
func (r *Runtime) removeObjects(ctx context.Context, pod *corev1.Pod) {
	objects, err := listOn[runs.Object](pod, AnnotationObjects)
	if err != nil {
		return
	}
	for i := range slices.Backward(objects) {
		if err := r.removeObject(ctx, pod, &objects[i]); err != nil {
			r.log.Warn("an object beside a pod that has ended could not be removed; it goes with the pod", "run", runOf(pod), "object", objects[i].Name, "error", err)
		}
	}
}

// removeObject removes an object, if it is there and the pod's.
func (r *Runtime) removeObject(ctx context.Context, pod *corev1.Pod, o *runs.Object) error {
	services, ingresses := r.clients.own.CoreV1().Services(pod.Namespace), r.clients.own.NetworkingV1().Ingresses(pod.Namespace)
	var there metav1.Object
	var err error
	remove := services.Delete
	if o.Service != nil {
		there, err = services.Get(ctx, o.Name, metav1.GetOptions{})
	} else {
		there, err = ingresses.Get(ctx, o.Name, metav1.GetOptions{})
		remove = ingresses.Delete
	}
	if err == nil && taken(there, pod) == nil {
		err = remove(ctx, o.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(there.GetUID()))})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone
	}
	return err
}
