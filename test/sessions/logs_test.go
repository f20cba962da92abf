package sessions

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/runs"
)

// logs reads a log to its end.
func (w *world) logs(ctx context.Context, id armada.JobID, q runs.LogQuery) (string, error) {
	w.mu.Lock()
	service := w.service
	w.mu.Unlock()
	var lines []string
	err := service.Logs(ctx, "east", armada.NewRunID(id, 1), q, func(l runs.LogLine) error {
		lines = append(lines, string(l.Text))
		return nil
	})
	return strings.Join(lines, " "), err
}

func TestLogsAreReadFromTheExecutorThatHasThem(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{})
		id := w.submit(life{print: "one\ntwo\nthree"})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		all, err := w.logs(t.Context(), id, runs.LogQuery{})
		if err != nil || all != "one two three" {
			t.Errorf("the log is %q, %v", all, err)
		}
		last, err := w.logs(t.Context(), id, runs.LogQuery{Tail: 2})
		if err != nil || last != "two three" {
			t.Errorf("the tail is %q, %v", last, err)
		}
		before, err := w.logs(t.Context(), id, runs.LogQuery{Previous: true})
		if err != nil || before != "" {
			t.Errorf("the log of a life before the only one is %q, %v", before, err)
		}
	})
}

func TestAFollowedLogEndsWithItsRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{})
		id := w.submit(life{pending: "10s", runtime: "1m", print: "one\ntwo"})
		w.lease(id, "east")
		w.becomes(id, armada.JobPending)
		all, err := w.logs(t.Context(), id, runs.LogQuery{Follow: true})
		if err != nil || all != "one two" {
			t.Errorf("the log is %q, %v", all, err)
		}
		w.becomes(id, armada.JobSucceeded)
	})
}

func TestALogWhoseReaderLeavesIsReadNoMore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{})
		id := w.submit(life{print: "one"})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := w.logs(ctx, id, runs.LogQuery{Follow: true})
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; err == nil {
			t.Error("the log ended without an error")
		}
		w.cancel(id)
		w.becomes(id, armada.JobCancelled)
		c.forgets()
	})
}

// talkative is a runtime whose runs have printed very much.
type talkative struct {
	runs.Runtime

	read atomic.Int64 // lines
}

// talk is how many lines of a kilobyte there are.
const talk = 64 << 10

func (r *talkative) Logs(_ context.Context, _ armada.RunID, _ runs.LogQuery, visit func(runs.LogLine) error) error {
	text := bytes.Repeat([]byte("x"), 1<<10)
	for range talk {
		r.read.Add(1)
		if err := visit(runs.LogLine{Time: time.Now(), Container: "main", Text: text}); err != nil {
			return err
		}
	}
	return nil
}

func TestALogIsReadNoFasterThanItsReaderTakesIt(t *testing.T) {
	for name, follow := range map[string]bool{"to its present end": false, "followed": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var source *talkative
				w.cluster("east", options{wrap: func(r runs.Runtime) runs.Runtime { source = &talkative{Runtime: r}; return source }})
				id := w.submit(life{})
				w.lease(id, "east")
				w.becomes(id, armada.JobRunning)
				first, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error)
				taken := 0
				go func() {
					done <- w.service.Logs(t.Context(), "east", armada.NewRunID(id, 1), runs.LogQuery{Follow: follow}, func(runs.LogLine) error {
						if taken++; taken == 1 {
							close(first)
							<-goOn
						}
						return nil
					})
				}()
				<-first
				synctest.Wait() // nothing moves until the reader does
				if held := source.read.Load(); held > talk/16 {
					t.Errorf("%d of %d lines were read for a reader that has taken one", held, talk)
				}
				close(goOn)
				if err := <-done; err != nil || taken != talk {
					t.Errorf("the reader got %d of %d lines, %v", taken, talk, err)
				}
			})
		})
	}
}

func TestALogEndsWithItsExecutor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{})
		id := w.submit(life{print: "one"})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		go func() {
			pause(1)
			synctest.Wait()
			c.stop()
		}()
		got, err := w.logs(t.Context(), id, runs.LogQuery{Follow: true})
		if got != "one" || armada.CodeOf(err) != armada.CodeUnavailable {
			t.Errorf("the log is %q, %v; want one line and that the executor is gone", got, err)
		}
	})
}

func TestALogThatNobodyHasIsNotFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(life{})
		if _, err := w.logs(t.Context(), id, runs.LogQuery{}); armada.CodeOf(err) != armada.CodeUnavailable {
			t.Errorf("without an executor: %v", err)
		}
		w.cluster("east", options{})
		if _, err := w.logs(t.Context(), id, runs.LogQuery{}); armada.CodeOf(err) != armada.CodeNotFound {
			t.Errorf("of a run that never was: %v", err)
		}
	})
}
