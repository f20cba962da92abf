package postgres_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/doctor"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// checked is what an examination says under a name.
func checked(t *testing.T, x postgres.Examination, name string) doctor.Check {
	t.Helper()
	for _, c := range x.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("nothing is told of %q: %+v", name, x.Checks)
	return doctor.Check{}
}

// says fails unless a check has a verdict and its finding and advice have words.
func says(t *testing.T, c doctor.Check, want doctor.Verdict, words ...string) {
	t.Helper()
	text := c.Finding + "; " + c.Advice
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s says %q, without %q", c.Name, text, w)
		}
	}
	if c.Verdict != want {
		t.Errorf("%s is %s and not %s: %q", c.Name, c.Verdict, want, text)
	}
	if c.Verdict >= doctor.Warning && c.Advice == "" {
		t.Errorf("%s gives no advice", c.Name)
	}
}

func examine(t *testing.T, config postgres.Config, limits postgres.Limits) postgres.Examination {
	t.Helper()
	return postgres.Examine(t.Context(), config, limits)
}

// session is a connection of somebody else, in a transaction.
func session(t *testing.T, url string, statements ...string) *pgx.Conn {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(ctx) })
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return c
}

func TestAWellKeptDatabaseIsExaminedWithoutAComplaint(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	config := postgres.Config{URL: server.Database(t)}
	s := opened(t, config.URL)
	ctx := t.Context()
	if _, _, err := s.Lead(ctx, store.Replica{Name: "one", Addr: "one.example:50051"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, e := range []armada.Executor{{ID: "x", Replica: "two", ReplicaAddr: "two.example:50051"}, {ID: "y", Replica: "one", ReplicaAddr: "one.example:50051"}} {
		e.Session, e.Lease = "s", time.Hour
		if err := s.OpenSession(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	x := examine(t, config, postgres.Limits{})
	for _, c := range x.Checks {
		if c.Verdict != doctor.OK {
			t.Errorf("%s is %s: %s; %s", c.Name, c.Verdict, c.Finding, c.Advice)
		}
	}
	if len(x.Checks) < 15 {
		t.Errorf("only %d things are looked at", len(x.Checks))
	}
	says(t, checked(t, x, "leader"), doctor.OK, "one leads since", "epoch 1")
	says(t, checked(t, x, "executors"), doctor.OK, "2 of 2", "x, heard of")
	says(t, checked(t, x, "connections"), doctor.OK, "1 server uses up to 10")
	if len(x.Replicas) != 2 || x.Replicas[0] != (postgres.ReplicaAddress{Name: "one", Addr: "one.example:50051"}) || x.Replicas[1].Addr != "two.example:50051" {
		t.Errorf("the servers are %+v", x.Replicas)
	}
}

func TestADatabaseThatIsNotThereIsTheOnlyFinding(t *testing.T) {
	t.Parallel()
	x := examine(t, postgres.Config{URL: "postgres://armada:secret@127.0.0.1:1/none"}, postgres.Limits{})
	says(t, checked(t, x, "database"), doctor.Problem, "connecting to database")
	if len(x.Checks) != 1 || strings.Contains(x.Checks[0].Finding, "secret") {
		t.Errorf("what is told is %+v", x.Checks)
	}
	x = examine(t, postgres.Config{URL: "postgres://armada:secret@host:wrong/none"}, postgres.Limits{})
	says(t, checked(t, x, "database"), doctor.Problem, "it is no PostgreSQL URL")
}

func TestAnExaminationMakesNoTables(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t)}
	for range 2 {
		x := examine(t, config, postgres.Limits{})
		says(t, checked(t, x, "migrations"), doctor.Warning, "no tables yet")
		says(t, checked(t, x, "leader"), doctor.NotChecked)
	}
	if err := postgres.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	x := examine(t, config, postgres.Limits{})
	says(t, checked(t, x, "migrations"), doctor.OK)
	says(t, checked(t, x, "leader"), doctor.Problem, "nobody leads")
	says(t, checked(t, x, "executors"), doctor.Warning, "there are none")
	pgtest.Shared().Exec(t, config.URL, "DELETE FROM armada.form WHERE number > 1")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "migrations"), doctor.Warning, "the tables have form 1")
	pgtest.Shared().Exec(t, config.URL, "INSERT INTO armada.form (number, needs, name) VALUES (999, 1, 'expands')")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "migrations"), doctor.OK, "of a newer program")
	pgtest.Shared().Exec(t, config.URL, "INSERT INTO armada.form (number, needs, name) VALUES (1000, 1000, 'contracts')")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "migrations"), doctor.Problem, "install a newer program")
}

