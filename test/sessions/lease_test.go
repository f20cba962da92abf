package sessions

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/executor"
	"armada/internal/leader"
	"armada/internal/podspec"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// lead starts a leader that gives runs up as soon as the margin allows.
func (w *world) lead(replica string) (stop func()) {
	w.t.Helper()
	config := leader.Config{
		Expiry:     leader.Expiry{Lease: theLease, LostTimeout: time.Nanosecond},
		Scheduling: scheduling.Config{Resources: armada.DefaultResourceTable(), Classes: podspec.DefaultConfig().PriorityClasses},
	}
	for i := range config.Scheduling.Resources.Len() {
		config.Scheduling.FairnessMultipliers[i] = 1000
	}
	l, err := leader.New(config, leader.Parts{Store: w.store, Replica: store.Replica{Name: replica}, Log: w.log.With("leader", replica)})
	ok(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	w.t.Cleanup(stop)
	return stop
}

// ended tells when the pod of a run ended, by its runtime.
func (c *cluster) ended(run armada.RunID) (at time.Time, known bool) {
	statuses, _ := c.runtime.Changed(0)
	for _, s := range statuses {
		if s.Run == run {
			return s.Ended, true
		}
	}
	return time.Time{}, false
}

// silences are the ways in which a link can fail.
var silences = map[string]struct{ requests, pushes bool }{
	"requests are lost": {true, false},
	"pushes are lost":   {false, true},
	"both are lost":     {true, true},
}

// stubborn keeps an agent from opening another session, so that the lease alone
// is what saves its runs.
func stubborn(c *executor.Config) { c.Patience = 24 * time.Hour }

func TestRunsEndBeforeTheLeaderGivesThemUp(t *testing.T) {
	margin := leader.Config{}.WithDefaults().Expiry.Margin
	for name, lost := range silences {
		// Right after the store's record of the session, between two, and before the next.
		for _, after := range []time.Duration{time.Second, 20 * time.Second, 41 * time.Second} {
			t.Run(fmt.Sprintf("%s after %s", name, after), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.lead("a")
					c := w.cluster("east", options{config: stubborn})
					id := w.submit(life{stopDelay: "10h", runtime: "24h"})
					w.becomes(id, armada.JobRunning)
					pause(after)
					silent := time.Now()
					c.link.lose(lost.requests, lost.pushes)
					job := w.becomes(id, armada.JobFailed)
					if sub := job.Runs[0].End.Subcategory; sub != armada.SubcategoryLeaseExpired {
						t.Errorf("the run ended as %q", sub)
					}
					ended, known := c.ended(job.Runs[0].ID)
					gaveUp := job.Runs[0].Finished
					byReport := !strings.Contains(w.kinds(id), "lease_expired") // its requests arrive
					if byReport != (lost.pushes && !lost.requests) {
						t.Errorf("the job's events are %q", w.kinds(id))
					}
					if !known || ended.IsZero() || ended.After(gaveUp) || !byReport && ended.Add(margin).After(gaveUp) {
						t.Errorf("the pod ended %s after the silence began, and was given up %s after", ended.Sub(silent), gaveUp.Sub(silent))
					}
					if ended.Sub(silent) < theLease/3 {
						t.Errorf("the pod ended %s after the silence began: it was not waited for", ended.Sub(silent))
					}
					if gaveUp.Sub(silent) > theLease+2*margin {
						t.Errorf("it took %s until the run was given up", gaveUp.Sub(silent))
					}
					c.link.mend()
				})
			})
		}
	}
}

func TestNothingStartsThatIsPushedWhenTheLeaseIsAboutToEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{config: stubborn})
		c.link.lose(true, false)
		pause(time.Minute)
		early := w.submit(life{})
		w.lease(early, "east") // the server does not know yet that it hears nothing
		synctest.Wait()
		if _, started := c.ended(armada.NewRunID(early, 1)); !started {
			t.Fatal("a run that is pushed while the lease lasts does not start")
		}
		pause(time.Minute - 10*time.Second) // 10 s are left, and the margin is 15
		late := w.submit(life{})
		w.lease(late, "east")
		pause(time.Minute)
		if _, started := c.ended(armada.NewRunID(late, 1)); started {
			t.Error("a run that was pushed after lease minus margin was started")
		}
		if at, _ := c.ended(armada.NewRunID(early, 1)); at.IsZero() {
			t.Error("a run goes on although the lease has ended")
		}
		c.link.mend()
		w.becomes(early, armada.JobFailed)
		w.becomes(late, armada.JobQueued)
		w.tells(late, "queued leased lease_returned")
		c.forgets()
	})
}

func TestAShortSilenceEndsNothing(t *testing.T) {
	for name, lost := range silences {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.lead("a")
				c := w.cluster("east", options{})
				id := w.submit(life{runtime: "10m"})
				w.becomes(id, armada.JobRunning)
				for range 5 {
					c.link.lose(lost.requests, lost.pushes)
					pause(theLease / 3)
					c.link.mend()
					pause(10 * time.Second)
				}
				w.becomes(id, armada.JobSucceeded)
				w.tells(id, "queued leased pending running succeeded")
			})
		})
	}
}

func TestAnExecutorThatComesBackGetsWorkAgain(t *testing.T) {
	for name, lost := range silences {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.lead("a")
				c := w.cluster("east", options{})
				lostOne := w.submit(life{runtime: "10h"})
				w.becomes(lostOne, armada.JobRunning)
				c.link.lose(lost.requests, lost.pushes)
				pause(3 * theLease)
				waiting := w.submit(life{runtime: "1s"})
				c.link.mend()
				w.becomes(waiting, armada.JobSucceeded)
				job := w.becomes(lostOne, armada.JobFailed)
				if sub := job.Runs[0].End.Subcategory; sub != armada.SubcategoryLeaseExpired {
					t.Errorf("the run ended as %q", sub)
				}
				c.forgets()
			})
		})
	}
}

func TestRunsThatWereFoundEndWhenNoServerAnswers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.cluster("east", options{})
		id := w.submit(life{runtime: "10h"})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		first.stop()
		w.unserve()
		begun := time.Now()
		second := w.cluster("east", options{runtime: first.runtime})
		pause(theLease)
		config := executor.DefaultConfig()
		want := config.FirstLease - config.Margin
		if at, _ := second.ended(armada.NewRunID(id, 1)); at.Sub(begun) != want {
			t.Errorf("a run that was found ended after %s, want %s", at.Sub(begun), want)
		}
	})
}
