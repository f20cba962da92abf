package wire

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/store"
	"armada/pkg/api/armadaevents"
	corev1 "armada/pkg/api/k8s/core/v1"
	netv1 "armada/pkg/api/k8s/networking/v1"
	"armada/pkg/api/k8s/util/intstr"
)

// What the objects of a job tell about themselves.
const (
	labelJob         = "armada_job_id"
	labelQueue       = "armada_queue_id"
	annotationJobSet = "armada_jobset_id"
	annotationOwner  = "armada_owner"
)

// maxLabel is how long a part of a host's name, and a name of a port, may be.
const maxLabel = 63

// PodName is what executors of 2026 call the pod of a job.
func PodName(job armada.JobID) string { return "armada-" + string(job) + "-0" }

// Objects are the services and ingresses that a job asks for beside its pod, as
// executors of 2026 make them: services first. An executor selects the pods of a
// service by itself, and ends hosts with a suffix of its cluster's.
func Objects(o *store.Order, spec *corev1.PodSpec) []*armadaevents.KubernetesObject {
	b := objects{order: o, spec: spec, pod: PodName(o.Job.ID)}
	for _, s := range o.Details.Services {
		serves := &corev1.ServiceSpec{Type: proto.String("NodePort")}
		if s.Headless {
			serves = headless()
		}
		b.service(s.Name, s.Ports, serves)
	}
	for _, i := range o.Details.Ingresses {
		b.ingress(&i)
	}
	return append(b.services, b.ingresses...)
}

// objects gathers the objects of one job.
type objects struct {
	order *store.Order
	spec  *corev1.PodSpec
	pod   string

	services, ingresses []*armadaevents.KubernetesObject
	ports               [][]uint32 // of each service
}

func headless() *corev1.ServiceSpec {
	return &corev1.ServiceSpec{Type: proto.String("ClusterIP"), ClusterIP: proto.String("None")}
}

func (b *objects) meta(name string, annotations map[string]string) *armadaevents.ObjectMeta {
	all := maps.Clone(annotations)
	if all == nil {
		all = map[string]string{}
	}
	all[annotationJobSet], all[annotationOwner] = string(b.order.Job.JobSet), b.order.Job.Owner
	return &armadaevents.ObjectMeta{
		Namespace: b.order.Details.Namespace, Name: name, Annotations: all,
		Labels: map[string]string{labelJob: string(b.order.Job.ID), labelQueue: b.order.Job.Queue},
	}
}

// service adds a service in front of ports of the pod and returns its name.
func (b *objects) service(name string, ports []uint32, serves *corev1.ServiceSpec) string {
	if name == "" {
		name = fmt.Sprintf("%s-service-%d", b.pod, len(b.services))
	}
	for _, port := range ports {
		container, protocol := b.listens(port)
		serves.Ports = append(serves.Ports, &corev1.ServicePort{
			Name: proto.String(joined(container, fmt.Sprintf("-%d", port))), Protocol: proto.String(protocol), Port: proto.Int32(int32(port)),
			TargetPort: &intstr.IntOrString{Type: proto.Int64(0), IntVal: proto.Int32(int32(port)), StrVal: proto.String("")},
		})
	}
	b.services = append(b.services, &armadaevents.KubernetesObject{
		ObjectMeta: b.meta(name, nil), Object: &armadaevents.KubernetesObject_Service{Service: serves},
	})
	b.ports = append(b.ports, ports)
	return name
}

// ingress adds an ingress, which leads to the first service that has all of its
// ports, or to one of its own.
func (b *objects) ingress(i *armada.IngressRequest) {
	name := fmt.Sprintf("%s-ingress-%d", b.pod, len(b.ingresses))
	service := ""
	at := slices.IndexFunc(b.ports, func(has []uint32) bool {
		return !slices.ContainsFunc(i.Ports, func(p uint32) bool { return !slices.Contains(has, p) })
	})
	switch {
	case at >= 0:
		service = b.services[at].GetObjectMeta().GetName()
	case i.UseClusterIP:
		service = b.service("", i.Ports, &corev1.ServiceSpec{Type: proto.String("ClusterIP")})
	default:
		service = b.service("", i.Ports, headless())
	}
	leads := &netv1.IngressSpec{}
	var hosts []string
	for _, port := range i.Ports {
		container, _ := b.listens(port)
		host := joined(container, fmt.Sprintf("-%d-%s", port, b.pod)) + "." + b.order.Details.Namespace + "."
		hosts = append(hosts, host)
		leads.Rules = append(leads.Rules, &netv1.IngressRule{Host: proto.String(host), IngressRuleValue: &netv1.IngressRuleValue{
			Http: &netv1.HTTPIngressRuleValue{Paths: []*netv1.HTTPIngressPath{{
				Path: proto.String("/"), PathType: proto.String("Prefix"),
				Backend: &netv1.IngressBackend{Service: &netv1.IngressServiceBackend{
					Name: proto.String(service), Port: &netv1.ServiceBackendPort{Number: proto.Int32(int32(port))},
				}},
			}}},
		}})
	}
	if i.TLS {
		secret := i.CertName
		if secret == "" {
			secret = b.order.Details.Namespace + "-" // the executor adds its own end
		}
		leads.Tls = []*netv1.IngressTLS{{Hosts: hosts, SecretName: proto.String(secret)}}
	}
	b.ingresses = append(b.ingresses, &armadaevents.KubernetesObject{
		ObjectMeta: b.meta(name, i.Annotations), Object: &armadaevents.KubernetesObject_Ingress{Ingress: leads},
	})
}

// listens tells which container has a port, and by what protocol: the first one,
// by TCP, where none says that it has it.
func (b *objects) listens(port uint32) (container, protocol string) {
	containers := slices.Concat(b.spec.GetContainers(), b.spec.GetInitContainers())
	for _, c := range containers {
		for _, p := range c.GetPorts() {
			if p.GetContainerPort() == int32(port) {
				if p.GetProtocol() == "" {
					return c.GetName(), "TCP"
				}
				return c.GetName(), p.GetProtocol()
			}
		}
	}
	if len(containers) == 0 {
		return "pod", "TCP"
	}
	return containers[0].GetName(), "TCP"
}

// joined is a container's name with an end, cut where that is too long.
func joined(container, end string) string {
	if room := maxLabel - len(end); len(container) > room {
		container = strings.TrimRight(container[:max(0, room)], "-")
	}
	return strings.TrimLeft(container+end, "-")
}
