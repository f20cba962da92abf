package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"armada"
	corev1 "armada/pkg/api/k8s/core/v1"
)

func TestAnIngressUsesAServiceThatHasItsPortsAndMakesOneOtherwise(t *testing.T) {
	t.Parallel()
	spec := &corev1.PodSpec{Containers: []*corev1.Container{{Name: proto.String("main"), Ports: []*corev1.ContainerPort{
		{ContainerPort: proto.Int32(80)}, {ContainerPort: proto.Int32(81)}, {ContainerPort: proto.Int32(82), Protocol: proto.String("UDP")},
	}}}}
	details := &armada.JobDetails{
		Namespace: "n",
		Services:  []armada.ServiceRequest{{Ports: []uint32{80, 81}}, {Headless: true, Ports: []uint32{82}, Name: "own"}, {Ports: []uint32{99}}},
		Ingresses: []armada.IngressRequest{{Ports: []uint32{81}, TLS: true, CertName: "mine"}, {Ports: []uint32{82, 80}, UseClusterIP: true}, {Ports: []uint32{99}}},
	}
	objects := objectsOf(&armada.Job{ID: "j"}, details, spec)
	var names []string
	for _, o := range objects {
		names = append(names, o.GetObjectMeta().GetName())
	}
	want := []string{"armada-j-0-service-0", "own", "armada-j-0-ingress-0", "armada-j-0-service-2", "armada-j-0-ingress-1"}
	if len(names) != len(want) {
		t.Fatalf("made %q, want %q", names, want)
	}
	for i := range want {
		if names[i] != want[i] {
			t.Errorf("object %d is %q, want %q", i, names[i], want[i])
		}
	}
	if s := objects[0].GetService(); s.GetType() != "NodePort" || len(s.GetPorts()) != 2 || s.GetPorts()[0].GetName() != "main-80" {
		t.Errorf("the first service is %v", s)
	}
	if s := objects[1].GetService(); s.GetClusterIP() != "None" || s.GetPorts()[0].GetProtocol() != "UDP" {
		t.Errorf("the headless service is %v", s)
	}
	first := objects[2].GetIngress()
	if to := first.GetRules()[0].GetIngressRuleValue().GetHttp().GetPaths()[0].GetBackend().GetService(); to.GetName() != names[0] || first.GetRules()[0].GetHost() != "main-81-armada-j-0.n." {
		t.Errorf("the first ingress is %v", first)
	}
	if first.GetTls()[0].GetSecretName() != "mine" {
		t.Errorf("its certificate is %v", first.GetTls())
	}
	if s := objects[3].GetService(); s.GetType() != "ClusterIP" || s.GetClusterIP() != "" || len(s.GetPorts()) != 2 {
		t.Errorf("the service of the second ingress is %v", s)
	}
}
