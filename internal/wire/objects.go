package wire

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/pkg/api/armadaevents"
	corev1 "armada/pkg/api/k8s/core/v1"
	networkingv1 "armada/pkg/api/k8s/networking/v1"
	"armada/pkg/api/k8s/util/intstr"
)

// port is a port that a container of the job listens on.
type port struct {
	name     string // of the container and the port: hosts and ports of services are called so
	number   int32
	protocol string
}

func portsOf(spec *corev1.PodSpec) map[uint32]port {
	ports := map[uint32]port{}
	for _, c := range spec.GetContainers() {
		for _, p := range c.GetPorts() {
			n := p.GetContainerPort()
			ports[uint32(n)] = port{name: fmt.Sprintf("%s-%d", c.GetName(), n), number: n, protocol: p.GetProtocol()}
		}
	}
	return ports
}

// objectsOf are the services and ingresses that a job asks for, named as tools of
// the original look for them. Ports that no container declares are left out: a
// service of them would lead nowhere. An ingress leads to the first service that has
// all of its ports, and to one of its own where there is none. Its hosts end in a
// dot and its secret in a dash where a cluster puts its own ends.
func objectsOf(job *armada.Job, details *armada.JobDetails, spec *corev1.PodSpec) []*armadaevents.KubernetesObject {
	if len(details.Services) == 0 && len(details.Ingresses) == 0 {
		return nil
	}
	ports, pod := portsOf(spec), fmt.Sprintf("armada-%s-0", job.ID)
	var objects []*armadaevents.KubernetesObject
	covered := map[string][]uint32{} // ports by service
	var services []string
	add := func(name, kind string, headless bool, numbers []uint32) string {
		if name == "" {
			name = fmt.Sprintf("%s-service-%d", pod, len(services))
		}
		service := serviceSpec(kind, headless, numbers, ports)
		if len(service.GetPorts()) == 0 {
			return ""
		}
		objects = append(objects, &armadaevents.KubernetesObject{
			ObjectMeta: &armadaevents.ObjectMeta{Name: name, Namespace: details.Namespace},
			Object:     &armadaevents.KubernetesObject_Service{Service: service},
		})
		services, covered[name] = append(services, name), numbers
		return name
	}
	for _, s := range details.Services {
		kind := "NodePort"
		if s.Headless {
			kind = "ClusterIP"
		}
		add(s.Name, kind, s.Headless, s.Ports)
	}
	for i, in := range details.Ingresses {
		lead := slices.IndexFunc(services, func(name string) bool {
			return !slices.ContainsFunc(in.Ports, func(p uint32) bool { return !slices.Contains(covered[name], p) })
		})
		service := ""
		if lead >= 0 {
			service = services[lead]
		} else {
			service = add("", "ClusterIP", !in.UseClusterIP, in.Ports)
		}
		if service == "" {
			continue
		}
		objects = append(objects, &armadaevents.KubernetesObject{
			ObjectMeta: &armadaevents.ObjectMeta{
				Name: fmt.Sprintf("%s-ingress-%d", pod, i), Namespace: details.Namespace, Annotations: maps.Clone(in.Annotations),
			},
			Object: &armadaevents.KubernetesObject_Ingress{Ingress: ingressSpec(&in, service, pod+"."+details.Namespace+".", details.Namespace, ports)},
		})
	}
	return objects
}

func serviceSpec(kind string, headless bool, numbers []uint32, ports map[uint32]port) *corev1.ServiceSpec {
	service := &corev1.ServiceSpec{Type: proto.String(kind)}
	if headless {
		service.ClusterIP = proto.String("None")
	}
	for _, n := range numbers {
		p, declared := ports[n]
		if !declared {
			continue
		}
		made := &corev1.ServicePort{
			Name: proto.String(p.name), Port: proto.Int32(p.number),
			TargetPort: &intstr.IntOrString{Type: proto.Int64(0), IntVal: proto.Int32(p.number)},
		}
		if p.protocol != "" {
			made.Protocol = proto.String(p.protocol)
		}
		service.Ports = append(service.Ports, made)
	}
	return service
}

func ingressSpec(in *armada.IngressRequest, service, domain, namespace string, ports map[uint32]port) *networkingv1.IngressSpec {
	ingress := &networkingv1.IngressSpec{}
	var hosts []string
	for _, n := range in.Ports {
		p, declared := ports[n]
		if !declared {
			continue
		}
		host := p.name + "-" + domain
		hosts = append(hosts, host)
		ingress.Rules = append(ingress.Rules, &networkingv1.IngressRule{
			Host: proto.String(host),
			IngressRuleValue: &networkingv1.IngressRuleValue{Http: &networkingv1.HTTPIngressRuleValue{Paths: []*networkingv1.HTTPIngressPath{{
				Path: proto.String("/"), PathType: proto.String("Prefix"),
				Backend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
					Name: proto.String(service), Port: &networkingv1.ServiceBackendPort{Number: proto.Int32(p.number)},
				}},
			}}}},
		})
	}
	if in.TLS {
		secret := in.CertName
		if secret == "" {
			secret = namespace + "-"
		}
		ingress.Tls = []*networkingv1.IngressTLS{{Hosts: hosts, SecretName: proto.String(secret)}}
	}
	return ingress
}
