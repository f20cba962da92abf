package postgres_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"armada"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// dumpAndLoad loads a dump of a database into another one, with PostgreSQL's own
// programs.
func dumpAndLoad(t *testing.T, from, to string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dump")
	for _, c := range [][]string{
		{"pg_dump", "--format=custom", "--file=" + file, from},
		{"pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", "--dbname=" + to, file},
	} {
		cmd := exec.CommandContext(t.Context(), pgtest.Program(t, c[0]), c[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c, err, out)
		}
	}
}

func opened(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestADatabaseThatCameByADumpIsRecognisedOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := opened(t, url)
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	end, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	held := func(s *postgres.Store) bool {
		left, err := s.Held(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return left > 0
	}
	s = opened(t, url)
	if held(s) {
		t.Error("a database that was only opened again counts as restored")
	}
	_ = s.Close()

	elsewhere, sameServer := pgtest.Start(t).URL("postgres"), pgtest.Database(t)
	dumpAndLoad(t, url, elsewhere)
	dumpAndLoad(t, url, sameServer)
	dumpAndLoad(t, url, url) // in its own place
	for name, at := range map[string]string{"another server": elsewhere, "another database": sameServer, "its own database": url} {
		s := opened(t, at)
		if !held(s) {
			t.Errorf("a dump loaded into %s is not recognised", name)
		}
		_, _, err := s.Changes(t.Context(), end, 1)
		if armada.CodeOf(err) != armada.CodeOutOfRange {
			t.Errorf("in %s an old position of the feed answers %v", name, err)
		}
		next, err := s.End(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		s = opened(t, at)
		if again, err := s.End(t.Context()); err != nil || string(again) != string(next) {
			t.Errorf("opened again, %s was restored again: %x and %x, %v", name, next, again, err)
		}
	}
}

func TestAProgramThatKnowsNothingOfLivesIsShutOutOfARestoredDatabase(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t)}
	s := opened(t, config.URL)
	before, err := postgres.Status(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restored(t.Context(), store.LifeSpan); err != nil {
		t.Fatal(err)
	}
	after, err := postgres.Status(t.Context(), config)
	if err != nil || before.Needs != 2 || after.Needs != 3 {
		t.Errorf("it needs programs of form %d, and of form %d after a restore; %v", before.Needs, after.Needs, err)
	}
}