func TestWhatHoldsBackTheCleaningUpIsFound(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_prepared_transactions=2")
	config := postgres.Config{URL: server.Database(t)}
	_ = opened(t, config.URL)
	soon := postgres.Limits{Transaction: time.Nanosecond, Held: 1, Dead: 1}

	other := session(t, config.URL, "SET application_name = 'a person'", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM armada.job")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "old snapshots"), doctor.OK)
	says(t, checked(t, examine(t, config, soon), "old snapshots"), doctor.Problem, "a person", "idle in transaction", "pg_terminate_backend")
	says(t, checked(t, examine(t, config, postgres.Limits{Transaction: time.Hour}), "old snapshots"), doctor.OK)
	_ = other.Close(t.Context())

	says(t, checked(t, examine(t, config, soon), "prepared transactions"), doctor.OK, "none")
	session(t, config.URL, "BEGIN", "CREATE TABLE t ()", "PREPARE TRANSACTION 'left behind'")
	says(t, checked(t, examine(t, config, soon), "prepared transactions"), doctor.Warning, "left behind")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "prepared transactions"), doctor.OK, "left behind")

	says(t, checked(t, examine(t, config, soon), "replication slots"), doctor.OK, "none")
	server.Exec(t, config.URL, "SELECT pg_create_physical_replication_slot('gone', true)")
	server.Exec(t, config.URL, "SELECT pg_switch_wal()")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "replication slots"), doctor.Warning, "nobody reads gone", "pg_drop_replication_slot('gone')")
	says(t, checked(t, examine(t, config, soon), "replication slots"), doctor.Problem, "the disk fills")

	says(t, checked(t, examine(t, config, postgres.Limits{}), "autovacuum"), doctor.OK)
	server.Exec(t, config.URL, "ALTER TABLE armada.change SET (autovacuum_enabled = off)")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "autovacuum"), doctor.Problem, "turned off for change", "RESET")
	// Statistics are told when a session ends.
	_ = session(t, config.URL, "INSERT INTO armada.change (seq, at) SELECT n + 100000, 0 FROM generate_series(1, 5000) n",
		"DELETE FROM armada.change WHERE seq > 100000").Close(t.Context())
	waitFor(t, func() bool {
		return checked(t, examine(t, config, soon), "dead rows").Verdict == doctor.Warning
	})
	says(t, checked(t, examine(t, config, soon), "dead rows"), doctor.Warning, "change has", "VACUUM armada.change")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "dead rows"), doctor.OK)
	server.Restart(t, "autovacuum=off")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "autovacuum"), doctor.Problem, "autovacuum is off")
}

// TestAReleaseThatArmadaIsNotMadeForIsTold looks at a server that says it is of
// another release: its settings are asked for where a role looks first.
func TestAReleaseThatArmadaIsNotMadeForIsTold(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	config := postgres.Config{URL: server.Database(t)}
	server.Exec(t, config.URL, "CREATE SCHEMA another")
	server.Exec(t, config.URL, "ALTER ROLE armada SET search_path = another, pg_catalog")
	for number, want := range map[string]struct {
		verdict doctor.Verdict
		words   string
	}{
		"120022": {doctor.Problem, "use PostgreSQL 13 to 17"},
		"130000": {doctor.OK, "PostgreSQL 130000"},
		"170002": {doctor.OK, "PostgreSQL 170002"},
		"180000": {doctor.Warning, "was not tried with it"},
	} {
		server.Exec(t, config.URL, `CREATE OR REPLACE FUNCTION another.current_setting(name text) RETURNS text LANGUAGE sql AS $$
			SELECT CASE WHEN name LIKE 'server_version%' THEN '`+number+`' ELSE pg_catalog.current_setting(name) END $$`)
		says(t, checked(t, examine(t, config, postgres.Limits{}), "version"), want.verdict, want.words)
	}
}

