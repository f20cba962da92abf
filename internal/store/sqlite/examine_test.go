package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/doctor"
)

// kept makes a file with something in it.
func kept(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "armada.db")
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// says fails unless the examination has a check with a verdict and words.
func says(t *testing.T, path, name string, want doctor.Verdict, words string) {
	t.Helper()
	for _, c := range Examine(t.Context(), path) {
		if c.Name != name {
			continue
		}
		if c.Verdict != want || !strings.Contains(c.Finding+c.Advice, words) || want >= doctor.Warning && c.Advice == "" {
			t.Errorf("%s is %s: %s; %s; want %s with %q", name, c.Verdict, c.Finding, c.Advice, want, words)
		}
		return
	}
	t.Errorf("nothing is told of %s", name)
}

func TestAFileIsExaminedWhileItIsServedAndAfterwards(t *testing.T) {
	t.Parallel()
	s, path := kept(t)
	for range 2 {
		for _, c := range Examine(t.Context(), path) {
			if c.Verdict != doctor.OK {
				t.Errorf("%s is %s: %s", c.Name, c.Verdict, c.Finding)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restored(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	says(t, path, "restored", doctor.Warning, "nothing is started for another 1h0m0s")
	_ = s.Close()
}

func TestADamagedFileIsFound(t *testing.T) {
	t.Parallel()
	s, path := kept(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damaged := append([]byte(nil), whole...)
	for i := range 3 * 4096 { // pages of tables and indexes
		damaged[len(damaged)-1-i] ^= 0x5a
	}
	write(damaged)
	says(t, path, "database file", doctor.Problem, "armada restored")
	write([]byte("this is no database, and long enough to be told from one by its first bytes, which are not those of SQLite"))
	says(t, path, "database file", doctor.Problem, "cannot be read")
	says(t, path, "migrations", doctor.NotChecked, "could not be read")
}

func TestAFileOfAnotherFormOrWithALargeLogIsFound(t *testing.T) {
	t.Parallel()
	s, path := kept(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]doctor.Verdict{"999": doctor.Problem, "1": doctor.Warning} {
		c, err := connect(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.script("PRAGMA user_version = " + number); err != nil {
			t.Fatal(err)
		}
		_ = c.close()
		says(t, path, "migrations", want, "form "+number)
	}
	if err := os.WriteFile(path+"-wal", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path+"-wal", logWarning+1); err != nil {
		t.Fatal(err)
	}
	says(t, path, "write-ahead log", doctor.Warning, "1024 MiB")
	_ = os.Remove(path)
	says(t, path, "database file", doctor.Warning, "there is no")
	if _, err := os.Stat(path); err == nil {
		t.Error("an examination made a file")
	}
}
