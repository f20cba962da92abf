package kubernetes_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

// recorder stands before the API server and writes down what it is asked for, each
// as a right: "get pods/log", or "create ingresses.networking.k8s.io".
type recorder struct {
	kubeconfig string
	old        atomic.Bool // it is as API servers were that cannot begin a watch with a list

	mu    sync.Mutex
	asked map[string]bool
}

func newRecorder(t *testing.T, c *kubetest.Cluster) *recorder {
	t.Helper()
	r := &recorder{asked: map[string]bool{}}
	r.kubeconfig = c.Front(t, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			r.mu.Lock()
			r.asked[rightFor(q)] = true
			r.mu.Unlock()
			if r.old.Load() && q.URL.Query().Get("sendInitialEvents") != "" {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`))
				return
			}
			api.ServeHTTP(w, q)
		})
	})
	return r
}

// rightFor is the right that a request needs, by Kubernetes' own rules.
func rightFor(q *http.Request) string {
	parts := strings.Split(strings.Trim(q.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = "."+parts[1], parts[3:]
	default:
		return "get " + q.URL.Path
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	resource, named := parts[0]+group, len(parts) > 1
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	switch {
	case q.Method == http.MethodGet && q.URL.Query().Get("watch") != "":
		return "watch " + resource
	case q.Method == http.MethodGet && !named:
		return "list " + resource
	}
	return map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "patch", http.MethodPut: "update", http.MethodDelete: "delete",
	}[q.Method] + " " + resource
}

func TestEveryRightOfTheExampleIsUsedAndNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	record := newRecorder(t, w.nodes.Cluster)
	w.config.Kubeconfig = record.kubeconfig
	record.old.Store(true)
	r := w.open(t)

	// An executor that comes back finds what is beside a pod.
	long := w.begin(t, r, runstest.Job{Forever: true}, nil, nodePort(t, 8080), ingress(t, 8080))
	runstest.AwaitPhase(t, r, long.Run, runs.Running)
	closed(t, r)
	record.old.Store(false)
	r = w.open(t)
	defer closed(t, r)
	runstest.AwaitPhase(t, r, long.Run, runs.Running)
	if err := r.Stop(t.Context(), long.Run, 0); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, long.Run, runs.Stopped)

	// A next attempt takes the place of a pod that failed.
	first := w.begin(t, r, runstest.Job{ExitCode: 1}, nil)
	ended(t, r, first.Run)
	if err := r.Forget(t.Context(), first.Run); err != nil {
		t.Fatal(err)
	}
	second := first
	second.Run = armada.NewRunID(first.Job, 2)
	if err := r.Start(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Usage(t.Context()); err == nil {
		t.Error("a cluster without metrics told what pods use")
	}
	await(t, "what was beside the stopped pod to go", func(ctx context.Context) bool {
		services, err := w.nodes.Cluster.Client.CoreV1().Services(w.nodes.Namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(services.Items) == 0
	})

	granted := map[string]bool{}
	for _, rule := range kubernetes.GrantedRole(t).Rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				name := verb + " " + resource
				if group := rule.APIGroups[0]; group != "" {
					name += "." + group
				}
				granted[name] = true
			}
		}
	}
	record.mu.Lock()
	defer record.mu.Unlock()
	if !maps.Equal(granted, record.asked) {
		t.Errorf("it was granted %q\nand asked for %q", slices.Sorted(maps.Keys(granted)), slices.Sorted(maps.Keys(record.asked)))
	}
}
