package kube_test

import (
	"slices"
	"testing"
	"time"

	"armada"
	"armada/internal/app"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	"armada/test/chaos/proxy"
	"armada/test/kube/witness"
)

// cuts are ways in which a link carries nothing, in one direction or in both.
var cuts = map[string]proxy.Fault{
	"nothing goes up":     {NothingUp: true},
	"nothing comes down":  {NothingDown: true},
	"everything is reset": {Refuse: true},
}

// link puts a proxy before an address.
func link(t testing.TB, address string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// breakLink does a fault to a link, and to the connections that it has.
func breakLink(l *proxy.Proxy, f proxy.Fault) {
	l.Set(f)
	if f.Refuse {
		l.Cut()
	}
}

// running waits until jobs have been told to run.
func (h *house) running(set string, jobs []string) {
	h.Helper()
	h.until(set, "all jobs to run", func(s witness.Story) bool {
		for _, job := range jobs {
			if s.Count(job, armada.EventRunning) == 0 {
				return false
			}
		}
		return true
	})
}

// The link between an executor and the server loses one direction for good. The
// executor stops its pods before the server gives their runs up, so the next
// attempts, in another cluster, never run beside the first.
func TestAnExecutorThatIsCutOffFromTheServerStopsItsPodsBeforeTheyRunElsewhere(t *testing.T) {
	t.Parallel()
	other := another(t)
	for name, fault := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			short := func(c *app.Config) { c.Executors.Lease, c.Executors.LostTimeout = 10*time.Second, time.Second }
			h, east := newHouse(t, short), kubetest.NewNodes(t, 1)
			west := east.SistersIn(t, other, 1)
			h.repeatLost()
			cut := link(t, h.server)
			h.executor(east, short, func(c *app.Config) {
				c.Executor.Servers = []string{cut.Addr()}
				c.Executor.Kubernetes.KeepFinished, c.Executor.Kubernetes.KeepFailed = 0, 0
			})
			const count = 5
			items := make([]*api.JobSubmitRequestItem, count)
			for i := range items {
				// By themselves they end after the lease only.
				items[i] = item(east.Namespace, map[string]string{kubetest.Lasts: "14s"})
			}
			jobs := h.submit("set", items...)
			h.running("set", jobs)
			breakLink(cut, fault)
			h.executor(west, short)
			s, states := h.endedWithin(2*patience, "set", jobs...)
			for _, job := range jobs {
				if states[job] != armada.JobSucceeded || s.Count(job, armada.EventLeased) != 2 || s.Count(job, armada.EventSucceeded) != 1 {
					t.Errorf("job %s ended as %v: %v", job, states[job], s.Kinds(job))
				}
				pod := "armada-" + job + "-0"
				first, second := east.Spans(pod), west.Spans(pod)
				if len(first) != 1 || len(second) != 1 || first[0].Ended.IsZero() || first[0].Ended.After(second[0].Began) {
					t.Errorf("job %s ran here at %v and there at %v; want one after the other", job, first, second)
				}
			}
			breakLink(cut, proxy.Fault{})
			h.await("the pods of the first attempts to be forgotten, for the server knows of their ends", func() bool {
				return h.objects(east) == 0
			})
		})
	}
}

// repeatLost has the queue's jobs run again when their executor was lost.
func (h *house) repeatLost() {
	h.Helper()
	if err := h.client.CreateRetryPolicy(h.Context(), &api.RetryPolicy{
		Name: "lost", RetryLimit: 5, DefaultAction: api.RetryAction_RETRY_ACTION_FAIL,
		Rules: []*api.RetryRule{{
			Action: api.RetryAction_RETRY_ACTION_RETRY, OnCategory: armada.CategoryInternal, OnSubcategory: armada.SubcategoryLeaseExpired,
		}},
	}); err != nil {
		h.Fatal(err)
	}
	if err := h.client.UpdateQueue(h.Context(), &api.Queue{Name: "q", PriorityFactor: 1, RetryPolicies: []string{"lost"}}); err != nil {
		h.Fatal(err)
	}
}

// The link between an executor and its cluster loses one direction for a while.
// What happened meanwhile is told afterwards, once.
func TestAnExecutorThatIsCutOffFromItsClusterTellsLaterWhatHappened(t *testing.T) {
	t.Parallel()
	for name, fault := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, nodes := newHouse(t), kubetest.NewNodes(t, 1)
			cut := link(t, nodes.Cluster.Address())
			h.executor(nodes, func(c *app.Config) { c.Executor.Kubernetes.Kubeconfig = nodes.Cluster.KubeconfigAt(t, cut.Addr()) })
			short, forever := map[string]string{kubetest.Lasts: "3s"}, map[string]string{kubetest.Forever: "yes"}
			jobs := h.submit("set", item(nodes.Namespace, short), item(nodes.Namespace, short), item(nodes.Namespace, forever), item(nodes.Namespace, forever))
			ending, cancelled := jobs[:2], jobs[2:]
			h.running("set", jobs)
			breakLink(cut, fault)
			if _, err := h.client.Cancel(t.Context(), "q", "set", cancelled, "no more"); err != nil {
				t.Fatal(err)
			}
			late := h.submit("set", item(nodes.Namespace, nil))
			h.await("the pods to end", func() bool {
				for _, job := range ending {
					if spans := nodes.Spans("armada-" + job + "-0"); len(spans) == 0 || spans[0].Ended.IsZero() {
						return false
					}
				}
				return true
			})
			breakLink(cut, proxy.Fault{})
			jobs = append(jobs, late...)
			s, states := h.endedWithin(2*patience, "set", jobs...)
			for _, job := range slices.Concat(ending, late) {
				if states[job] != armada.JobSucceeded || s.Count(job, armada.EventRunning) != 1 || s.Count(job, armada.EventSucceeded) != 1 {
					t.Errorf("job %s ended as %v: %v", job, states[job], s.Kinds(job))
				}
			}
			for _, job := range cancelled {
				if states[job] != armada.JobCancelled || s.Count(job, armada.EventCancelled) != 1 {
					t.Errorf("job %s ended as %v: %v", job, states[job], s.Kinds(job))
				}
				h.await("a cancelled pod to end", func() bool { return !nodes.Spans("armada-" + job + "-0")[0].Ended.IsZero() })
			}
			for _, job := range jobs {
				if n := nodes.Lives("armada-" + job + "-0"); n != 1 {
					t.Errorf("job %s had %d pods", job, n)
				}
			}
		})
	}
}
