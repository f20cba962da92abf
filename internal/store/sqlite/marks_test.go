package sqlite

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"armada"
	"armada/internal/store"
)

// count answers how many rows a table has.
func count(t *testing.T, s *Store, table string) int64 {
	t.Helper()
	var n int64
	if err := s.read(t.Context(), "count", func(c *conn) error {
		r, err := c.one("SELECT count(*) FROM " + table)
		n = r.int(0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMarksAndCountsGoWithTheirJobs(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "db"), IndexedAnnotations: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 0, 500)
	owners := count(t, s, "mark")
	if owners < 500 || count(t, s, "tally WHERE jobs > 0") != 1 {
		t.Fatalf("500 jobs have %d marks", owners)
	}
	for more := true; more; {
		done, err := s.Prune(t.Context(), store.Keep{Since: time.Now().Add(time.Hour)}, 100)
		if err != nil {
			t.Fatal(err)
		}
		more = done.More
	}
	if left := count(t, s, "mark"); left != 0 || count(t, s, "tally WHERE jobs != 0") != 0 {
		t.Errorf("without jobs there are %d marks", left)
	}
}

func TestEqualMarksOfJobsInARowAreWrittenTogether(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	want := []mark{{1, "a", 1}, {1, "a", 2}, {1, "a", 3}, {1, "a", 4}, {1, "a", 7}, {1, "b", 5}, {2, "a", 1}, {2, "a", 2}}
	if err := s.write(t.Context(), "mark", 1, func(b *batch) error {
		b.marks = slices.Clone(want)
		slices.Reverse(b.marks)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var got []mark
	if err := s.read(t.Context(), "read marks", func(c *conn) error {
		return c.each("SELECT key, value, number FROM mark", func(r row) error {
			got = append(got, mark{r.int(0), r.str(1), r.int(2)})
			return nil
		})
	}); err != nil || !slices.Equal(got, want) {
		t.Errorf("the marks are %v, %v", got, err)
	}
}
