package leader

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

func TestAnIdleLeaderReactsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		start(t, m, "a")
		pass(10 * time.Second)
		submitted := time.Now()
		m.submit(aJob("j1"))
		synctest.Wait()
		wantState(t, m, armada.JobLeased, "j1")
		if passed := time.Since(submitted); passed != 0 {
			t.Errorf("%v passed before the lease, want none", passed)
		}
	})
}

func TestAnIdleLeaderDoesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		e := anExecutor("east")
		e.Lease = time.Hour
		m.acknowledge(e, aNode("n1", 1))
		m.submit(someJobs(2)...)
		r := start(t, m, "a")
		pass(time.Second)
		rounds, patches := len(r.pool("default").rounds), r.pool("default").patches
		pass(10 * time.Minute)
		if n := len(r.pool("default").rounds); n != rounds {
			t.Errorf("%d rounds ran although nothing changed", n-rounds)
		}
		if n := r.pool("default").patches; n != patches {
			t.Errorf("%d patches were made although nothing changed", n-patches)
		}
	})
}

func TestLostWakeUpsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.deaf = true
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		start(t, m, "a")
		m.submit(aJob("j1"))
		synctest.Wait()
		wantState(t, m, armada.JobQueued, "j1")
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j1")
	})
}

func TestRoundsKeepTheirDistance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1000))
		r := start(t, m, "a")
		for _, job := range someJobs(200) {
			m.submit(job)
			pass(time.Millisecond)
		}
		pass(time.Second)
		if n := m.inState(armada.JobLeased); n != 200 {
			t.Errorf("%d jobs are leased, want 200", n)
		}
		rounds := r.pool("default").rounds
		if len(rounds) < 30 || len(rounds) > 45 {
			t.Errorf("%d rounds ran in 200 ms, want about one per 5 ms", len(rounds))
		}
		for i := 1; i < len(rounds); i++ {
			if d := rounds[i].Sub(rounds[i-1]); d < 5*time.Millisecond {
				t.Errorf("two rounds are %v apart", d)
			}
		}
	})
}

func TestARoundThatAsksToBeWokenIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		e := anExecutor("east")
		e.Lease = time.Hour
		m.acknowledge(e, aNode("n1", 1))
		begun := time.Now()
		r := start(t, m, "a", func(l *Leader, r *replica) {
			plan := l.plans()
			l.plans = func() func(string) planner {
				return func(pool string) planner {
					p := plan(pool)
					p.(*firstFit).script = func(_ *firstFit, now time.Time) (scheduling.Outcome, bool) {
						if now.Sub(begun) >= time.Minute {
							return scheduling.Outcome{}, true
						}
						return scheduling.Outcome{Wake: now.Add(20 * time.Second)}, true
					}
					return p
				}
			}
		})
		pass(10 * time.Minute)
		if n := len(r.pool("default").rounds); n != 4 {
			t.Errorf("%d rounds ran, want one at the start and three that were asked for", n)
		}
	})
}

func TestAGangIsLeasedInOneUnit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2), aNode("n2", 1))
		var units []store.Unit
		m.before = func(_ store.Fence, u []store.Unit) error {
			units = append(units, u...)
			return nil
		}
		start(t, m, "a")
		m.submit(aGang("g", aJob("j1"), aJob("j2"), aJob("j3"))...)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j1", "j2", "j3")
		if len(units) != 1 || len(units[0]) != 3 {
			t.Errorf("units are %v, want one of three", units)
		}
	})
}

func TestALostUnitIsUndoneAndTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2))
		raced := false
		m.before = func(store.Fence, []store.Unit) error {
			if !raced {
				raced = true
				m.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: "j1", By: "ann"})
			}
			return nil
		}
		start(t, m, "a")
		m.submit(aGang("g", aJob("j1"), aJob("j2"))...)
		pass(time.Second)
		wantState(t, m, armada.JobCancelled, "j1")
		wantState(t, m, armada.JobQueued, "j2")

		// Both cores are free again, for another and for the gang's rest.
		late := aGang("g", aJob("j2"), aJob("j3"))[1]
		m.submit(late)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j2", "j3")
	})
}

