package kubernetes_test

import (
	"context"
	"maps"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

// nodePort is a service that is reached at a port of the pod's node.
func nodePort(t testing.TB, port int32) runs.Object {
	t.Helper()
	spec, err := (&corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Name: "port", Port: port}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return runs.Object{Name: "service-" + strconv.Itoa(int(port)), Service: spec}
}

// ingress leads a host to a port of a service.
func ingress(t testing.TB, port int32) runs.Object {
	t.Helper()
	kind := networkingv1.PathTypePrefix
	spec, err := (&networkingv1.IngressSpec{
		Rules: []networkingv1.IngressRule{{Host: "job.example.", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &kind, Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "service", Port: networkingv1.ServiceBackendPort{Number: port}},
			}}},
		}}}},
		TLS: []networkingv1.IngressTLS{{Hosts: []string{"job.example."}, SecretName: "job-"}},
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return runs.Object{Name: "ingress-" + strconv.Itoa(int(port)), Ingress: spec, Annotations: map[string]string{"own": "kept"}}
}

func TestServicesAndIngressesAreMadeBesideTheirPodToldAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.config.Ingress.HostnameSuffix, w.config.Ingress.CertNameSuffix = "cluster.example", "cert"
	w.config.Ingress.Annotations = map[string]string{"own": "not taken", "cluster": "added"}
	r := w.open(t)
	defer func() { closed(t, r) }()
	o := w.begin(t, r, runstest.Job{Forever: true}, nil, nodePort(t, 8080), ingress(t, 9090))
	var s runs.Status
	runstest.Await(t, r, "addresses", func(all map[armada.RunID]runs.Status) bool {
		s = all[o.Run]
		return s.Addresses != nil
	})
	api := w.nodes.Cluster.Client
	service, err := api.CoreV1().Services(w.nodes.Namespace).Get(t.Context(), "service-8080", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if owners := service.OwnerReferences; len(owners) != 1 || string(owners[0].UID) != s.Pod.KubernetesID {
		t.Errorf("the service is owned by %v", owners)
	}
	if service.Spec.Selector["armada_job_id"] != string(o.Job) {
		t.Errorf("the service selects %v", service.Spec.Selector)
	}
	made, err := api.NetworkingV1().Ingresses(w.nodes.Namespace).Get(t.Context(), "ingress-9090", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if tls := made.Spec.TLS[0]; tls.SecretName != "job-cert" || tls.Hosts[0] != "job.example.cluster.example" {
		t.Errorf("the certificate is %v", tls)
	}
	if made.Annotations["own"] != "kept" || made.Annotations["cluster"] != "added" {
		t.Errorf("the ingress is annotated %v", made.Annotations)
	}
	want := map[uint32]string{8080: "127.0.0.1:" + strconv.Itoa(int(service.Spec.Ports[0].NodePort)), 9090: "job.example.cluster.example"}
	if !maps.Equal(s.Addresses, want) {
		t.Errorf("reached at %v, want %v", s.Addresses, want)
	}

	// Another executor finds them made, and tells the same.
	closed(t, r)
	r = w.open(t)
	runstest.Await(t, r, "addresses again", func(all map[armada.RunID]runs.Status) bool { return maps.Equal(all[o.Run].Addresses, want) })

	if err := r.Stop(t.Context(), o.Run, 0); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, o.Run, runs.Stopped)
	await(t, "the objects to be removed", func(ctx context.Context) bool {
		_, service := api.CoreV1().Services(w.nodes.Namespace).Get(ctx, "service-8080", metav1.GetOptions{})
		_, ingress := api.NetworkingV1().Ingresses(w.nodes.Namespace).Get(ctx, "ingress-9090", metav1.GetOptions{})
		return apierrors.IsNotFound(service) && apierrors.IsNotFound(ingress)
	})
}

func TestAnObjectThatCanNeverBeMadeFailsItsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	o := w.begin(t, r, runstest.Job{Forever: true}, nil, nodePort(t, 70000))
	if s := ended(t, r, o.Run); s.Phase != runs.Failed || s.End.Category != armada.CategoryInternal {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
}

// A job may name its services, and so name one of somebody else.
func TestAnObjectOfSomebodyElseIsNeitherTakenNorRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	services := w.nodes.Cluster.Client.CoreV1().Services(w.nodes.Namespace)
	theirs := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "service-8080"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 8080}}, Selector: map[string]string{"theirs": "yes"}},
	}
	if _, err := services.Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// It is waited for, for the job that had the name before may just have ended.
	o := w.begin(t, r, runstest.Job{Forever: true}, nil, nodePort(t, 8080))
	runstest.AwaitPhase(t, r, o.Run, runs.Running)
	if _, err := services.Get(t.Context(), theirs.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("their service: %v", err)
	}
	if err := services.Delete(t.Context(), theirs.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	runstest.Await(t, r, "addresses", func(all map[armada.RunID]runs.Status) bool { return len(all[o.Run].Addresses) == 1 })

	// But not for ever.
	o = w.begin(t, r, runstest.Job{Forever: true}, nil, nodePort(t, 8080))
	runstest.AwaitPhase(t, r, o.Run, runs.Running)
	pod := w.podOf(t, o)
	pod.CreationTimestamp = metav1.NewTime(pod.CreationTimestamp.Add(-time.Hour))
	if err := r.MakeObjects(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, r, o.Run); s.Phase != runs.Failed || s.Addresses != nil ||
		s.End.Reason != "service-8080 could not be made: another one of that name is there, which is not this pod's" {
		t.Errorf("it ended as %v: %+v, and was reached at %v", s.Phase, s.End, s.Addresses)
	}
	if _, err := services.Get(t.Context(), "service-8080", metav1.GetOptions{}); err != nil {
		t.Errorf("the service of the other run: %v", err)
	}
}
