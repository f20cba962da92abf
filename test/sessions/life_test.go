package sessions

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/runs"
)

// gated is a runtime whose starts wait for a word.
type gated struct {
	runs.Runtime
	open chan struct{}
}

func (g *gated) Start(ctx context.Context, o runs.Order) error {
	select {
	case <-g.open:
		return g.Runtime.Start(ctx, o)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *world) cancel(id armada.JobID) {
	w.t.Helper()
	w.change(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "ann"})
}

// forgets waits until neither the agent nor its runtime knows a run.
func (c *cluster) forgets() {
	c.w.t.Helper()
	c.w.until("all runs are forgotten", func() bool {
		known, _ := c.runtime.Changed(0)
		return c.agent.Holds() == 0 && len(known) == 0
	})
}

func TestALeasedJobIsPushedRunsIsReportedAndForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{})
		id := w.submit(life{runtime: "5s"})
		begun := time.Now()
		w.lease(id, "east")
		job := w.becomes(id, armada.JobSucceeded)
		w.tells(id, "queued leased pending running succeeded")
		if took := job.Runs[0].Finished.Sub(begun); took > 5*time.Second+10*time.Millisecond {
			t.Errorf("a job of 5 s took %s: it was not pushed at once", took)
		}
		if pod := job.Runs[0].Pod; pod.Name == "" || job.Runs[0].Node != "east-1" {
			t.Errorf("the run is remembered as %+v", job.Runs[0])
		}
		c.forgets()
	})
}

func TestARunIsCancelledWhereverItIs(t *testing.T) {
	for name, at := range map[string]struct {
		life  life
		until armada.JobState
		tells string
	}{
		"while it is pending": {life{pending: "1m"}, armada.JobPending, "queued leased pending cancelling cancelled"},
		"while it runs":       {life{}, armada.JobRunning, "queued leased pending running cancelling cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.cluster("east", options{})
				id := w.submit(at.life)
				w.lease(id, "east")
				w.becomes(id, at.until)
				w.cancel(id)
				w.becomes(id, armada.JobCancelled)
				w.tells(id, at.tells)
				c.forgets()
			})
		})
	}
}

func TestALeaseThatIsCancelledBeforeItsDeliveryNeverRuns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(life{})
		w.lease(id, "east")
		w.cancel(id)
		if state := w.job(id).Job.State; state != armada.JobLeased {
			t.Fatalf("the job is %s before its executor has answered", state)
		}
		c := w.cluster("east", options{})
		w.becomes(id, armada.JobCancelled)
		w.tells(id, "queued leased cancelling cancelled")
		c.forgets()
	})
}

func TestARunThatIsCancelledWhileItIsStartedIsStopped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		c := w.cluster("east", options{wrap: func(r runs.Runtime) runs.Runtime { return &gated{r, gate} }})
		id := w.submit(life{})
		w.lease(id, "east")
		synctest.Wait()
		w.cancel(id)
		pause(time.Minute)
		if state := w.job(id).Job.State; state != armada.JobLeased {
			t.Fatalf("the job is %s while its pod may come to be", state)
		}
		close(gate)
		w.becomes(id, armada.JobCancelled)
		c.forgets()
	})
}

func TestALostPushIsSentAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{})
		id := w.submit(life{runtime: "5s"})
		c.link.lose(false, true)
		w.lease(id, "east")
		synctest.Wait()
		c.link.mend()
		w.becomes(id, armada.JobSucceeded)
		w.tells(id, "queued leased pending running succeeded")
	})
}

func TestARunThatTheExecutorHasLostEndsWithUnknownOutcome(t *testing.T) {
	for name, at := range map[string]struct {
		life  life
		until armada.JobState
	}{
		"while it was pending": {life{pending: "1h"}, armada.JobPending},
		"while it ran":         {life{}, armada.JobRunning},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				first := w.cluster("east", options{})
				id := w.submit(at.life)
				w.lease(id, "east")
				w.becomes(id, at.until)
				first.stop()
				w.cluster("east", options{}) // with a runtime that knows nothing
				job := w.becomes(id, armada.JobFailed)
				if sub := job.Runs[0].End.Subcategory; sub != armada.SubcategoryOutcomeUnknown {
					t.Errorf("the run ended as %q", sub)
				}
			})
		})
	}
}

