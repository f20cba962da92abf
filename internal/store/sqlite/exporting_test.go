package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armada"
	"armada/internal/store"
)

func TestWhatIsNoStoreIsNotExported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"empty": "", "text": strings.Repeat("a diary, and no database\n", 1000)} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other, err := connect(path("other"))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.script("CREATE TABLE job (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	newer := path("newer")
	made(t, newer, "PRAGMA user_version = 999")
	for name, want := range map[string]string{
		"missing": "no such file", ".": "no store of Armada", "empty": "no store of Armada", "text": "no store of Armada", "other": "no store of Armada",
		"newer": "was written by a newer program",
	} {
		err := Export(t.Context(), path(name), func(*store.Contents) error {
			t.Errorf("%s is exported", name)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path(name)) {
			t.Errorf("%s: %v, want that it is %s", name, err, want)
		}
	}
	if _, err := os.Stat(path("missing")); err == nil {
		t.Error("a file was made")
	}
	_ = other.close()
}

// made makes a store with a queue and changes it.
func made(t *testing.T, path string, statements ...string) {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if err := c.script(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnOlderStoreIsExportedAndStaysOlder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "older")
	later := []string{
		"DROP TABLE mark", "DROP TABLE mark_key", "DROP TABLE tally", "DROP INDEX job_ended", "DROP INDEX job_set_name", "DROP INDEX job_set_active",
		"DROP TABLE gang", "DROP TABLE retry_policy", "DROP TABLE restoration", "ALTER TABLE executor DROP COLUMN reported", "ALTER TABLE executor DROP COLUMN kinds",
		"ALTER TABLE executor DROP COLUMN closed_nodes",
	}
	for _, state := range armada.JobStates() {
		later = append(later, "ALTER TABLE job_set DROP COLUMN "+state.String())
	}
	made(t, path, append(later, "PRAGMA user_version = 2")...)
	queues := int64(0)
	if err := Export(t.Context(), path, func(c *store.Contents) error {
		for _, table := range c.Tables {
			for _, err := range table.Rows {
				if err != nil {
					return err
				}
				if table.Name == "queue" {
					queues++
				}
			}
		}
		return nil
	}); err != nil || queues != 1 {
		t.Fatalf("%d queues, %v", queues, err)
	}
	c, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close() }()
	if r, err := c.one("PRAGMA user_version"); err != nil || r.int(0) != 2 {
		t.Errorf("the form is %d, %v", r.int(0), err)
	}
}
