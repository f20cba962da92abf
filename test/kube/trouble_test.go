package kube_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"armada"
	"armada/internal/app"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	"armada/test/chaos/proxy"
	"armada/test/kube/witness"
)

// gate stands before an API server and says, while it is shut, that there are too
// many requests.
type gate struct {
	kubeconfig string
	shut       atomic.Bool
	refused    atomic.Int64
}

func newGate(t testing.TB, c *kubetest.Cluster) *gate {
	t.Helper()
	g := &gate{}
	g.kubeconfig = c.Front(t, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if g.shut.Load() {
				g.refused.Add(1)
				w.Header().Set("Retry-After", "1")
				http.Error(w, "too many requests, please try again later", http.StatusTooManyRequests)
				return
			}
			api.ServeHTTP(w, r)
		})
	})
	return g
}

// aWave submits jobs of which half fail, and waits until some of them run.
func (h *house) aWave(nodes *kubetest.Nodes, set string) []string {
	h.Helper()
	items := make([]*api.JobSubmitRequestItem, 60)
	for i := range items {
		items[i] = wholeCore(item(nodes.Namespace, map[string]string{kubetest.Lasts: "2s", kubetest.ExitCode: fmt.Sprint(i % 2)}))
	}
	jobs := h.submit(set, items...)
	h.until(set, "jobs to run", func(s witness.Story) bool {
		n := 0
		for _, job := range jobs {
			n += s.Count(job, armada.EventRunning)
		}
		return n > 10
	})
	return jobs
}

// onceEach waits until the jobs of a wave have ended, and looks that each was told
// once and had one pod.
func (h *house) onceEach(nodes *kubetest.Nodes, set string, jobs []string) {
	h.Helper()
	s, states := h.endedWithin(3*patience, set, jobs...)
	for i, job := range jobs {
		state, end := armada.JobSucceeded, armada.EventSucceeded
		if i%2 == 1 {
			state, end = armada.JobFailed, armada.EventFailed
		}
		if states[job] != state || s.Count(job, armada.EventRunning) != 1 || s.Count(job, end) != 1 {
			h.Errorf("job %s of %s ended as %v: %v", job, set, states[job], s.Kinds(job))
		}
		if n := nodes.Lives("armada-" + job + "-0"); n != 1 {
			h.Errorf("job %s of %s had %d pods", job, set, n)
		}
	}
}

// The API server is restarted, slow, and overloaded, while jobs run.
func TestAnExecutorRidesOutTheTroublesOfItsAPIServer(t *testing.T) {
	t.Parallel()
	cluster := another(t)
	h, nodes := newHouse(t), cluster.NewNodes(t, 4)
	g := newGate(t, cluster)
	slow := link(t, cluster.Address())
	keepNothing := func(c *app.Config) { c.Executor.Kubernetes.KeepFinished, c.Executor.Kubernetes.KeepFailed = 0, 0 }

	// Restarted: connections break, and watches have to begin again.
	end := h.executor(nodes, keepNothing, func(c *app.Config) { c.Executor.Kubernetes.Kubeconfig = cluster.KubeconfigAt(t, slow.Addr()) })
	jobs := h.aWave(nodes, "restarted")
	cluster.RestartAPI(t, func() {
		// What is submitted while it is away is made when it is back.
		jobs = append(jobs, h.submit("restarted", item(nodes.Namespace, nil), item(nodes.Namespace, map[string]string{kubetest.ExitCode: "1"}))...)
	})
	h.onceEach(nodes, "restarted", jobs)

	// Slow: every answer takes its time.
	slow.Set(proxy.Fault{Delay: 100 * time.Millisecond})
	h.onceEach(nodes, "slow", h.aWave(nodes, "slow"))
	slow.Set(proxy.Fault{})
	end()

	// Overloaded: everything is refused for a while, and is asked for again, but not
	// at once.
	h.executor(nodes, keepNothing, func(c *app.Config) { c.Executor.Kubernetes.Kubeconfig = g.kubeconfig })
	jobs = h.aWave(nodes, "overloaded")
	g.shut.Store(true)
	h.await("what runs to end while the API server refuses", func() bool {
		for _, job := range jobs {
			if spans := nodes.Spans("armada-" + job + "-0"); len(spans) > 0 && spans[0].Ended.IsZero() {
				return false
			}
		}
		return g.refused.Load() > 0
	})
	refused := g.refused.Load()
	g.shut.Store(false)
	t.Logf("%d requests were refused", refused)
	if most := int64(len(jobs) * 50); refused > most {
		t.Errorf("%d requests were refused, more than %d: it does not wait between them", refused, most)
	}
	h.onceEach(nodes, "overloaded", jobs)
	h.await("all pods to be forgotten", func() bool { return h.objects(nodes) == 0 })
}
