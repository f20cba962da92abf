package executor2026

import (
	"testing"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/server/executors"
	"armada/test/compat/wiretable"
)

// only is the one lease that a request of east is answered with.
func (w *world) only() proto.Message {
	w.Helper()
	answer := w.polls("east")
	if len(answer.Leases) != 1 {
		w.Fatalf("%d leases", len(answer.Leases))
	}
	return answer.Leases[0]
}

func TestStatement40ALeaseHasAllThatAnExecutorNeeds(t *testing.T) {
	inWorld(t, func(w *world) {
		plain := w.submit(job{})
		w.lease(plain, "east")
		lease := w.only()
		for field, want := range map[string]string{
			wiretable.At(lease, "queue").String(): "q", wiretable.At(lease, "jobset").String(): "set", wiretable.At(lease, "user").String(): "ann",
			wiretable.At(lease, "job_run_id").String(): string(plain) + "-1", wiretable.At(lease, "job", "job_id").String(): string(plain),
			wiretable.At(lease, "job", "objectMeta", "namespace").String():                               "space",
			wiretable.Texts(lease, "job", "objectMeta", "annotations")["armadaproject.io/pool"]:          "default",
			"preemptible " + wiretable.Texts(lease, "job", "objectMeta", "labels")["armada_preemptible"]: "preemptible false",
		} {
			if field != want {
				w.Errorf("the lease says %q, want %q", field, want)
			}
		}
		if groups := wiretable.Strings(lease, "groups"); len(groups) != 1 || groups[0] != "staff" {
			w.Errorf("the groups are %v", groups)
		}
		spec := w.specOf(lease)
		if len(spec.Containers) != 1 || spec.Containers[0].Name != "main" || spec.Containers[0].Image != "busybox" {
			w.Errorf("the containers are %+v", spec.Containers)
		}
		if raw := lease.ProtoReflect().GetUnknown(); len(raw) > 0 {
			w.Errorf("the lease has fields that the original does not know: %x", raw)
		}

		w.polls("east", string(plain)+"-1")
		labelled := w.submit(job{class: "armada-preemptible", details: armada.JobDetails{
			Namespace: "other", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"},
		}})
		w.lease(labelled, "east")
		second := w.polls("east", string(plain)+"-1").Leases[0]
		labels, annotations := wiretable.Texts(second, "job", "objectMeta", "labels"), wiretable.Texts(second, "job", "objectMeta", "annotations")
		if labels["l"] != "1" || labels["armada_preemptible"] != "true" || annotations["a"] != "2" || annotations["armadaproject.io/pool"] != "default" {
			w.Errorf("labels %v, annotations %v", labels, annotations)
		}
	})
}

func TestStatement41TheNodeIsInTheSelectorByItsReportedLabel(t *testing.T) {
	inWorld(t, func(w *world) {
		spec := pod()
		spec.NodeSelector = map[string]string{"disk": "fast"}
		w.lease(w.submit(job{spec: spec}), "east")
		ask := func(n wiretable.Fields) map[string]string {
			answer := w.asks(wiretable.Fields{"executor_id": "east", "max_jobs_to_lease": 1, "nodes": []wiretable.Fields{n}})
			return w.specOf(answer.Leases[0]).NodeSelector
		}
		if s := ask(node("n1", nil)); len(s) != 2 || s["disk"] != "fast" || s["kubernetes.io/hostname"] != "host-of-n1" {
			w.Errorf("the selector is %v", s)
		}
		without := node("n1", nil)
		without["labels"] = map[string]string{"zone": "a"}
		if s := ask(without); len(s) != 1 || s["disk"] != "fast" {
			w.Errorf("the selector is %v, and the node has no such label", s)
		}
	})
}

func TestTheLabelThatTellsNodesApartAndThePriorityClassAreSet(t *testing.T) {
	change := func(c *executors.Config) {
		c.Original2026.Pinning.NodeIDLabel, c.Original2026.Pinning.PriorityClass = "zone", "on-the-cluster"
	}
	inWorldWith(t, change, func(w *world) {
		spec := pod()
		priority := int32(7)
		spec.Priority = &priority
		w.lease(w.submit(job{spec: spec}), "east")
		got := w.specOf(w.only())
		if got.NodeSelector["zone"] != "a" || len(got.NodeSelector) != 1 || got.PriorityClassName != "on-the-cluster" || got.Priority != nil {
			w.Errorf("the selector is %v, the class %q with priority %v", got.NodeSelector, got.PriorityClassName, got.Priority)
		}
	})
}

