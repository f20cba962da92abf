package sessions

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"armada"
	"armada/internal/leader"
	"armada/internal/runs"
	"armada/internal/store"
	"armada/internal/store/sqlite"
)

// copyOf stops the server, copies the store's file and goes on with it.
func (w *world) copyOf() (backup string) {
	w.t.Helper()
	w.unserve()
	ok(w.t, w.store.Close())
	text, err := os.ReadFile(w.file)
	ok(w.t, err)
	backup = w.file + ".backup"
	ok(w.t, os.WriteFile(backup, text, 0o600))
	w.reopen()
	w.serve()
	return backup
}

func (w *world) reopen() {
	w.t.Helper()
	var err error
	w.store, err = sqlite.Open(w.t.Context(), sqlite.Config{Path: w.file})
	ok(w.t, err)
}

// restore stops the server, waits, and serves a copy of the store.
func (w *world) restore(backup string, away time.Duration) {
	w.t.Helper()
	w.unserve()
	ok(w.t, w.store.Close())
	pause(away)
	for _, beside := range []string{"-wal", "-shm"} {
		_ = os.Remove(w.file + beside)
	}
	ok(w.t, os.Rename(backup, w.file))
	w.reopen()
	ok(w.t, w.store.Restored(w.t.Context(), theLease+leader.Config{}.WithDefaults().Expiry.Margin))
	w.serve()
}

// lives tells whether the pod of a run has not ended.
func (c *cluster) lives(run armada.RunID) bool {
	ended, known := c.ended(run)
	return known && ended.IsZero()
}

// reluctant stops nothing in the first ten minutes after it was asked first.
type reluctant struct {
	runs.Runtime
	asked sync.Once
	from  time.Time
}

func (r *reluctant) Stop(ctx context.Context, run armada.RunID, grace time.Duration) error {
	r.asked.Do(func() { r.from = time.Now().Add(10 * time.Minute) })
	if time.Now().Before(r.from) {
		return nil
	}
	return r.Runtime.Stop(ctx, run, grace)
}

func TestExecutorsThatRanOnAgreeWithAStoreThatWasRestored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		east, west := w.cluster("east", options{}), w.cluster("west", options{wrap: func(r runs.Runtime) runs.Runtime { return &reluctant{Runtime: r} }})
		lease := func(id armada.JobID, on armada.ExecutorID) {
			w.lease(id, on)
			w.becomes(id, armada.JobRunning)
		}
		adopted, forgotten, late := w.submit(life{}), w.submit(life{runtime: "5m"}), w.submit(life{runtime: "10m30s"})
		lease(adopted, "east")
		lease(forgotten, "east")
		lease(late, "east")
		again := w.submit(life{})
		moved := w.submit(life{})
		w.lease(moved, "east")
		backup := w.copyOf()

		// The lost time.
		w.becomes(moved, armada.JobRunning)
		lease(again, "west")
		lost := w.submit(life{})
		lease(lost, "west")
		pause(10 * time.Minute)
		w.becomes(forgotten, armada.JobSucceeded)
		key := store.JobSetKey{Queue: "q", JobSet: "set"}
		last, err := w.store.LastEvent(t.Context(), key)
		ok(t, err)

		w.restore(backup, time.Minute)
		restored := time.Now()
		w.lead("b")
		for run := armada.NewRunID(again, 1); ; pause(time.Second) {
			lives := west.lives(run)
			if w.job(again).Job.State != armada.JobQueued {
				break
			}
			if time.Since(restored) > time.Hour {
				t.Fatal("the job that waits is never started again")
			}
			if !lives && time.Since(restored) < 10*time.Minute {
				t.Fatal("the pod ended before its time: the test shows nothing")
			}
		}
		if took := time.Since(restored); took < 10*time.Minute || took > 15*time.Minute {
			t.Errorf("the job was started again after %s; its pod took 10 minutes to stop", took)
		}
		if _, err := w.store.Job(t.Context(), lost); armada.CodeOf(err) != armada.CodeNotFound || west.lives(armada.NewRunID(lost, 1)) {
			t.Errorf("a job of the lost time runs on, and asking for it answers %v", err)
		}
		w.becomes(late, armada.JobSucceeded)
		if job := w.becomes(forgotten, armada.JobFailed); job.Runs[0].End.Subcategory != armada.SubcategoryOutcomeUnknown {
			t.Errorf("a run whose end was told in the lost time ended as %+v", job.Runs[0].End)
		}
		w.tells(moved, "queued leased pending running") // told in the lost time, and told again
		for _, id := range []armada.JobID{adopted, moved} {
			if job := w.job(id); job.Job.State != armada.JobRunning || len(job.Runs) != 1 || !east.lives(job.Runs[0].ID) {
				t.Errorf("a run that both know is not adopted: %+v", job.Job)
			}
		}
		if events, _, err := w.store.ReadEvents(t.Context(), key, last, 10); err != nil || len(events) == 0 || events[0].Number != 1 {
			t.Errorf("after an event of the lost time come %d events, %v", len(events), err)
		}
	})
}

func TestAnExecutorThatNeverComesBackToARestoredStoreHasStoppedBeforeItsJobsStartElsewhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{})
		west := w.cluster("west", options{})
		id := w.submit(life{stopDelay: "10h", runtime: "24h"})
		backup := w.copyOf()
		w.lease(id, "west")
		w.becomes(id, armada.JobRunning)
		pause(time.Minute)
		west.link.lose(true, true)
		w.restore(backup, 0)
		w.lead("b")
		job := w.becomes(id, armada.JobRunning)
		ended, known := west.ended(armada.NewRunID(id, 1))
		if run := job.Runs[0]; run.Executor != "east" || !known || ended.IsZero() || ended.After(run.Leased) {
			t.Errorf("it is leased to %s at %s, and ended in the west at %s", run.Executor, run.Leased, ended)
		}
		west.link.mend()
	})
}
