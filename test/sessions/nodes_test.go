package sessions

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/executor"
	"armada/internal/lifecycle"
	"armada/internal/runs"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// recorded keeps the pod specs that a runtime is told to start.
type recorded struct {
	runs.Runtime
	mu    sync.Mutex
	specs map[armada.JobID]*corev1.PodSpec
}

func (r *recorded) Start(ctx context.Context, o runs.Order) error {
	spec := &corev1.PodSpec{}
	if err := proto.Unmarshal(o.Spec, spec); err != nil {
		return err
	}
	r.mu.Lock()
	r.specs[o.Job] = spec
	r.mu.Unlock()
	return r.Runtime.Start(ctx, o)
}

func TestAPodToleratesItsNodeWhereItIsAwayAndNowhereElse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		seen := &recorded{specs: map[armada.JobID]*corev1.PodSpec{}}
		w.cluster("east", options{wrap: func(r runs.Runtime) runs.Runtime {
			seen.Runtime = r
			return seen
		}})
		away, home := w.submit(life{}), w.submit(life{})
		w.change(lifecycle.Change{Kind: lifecycle.Lease, Job: away, Lease: lifecycle.Terms{
			Executor: "east", Node: "east-1", Pool: armada.DefaultPool, Away: "gpu",
		}})
		w.lease(home, "east")
		w.becomes(away, armada.JobRunning)
		w.becomes(home, armada.JobRunning)
		seen.mu.Lock()
		defer seen.mu.Unlock()
		tolerated := seen.specs[away].GetTolerations()
		if len(tolerated) != 1 || tolerated[0].GetKey() != "gpu" || tolerated[0].GetOperator() != "Exists" || tolerated[0].GetEffect() != "NoSchedule" {
			t.Errorf("away it tolerates %v, want its node's taint", tolerated)
		}
		if tolerated := seen.specs[home].GetTolerations(); len(tolerated) != 0 {
			t.Errorf("at home it tolerates %v, want what its user said, which is nothing", tolerated)
		}
		if run := w.job(away).Runs[0]; run.Away != "gpu" {
			t.Errorf("the store knows it as away on %q", run.Away)
		}
	})
}

func TestTheNodesOfAnExecutorAreForTheJobsThatItWants(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{config: func(c *executor.Config) { c.MinimumJob = armada.Resources{2000} }})
		synctest.Wait()
		all, err := w.store.Executors(t.Context())
		ok(t, err)
		for _, n := range all[0].Nodes {
			if n.MinimumJob != (armada.Resources{2000}) {
				t.Errorf("%s is for jobs of %v, want 2 cores at least", n.Name, n.MinimumJob)
			}
		}
		if len(all[0].Nodes) != 3 {
			t.Errorf("there are %d nodes, want 3", len(all[0].Nodes))
		}
	})
}
