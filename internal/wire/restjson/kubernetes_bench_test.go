package restjson_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	kubecorev1 "k8s.io/api/core/v1"

	"armada/internal/wire/restjson"
	"armada/internal/wire/submitview"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// The benchmarks here are what docs/adr/0001-kubernetes-types-on-the-wire.md
// rests on.

// typicalManifest is the pod spec of an ordinary batch job.
const typicalManifest = `{
	"terminationGracePeriodSeconds": 30, "restartPolicy": "Never", "priorityClassName": "batch-default",
	"nodeSelector": {"kubernetes.io/arch": "amd64"},
	"tolerations": [{"key": "batch", "operator": "Equal", "value": "true", "effect": "NoSchedule"}],
	"containers": [{
		"name": "main", "image": "registry.example.org/research/simulate:2026.11.3",
		"command": ["python", "-m", "simulate"], "args": ["--seed", "12345", "--steps", "1000000", "--out", "/data/out"],
		"env": [{"name": "OMP_NUM_THREADS", "value": "4"}, {"name": "LOG_LEVEL", "value": "info"}],
		"volumeMounts": [{"name": "data", "mountPath": "/data"}],
		"resources": {"limits": {"cpu": "4", "memory": "16Gi"}, "requests": {"cpu": "4", "memory": "16Gi"}}
	}],
	"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "research-data"}}]
}`

func typicalPodSpec(tb testing.TB) (spec *corev1.PodSpec, encoded []byte) {
	tb.Helper()
	spec = &corev1.PodSpec{}
	if err := restjson.DecodeMessage([]byte(typicalManifest), spec.ProtoReflect()); err != nil {
		tb.Fatal(err)
	}
	encoded, err := proto.Marshal(spec)
	if err != nil {
		tb.Fatal(err)
	}
	return spec, encoded
}

// TestGeneratedAndKubernetesTypesShareOneEncoding holds what the ways between
// them rely on: nothing is lost from one to the other.
func TestGeneratedAndKubernetesTypesShareOneEncoding(t *testing.T) {
	t.Parallel()
	spec, encoded := typicalPodSpec(t)
	var kube kubecorev1.PodSpec
	if err := kube.Unmarshal(encoded); err != nil {
		t.Fatal(err)
	}
	again, err := kube.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var back corev1.PodSpec
	if err := proto.Unmarshal(again, &back); err != nil {
		t.Fatal(err)
	}
	same(t, &back, spec)
}

func BenchmarkPodSpec(b *testing.B) {
	_, encoded := typicalPodSpec(b)
	b.Run("k8s.io-api", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		b.ReportAllocs()
		for b.Loop() {
			var spec kubecorev1.PodSpec
			if err := spec.Unmarshal(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protoc-gen-go", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		b.ReportAllocs()
		for b.Loop() {
			var spec corev1.PodSpec
			if err := proto.Unmarshal(encoded, &spec); err != nil {
				b.Fatal(err)
			}
		}
	})
	// What a server pays that gets the generated type and needs Kubernetes'.
	b.Run("both", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		b.ReportAllocs()
		for b.Loop() {
			var spec corev1.PodSpec
			if err := proto.Unmarshal(encoded, &spec); err != nil {
				b.Fatal(err)
			}
			between, err := proto.Marshal(&spec)
			if err != nil {
				b.Fatal(err)
			}
			var kube kubecorev1.PodSpec
			if err := kube.Unmarshal(between); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("manifest-to-protobuf", func(b *testing.B) {
		b.SetBytes(int64(len(typicalManifest)))
		b.ReportAllocs()
		for b.Loop() {
			var spec corev1.PodSpec
			if err := restjson.DecodeMessage([]byte(typicalManifest), spec.ProtoReflect()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSubmitRequest decodes one request of 200 such jobs; divide by 200
// for the cost of one.
func BenchmarkSubmitRequest(b *testing.B) {
	spec, _ := typicalPodSpec(b)
	request := &api.JobSubmitRequest{Queue: "research", JobSetId: "sweep-12"}
	for i := range 200 {
		request.JobRequestItems = append(request.JobRequestItems, &api.JobSubmitRequestItem{
			Priority: 1, Namespace: "research", ClientId: fmt.Sprint("client-", i), PodSpecs: []*corev1.PodSpec{spec},
			Labels: map[string]string{"team": "physics"}, Annotations: map[string]string{"run": fmt.Sprint(i)},
		})
	}
	encoded, err := proto.Marshal(request)
	if err != nil {
		b.Fatal(err)
	}
	for name, empty := range map[string]func() proto.Message{
		"public": func() proto.Message { return new(api.JobSubmitRequest) },
		"view":   func() proto.Message { return new(submitview.JobSubmitRequest) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(encoded)))
			b.ReportAllocs()
			for b.Loop() {
				if err := proto.Unmarshal(encoded, empty()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
