package kube_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	"armada/test/kube/witness"
)

// wholeCore makes a job ask for one core, so that a node of a test has room for 31.
func wholeCore(job *api.JobSubmitRequestItem) *api.JobSubmitRequestItem { return cores(job, "1") }

// cores makes a job ask for so many cores.
func cores(job *api.JobSubmitRequestItem, count string) *api.JobSubmitRequestItem {
	amount := &resource.Quantity{String_: proto.String(count)}
	of := job.GetPodSpec().GetContainers()[0].GetResources()
	of.Requests["cpu"], of.Limits["cpu"] = amount, amount
	return job
}

// The process of an executor is killed at random moments and started again, while
// more jobs come and go than its nodes have room for.
func TestAnExecutorThatIsKilledAgainAndAgainTellsEverythingOnce(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t), kubetest.NewNodes(t, 3)
	p := h.process(nodes, nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	const count, kills = 150, 8
	items := make([]*api.JobSubmitRequestItem, count)
	for i := range items {
		items[i] = wholeCore(item(nodes.Namespace, map[string]string{kubetest.Lasts: "1s", kubetest.ExitCode: strconv.Itoa(i % 2 * 3)}))
	}
	jobs := h.submit("set", items...)
	const each = 6 // submitted, queued, leased, pending, running, ended
	for kill := range kills {
		moment := count*2 + count*(each-2)*kill/kills + dice.IntN(count*(each-2)/kills)
		h.until("set", "a moment to kill the executor in", func(s witness.Story) bool { return s.Events() >= moment })
		p.kill()
		p.start()
	}
	s, states := h.ended("set", jobs...)
	for i, job := range jobs {
		end, state := armada.EventSucceeded, armada.JobSucceeded
		if i%2 == 1 {
			end, state = armada.EventFailed, armada.JobFailed
		}
		if states[job] != state {
			t.Errorf("job %s ended as %v: %v", job, states[job], s.Kinds(job))
		}
		for _, kind := range []armada.EventKind{armada.EventLeased, armada.EventPending, armada.EventRunning, end} {
			if n := s.Count(job, kind); n != 1 {
				t.Errorf("job %s is told to be %v %d times: %v", job, kind, n, s.Kinds(job))
			}
		}
		if n := nodes.Lives("armada-" + job + "-0"); n != 1 {
			t.Errorf("job %s had %d pods", job, n)
		}
		if i%2 == 1 && s.Last(t, job, end).GetFailed().GetContainerStatuses()[0].GetExitCode() != 3 {
			t.Errorf("job %s is told to have failed as %v", job, s.Last(t, job, end))
		}
	}
}
