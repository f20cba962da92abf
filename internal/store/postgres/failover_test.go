package postgres_test

import (
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// TestAFailoverToASynchronousStandbyLosesNothingThatWasAcknowledged kills the
// server under load. Its standby takes over, and the stores find it by the URL
// that names both.
func TestAFailoverToASynchronousStandbyLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	standby := primary.Standby(t)
	url := primary.URL("postgres", standby)
	one := openStore(t, url)
	l := startLoad(t, one, openStore(t, url))
	l.goesOn()
	primary.Kill(t)
	_, err := one.Queues(t.Context()) // a standby may not answer in its place
	code(t, err, armada.CodeUnavailable)
	standby.Promote(t)
	l.goesOn()
	l.check()
}

func TestAStandbyAloneIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	standby := primary.Standby(t)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: standby.URL("postgres")})
	if err == nil || !strings.Contains(err.Error(), "the database must take what is written to it, is a standby or read-only") {
		t.Errorf("a standby was opened: %v, %v", s, err)
	}
}

// TestWhatTheStandbyHasNotGotIsNotAcknowledgedEvenWhenTheWaitIsCancelled: the
// server answers a cancelled wait with success.
func TestWhatTheStandbyHasNotGotIsNotAcknowledgedEvenWhenTheWaitIsCancelled(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	standby := primary.Standby(t)
	s := openStore(t, primary.URL("postgres"))
	standby.Stop(t)
	sub := jobs("set", 2)
	answers := make(chan error, 2)
	go func() {
		_, err := s.Submit(t.Context(), sub)
		answers <- err
	}()
	go func() { answers <- s.PutQueue(t.Context(), armada.Queue{Name: "r", PriorityFactor: 1}) }()
	for cancelled := 0; cancelled < 4; { // commits, and what settles them
		n := primary.Count(t, `SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
			WHERE wait_event = 'SyncRep' AND application_name = 'armada' AND query LIKE 'SELECT armada.%'`)
		cancelled += n
		select {
		case err := <-answers:
			t.Fatalf("without the standby the answer is %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	standby.Restart(t)
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Errorf("with the standby the answer is %v", err)
		}
	}
	primary.Kill(t)
	standby.Promote(t)
	other, err := postgres.Open(t.Context(), postgres.Config{URL: standby.URL("postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	if n := there(t, other, sub); n != 2 {
		t.Errorf("%d of 2 jobs are there after the failover", n)
	}
	if _, err := other.Queue(t.Context(), "r"); err != nil {
		t.Error(err)
	}
}
