package leader

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/scheduling"
)

// withRealPools gives a replica the real scheduler.
func withRealPools(l *Leader, _ *replica) {
	l.plans = func() func(string) planner {
		return func(name string) planner { return fairPool{scheduling.NewPool(name, testScheduling())} }
	}
}

func TestAQueuedJobStandsBehindHigherClassesLowerPrioritiesAndOlderJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.shapes["urgent"] = &armada.Requirements{PriorityClass: "urgent", Resources: armada.Resources{2000}}
		m.putQueue(armada.Queue{Name: "chemistry", PriorityFactor: 1})
		r := start(t, m, "a", func(l *Leader, _ *replica) {
			l.config.Scheduling.Classes = append(l.config.Scheduling.Classes, armada.PriorityClass{Name: "urgent", Priority: 10})
		})
		urgent, later, foreign := aJob("urgent"), aJob("later"), aJob("foreign")
		urgent.Shape, later.Priority, foreign.Queue = "urgent", 5, "chemistry"
		m.submit(later, aJob("first"), aJob("second"), foreign, urgent)
		pass(time.Second)
		for id, want := range map[armada.JobID]int{"urgent": 1, "first": 2, "second": 3, "later": 4} {
			job, _ := m.job(id)
			if s, known := r.Explanations().Standing(t.Context(), job); !known || s.Place != want || s.Queued != 4 {
				t.Errorf("%s stands at %+v, %v, want place %d of 4", id, s, known, want)
			}
		}
		job, _ := m.job("first")
		job.ID = "unknown"
		if s, known := r.Explanations().Standing(t.Context(), job); known {
			t.Errorf("an unknown job stands at %+v", s)
		}
	})
}

func TestAStandingTellsOfEveryPoolAndOfNoneWhileNobodyLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		r := start(t, m, "a", withRealPools)
		m.submit(aJob("runs"), aJob("waits"))
		pass(time.Second)
		job, _ := m.job("waits")
		s, known := r.Explanations().Standing(t.Context(), job)
		if !known || len(s.Pools) != 1 {
			t.Fatalf("it stands at %+v, %v", s, known)
		}
		if p := s.Pools[0]; p.Pool != "default" || p.Queues != 1 || p.Share != 1e6 || p.FairShare != 1e6 {
			t.Errorf("of the pool it is told %+v", p)
		}
		r.stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, known := r.Explanations().Standing(ctx, job); known {
			t.Error("somebody knows who does not lead")
		}
	})
}
