package postgres_test

import (
	"testing"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// told fails the test when the signal does not come with the test's patience.
func told(t *testing.T, signal <-chan struct{}, who string) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was not told", who)
	}
}

// drain empties signals until none comes for a moment of the other's work.
func drain(signals ...<-chan struct{}) {
	for _, s := range signals {
		select {
		case <-s:
		default:
		}
	}
}

// hears returns once a store hears notifications: others' listeners connect in
// the background.
func hears(t *testing.T, s, other *postgres.Store) {
	t.Helper()
	signal, stop := s.Watch(store.JobSetKey{Queue: "q", JobSet: "hello"})
	defer stop()
	for heard := false; !heard; {
		if _, err := other.Submit(t.Context(), jobs("hello", 1)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-signal:
			heard = true
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestCommitsOfOneProcessWakeThoseOfAnother(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, two := openStore(t, url), openStore(t, url)
	hears(t, two, one)
	key := store.JobSetKey{Queue: "q", JobSet: "set"}
	watcher, stop := two.Watch(key)
	defer stop()
	other, stopOther := two.Watch(store.JobSetKey{Queue: "q", JobSet: "other"})
	defer stopOther()
	for range 3 {
		drain(watcher, two.Wake())
		if _, err := one.Submit(t.Context(), jobs("set", 1)); err != nil {
			t.Fatal(err)
		}
		told(t, watcher, "a watcher on another replica")
		told(t, two.Wake(), "the leader on another replica")
	}
	select {
	case <-other:
		t.Error("the watcher of another job set was told")
	default:
	}
}

func TestAListenerThatIsCutOffComesBackAndWakesEverybody(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, two := openStore(t, url), openStore(t, url)
	hears(t, two, one)
	watcher, stop := two.Watch(store.JobSetKey{Queue: "q", JobSet: "set"})
	defer stop()
	drain(watcher)
	pgtest.Shared().Exec(t, url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'`)
	told(t, watcher, "a watcher, after the listener came back,")
	hears(t, two, one)
}

func TestWithoutADirectURLOthersCommitsAreFoundByPolling(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one := openStore(t, url)
	two := openStore(t, url, func(c *postgres.Config) { c.TransactionPooler, c.Poll = true, 20*time.Millisecond })
	key := store.JobSetKey{Queue: "q", JobSet: "set"}
	watcher, stop := two.Watch(key)
	defer stop()
	told(t, two.Wake(), "the leader, of the queue,")
	for range 3 {
		if _, err := one.Submit(t.Context(), jobs("set", 1)); err != nil {
			t.Fatal(err)
		}
		told(t, watcher, "a watcher")
		told(t, two.Wake(), "the leader")
	}
}

func TestAReplicaThatDoesNotLeadIsAnsweredFromMemoryAndHearsOfAResignation(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, two := openStore(t, url), openStore(t, url)
	hears(t, two, one)
	leader, leads, err := one.Lead(t.Context(), store.Replica{Name: "one"}, time.Hour)
	if err != nil || !leads {
		t.Fatal(leader, leads, err)
	}
	ask := func() bool {
		t.Helper()
		_, leads, err := two.Lead(t.Context(), store.Replica{Name: "two"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return leads
	}
	ask()
	// The notification that somebody leads now may come late and be asked about.
	waitFor(t, func() bool {
		before := postgres.Asked(two)
		ask()
		return postgres.Asked(two) == before
	})
	if err := one.Resign(t.Context(), leader.Epoch); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil { // as a process that stops does
		t.Fatal(err)
	}
	waitFor(t, ask)
}

func TestADeposedLeaderCommitsNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, two := openStore(t, url), openStore(t, url)
	first, _, err := one.Lead(t.Context(), store.Replica{Name: "one"}, time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	for leads := false; !leads; {
		if _, leads, err = two.Lead(t.Context(), store.Replica{Name: "two"}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	sub := jobs("set", 1)
	if _, err := one.Submit(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	_, err = one.Transition(t.Context(), store.Fence{Epoch: first.Epoch}, []store.Unit{{}})
	code(t, err, armada.CodeFenced)
}

func TestARecordIsLaterThanTheOneBeforeThoughTheDatabasesClockSteppedBack(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := openStore(t, url)
	pgtest.Shared().Exec(t, url, "UPDATE armada.lane SET at = at + 3600000000") // as an hour ago the clock was an hour ahead
	var before time.Time
	for range 3 {
		if err := s.OpenSession(t.Context(), armada.Executor{ID: "east", Session: "s", Lease: time.Minute}); err != nil {
			t.Fatal(err)
		}
		e, err := s.Executor(t.Context(), "east")
		if err != nil {
			t.Fatal(err)
		}
		if !e.Acknowledged.After(before) {
			t.Errorf("the record of %v follows that of %v", e.Acknowledged, before)
		}
		before = e.Acknowledged
	}
}