func TestAPodHasNoPriorityClassUnlessOneIsSet(t *testing.T) {
	inWorld(t, func(w *world) {
		w.leased("east")
		if class := w.specOf(w.only()).PriorityClassName; class != "" {
			w.Errorf("the class is %q, which the cluster need not have", class)
		}
	})
}

func TestResourcesThatNoNodeHasAreNotAskedOfACluster(t *testing.T) {
	inWorld(t, func(w *world) {
		spec := pod()
		r := &spec.Containers[0].Resources
		r.Requests["licence"], r.Limits["licence"] = resource.MustParse("1"), resource.MustParse("1")
		w.lease(w.submit(job{spec: spec}), "east")
		got := w.specOf(w.only()).Containers[0].Resources
		_, requested := got.Requests["licence"]
		_, limited := got.Limits["licence"]
		if requested || limited || got.Requests.Cpu().String() != "1" {
			w.Errorf("the resources are %+v", got)
		}
	})
}

func TestAPodOfAGangLearnsTheLabelThatItsNodesShare(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lease(w.submit(job{gang: armada.Gang{ID: "g", Cardinality: 2, UniformityLabel: "zone"}, details: armada.JobDetails{
			Annotations: map[string]string{"armadaproject.io/gangId": "g", "armadaproject.io/gangCardinality": "2"},
		}}), "east")
		got := wiretable.Texts(w.only(), "job", "objectMeta", "annotations")
		for name, want := range map[string]string{
			"armadaproject.io/gangId": "g", "armadaproject.io/gangCardinality": "2",
			"ARMADA_GANG_NODE_UNIFORMITY_LABEL_NAME": "zone", "ARMADA_GANG_NODE_UNIFORMITY_LABEL_VALUE": "a",
		} {
			if got[name] != want {
				w.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
	})
}

func TestAPodToleratesItsNodeWhereItIsAway(t *testing.T) {
	change := func(c *executors.Config) {
		c.Away = map[string][]armada.Toleration{"gpu": {{Key: "gpu", Exists: true, Effect: armada.NoSchedule}}}
	}
	inWorldWith(t, change, func(w *world) {
		w.change(lifecycle.Change{Kind: lifecycle.Lease, Job: w.submit(job{}), Lease: lifecycle.Terms{Executor: "east", Node: "n1", Pool: "default", Away: "gpu"}})
		if got := w.specOf(w.only()).Tolerations; len(got) != 1 || got[0].Key != "gpu" || got[0].Operator != corev1.TolerationOpExists {
			w.Errorf("it tolerates %+v", got)
		}
	})
}

// objects are the services and ingresses of a lease, in order; every one must have
// what executors look at without a check.
func (w *world) objects(lease proto.Message) (services map[string]*corev1.ServiceSpec, ingresses map[string]*netv1.IngressSpec) {
	w.Helper()
	services, ingresses = map[string]*corev1.ServiceSpec{}, map[string]*netv1.IngressSpec{}
	for _, o := range wiretable.List(lease, "job", "objects") {
		name := wiretable.At(o, "objectMeta", "name").String()
		if name == "" || wiretable.At(o, "objectMeta", "namespace").String() != "space" {
			w.Errorf("an object is called %q in %q", name, wiretable.At(o, "objectMeta", "namespace").String())
		}
		if l := wiretable.Texts(o, "objectMeta", "labels"); l["armada_job_id"] == "" || l["armada_queue_id"] != "q" {
			w.Errorf("%s has the labels %v", name, l)
		}
		if a := wiretable.Texts(o, "objectMeta", "annotations"); a["armada_jobset_id"] != "set" || a["armada_owner"] != "ann" {
			w.Errorf("%s has the annotations %v", name, a)
		}
		switch kind := wiretable.Kind(o, "object"); kind {
		case "service":
			s := &corev1.ServiceSpec{}
			w.ok(s.Unmarshal(wiretable.At(o, "service").Bytes()))
			services[name] = s
		case "ingress":
			i := &netv1.IngressSpec{}
			w.ok(i.Unmarshal(wiretable.At(o, "ingress").Bytes()))
			ingresses[name] = i
		default:
			w.Errorf("%s is a %q", name, kind)
		}
	}
	return services, ingresses
}