func TestARunThatNoExecutorHasSeenIsStartedByTheNext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.cluster("east", options{wrap: func(r runs.Runtime) runs.Runtime { return &gated{r, nil} }})
		id := w.submit(life{runtime: "5s"})
		w.lease(id, "east")
		synctest.Wait()
		first.stop()
		w.cluster("east", options{})
		w.becomes(id, armada.JobSucceeded)
		w.tells(id, "queued leased pending running succeeded")
	})
}

func TestAnExecutorAdoptsWhatItFinds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.cluster("east", options{})
		id := w.submit(life{runtime: "1m"})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		first.stop()
		pause(30 * time.Second)
		second := w.cluster("east", options{runtime: first.runtime})
		w.becomes(id, armada.JobSucceeded)
		w.tells(id, "queued leased pending running succeeded")
		second.forgets()
	})
}

func TestARunThatNobodyWantsIsStopped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.cluster("east", options{})
		id := w.submit(life{})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		first.stop()
		run, _ := w.job(id).Job.Run()
		w.change(lifecycle.Change{Kind: lifecycle.Expire, Job: id, Run: run})
		second := w.cluster("east", options{runtime: first.runtime})
		second.forgets()
		w.tells(id, "queued leased pending running lease_expired failed")
	})
}

func TestARunStartsWhenItsVictimsHaveEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{})
		victim, urgent := w.submit(life{stopDelay: "7s"}), w.submit(life{runtime: "5s"})
		w.lease(victim, "east")
		w.becomes(victim, armada.JobRunning)
		run, _ := w.job(victim).Job.Run()
		w.change(
			lifecycle.Change{Kind: lifecycle.Preempt, Job: victim, Run: run, By: "scheduler", For: urgent},
			lifecycle.Change{Kind: lifecycle.Lease, Job: urgent, Lease: lifecycle.Terms{
				Executor: "east", Node: "east-1", Pool: armada.DefaultPool, After: []armada.RunID{run},
			}},
		)
		w.becomes(victim, armada.JobPreempted)
		w.becomes(urgent, armada.JobSucceeded)
		ended, began := w.job(victim).Runs[0].Finished, w.job(urgent).Runs[0].Pending
		if began.Before(ended) || began.Sub(ended) > 100*time.Millisecond {
			t.Errorf("the run began %s after its victim had ended", began.Sub(ended))
		}
	})
}

func TestARunWhoseVictimWasNotDeliveredStartsAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		victim, urgent := w.submit(life{}), w.submit(life{runtime: "5s"})
		w.lease(victim, "east")
		run, _ := w.job(victim).Job.Run()
		w.change(lifecycle.Change{Kind: lifecycle.Preempt, Job: victim, Run: run, By: "scheduler", For: urgent})
		w.lease(urgent, "east", run)
		w.cluster("east", options{})
		w.becomes(urgent, armada.JobSucceeded)
		w.becomes(victim, armada.JobPreempted)
	})
}

func TestADrainedExecutorGivesItsRunsBack(t *testing.T) {
	for name, drain := range map[string]func(*cluster, context.Context) error{
		"in order": func(c *cluster, ctx context.Context) error { return c.agent.Drain(ctx) },
		"at once":  func(c *cluster, ctx context.Context) error { return c.agent.Kill(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.cluster("east", options{})
				running, deaf := w.submit(life{}), w.submit(life{stopDelay: "10m"})
				w.lease(running, "east")
				w.lease(deaf, "east")
				w.becomes(running, armada.JobRunning)
				w.becomes(deaf, armada.JobRunning)
				begun := time.Now()
				ok(t, drain(c, t.Context()))
				if took := time.Since(begun); name == "at once" && took > time.Second || took > 31*time.Second {
					t.Errorf("it took %s", took)
				}
				late := w.submit(life{})
				w.lease(late, "east")
				for _, id := range []armada.JobID{running, deaf, late} {
					w.becomes(id, armada.JobQueued)
				}
				w.tells(running, "queued leased pending running lease_returned")
				w.tells(late, "queued leased lease_returned")
			})
		})
	}
}
