package podspec_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"armada"
	"armada/internal/podspec"
)

var table = armada.DefaultResourceTable()

// wire returns the protobuf bytes of a pod spec written as YAML.
func wire(t testing.TB, text string) []byte {
	t.Helper()
	var pod corev1.PodSpec
	if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
		t.Fatalf("the test's own pod spec: %v", err)
	}
	raw, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// spec decodes a pod spec written as YAML.
func spec(t testing.TB, text string) *podspec.Spec {
	t.Helper()
	s, err := podspec.Decode(wire(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rules are the default rules after a change.
func rules(t testing.TB, change func(*podspec.Config)) *podspec.Rules {
	t.Helper()
	config := podspec.DefaultConfig()
	if change != nil {
		change(&config)
	}
	r, err := config.Rules(table)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ordinary is a pod spec as users write them.
const ordinary = `
containers:
- name: main
  image: busybox
  command: [sh, -c]
  args: ["echo $(GREETING)"]
  env: [{name: GREETING, value: hello}]
  resources:
    requests: {cpu: "1", memory: 1Gi}
    limits: {cpu: "1", memory: 1Gi}
`

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

// decoded takes a pod spec over the wire.
func decoded(t interface{ Fatal(args ...any) }, pod *corev1.PodSpec) *podspec.Spec {
	raw, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s, err := podspec.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
