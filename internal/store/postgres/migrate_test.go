package postgres_test

import (
	"strings"
	"sync"
	"testing"

	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

func TestReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	group.Wait()
	form, err := postgres.Status(t.Context(), postgres.Config{URL: url})
	if err != nil || form.Behind() || form.Database != form.Program || form.Program < 1 {
		t.Errorf("the form is %+v, %v", form, err)
	}
}

func TestMigrationsMayBeMadeApart(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t), SkipMigrations: true}
	form, err := postgres.Status(t.Context(), config)
	if err != nil || form.Database != 0 || !form.Behind() {
		t.Errorf("an empty database: %+v, %v", form, err)
	}
	if s, err := postgres.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), "run its migrations first") {
		t.Errorf("an empty database was opened: %v, %v", s, err)
	}
	if err := postgres.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

func TestANewerDatabaseIsAcceptedWhenItSaysSoAndElseRefused(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t)}
	if err := postgres.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	pgtest.Shared().Exec(t, config.URL, "INSERT INTO armada.form (number, needs, name) VALUES (998, 1, 'expands')")
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatalf("a newer form that works with this program: %v", err)
	}
	_ = s.Close()
	pgtest.Shared().Exec(t, config.URL, "INSERT INTO armada.form (number, needs, name) VALUES (999, 999, 'contracts')")
	if _, err := postgres.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), "install a newer one") {
		t.Errorf("a form that needs a newer program: %v", err)
	}
}

func TestAWrongURLIsToldWithoutItsPassword(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://me:secret@host:nonsense/x"})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "url: ") {
		t.Errorf("the error is %v", err)
	}
}
