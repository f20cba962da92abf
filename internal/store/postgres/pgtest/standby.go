package pgtest

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby makes a server that follows this one synchronously: from when it
// returns on, nothing is acknowledged here that is not on the standby's disk too.
// Options are settings of the standby.
func (s *Server) Standby(t testing.TB, options ...string) *Server {
	t.Helper()
	standby, err := settle(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.remove)
	from := url.URL{Scheme: "postgres", User: url.User("armada"), Host: s.Address(), RawQuery: "application_name=standby"}
	copying := standby.command("pg_basebackup", "--dbname="+from.String(), "--pgdata="+standby.data(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("pgtest: pg_basebackup: %v\n%s", err, out)
	}
	standby.Restart(t)
	s.Exec(t, s.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	s.Exec(t, s.URL("postgres"), "SELECT pg_reload_conf()")
	s.await(t, "the standby does not follow", "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
	return standby
}

// Promote makes a standby a server that can be written to, and returns when it
// can.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.await(t, "the standby was not promoted", "SELECT pg_promote(wait_seconds => 60)")
}

// await asks until the answer is true.
func (s *Server) await(t testing.TB, otherwise, question string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	for {
		var yes bool
		if err := c.QueryRow(ctx, question).Scan(&yes); err != nil {
			t.Fatalf("pgtest: %s: %v", otherwise, err)
		}
		if yes {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
