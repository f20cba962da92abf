package leader

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/sqlite"
)

// stepping is a wall clock that steps.
type stepping struct{ shift atomic.Int64 }

// Now returns the time without its monotonic part.
func (s *stepping) Now() time.Time {
	return time.Now().Add(time.Duration(s.shift.Load())).Round(0)
}

func (s *stepping) step(d time.Duration) { s.shift.Add(int64(d)) }

// A clock that steps must take nobody's lease, close no executor that speaks,
// and turn no order of events around.
func TestAnExecutorThatSpeaksKeepsItsRunsWhenTheClockOfTheStoreSteps(t *testing.T) {
	t.Parallel()
	first := openSQLite(t, t.TempDir())
	prepare(t, first, 1) // what the process makes once, it must not make in a bubble
	_, err := first.Executors(t.Context())
	must(t, err)
	must(t, first.Close())
	for name, steps := range map[string][]time.Duration{
		"back": {-time.Hour}, "forth": {time.Hour}, "forth and back": {time.Hour, -time.Hour}, "back and forth": {-time.Hour, time.Hour},
	} {
		folder := t.TempDir()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clock := &stepping{}
				s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(folder, "armada.db"), Clock: clock.Now})
				must(t, err)
				defer func() { must(t, s.Close()) }()
				prepare(t, s, 10)
				speaks, silence := context.WithCancel(t.Context())
				defer silence()
				go speak(speaks, t, s)
				_, stop := runLeader(t, s)
				defer stop()
				long := submitLone(t, s, 1, "a")[0]
				<-time.After(time.Minute)
				for i, d := range steps {
					clock.step(d)
					<-time.After(20 * time.Minute) // longer than any lease and than silence is borne
					id := submitLone(t, s, 1, string(rune('b'+i)))[0]
					<-time.After(10 * time.Second)
					for _, id := range []armada.JobID{long, id} {
						j, err := s.Job(t.Context(), id)
						must(t, err)
						if j.Job.State != armada.JobLeased || j.Job.Attempts != 1 {
							t.Errorf("20 minutes after a step of %s the job %s is %s for the %d. time, want leased for the first", d, id, j.Job.State, j.Job.Attempts)
						}
					}
				}
				inOrder(t, s, long)
			})
		})
	}
}

// speak acknowledges the session of the executor east as often as executors do.
func speak(ctx context.Context, t *testing.T, s *sqlite.Store) {
	for ctx.Err() == nil {
		left, err := s.Acknowledge(ctx, "east", "1")
		if ctx.Err() == nil && (err != nil || left < 0 || left > 30*time.Second) {
			t.Errorf("of the lease is left %s, %v", left, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
}

// inOrder ends a job, and compares the times of all events.
func inOrder(t *testing.T, s *sqlite.Store, id armada.JobID) {
	t.Helper()
	_, err := s.Transition(t.Context(), store.Fence{}, []store.Unit{{{Kind: lifecycle.ReportSucceeded, Job: id, Run: armada.NewRunID(id, 1), Executor: "east"}}})
	must(t, err)
	events, _, err := s.ReadEvents(t.Context(), store.JobSetKey{Queue: "physics", JobSet: "set"}, store.Cursor{}, 100)
	must(t, err)
	for i := 1; i < len(events); i++ {
		if events[i].Created.Before(events[i-1].Created) {
			t.Errorf("event %d is of %s, the one before of %s", events[i].Number, events[i].Created, events[i-1].Created)
		}
	}
}