func TestStatement42ServicesAndIngressesAreObjectsWithNumericPortsAndNames(t *testing.T) {
	inWorld(t, func(w *world) {
		spec := pod()
		spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080}, {ContainerPort: 53, Protocol: corev1.ProtocolUDP}}
		second := spec.Containers[0]
		second.Name, second.Ports = "a-container-with-a-name-that-is-as-long-as-names-of-such-may-be", []corev1.ContainerPort{{ContainerPort: 9090}}
		spec.Containers = append(spec.Containers, second)
		id := w.submit(job{spec: spec, details: armada.JobDetails{
			Services: []armada.ServiceRequest{{Ports: []uint32{8080, 53}}, {Headless: true, Ports: []uint32{8080}, Name: "mine"}},
			Ingresses: []armada.IngressRequest{
				{Ports: []uint32{8080}, Annotations: map[string]string{"class": "x"}, TLS: true},
				{Ports: []uint32{9090}, TLS: true, CertName: "given"},
				{Ports: []uint32{9091}, UseClusterIP: true},
			},
		}})
		w.lease(id, "east")
		services, ingresses := w.objects(w.only())
		name := "armada-" + string(id) + "-0"
		if len(services) != 4 || len(ingresses) != 3 {
			w.Fatalf("%d services and %d ingresses: %v", len(services), len(ingresses), services)
		}

		first := services[name+"-service-0"]
		if first.Type != corev1.ServiceTypeNodePort || len(first.Ports) != 2 || first.Ports[0].Port != 8080 || first.Ports[0].TargetPort.IntValue() != 8080 ||
			first.Ports[0].Name != "main-8080" || first.Ports[0].Protocol != corev1.ProtocolTCP || first.Ports[1].Protocol != corev1.ProtocolUDP {
			w.Errorf("the first service is %+v", first)
		}
		if s := services["mine"]; s.Type != corev1.ServiceTypeClusterIP || s.ClusterIP != corev1.ClusterIPNone {
			w.Errorf("the headless service is %+v", s)
		}
		if s := services[name+"-service-2"]; s.ClusterIP != corev1.ClusterIPNone || s.Ports[0].Port != 9090 || len(s.Ports[0].Name) > 63 {
			w.Errorf("the service made for the second ingress is %+v", s)
		}
		if s := services[name+"-service-3"]; s.Type != corev1.ServiceTypeClusterIP || s.ClusterIP != "" {
			w.Errorf("the service made for the third ingress is %+v", s)
		}

		for i, want := range []struct{ service, host, secret string }{
			{name + "-service-0", "main-8080-" + name + ".space.", "space-"},
			{name + "-service-2", "a-container-with-a-nam-9090-" + name + ".space.", "given"},
			{name + "-service-3", "main-9091-" + name + ".space.", ""},
		} {
			spec := ingresses[name+"-ingress-"+string(rune('0'+i))]
			rule := spec.Rules[0]
			path := rule.HTTP.Paths[0]
			if rule.Host != want.host || path.Path != "/" || *path.PathType != netv1.PathTypePrefix ||
				path.Backend.Service.Name != want.service || path.Backend.Service.Port.Number != services[want.service].Ports[0].Port {
				w.Errorf("ingress %d has the rule %+v", i, rule)
			}
			switch {
			case want.secret == "" && len(spec.TLS) != 0:
				w.Errorf("ingress %d has certificates that nobody asked for", i)
			case want.secret != "" && (spec.TLS[0].SecretName != want.secret || spec.TLS[0].Hosts[0] != want.host):
				w.Errorf("ingress %d has the certificate %+v", i, spec.TLS)
			}
		}
	})
}
