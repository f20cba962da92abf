package leader

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// withPreemption turns preemption on.
func withPreemption(c *scheduling.Config) {
	c.Preemption = scheduling.PreemptionRules{FairShare: true, Urgency: true, ProtectedShare: 1_000_000}
}

func TestAQueueThatComesLateGetsItsShareAndThePreemptedAreToldWhy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.putQueue(armada.Queue{Name: "biology", PriorityFactor: 1})
		e := anExecutor("east")
		e.Lease = time.Hour
		m.acknowledge(e, aNode("n1", 4))
		start(t, m, "a", withRules(withPreemption))
		early := someJobs(4)
		m.submit(early...)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, early[0].ID, early[1].ID, early[2].ID, early[3].ID)

		late := someJobs(7)[4:]
		for i := range late {
			late[i].Queue = "biology"
		}
		m.submit(late...)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, late[0].ID, late[1].ID)
		wantState(t, m, armada.JobQueued, late[2].ID)
		var preempted []armada.JobID
		for _, j := range early {
			if job, _ := m.job(j.ID); job.Wish.Kind == armada.WishPreempt {
				preempted = append(preempted, j.ID)
			}
		}
		if len(preempted) != 2 {
			t.Fatalf("%v are preempted, want two", preempted)
		}
		if _, run := m.job(late[0].ID); len(run.After) != 1 {
			t.Errorf("the first of the late ones waits for %v, want one run", run.After)
		}
		m.report(lifecycle.ReportStopped, preempted[0])
		m.report(lifecycle.ReportStopped, preempted[1])
		pass(time.Second)
		wantState(t, m, armada.JobPreempted, preempted...)
		wantState(t, m, armada.JobQueued, late[2].ID)

		var told *armada.Event
		for _, e := range m.history[preempted[0]] {
			if e.Kind == armada.EventPreempted {
				told = &e
			}
		}
		if told == nil || told.By != "scheduler" || told.For != late[0].ID && told.For != late[1].ID ||
			!strings.HasPrefix(told.Reason, "fair share: queue physics held ") {
			t.Errorf("the preempted job is told %+v", told)
		}
	})
}

func TestAnUrgentJobIsLeasedTogetherWithItsPreemptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.shapes["urgent"] = &armada.Requirements{PriorityClass: "urgent", Resources: armada.Resources{2000}}
		e := anExecutor("east")
		e.Lease = time.Hour
		m.acknowledge(e, aNode("n1", 2))
		start(t, m, "a", withRules(withPreemption), withRules(func(c *scheduling.Config) {
			c.Classes = append(c.Classes, armada.PriorityClass{Name: "urgent", Priority: 100})
		}))
		low := someJobs(2)
		m.submit(low...)
		pass(time.Second)
		units := len(m.committed())
		urgent := aJob("urgent")
		urgent.Shape = "urgent"
		m.submit(urgent)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "urgent")
		if done := m.committed()[units:]; len(done) != 1 || done[0] != 3 {
			t.Errorf("units of %v changes were committed, want one of 3", done)
		}
		if _, run := m.job("urgent"); len(run.After) != 2 {
			t.Errorf("it waits for %v, want both", run.After)
		}
	})
}

func TestALeaseThatIsNotCommittedYetIsNotPreempted(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.apply(jobs(queuedJob("j1", 1), queuedJob("j2", 2)), epoch0)
	lease := func(id armada.JobID) []scheduling.Lease {
		return []scheduling.Lease{{Job: id, Executor: "east", Node: "n1"}}
	}
	if _, err := s.propose("default", scheduling.Decision{Leases: lease("j1")}, epoch0); err != nil {
		t.Fatal(err)
	}
	d := scheduling.Decision{Leases: lease("j2"), Preemptions: []scheduling.Preemption{{Job: "j1", Run: "j1-1", For: "j2"}}}
	if _, err := s.propose("default", d, epoch0); !errors.Is(err, errInFlight) {
		t.Errorf("preempting it: %v", err)
	}
	if held := s.pools["default"].held; len(held) != 1 || held["j1"].Job.Wish.Kind != armada.WishNone {
		t.Errorf("the pool sees %v", held)
	}
}

// A run that is given back while its preemption is on its way leaves a queued job,
// about which nothing may be decided until the answer is there.
func TestAJobThatIsQueuedAgainWhileItIsPreemptedIsNotOffered(t *testing.T) {
	t.Parallel()
	s := newStage()
	victim := after(t, queuedJob("j1", 1), leaseOn("n1", "default"))
	s.apply(jobs(victim), epoch0)
	p, err := s.propose("default", scheduling.Decision{Preemptions: []scheduling.Preemption{{Job: "j1", Run: "j1-1"}}}, epoch0)
	if err != nil {
		t.Fatal(err)
	}
	s.apply(jobs(after(t, victim, lifecycle.Change{Kind: lifecycle.ReportReturned})), epoch0)
	if n := len(s.pools["default"].queued); n != 0 {
		t.Errorf("%d jobs are offered while the answer is out", n)
	}
	s.settle(p, store.UnitResult{Verdict: lifecycle.Refused}, epoch0)
	s.release(epoch0.Add(firstPause))
	if n := len(s.pools["default"].queued); n != 1 {
		t.Errorf("%d jobs are offered after it was refused, want the one", n)
	}
}

func TestAQueuePaysForShortJobsThatHaveEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.putQueue(armada.Queue{Name: "zoology", PriorityFactor: 1})
		e := anExecutor("east")
		e.Lease = time.Hour
		m.acknowledge(e, aNode("n1", 1))
		start(t, m, "a", withRules(func(c *scheduling.Config) { c.Fairness.ShortJobPenalty = time.Minute }))
		m.submit(aJob("short"))
		pass(time.Second)
		m.report(lifecycle.ReportRunning, "short")
		next, other := aJob("next"), aJob("other")
		other.Queue = "zoology"
		m.submit(next, other)
		pass(time.Second)
		m.report(lifecycle.ReportSucceeded, "short")
		pass(time.Second)
		// Both queues hold nothing now, and physics would come first by its name.
		wantState(t, m, armada.JobLeased, "other")
		wantState(t, m, armada.JobQueued, "next")
	})
}
