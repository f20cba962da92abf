package leader

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
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
