package kube_test

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/app"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
	"armada/pkg/client"
	"armada/test/kube/witness"
)

func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // as armada does
	}
	os.Exit(kubetest.Main(m))
}

// applied makes the priority classes once in the cluster that all tests share.
var applied = sync.OnceValue(func() error {
	return kubetest.CreatePriorityClasses(context.Background(), kubetest.Client())
})

// another starts a cluster that is the test's own.
func another(t testing.TB) *kubetest.Cluster {
	t.Helper()
	c := kubetest.Another(t)
	if err := kubetest.CreatePriorityClasses(t.Context(), c.Client); err != nil {
		t.Fatal(err)
	}
	return c
}

// patience is how long a test waits for what must happen; it bounds failures
// and is no measure of speed.
const patience = time.Minute

// house is a server with a client, and clusters whose executors come and go.
type house struct {
	testing.TB
	log    *slog.Logger
	server string
	client *client.Client
}

func newHouse(t testing.TB, change ...func(*app.Config)) *house {
	t.Helper()
	if err := applied(); err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	config := app.DefaultConfig()
	config.Server.GRPCAddr, config.Server.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	for _, to := range change {
		to(&config)
	}
	server, _ := h.begin(app.RoleServer|app.RoleExecutor, config, withoutJobs)
	h.server = server.GRPCAddr()
	c, err := client.New(client.Config{ArmadaURL: h.server, ForceNoTLS: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	h.client = c
	if err := c.CreateQueue(t.Context(), &api.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	return h
}

// withoutJobs gives a server that has its store in a file, which only comes with an
// executor, one whose node no job of these tests selects.
func withoutJobs(c *app.Config) { c.Executor.Simulate = "1x1" }

// begin begins a system; end stops it and leaves its pods alone.
func (h *house) begin(roles app.Roles, config app.Config, change func(*app.Config)) (s *app.System, end func()) {
	h.Helper()
	config.DataDir, config.Telemetry.MetricsAddr = h.TempDir(), ""
	change(&config)
	s, err := app.Open(h.Context(), config, roles, "test", h.log)
	if err != nil {
		h.Fatal(err)
	}
	failed := s.Start(h.Context())
	end = sync.OnceFunc(func() {
		hurry, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(context.Background(), hurry); err != nil {
			h.Errorf("stopping: %v", err)
		}
		if err := s.Close(); err != nil {
			h.Errorf("closing: %v", err)
		}
		select {
		case err := <-failed:
			h.Errorf("a part failed: %v", err)
		default:
		}
	})
	h.Cleanup(end)
	return s, end
}

// executor begins the executor of the nodes, and waits until the server knows
// them; end closes it.
func (h *house) executor(nodes *kubetest.Nodes, change ...func(*app.Config)) (end func()) {
	h.Helper()
	config := app.DefaultConfig()
	config.Executor.ID, config.Executor.Runtime, config.Executor.Servers = nodes.Name, "kubernetes", []string{h.server}
	config.Executor.Kubernetes.Kubeconfig, config.Executor.Kubernetes.NodeSelector = nodes.Cluster.Kubeconfig, nodes.Selector
	_, end = h.begin(app.RoleExecutor, config, func(c *app.Config) {
		for _, to := range change {
			to(c)
		}
	})
	h.knows(nodes)
	return end
}

// knows waits until the server knows the nodes of an executor.
func (h *house) knows(nodes *kubetest.Nodes) {
	h.Helper()
	witness.Knows(h, h.client, patience, nodes.Name, len(nodes.Names))
}

// await asks again until something holds.
func (h *house) await(what string, holds func() bool) {
	h.Helper()
	witness.Await(h, patience, what, holds)
}

// item is a job whose pod lives as the annotations say.
func item(namespace string, annotations map[string]string) *api.JobSubmitRequestItem {
	amounts := map[string]*resource.Quantity{}
	for name, text := range map[string]string{"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "1Mi"} {
		amounts[name] = &resource.Quantity{String_: proto.String(text)}
	}
	return &api.JobSubmitRequestItem{
		Namespace: namespace, Annotations: annotations,
		PodSpec: &corev1.PodSpec{
			NodeSelector:                  map[string]string{kubetest.Played: "yes"},
			TerminationGracePeriodSeconds: proto.Int64(30),
			Containers: []*corev1.Container{{
				Name: proto.String("main"), Image: proto.String("none"),
				Ports:     []*corev1.ContainerPort{{ContainerPort: proto.Int32(8080)}},
				Resources: &corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
			}},
		},
	}
}

func (h *house) submit(set string, items ...*api.JobSubmitRequestItem) []string {
	h.Helper()
	ids, err := h.client.Submit(h.Context(), "q", set, items)
	if err != nil {
		h.Fatal(err)
	}
	return ids
}

// until watches a job set from its beginning until a condition holds.
func (h *house) until(set, what string, holds func(witness.Story) bool) witness.Story {
	h.Helper()
	return witness.Until(h, h.client, client.Stream{Queue: "q", JobSet: set}, patience, what, holds)
}

// ended waits until jobs have ended.
func (h *house) ended(set string, jobs ...string) (witness.Story, map[string]armada.JobState) {
	h.Helper()
	return h.endedWithin(patience, set, jobs...)
}

// objects counts the pods that there are in the namespace of a cluster's nodes.
func (h *house) objects(nodes *kubetest.Nodes) int {
	h.Helper()
	list, err := nodes.Cluster.Client.CoreV1().Pods(nodes.Namespace).List(h.Context(), metav1.ListOptions{
		Limit: 1, LabelSelector: "armadaproject.io/executor=" + nodes.Name,
	})
	if err != nil {
		h.Fatal(err)
	}
	n := len(list.Items)
	if more := list.RemainingItemCount; more != nil {
		n += int(*more)
	}
	return n
}

// endedWithin is ended with a patience of its own.
func (h *house) endedWithin(patience time.Duration, set string, jobs ...string) (witness.Story, map[string]armada.JobState) {
	h.Helper()
	return witness.Ended(h, h.client, client.Stream{Queue: "q", JobSet: set}, patience, jobs...)
}
