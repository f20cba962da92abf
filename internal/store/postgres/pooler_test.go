package postgres_test

import (
	"testing"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// pooled tells a store that its URL leads to a pooler.
func pooled(c *postgres.Config) { c.TransactionPooler = true }

func TestBehindPgBouncerACommitWhoseAnswerIsLostIsSettled(t *testing.T) {
	t.Parallel()
	pooler := pgtest.Shared().Pooler(t)
	p := startProxy(t, pooler.Address())
	s := openStore(t, p.through(t, pgtest.Database(t)), pooled)
	p.arm(func(c *cut) {
		c.pass()
		<-c.answered
	})
	sub := jobs("set", 50)
	if _, err := s.Submit(t.Context(), sub); err != nil {
		t.Error(err)
	}
	if n := there(t, s, sub); n != 50 {
		t.Errorf("%d of 50 jobs are there", n)
	}
	p.arm(func(*cut) {})
	sub = jobs("set", 50)
	_, err := s.Submit(t.Context(), sub)
	code(t, err, armada.CodeUnavailable)
	if n := there(t, s, sub); n != 0 {
		t.Errorf("%d jobs are there of a commit that never arrived", n)
	}
}

func TestBehindPgBouncerWithADirectURLCommitsWakeOtherReplicas(t *testing.T) {
	t.Parallel()
	pooler, url := pgtest.Shared().Pooler(t), pgtest.Database(t)
	direct := func(c *postgres.Config) { c.TransactionPooler, c.DirectURL = true, url }
	one, two := openStore(t, pooler.Through(t, url), direct), openStore(t, pooler.Through(t, url), direct)
	hears(t, two, one) // they do not poll
	watcher, stop := two.Watch(store.JobSetKey{Queue: "q", JobSet: "set"})
	defer stop()
	if _, err := one.Submit(t.Context(), jobs("set", 1)); err != nil {
		t.Fatal(err)
	}
	told(t, watcher, "a watcher on another replica")
}

// TestAPoolerAndAServerThatDieUnderLoadLoseAndDoubleNothing kills the database
// behind the pooler, and the pooler before the database.
func TestAPoolerAndAServerThatDieUnderLoadLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	pooler := server.Pooler(t)
	url := pooler.Through(t, server.Database(t))
	polls := func(c *postgres.Config) { c.TransactionPooler, c.Poll = true, 50*time.Millisecond }
	l := startLoad(t, openStore(t, url, polls), openStore(t, url, polls))
	l.goesOn()
	server.Kill(t)
	server.Restart(t)
	l.goesOn()
	pooler.Kill(t)
	pooler.Restart(t)
	l.goesOn()
	l.check()
}