func TestAReplicationSlotThatHoldsBackTheServerIsFound(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "wal_level=logical", "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB")
	config := postgres.Config{URL: server.Database(t)}
	verdict := func(want doctor.Verdict, words ...string) {
		t.Helper()
		says(t, checked(t, examine(t, config, postgres.Limits{}), "replication slots"), want, words...)
	}
	verdict(doctor.OK, "there are none")

	server.Exec(t, config.URL, "SELECT pg_create_physical_replication_slot('read', true)")
	follow := exec.Command(pgtest.Program(t, "pg_receivewal"), "--directory="+t.TempDir(), "--no-loop", "--slot=read", "--dbname="+server.URL("postgres"))
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = follow.Process.Kill(); _ = follow.Wait() })
	waitFor(t, func() bool { return server.Count(t, "SELECT count(*) FROM pg_replication_slots WHERE active") == 1 })
	verdict(doctor.OK, "there are 1, all in use")

	server.Exec(t, config.URL, "SELECT pg_create_logical_replication_slot('silent', 'pgoutput')")
	verdict(doctor.Problem, "nobody reads silent", "keeps the dead from being cleaned up", "pg_drop_replication_slot('silent')")

	server.Exec(t, config.URL, "SELECT pg_drop_replication_slot('silent')")
	server.Exec(t, config.URL, "SELECT pg_create_physical_replication_slot('late', true)")
	for range 3 { // past what is kept of the log
		server.Exec(t, config.URL, "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")
		server.Exec(t, config.URL, "SELECT pg_switch_wal()")
	}
	server.Exec(t, config.URL, "CHECKPOINT")
	verdict(doctor.Warning, "late has lost its place", "must begin anew")
}

func TestWhatMakesADatabaseForgetIsFound(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	config := postgres.Config{URL: server.Database(t)}
	if err := postgres.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	verdict := func(want doctor.Verdict, name string, words ...string) {
		t.Helper()
		says(t, checked(t, examine(t, config, postgres.Limits{}), name), want, words...)
	}
	verdict(doctor.OK, "durability", "synchronous_commit is on")
	server.Exec(t, config.URL, "ALTER ROLE armada SET synchronous_commit = off")
	verdict(doctor.Warning, "durability", "synchronous_commit is off")
	server.Exec(t, config.URL, "ALTER ROLE armada RESET synchronous_commit")
	server.Restart(t, "synchronous_commit=local")
	verdict(doctor.Warning, "durability", "synchronous_commit is local")
	server.Restart(t, "full_page_writes=off")
	verdict(doctor.Problem, "durability", "full_page_writes is off")
	server.Restart(t, "fsync=off")
	verdict(doctor.Problem, "durability", "fsync is off")

	verdict(doctor.OK, "standbys", "there are none")
	follow := exec.Command(pgtest.Program(t, "pg_receivewal"), "--directory="+t.TempDir(), "--no-loop", "--dbname="+server.URL("postgres"))
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = follow.Process.Kill(); _ = follow.Wait() })
	waitFor(t, func() bool {
		return checked(t, examine(t, config, postgres.Limits{}), "standbys").Verdict == doctor.Warning
	})
	verdict(doctor.Warning, "standbys", "pg_receivewal follows asynchronously", "synchronous_standby_names")
	server.Restart(t, "synchronous_standby_names=other", "synchronous_commit=local")
	verdict(doctor.Problem, "standbys", "no such standby follows")
}

