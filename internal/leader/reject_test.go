package leader

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// hopeless returns a job of two cores.
func hopeless(id armada.JobID) armada.Job {
	job := aJob(id)
	job.Shape = twoCores
	return job
}

// beats keeps executors heard of for a time.
func beats(m *memory, d time.Duration, executors ...armada.Executor) {
	for range d / (10 * time.Second) {
		for _, e := range executors {
			m.acknowledge(e)
		}
		pass(10 * time.Second)
	}
}

func TestAJobThatFitsOnNoKnownNodeIsRejectedWithTheReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		start(t, m, "a")
		m.submit(hopeless("h"), aJob("j"))
		pass(time.Second)
		wantState(t, m, armada.JobRejected, "h")
		wantState(t, m, armada.JobLeased, "j")
		job, _ := m.job("h")
		if want := "cluster east, pool default: it asks for 2 cpu, the largest node has 1"; !strings.Contains(job.Reason, want) {
			t.Errorf("the reason is %q, want one with %q", job.Reason, want)
		}
	})
}

func TestNothingIsRejectedWithoutAnExecutorOrBeforeNodesAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		start(t, m, "a")
		m.submit(hopeless("h"))
		pass(48 * time.Hour)
		m.acknowledge(anExecutor("east")) // a session, and no nodes yet
		pass(time.Second)
		m.acknowledge(anExecutor("east"), []armada.Node{}...) // none, and nobody knows what there will be
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "h")
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		pass(time.Second)
		wantState(t, m, armada.JobRejected, "h")
	})
}

func TestANewLeaderRejectsNothingUntilEveryExecutorHasReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		m.acknowledge(anExecutor("west"), aNode("n2", 1))
		pass(time.Second)
		m.submit(hopeless("h"))
		start(t, m, "a")
		beats(m, 10*time.Minute, anExecutor("east"))
		wantState(t, m, armada.JobQueued, "h")

		again := anExecutor("west")
		again.Session = "2"
		m.acknowledge(again) // heard of, and its nodes may be others now
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "h")
		m.acknowledge(again, aNode("n2", 1))
		pass(time.Second)
		wantState(t, m, armada.JobRejected, "h")
	})
}

func TestAnOutageOfEverythingMakesNoClusterUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("large"), aNode("n1", 2))
		m.acknowledge(anExecutor("small"), aNode("n2", 1))
		pass(72 * time.Hour)
		m.submit(hopeless("h"))
		start(t, m, "a")
		m.acknowledge(anExecutor("small"), aNode("n2", 1))
		beats(m, 23*time.Hour, anExecutor("small"))
		wantState(t, m, armada.JobQueued, "h")
		m.acknowledge(anExecutor("large"), aNode("n1", 2))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "h")
	})
}

func TestNodesAreKnownForADayAfterTheyHaveGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("small", 1), aNode("large", 2))
		start(t, m, "a")
		m.acknowledge(anExecutor("east"), aNode("small", 1))
		m.submit(hopeless("h"))
		beats(m, 24*time.Hour-time.Minute, anExecutor("east"))
		wantState(t, m, armada.JobQueued, "h")
		beats(m, 2*time.Minute, anExecutor("east"))
		wantState(t, m, armada.JobRejected, "h")
	})
}

func TestALostClusterIsKnownForADayAndComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("small"), aNode("n1", 1))
		m.acknowledge(anExecutor("large"), aNode("n2", 2))
		start(t, m, "a")
		beats(m, 24*time.Hour-time.Minute, anExecutor("small"))
		m.submit(hopeless("h1"))
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "h1")
		beats(m, 2*time.Minute, anExecutor("small"))
		wantState(t, m, armada.JobRejected, "h1")
		m.acknowledge(anExecutor("large"))
		m.submit(hopeless("h2"))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "h2")
	})
}

func TestCordonsAndWhatIsInUseRejectNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		east, west := anExecutor("east"), anExecutor("west")
		east.Cordoned = true
		closed := aNode("closed", 2)
		closed.Unschedulable = true
		m.acknowledge(east, aNode("n1", 2))
		m.acknowledge(west, closed, aNode("n2", 2))
		start(t, m, "a")
		m.submit(aJob("j"), hopeless("h"))
		beats(m, 10*time.Minute, east, west)
		wantState(t, m, armada.JobLeased, "j")
		wantState(t, m, armada.JobQueued, "h")
	})
}

