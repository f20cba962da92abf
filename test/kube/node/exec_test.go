//go:build linux

package node_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/runstest"
	"armada/test/kube/node"
)

// What a kubelet, containerd and runc make of commands is what their suite says.
func TestCommandsRunInContainersOfARealNode(t *testing.T) {
	t.Parallel()
	runstest.RunCommands(t, func(t *testing.T) runstest.World {
		n := node.Shared(t)
		config := kubernetes.DefaultConfig()
		config.Kubeconfig, config.ReservedPerNode = n.Kubeconfig, nil
		_, name, _ := strings.Cut(t.Name(), "/")
		name = "exec-" + strings.ToLower(name[:min(len(name), 40)])
		newNamespace(t, n, name)
		place := kubernetes.Place{
			Executor: armada.ExecutorID(name), Pool: "default", Table: armada.DefaultResourceTable(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		}
		return runstest.World{
			Open: func(t testing.TB) runs.Runtime {
				r, err := kubernetes.Open(t.Context(), config, place)
				if err != nil {
					t.Fatal(err)
				}
				return r
			},
			Spec: func(o *runs.Order, job runstest.Job) {
				o.Namespace, o.Spec = name, actorSpec(t, n, job)
			},
			Command: func(d runstest.Deed) []string { return append([]string{n.Actor}, runstest.Steps(d)...) },
		}
	})
}

// newNamespace makes a namespace that takes pods.
func newNamespace(t *testing.T, n *node.Node, name string) {
	t.Helper()
	if _, err := n.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience); ; <-tick.C {
		_, err := n.Client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		if err == nil {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("waited for the service account of namespace %s: %v", name, err)
		}
	}
}

// actorSpec is the spec of a pod whose actor does a job.
func actorSpec(t *testing.T, n *node.Node, job runstest.Job) []byte {
	t.Helper()
	var steps []string
	for _, line := range job.Print {
		steps = append(steps, "print="+line)
	}
	if job.Forever {
		steps = append(steps, "wait")
	}
	steps = append(steps, fmt.Sprint("exit=", job.ExitCode))
	no := false
	text, err := json.Marshal(corev1.PodSpec{
		AutomountServiceAccountToken: &no,
		Containers: []corev1.Container{{
			Name: "main", Image: node.Image, Command: []string{n.Actor}, Args: steps,
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
				Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := podspec.DecodeJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Canonical()
}