func TestAJobThatKeepsLosingIsTriedLessAndLess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		m.submit(aJob("j1"))
		tries := 0
		s := refusing{memory: m, refused: func() bool { tries++; return tries <= 12 }}
		start(t, s, "a")
		pass(time.Second)
		if tries > 7 {
			t.Errorf("%d tries in the first second, want at most 7", tries)
		}
		for range 4 {
			m.acknowledge(anExecutor("east"))
			pass(30 * time.Second)
		}
		wantState(t, m, armada.JobLeased, "j1")
	})
}

// refusing refuses every unit as long as refused tells.
type refusing struct {
	*memory
	refused func() bool
}

func (r refusing) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	if !r.refused() {
		return r.memory.Transition(ctx, fence, units)
	}
	return slices.Repeat([]store.UnitResult{{Verdict: lifecycle.Refused, Why: "test"}}, len(units)), nil
}

func TestAStoreThatIsAwayForAMomentLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 10))
		failures := 5
		m.before = func(store.Fence, []store.Unit) error {
			if failures--; failures >= 0 {
				return &armada.Error{Code: armada.CodeUnavailable, Message: "away"}
			}
			return nil
		}
		start(t, m, "a")
		m.submit(someJobs(10)...)
		pass(time.Second)
		if n := m.inState(armada.JobLeased); n != 10 {
			t.Errorf("%d jobs are leased, want 10", n)
		}
		if m.epoch() != 1 {
			t.Errorf("the epoch is %d, want 1", m.epoch())
		}
	})
}

func TestAnOutcomeThatNobodyKnowsLoadsTheWorldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2))
		s := &forgetful{memory: m}
		start(t, s, "a")
		m.submit(aJob("j1"))
		pass(10 * time.Millisecond)
		wantState(t, m, armada.JobLeased, "j1") // it was committed, and nobody was told
		m.submit(aJob("j2"))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j2")
		if n := m.leases("j1"); n != 1 {
			t.Errorf("j1 was leased %d times", n)
		}
	})
}

// forgetful commits its first transition and answers an error.
type forgetful struct {
	*memory
	failed bool
}

func (f *forgetful) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	results, err := f.memory.Transition(ctx, fence, units)
	if !f.failed {
		f.failed = true
		return nil, errors.New("the connection broke")
	}
	return results, err
}

func TestAFeedThatWasTrimmedLoadsTheWorldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2))
		s := &trimmed{memory: m}
		start(t, s, "a")
		s.gone.Store(true)
		m.submit(aJob("j1"))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j1")
	})
}

// trimmed forgets its feed once.
type trimmed struct {
	*memory
	gone atomic.Bool
}

func (s *trimmed) Changes(ctx context.Context, after store.Position, limit int) (store.Changes, store.Position, error) {
	if s.gone.CompareAndSwap(true, false) {
		return store.Changes{}, nil, &armada.Error{Code: armada.CodeOutOfRange, Message: "trimmed"}
	}
	return s.memory.Changes(ctx, after, limit)
}

func TestWhatTheLeaderDoesIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2))
		m.submit(someJobs(3)...)
		registry := prometheus.NewRegistry()
		start(t, m, "a", realPools, func(l *Leader, _ *replica) {
			var err error
			if l.metrics, err = newMetrics(registry, &l.explanations, armada.DefaultResourceTable()); err != nil {
				t.Error(err)
			}
		})
		pass(time.Second)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, metric := range f.GetMetric() {
				got[f.GetName()] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
		for name, want := range map[string]float64{
			"armada_leader_leading": 1, "armada_leader_decisions_total": 2, "armada_leader_commit_seconds": 1,
			"armada_leader_queued_jobs": 1, "armada_leader_round_seconds": 1,
			"armada_leader_queue_share": 1, "armada_leader_queue_fair_share": 1,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
	})
}

func TestManyDecisionsGoInPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 5000))
		m.submit(someJobs(3500)...)
		start(t, m, "a")
		pass(time.Second)
		if n := m.inState(armada.JobLeased); n != 3500 {
			t.Errorf("%d jobs are leased, want 3500", n)
		}
		if want := []int{1000, 1000, 1000, 500}; !slices.Equal(m.committed(), want) {
			t.Errorf("transitions held %v changes, want %v", m.committed(), want)
		}
	})
}

func TestNewsIsAppliedWhileACommitIsOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2))
		slow := make(chan struct{})
		m.before = func(store.Fence, []store.Unit) error {
			<-slow
			return nil
		}
		r := start(t, m, "a")
		m.submit(aJob("j1"))
		synctest.Wait()
		m.submit(aJob("j2"))
		pass(100 * time.Millisecond)
		if n := len(r.pool("default").held); n != 2 {
			t.Errorf("%d jobs hold room in the world, want 2 decided while the first commit waits", n)
		}
		wantState(t, m, armada.JobQueued, "j1", "j2")
		close(slow)
		pass(100 * time.Millisecond)
		wantState(t, m, armada.JobLeased, "j1", "j2")
	})
}

func TestRoomIsFreeAgainWhenARunEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		m.submit(aJob("j1"), aJob("j2"))
		start(t, m, "a")
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j1")
		m.report(lifecycle.ReportRunning, "j1")
		m.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: "j1", By: "ann"})
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "j2") // the run lives until its end is known
		m.report(lifecycle.ReportStopped, "j1")
		synctest.Wait()
		wantState(t, m, armada.JobLeased, "j2")
	})
}

func TestAReturnedLeaseIsQueuedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		m.submit(aJob("j1"))
		start(t, m, "a")
		pass(time.Second)
		m.report(lifecycle.ReportReturned, "j1")
		pass(time.Second)
		job, run := m.job("j1")
		if job.State != armada.JobLeased || run.Attempt != 2 {
			t.Errorf("the job is %s at attempt %d, want leased at attempt 2", job.State, run.Attempt)
		}
	})
}

func TestAShapeThatTheFeedLeavesOutIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.shy = true
		m.shapes["odd"] = &armada.Requirements{Resources: armada.Resources{3000}}
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		r := start(t, m, "a")
		odd, unknown := aJob("j1"), aJob("j2")
		odd.Shape, unknown.Shape = "odd", "nobody knows"
		m.submit(odd, unknown, aJob("j3"))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j1", "j3")
		wantState(t, m, armada.JobQueued, "j2")
		if n := len(r.pool("default").held); n != 2 {
			t.Errorf("%d jobs hold room", n)
		}
	})
}

func TestAQueueIsScheduledOnlyWhileItIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		r := start(t, m, "a")
		early := aJob("j1")
		early.Queue = "biology"
		m.submit(early)
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "j1")
		m.putQueue(armada.Queue{Name: "biology", PriorityFactor: 2})
		synctest.Wait()
		wantState(t, m, armada.JobLeased, "j1")

		m.putQueue(armada.Queue{Name: "biology", PriorityFactor: 3})
		pass(time.Second)
		if f := r.pool("default").queues["biology"].PriorityFactor; f != 3 {
			t.Errorf("the priority factor is %v after the update, want 3", f)
		}
		m.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: "j1", By: "ann"})
		m.deleteQueue("biology")
		pass(time.Second)
		if _, known := r.pool("default").queues["biology"]; known {
			t.Error("a deleted queue is remembered")
		}
		if n := len(r.pool("default").held); n != 1 {
			t.Errorf("%d runs hold room, want the one that lives on", n)
		}
		m.report(lifecycle.ReportStopped, "j1")
		pass(time.Second)
		if n := len(r.pool("default").held); n != 0 {
			t.Errorf("%d runs hold room after the end", n)
		}
	})
}
