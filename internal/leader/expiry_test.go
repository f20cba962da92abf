package leader

import (
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
)

func TestASilentExecutorGetsNothingNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		start(t, m, "a")
		pass(29 * time.Second)
		m.submit(aJob("j1"))
		pass(500 * time.Millisecond)
		wantState(t, m, armada.JobLeased, "j1") // the lease is not over

		pass(10 * time.Second)
		m.submit(aJob("j2"))
		pass(time.Minute)
		wantState(t, m, armada.JobQueued, "j2")
		wantState(t, m, armada.JobLeased, "j1")

		m.acknowledge(anExecutor("east"))
		synctest.Wait()
		wantState(t, m, armada.JobLeased, "j2")
	})
}

func TestAnExecutorIsNotSilentWhileItIsHeardOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		start(t, m, "a")
		for range 12 {
			pass(10 * time.Second)
			m.acknowledge(anExecutor("east"))
		}
		m.submit(aJob("j1"))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "j1")
	})
}

func TestSilenceIsBelievedOnlyAfterAskingTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		r := start(t, m, "a")
		pass(20 * time.Second)
		m.mu.Lock() // heard of, and the feed does not tell
		m.executors["east"].Executor.Acknowledged = time.Now()
		m.mu.Unlock()
		pass(25 * time.Second)
		if !r.pool("default").open["east"] {
			t.Error("the executor is closed although the store heard of it")
		}
		pass(30 * time.Second)
		if r.pool("default").open["east"] {
			t.Error("the executor is open although it is silent")
		}
	})
}

func TestANewLeaderKnowsWhoIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 4))
		pass(time.Hour)
		m.acknowledge(anExecutor("west"), aNode("n2", 1))
		m.submit(someJobs(2)...)
		start(t, m, "a")
		pass(time.Second)
		if n := m.inState(armada.JobLeased); n != 1 {
			t.Errorf("%d jobs are leased, want one on the executor that lives", n)
		}
	})
}

func TestACordonedExecutorGetsNothingNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		cordoned := anExecutor("east")
		cordoned.Cordoned = true
		m.acknowledge(cordoned, aNode("n1", 4))
		start(t, m, "a")
		m.submit(aJob("j1"))
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "j1")
		m.acknowledge(anExecutor("east"))
		synctest.Wait()
		wantState(t, m, armada.JobLeased, "j1")
	})
}

func TestACordonedExecutorThatFellSilentStaysClosedWhenUncordoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		e := anExecutor("east")
		e.Cordoned = true
		m.acknowledge(e, aNode("n1", 4))
		start(t, m, "a")
		pass(time.Minute)
		m.uncordon("east")
		m.submit(aJob("j1"))
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "j1")
	})
}

func TestLostRunsAreHeldAndThenGivenUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		kind armada.ExecutorKind
		held time.Duration // after the last acknowledgement
	}{
		{"ours", armada.ExecutorNative, 30*time.Second + 5*time.Second + 15*time.Minute},
		{"of 2026", armada.Executor2026, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := aStore()
				e := anExecutor("east")
				e.Kind = c.kind
				m.acknowledge(e, aNode("n1", 1))
				m.submit(aJob("j1"), aJob("j2"))
				r := start(t, m, "a")
				synctest.Wait()
				m.report(lifecycle.ReportRunning, "j1")
				pass(c.held - time.Second)
				wantState(t, m, armada.JobRunning, "j1")
				if len(r.pool("default").held) != 1 {
					t.Error("the lost run does not hold its room")
				}
				pass(2 * time.Second)
				job, run := m.job("j1")
				if job.State != armada.JobFailed || run.State != armada.RunLost || run.End.Subcategory != armada.SubcategoryLeaseExpired {
					t.Errorf("the job is %s, its run %s, %s", job.State, run.State, run.End.Subcategory)
				}
				wantState(t, m, armada.JobQueued, "j2") // nothing new goes there
				if len(r.pool("default").held) != 0 {
					t.Error("the room is not free")
				}
			})
		})
	}
}

// with2020 begins a leader with an executor of 2020 that holds the job j1.
func with2020(t *testing.T, m *memory) {
	t.Helper()
	e := anExecutor("east")
	e.Kind = armada.Executor2020
	m.acknowledge(e, aNode("n1", 1))
	m.submit(aJob("j1"))
	start(t, m, "a")
	synctest.Wait()
	m.mark(lifecycle.MarkDelivered, "j1")
}

func TestALeaseOf2020IsRenewedByItselfAndRunsAgainWhenItExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		with2020(t, m)
		m.report(lifecycle.ReportRunning, "j1")
		pass(10 * time.Minute)
		m.mark(lifecycle.MarkRenewed, "j1")
		pass(15*time.Minute - 2*time.Second)
		wantState(t, m, armada.JobRunning, "j1")
		pass(4 * time.Second)
		job, run := m.job("j1")
		if job.State != armada.JobQueued || run.State != armada.RunLost {
			t.Errorf("the job is %s, its run %s, want queued and lost", job.State, run.State)
		}
	})
}

func TestWordOfTheExecutorOf2020DoesNotRenewALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		with2020(t, m)
		for range 15 {
			pass(time.Minute)
			e := anExecutor("east")
			e.Kind, e.Cordoned = armada.Executor2020, true
			m.acknowledge(e)
		}
		pass(2 * time.Second)
		wantState(t, m, armada.JobQueued, "j1")
	})
}

func TestAJobThatItsExecutorOf2020HasDoneWithIsNotRunAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		with2020(t, m)
		pass(10 * time.Minute)
		m.mark(lifecycle.MarkDone, "j1")
		pass(15*time.Minute - 2*time.Second)
		wantState(t, m, armada.JobLeased, "j1")
		pass(4 * time.Second)
		job, run := m.job("j1")
		if job.State != armada.JobFailed || run.End.Subcategory != armada.SubcategoryOutcomeUnknown {
			t.Errorf("the job is %s, its run's end %q, want failed and %q", job.State, run.End.Subcategory, armada.SubcategoryOutcomeUnknown)
		}
	})
}

func TestANewLeaderGivesExecutorsTheirFullTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		m.submit(aJob("j1"))
		a := start(t, m, "a")
		pass(time.Minute)
		a.stop()
		pass(24 * time.Hour)
		start(t, m, "b")
		pass(15 * time.Minute)
		wantState(t, m, armada.JobLeased, "j1")
		pass(time.Minute)
		wantState(t, m, armada.JobFailed, "j1")
	})
}

func TestAnExecutorThatComesBackKeepsItsRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.acknowledge(anExecutor("east"), aNode("n1", 1))
		m.submit(aJob("j1"))
		start(t, m, "a")
		pass(14 * time.Minute)
		again := anExecutor("east")
		again.Session = "2"
		m.acknowledge(again)
		pass(14 * time.Minute)
		wantState(t, m, armada.JobLeased, "j1")
	})
}
