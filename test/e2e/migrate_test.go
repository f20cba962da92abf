package e2e

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
	"armada/pkg/client"
)

// armada runs armada to its end and returns what it prints.
func armada(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary(t, "armada"), args...).CombinedOutput()
	return string(out), err
}

// says fails unless a command ends as it should and prints all parts.
func says(t *testing.T, ok bool, args []string, parts ...string) {
	t.Helper()
	out, err := armada(t, args...)
	if (err == nil) != ok {
		t.Errorf("armada %s: %v", strings.Join(args, " "), err)
	}
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("armada %s does not say %q:\n%s", strings.Join(args, " "), part, out)
		}
	}
}

// follow watches a job set after an event and returns the ids of events, once
// enough says so.
func (u *up) follow(t *testing.T, s client.Stream, enough func(*api.EventStreamMessage) bool) []string {
	t.Helper()
	server, err := client.New(client.Config{ArmadaURL: u.grpc})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var ids []string
	if err := server.Watch(ctx, s, func(m *api.EventStreamMessage) error {
		ids = append(ids, m.GetId())
		if enough(m) {
			return client.ErrStop
		}
		return nil
	}); err != nil && !errors.Is(err, client.ErrStop) {
		t.Fatalf("watching %s: %v", s.JobSet, err)
	}
	return ids
}

// TestArmadaUpMovesToPostgreSQLUnderItsJobs kills `armada up` while jobs are
// queued, running and finished, moves its store, and goes on.
func TestArmadaUpMovesToPostgreSQLUnderItsJobs(t *testing.T) {
	t.Parallel()
	dir, database := t.TempDir(), pgtest.Start(t).URL("postgres")
	t.Cleanup(func() { killProcessesOf(dir) })
	flags := []string{"--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi", "--keep-running"}
	u := startUp(t, dir, flags...)
	ids := submitDemo(t, u)
	sleeps := ids[2]
	demo := client.Stream{Queue: "demo", JobSet: "first-steps"}
	ended := map[string]bool{}
	before := u.follow(t, demo, func(m *api.EventStreamMessage) bool {
		switch e := m.GetMessage(); {
		case e.GetSucceeded() != nil, e.GetFailed() != nil:
			ended[e.String()] = true
		case e.GetRunning() != nil && e.GetRunning().GetJobId() == sleeps:
			ended["sleeps"] = true
		}
		return len(ended) == 3
	})

	// One that waits, because its queue is cordoned.
	submit := api.NewSubmitClient(u.dial(t))
	if _, err := submit.CreateQueue(t.Context(), &api.Queue{Name: "later", PriorityFactor: 1, Cordoned: true}); err != nil {
		t.Fatal(err)
	}
	waiting := &api.JobSubmitRequest{Queue: "later", JobSetId: "s", JobRequestItems: []*api.JobSubmitRequestItem{{ClientId: "mine", PodSpec: markingSpec(t.TempDir())}}}
	answer, err := submit.SubmitJobs(t.Context(), waiting)
	if err != nil {
		t.Fatal(err)
	}
	waits := answer.GetJobResponseItems()[0].GetJobId()

	move := []string{"migrate", "--from", dir, "--database", database}
	says(t, false, move, "in use by another armada")
	u.kill()
	says(t, true, move, "jobs               4\n", "  of them active   2\n", "  of them finished 2\n", "Moved 4 jobs")
	says(t, false, move, "nothing was moved", "must be empty: make a new one")
	if u, err := tryUp(t, dir, flags...); err == nil || !strings.Contains(u.output.String(), "was moved to PostgreSQL at ") {
		t.Errorf("armada up goes on with the old store: %v\n%s", err, u.output)
	}

	u = startUp(t, dir, append(flags, "--database", database, "--skip-migrations")...)
	submit = api.NewSubmitClient(u.dial(t))
	if answer, err = submit.SubmitJobs(t.Context(), waiting); err != nil || answer.GetJobResponseItems()[0].GetJobId() != waits {
		t.Errorf("submitted again, job %s is %v, %v", waits, answer, err)
	}
	// The executor may not be back yet: then that is said first.
	if out := u.mustCtl(t, "logs", ids[0]); !strings.HasSuffix(out, "the first 500 primes add up to 824693\n") {
		t.Errorf("the log of a finished job is %q", out)
	}
	if _, err := submit.UpdateQueue(t.Context(), &api.Queue{Name: "later", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	u.follow(t, client.Stream{Queue: "later", JobSet: "s"}, func(m *api.EventStreamMessage) bool { return m.GetMessage().GetSucceeded() != nil })

	u.mustCtl(t, "cancel", "job", "demo", "first-steps", sleeps)
	demo.From = before[len(before)-1]
	after := u.follow(t, demo, func(m *api.EventStreamMessage) bool { return m.GetMessage().GetCancelled() != nil })
	demo.From = ""
	whole := u.follow(t, demo, func(m *api.EventStreamMessage) bool { return m.GetId() == after[len(after)-1] })
	if got := slices.Concat(before, after); !slices.Equal(got, whole) {
		t.Errorf("a watcher who was there before saw\n%v\nof\n%v", got, whole)
	}
	if told := kinds(u.restEvents(t), sleeps); strings.Join(told, " ") != "submitted queued leased pending running cancelling cancelled" {
		t.Errorf("the job that ran was not adopted: %v", told)
	}
	u.interrupt(t)
}

func TestAServerThatMustNotMigrateSaysWhatDoes(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Start(t)
	database := postgres.URL("postgres")
	server := []string{"server", "--database", database, "--skip-migrations", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--metrics-addr", ""}
	status := []string{"migrate", "--status", "--database", database}
	says(t, false, server, "run its migrations first, with armada migrate")
	says(t, true, status, "pending", "migrations are pending")
	says(t, true, status, "pending") // it changed nothing
	says(t, true, []string{"migrate", "--database", database}, "Made migration 1, first.")
	says(t, true, []string{"migrate", "--database", database}, "Nothing was to be done")
	says(t, true, status, "applied", "The database is up to date.")
	u, err := begin(t, server...)
	if err != nil {
		t.Fatalf("%v\n%s", err, u.output)
	}
	u.interrupt(t)

	// The next version was here.
	postgres.Exec(t, database, "INSERT INTO armada.form (number, needs, name) VALUES (998, 1, 'migrations/0998_expands.sql')")
	says(t, true, status, "998", "expands", "unknown", "works with this one too")
	if u, err = begin(t, server...); err != nil {
		t.Fatalf("beside a newer program that allows it: %v\n%s", err, u.output)
	}
	u.interrupt(t)
	postgres.Exec(t, database, "INSERT INTO armada.form (number, needs, name) VALUES (999, 999, 'migrations/0999_contracts.sql')")
	says(t, true, status, "contracts", "does not work with this one")
	says(t, false, []string{"migrate", "--database", database}, "install a newer one")
	says(t, false, server, "install a newer one")
}

func TestWhatIsNoStoreIsNotMoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const database = "postgres://nobody@127.0.0.1:1/nothing"
	says(t, false, []string{"migrate", "--from", dir, "--database", database}, dir, "is no data folder of armada up")
	says(t, false, []string{"migrate", "--from", dir + "/gone", "--database", database}, "--from: must be a data folder")
	says(t, false, []string{"migrate", "--from", dir}, "store.database: is empty")
	says(t, false, []string{"migrate", "--from", dir, "--status", "--database", database}, "give one of them")
}