func TestARoleThatMayNotSeeOthersSaysWhatWasNotChecked(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	server.Exec(t, server.URL("postgres"), "CREATE ROLE plain LOGIN")
	server.Exec(t, server.URL("postgres"), "CREATE DATABASE plain OWNER plain")
	url := strings.Replace(server.URL("plain"), "//armada@", "//plain@", 1)
	_ = opened(t, url)
	x := examine(t, postgres.Config{URL: url}, postgres.Limits{})
	says(t, checked(t, x, "old snapshots"), doctor.NotChecked, "its own sessions", "pg_read_all_stats")
	says(t, checked(t, x, "restored"), doctor.OK)
	server.Exec(t, server.URL("postgres"), "GRANT pg_read_all_stats TO plain")
	says(t, checked(t, examine(t, postgres.Config{URL: url}, postgres.Limits{}), "old snapshots"), doctor.OK)
}

func TestTooFewConnectionsAreFound(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	config := postgres.Config{URL: server.Database(t)}
	_ = opened(t, config.URL)
	replica := opened(t, config.URL)
	verdict := func(want doctor.Verdict, words ...string) {
		t.Helper()
		waitFor(t, func() bool {
			return strings.Contains(checked(t, examine(t, config, postgres.Limits{}), "connections").Finding, "2 servers use")
		})
		says(t, checked(t, examine(t, config, postgres.Limits{}), "connections"), want, words...)
	}
	verdict(doctor.OK)
	server.Exec(t, config.URL, "ALTER ROLE armada CONNECTION LIMIT 25")
	verdict(doctor.Warning, "no room for one more server")
	server.Exec(t, config.URL, "ALTER ROLE armada CONNECTION LIMIT 19")
	verdict(doctor.Problem, "20 are needed")
	_ = replica.Close()
}

func TestASilentExecutorALapsedLeaderAndARestoredDatabaseAreFound(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t)}
	s := opened(t, config.URL)
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := s.Lead(ctx, store.Replica{Name: "one", Addr: "one.example:50051"}, time.Microsecond)
	ok(err)
	ok(s.OpenSession(ctx, armada.Executor{ID: "quiet", Session: "s", Lease: time.Microsecond}))
	ok(s.OpenSession(ctx, armada.Executor{ID: "closed", Session: "s", Lease: time.Hour}))
	ok(s.CordonExecutor(ctx, "closed", true, "repairs"))
	x := examine(t, config, postgres.Limits{})
	says(t, checked(t, x, "leader"), doctor.Problem, "nobody leads since", "one")
	says(t, checked(t, x, "executors"), doctor.Warning, "0 of 2", "cordoned: closed", "silent: quiet")
	says(t, checked(t, x, "restored"), doctor.OK, "never")
	ok(s.Restored(ctx, time.Hour))
	says(t, checked(t, examine(t, config, postgres.Limits{}), "restored"), doctor.Warning, "nothing is started for another")
	pgtest.Shared().Exec(t, config.URL, "UPDATE armada.restoration SET held = 0")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "restored"), doctor.OK, "1 time from a copy")
	pgtest.Shared().Exec(t, config.URL, "UPDATE armada.restoration SET home = 'elsewhere'")
	says(t, checked(t, examine(t, config, postgres.Limits{}), "restored"), doctor.Warning, "came here by a dump")
}

func TestAClockThatDiffersIsTold(t *testing.T) {
	t.Parallel()
	check := func(ahead, give time.Duration) doctor.Check {
		return postgres.ClockCheck("clock", "the database's clock", ahead, give, time.Second)
	}
	says(t, check(900*time.Millisecond, time.Millisecond), doctor.OK, "900ms ahead of")
	says(t, check(-3*time.Second, 100*time.Millisecond), doctor.Warning, "3s behind", "NTP")
	says(t, check(3*time.Second, 2500*time.Millisecond), doctor.OK) // it may be right
	config := postgres.Config{URL: pgtest.Database(t)}
	says(t, checked(t, examine(t, config, postgres.Limits{Clock: time.Hour}), "clock"), doctor.OK, "the database's clock")
}
