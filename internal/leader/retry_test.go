package leader

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
)

// twoGi is a shape of one core and two gibibytes.
const twoGi armada.ShapeID = "two gi"

// memoryNode is a node of eight cores with gibibytes of memory.
func memoryNode(name string, gi int64) armada.Node {
	return armada.Node{Name: name, Allocatable: armada.Resources{8000, gi << 30}}
}

func aMemoryStore() *memory {
	m := aStore()
	m.shapes[twoGi] = &armada.Requirements{Resources: armada.Resources{1000, 2 << 30}}
	return m
}

func aMemoryJob(id armada.JobID) armada.Job {
	job := aJob(id)
	job.Shape = twoGi
	return job
}

// handBack ends a job's run as a lease given back, for a reason of the job's.
func (m *memory) handBack(id armada.JobID) {
	_, run := m.job(id)
	m.must(lifecycle.Change{
		Kind: lifecycle.ReportReturned, Job: id, Run: run.ID, Executor: run.Executor, MaxAttempts: 4, End: armada.RunEnd{Reason: "no such image"},
	})
}

// runsOut ends a job's run for want of memory; the policy doubles it.
func (m *memory) runsOut(id armada.JobID) {
	_, run := m.job(id)
	m.must(lifecycle.Change{
		Kind: lifecycle.ReportFailed, Job: id, Run: run.ID, Executor: run.Executor, End: armada.RunEnd{Cause: armada.CauseOutOfMemory, Reason: "out of memory"},
		Retrying: lifecycle.Retrying{Most: 5, Policies: []armada.RetryPolicy{{Name: "more", Limit: 5, Default: armada.RetryFail, Rules: []armada.RetryRule{{
			Action: armada.RetryAgain, Conditions: []armada.RetryCondition{armada.RetryOnOutOfMemory}, Memory: armada.MemoryGrowth{Factor: 2},
		}}}}},
	})
}

// nodeOf is where a job's latest run is.
func (m *memory) nodeOf(id armada.JobID) string {
	_, run := m.job(id)
	return run.Node
}

func TestAGivenBackJobGoesToNodesThatItWasNotTriedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aMemoryStore()
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8), memoryNode("n2", 8), memoryNode("n3", 8))
		start(t, m, "a", realPools)
		m.submit(aMemoryJob("j"))
		pass(time.Second)
		tried := []string{m.nodeOf("j")}
		for range 2 {
			m.handBack("j")
			pass(time.Second)
			wantState(t, m, armada.JobLeased, "j")
			tried = append(tried, m.nodeOf("j"))
		}
		if slices.Sort(tried); !slices.Equal(tried, []string{"n1", "n2", "n3"}) {
			t.Errorf("it was tried on %v", tried)
		}
	})
}

func TestAGivenBackJobWaitsForANodeThatIsFullAndIsToldWhy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aMemoryStore()
		m.acknowledge(anExecutor("east"), memoryNode("n1", 2))
		r := start(t, m, "a", realPools)
		m.submit(aMemoryJob("other"))
		pass(time.Second)
		m.acknowledge(anExecutor("east"), memoryNode("n1", 2), memoryNode("n2", 2))
		m.submit(aMemoryJob("j"))
		pass(time.Second)
		m.handBack("j")
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "j")
		job, _ := m.job("j")
		if reasons := r.Explanations().Reasons(job); len(reasons) != 1 || reasons[0].Code != armada.ReasonInsufficient {
			t.Errorf("it waits because %v", reasons)
		}
		m.report(lifecycle.ReportSucceeded, "other")
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j")
		if node := m.nodeOf("j"); node != "n1" {
			t.Errorf("it goes to %s", node)
		}
	})
}

func TestAJobThatWasTriedOnEveryNodeFailsWithWhatHappened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aMemoryStore()
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8), memoryNode("small", 1))
		m.acknowledge(anExecutor("west"), memoryNode("n2", 8))
		start(t, m, "a", realPools)
		m.submit(aMemoryJob("j"))
		pass(time.Second)
		m.handBack("j")
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j")
		m.handBack("j")
		pass(time.Second)
		wantState(t, m, armada.JobFailed, "j")
		job, _ := m.job("j")
		for _, want := range []string{"no node is left for another attempt", "n1", "n2", "no such image"} {
			if !strings.Contains(job.Reason, want) {
				t.Errorf("the reason is %q, want one with %q", job.Reason, want)
			}
		}
		if last := m.history["j"][len(m.history["j"])-1]; last.Kind != armada.EventFailed || last.End.Subcategory != armada.SubcategoryNoNodeLeft {
			t.Errorf("the last event is %+v", last)
		}
	})
}

