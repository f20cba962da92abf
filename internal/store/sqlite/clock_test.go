package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/storetest"
)

func TestTimeGoesOnSlowlyAfterTheClockSteppedBackUntilItHasCaughtUp(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "db")
	open := func() *Store {
		s, err := Open(t.Context(), Config{Path: path, Clock: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, n := open(), 0
	submitted := func() time.Time {
		t.Helper()
		n++
		sub := submissionOf("set", n, 1)
		if _, err := s.Submit(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		j, err := s.Job(t.Context(), sub.Jobs[0].Job.ID)
		if err != nil {
			t.Fatal(err)
		}
		return j.Job.Submitted
	}
	first := submitted()
	clock.Advance(-time.Hour)
	second := submitted()
	if !second.After(first) || second.After(first.Add(time.Second)) {
		t.Errorf("after the step back comes %s, before was %s", second, first)
	}
	clock.Advance(time.Minute)
	if got, want := submitted(), second.Add(time.Minute/2); !got.Equal(want) {
		t.Errorf("a minute later it is %s, want %s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open() // knows the time of the last event
	third := submitted()
	if !third.After(second) {
		t.Errorf("after a restart it is %s, before was %s", third, second)
	}
	clock.Advance(2 * time.Hour)
	if got, want := submitted(), clock.Now(); !got.Equal(want) {
		t.Errorf("when the clock has caught up it is %s, want %s", got, want)
	}
	events, _, err := s.ReadEvents(t.Context(), store.JobSetKey{Queue: "q", JobSet: "set"}, store.Cursor{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(events); i++ {
		if events[i].Created.Before(events[i-1].Created) {
			t.Errorf("event %d is of %s, the one before of %s", events[i].Number, events[i].Created, events[i-1].Created)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLeadershipStaysWhereItIsWhenTheClockSteps(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "db"), Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var epoch int64
	for _, step := range []time.Duration{0, -time.Hour, -time.Hour, time.Second} {
		clock.Advance(step)
		l, leads, err := s.Lead(t.Context(), store.Replica{Name: "a"}, 3*time.Second)
		if err != nil || !leads || epoch != 0 && l.Epoch != epoch {
			t.Errorf("after a step of %s: %+v, %t, %v", step, l, leads, err)
		}
		epoch = l.Epoch
		if _, leads, err := s.Lead(t.Context(), store.Replica{Name: "b"}, 3*time.Second); err != nil || leads {
			t.Errorf("after a step of %s another replica leads too, %v", step, err)
		}
	}
	clock.Advance(3 * time.Hour) // which looks like silence: an epoch guards the rest
	if l, leads, err := s.Lead(t.Context(), store.Replica{Name: "b"}, 3*time.Second); err != nil || !leads || l.Epoch <= epoch {
		t.Errorf("after the clock ran ahead: %+v, %t, %v", l, leads, err)
	}
}