func TestAConfiguredNodeTypeKeepsJobsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		big := scheduling.KnownKind{NodeType: "big", NodeKind: armada.NodeKind{Pool: "default", Allocatable: armada.Resources{2000}}}
		start(t, m, "a", func(l *Leader, _ *replica) { l.config.NodeTypes = []scheduling.KnownKind{big} })
		m.shapes["three"] = &armada.Requirements{Resources: armada.Resources{3000}}
		larger := aJob("larger")
		larger.Shape = "three"
		m.submit(hopeless("h"), larger)
		beats(m, time.Hour, anExecutor("east"))
		wantState(t, m, armada.JobQueued, "h")
		wantState(t, m, armada.JobRejected, "larger")
		if job, _ := m.job("larger"); !strings.Contains(job.Reason, "node type big, pool default: it asks for 3 cpu, the largest node has 2") {
			t.Errorf("the reason is %q", job.Reason)
		}
	})
}

func TestAJobThatWasLeasedBeforeIsNotRejected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 2))
		start(t, m, "a")
		m.submit(hopeless("h"))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "h")
		m.executors["east"].Kinds = nil
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		m.giveBack("h")
		pass(time.Minute)
		wantState(t, m, armada.JobQueued, "h")
	})
}

func TestAGangWithAMemberThatCanNeverRunIsRejectedWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		start(t, m, "a")
		gang := aGang("g", hopeless("h"), aJob("j1"), aJob("j2"))
		m.submit(gang[:2]...)
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "h", "j1") // the third could not know
		m.submit(gang[2])
		pass(time.Second)
		wantState(t, m, armada.JobRejected, "h", "j1", "j2")
		if job, _ := m.job("j2"); !strings.Contains(job.Reason, "its gang can never run, for member h: ") {
			t.Errorf("the reason is %q", job.Reason)
		}
	})
}

func TestAGangThatIsOnlyTooManyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		start(t, m, "a")
		m.submit(aGang("g", aJob("j1"), aJob("j2"), aJob("j3"))...)
		beats(m, time.Hour, anExecutor("east"))
		wantState(t, m, armada.JobQueued, "j1", "j2", "j3")
	})
}

func TestAGangIsRejectedWhenNoNodeThatFitsHasTheLabelItMustShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		racked := aNode("n2", 1)
		racked.Labels = map[string]string{"rack": "r"}
		m.acknowledge(anExecutor("east"), aNode("n1", 2), racked)
		start(t, m, "a")
		small, large := aGang("small", aJob("j1"), aJob("j2")), aGang("large", hopeless("h1"), hopeless("h2"))
		for i := range 2 {
			small[i].Gang.UniformityLabel, large[i].Gang.UniformityLabel = "rack", "rack"
		}
		m.submit(append(small, large...)...)
		pass(time.Second)
		wantState(t, m, armada.JobRejected, "h1", "h2")
		for _, id := range []armada.JobID{"j1", "j2"} {
			if job, _ := m.job(id); job.State == armada.JobRejected {
				t.Errorf("job %s is rejected: %s", id, job.Reason)
			}
		}
	})
}

func TestAJobThatIsCancelledWhileItIsRejectedStaysCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		cancel := true
		m.before = cancelOnce(m, "h", &cancel)
		start(t, m, "a")
		m.submit(hopeless("h"))
		pass(time.Minute)
		wantState(t, m, armada.JobCancelled, "h")
		if cancel {
			t.Error("no rejection was tried")
		}
	})
}

func TestManyHopelessJobsAreRejectedInPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		start(t, m, "a")
		many := someJobs(5000)
		for i := range many {
			many[i].Shape = twoCores
		}
		m.submit(many...)
		pass(time.Minute)
		if n := m.inState(armada.JobRejected); n != len(many) {
			t.Errorf("%d of %d are rejected", n, len(many))
		}
	})
}

// giveBack gives a job's lease back without an outcome.
func (m *memory) giveBack(id armada.JobID) { m.report(lifecycle.ReportReturned, id) }

// cancelOnce cancels a job just before the store decides about it.
func cancelOnce(m *memory, id armada.JobID, due *bool) func(store.Fence, []store.Unit) error {
	return func(_ store.Fence, units []store.Unit) error {
		for _, u := range units {
			if *due && u[0].Kind == lifecycle.Reject {
				*due = false
				m.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: id})
			}
		}
		return nil
	}
}