func TestANewLeaderGivesUpNoJobBeforeEveryExecutorHasReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aMemoryStore()
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8))
		first := start(t, m, "a", realPools)
		m.submit(aMemoryJob("j"))
		pass(time.Second)
		first.stop()
		m.handBack("j")
		pass(time.Second)
		start(t, m, "b", realPools)
		pass(5 * time.Second)
		wantState(t, m, armada.JobQueued, "j")
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8), memoryNode("n2", 8))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j")
		if node := m.nodeOf("j"); node != "n2" {
			t.Errorf("it goes to %s", node)
		}
	})
}

func TestAJobWhoseNodesHaveAllGoneWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aMemoryStore()
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8))
		start(t, m, "a", realPools)
		m.submit(aMemoryJob("j"))
		pass(time.Second)
		m.acknowledge(anExecutor("east"), memoryNode("small", 1))
		m.handBack("j")
		beats(m, 25*time.Hour, anExecutor("east")) // longer than nodes are remembered
		wantState(t, m, armada.JobQueued, "j")
		m.acknowledge(anExecutor("east"), memoryNode("small", 1), memoryNode("n2", 8))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j")
	})
}

func TestAJobThatRanOutOfMemoryGetsANodeWithMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aMemoryStore()
		m.acknowledge(anExecutor("east"), memoryNode("n1", 3), memoryNode("n2", 7))
		start(t, m, "a", realPools)
		m.submit(aMemoryJob("j"))
		pass(time.Second)
		m.runsOut("j")
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j")
		if node := m.nodeOf("j"); node != "n2" {
			t.Errorf("the second attempt, of 4Gi, is on %s", node)
		}
		m.submit(aMemoryJob("a"), aMemoryJob("b"), aMemoryJob("c"))
		pass(time.Second)
		if left := m.inState(armada.JobQueued); left != 1 { // n1 and the rest of n2 have room for one each
			t.Errorf("%d jobs wait for room, want 1", left)
		}
		m.runsOut("j")
		pass(time.Second)
		wantState(t, m, armada.JobFailed, "j")
		job, _ := m.job("j")
		if want := "another attempt gets more memory, and no known node fits: cluster east, pool default: it asks for 8Gi memory, the largest node has 7Gi"; !strings.Contains(job.Reason, want) {
			t.Errorf("the reason is %q, want one with %q", job.Reason, want)
		}
	})
}

func TestShapesThatAttemptsHaveTaughtAreForgottenWithTheirJobs(t *testing.T) {
	t.Parallel()
	s := newStage()
	j := queuedJob("j1", 1)
	s.apply(jobs(j), epoch0)
	before := len(s.shapes)
	back := lifecycle.Change{Kind: lifecycle.ReportReturned, MaxAttempts: 4}
	taught := after(t, j, leaseOn("n1", "default"), back)
	s.apply(jobs(taught), epoch0)
	if len(s.shapes) != before+1 {
		t.Errorf("%d shapes are known, want %d", len(s.shapes), before+1)
	}
	again := after(t, taught, leaseOn("n2", "default"), back)
	s.apply(jobs(again), epoch0)
	if len(s.shapes) != before+1 {
		t.Errorf("%d shapes are known after another lesson, want %d", len(s.shapes), before+1)
	}
	s.apply(jobs(after(t, again, lifecycle.Change{Kind: lifecycle.Cancel})), epoch0)
	if len(s.shapes) != len(testShapes)-1 {
		t.Errorf("%d shapes are known at the end", len(s.shapes))
	}
}

func TestAJobThatWaitsForItsLastOtherNodeFailsADayAfterThatHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aMemoryStore()
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8))
		start(t, m, "a", realPools)
		m.submit(aMemoryJob("j"))
		pass(time.Second)
		full := memoryNode("n2", 9) // another kind of node
		full.Unschedulable = true
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8), full)
		m.handBack("j")
		pass(time.Second)
		m.acknowledge(anExecutor("east"), memoryNode("n1", 8))
		beats(m, 24*time.Hour-time.Minute, anExecutor("east"))
		wantState(t, m, armada.JobQueued, "j")
		beats(m, 2*time.Minute, anExecutor("east"))
		wantState(t, m, armada.JobFailed, "j")
	})
}
