package runstest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
)

// awaitLine follows the logs of a run until it has printed a line.
func (b *bench) awaitLine(run armada.RunID, text string) {
	b.Helper()
	AwaitLine(b.TB, b.Runtime, run, text)
}

// AwaitLine follows the logs of a run until it has printed a line.
func AwaitLine(t testing.TB, r runs.Runtime, run armada.RunID, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found := errors.New("found")
	err := r.Logs(ctx, run, runs.LogQuery{Follow: true}, func(line runs.LogLine) error {
		if string(line.Text) == text {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Fatalf("waited for the line %q: %v", text, err)
	}
}

func logsHaveWhatWasPrinted(t *testing.T, w World) {
	b := open(t, w)
	printed := []string{"one", "two", "three"}
	o := b.begun(Job{Print: printed})
	s := b.await(o.Run, runs.Succeeded)
	lines := b.lines(o.Run, runs.LogQuery{})
	if !slices.Equal(texts(lines), printed) {
		t.Errorf("it printed %q", texts(lines))
	}
	name := s.End.Containers[0].Name
	for _, line := range lines {
		if line.Container != name || line.Stderr || line.Time.Before(s.Pending.Truncate(time.Second)) {
			t.Errorf("a line is not labelled right: %+v", line)
		}
	}
	if own := b.lines(o.Run, runs.LogQuery{Container: name}); len(own) != len(printed) {
		t.Errorf("of the container there is %q", texts(own))
	}
	if others := b.lines(o.Run, runs.LogQuery{Container: "another"}); len(others) != 0 {
		t.Errorf("of another container there is %q", texts(others))
	}
	stop := errors.New("enough")
	calls := 0
	err := b.Logs(context.Background(), o.Run, runs.LogQuery{}, func(runs.LogLine) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("a visit that wants no more was called %d times, and Logs answered %v", calls, err)
	}
}

func aTailIsTheLastLines(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Print: []string{"one", "two", "three"}})
	b.await(o.Run, runs.Succeeded)
	for tail, want := range map[int64][]string{
		1: {"three"}, 2: {"two", "three"}, 3: {"one", "two", "three"}, 100: {"one", "two", "three"},
	} {
		if got := texts(b.lines(o.Run, runs.LogQuery{Tail: tail})); !slices.Equal(got, want) {
			t.Errorf("the last %d lines are %q", tail, got)
		}
	}
}

func logsSinceATimeAreNotOlder(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Print: []string{"one", "two"}})
	s := b.await(o.Run, runs.Succeeded)
	if got := b.lines(o.Run, runs.LogQuery{Since: s.Pending.Add(-time.Second)}); len(got) != 2 {
		t.Errorf("since before its time there is %q", texts(got))
	}
	if got := b.lines(o.Run, runs.LogQuery{Since: s.Ended.Add(time.Second)}); len(got) != 0 {
		t.Errorf("since after its time there is %q", texts(got))
	}
	if got := b.lines(o.Run, runs.LogQuery{Since: s.Ended.Add(time.Second), Tail: 1}); len(got) != 0 {
		t.Errorf("the last since after its time is %q", texts(got))
	}
}

func followedLogsEndWithTheRun(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Forever: true, Finishes: true, Print: []string{"one", "two"}})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []string
	err := b.Logs(ctx, o.Run, runs.LogQuery{Follow: true}, func(line runs.LogLine) error {
		got = append(got, string(line.Text))
		if len(got) == 2 {
			b.stop(o.Run, patience)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("following gave %q, %v", got, err)
	}
	b.await(o.Run, runs.Succeeded)
	if got := texts(b.lines(o.Run, runs.LogQuery{Follow: true, Tail: 1})); !slices.Equal(got, []string{"two"}) {
		t.Errorf("following an ended run gave %q", got)
	}
	endless := b.begun(Job{Forever: true})
	over, stop := context.WithCancelCause(context.Background())
	stop(errors.New("the reader has left"))
	err = b.Logs(over, endless.Run, runs.LogQuery{Follow: true}, func(runs.LogLine) error { return nil })
	if err == nil {
		t.Error("following ended without the run and without an error")
	}
}

func logsStayWhenARunIsForgotten(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Print: []string{"one"}})
	b.await(o.Run, runs.Succeeded)
	if err := b.Forget(context.Background(), o.Run); err != nil {
		t.Fatalf("forget: %v", err)
	}
	if got := texts(b.lines(o.Run, runs.LogQuery{Follow: true})); !slices.Equal(got, []string{"one"}) {
		t.Errorf("of a forgotten run there is %q", got)
	}
}

func logsOfWhatIsNotKnownSaySo(t *testing.T, w World) {
	b := open(t, w)
	err := b.Logs(context.Background(), b.order(Job{}).Run, runs.LogQuery{}, func(runs.LogLine) error { return nil })
	if !errors.Is(err, runs.ErrUnknownRun) {
		t.Errorf("logs answered %v", err)
	}
}

func previousLogsAreThoseOfTheLifeBefore(t *testing.T, w World) {
	b := open(t, w)
	once := b.begun(Job{Print: []string{"once"}})
	b.await(once.Run, runs.Succeeded)
	if got := b.lines(once.Run, runs.LogQuery{Previous: true}); len(got) != 0 {
		t.Errorf("of containers that were started once there is %q", texts(got))
	}
	if !w.StartsAgain {
		return
	}
	o := b.begun(Job{Forever: true, Print: []string{"ready"}, Earlier: []string{"one", "two"}})
	b.awaitLine(o.Run, "ready")
	// It is asked to follow what can only end if that waits for nothing.
	for tail, want := range map[int64][]string{0: {"one", "two"}, 1: {"two"}, 5: {"one", "two"}} {
		if got := texts(b.lines(o.Run, runs.LogQuery{Previous: true, Follow: true, Tail: tail})); !slices.Equal(got, want) {
			t.Errorf("the last %d lines of the life before are %q", tail, got)
		}
	}
	for _, line := range b.lines(o.Run, runs.LogQuery{}) {
		if len(line.Text) == 0 {
			t.Errorf("the log has a line that nobody printed: %+v", line)
		}
	}
	if got := b.lines(o.Run, runs.LogQuery{Previous: true, Container: "another"}); len(got) != 0 {
		t.Errorf("of another container there is %q", texts(got))
	}
}
