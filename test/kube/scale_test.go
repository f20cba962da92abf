package kube_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"armada"
	"armada/internal/app"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	"armada/pkg/client"
)

// podsToRun is how many pods a test runs: as many as ARMADA_KUBE_PODS says, or the
// usual number.
func podsToRun(t testing.TB, usually int) int {
	t.Helper()
	text := os.Getenv("ARMADA_KUBE_PODS")
	if text == "" {
		return usually
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ARMADA_KUBE_PODS must be a number of pods, such as 20000, is %q", text)
	}
	return n
}

// A thousand nodes in two clusters, each with an API server and an executor of its
// own. Nothing else runs beside it.
func TestThousandsOfPodsRunOnAThousandNodesOfTwoClusters(t *testing.T) {
	const nodesEach = 500
	count := podsToRun(t, 5_000)
	h := newHouse(t)
	east := kubetest.NewNodes(t, nodesEach)
	clusters := []*kubetest.Nodes{east, east.SistersIn(t, another(t), nodesEach)}
	for _, nodes := range clusters {
		h.executor(nodes, func(c *app.Config) {
			k := &c.Executor.Kubernetes
			k.KeepFinished, k.KeepFailed, k.KeepLogBytes = 0, 0, 0
		})
	}
	cpu := func() time.Duration { return ownCPU() + clusters[0].Cluster.CPU(t) + clusters[1].Cluster.CPU(t) }
	used, began := cpu(), time.Now()
	var jobs []string
	const batch = 1_000
	for len(jobs) < count {
		items := make([]*api.JobSubmitRequestItem, min(batch, count-len(jobs)))
		for i := range items {
			// A node has room for 6 of them, and all nodes for 6,000.
			items[i] = cores(item(east.Namespace, map[string]string{kubetest.Lasts: "1s"}), "5")
		}
		jobs = append(jobs, h.submit("set", items...)...)
	}
	told := map[string]map[armada.EventKind]int{}
	ctx, cancel := context.WithTimeout(t.Context(), max(10, time.Duration(count/500))*patience)
	defer cancel()
	states, err := h.client.Await(ctx, client.Stream{Queue: "q", JobSet: "set"}, jobs, func(m *api.EventStreamMessage) error {
		head := client.Head(m.GetMessage())
		if told[head.Job] == nil {
			told[head.Job] = map[armada.EventKind]int{}
		}
		told[head.Job][head.Kind]++
		return nil
	})
	if err != nil {
		t.Fatalf("%d of %d jobs have ended: %v", len(states), count, err)
	}
	for _, nodes := range clusters {
		h.await("the pods to go", func() bool { return h.objects(nodes) == 0 })
	}
	t.Logf("%d pods in %s, with %s of processor time", count, time.Since(began).Round(time.Second), (cpu() - used).Round(time.Second))
	in := make([]int, len(clusters))
	for _, job := range jobs {
		for _, kind := range []armada.EventKind{armada.EventLeased, armada.EventPending, armada.EventRunning, armada.EventSucceeded} {
			if n := told[job][kind]; n != 1 {
				t.Errorf("job %s is told to be %v %d times: %v", job, kind, n, told[job])
			}
		}
		lives := 0
		for i, nodes := range clusters {
			n := nodes.Lives("armada-" + job + "-0")
			in[i], lives = in[i]+n, lives+n
		}
		if states[job] != armada.JobSucceeded || lives != 1 {
			t.Errorf("job %s ended as %v and had %d pods", job, states[job], lives)
		}
	}
	if in[0] == 0 || in[1] == 0 {
		t.Errorf("the clusters ran %v pods; want some in each", in)
	}
}
