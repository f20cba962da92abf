package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/internal/store/sqlite"
	"armada/internal/store/storetest"
)

func file(place string) string { return filepath.Join(place, "armada.db") }

// sqliteForm opens a file in the folder of a place.
func sqliteForm(t *testing.T, c storetest.Config) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{
		Path: file(c.Place), Clock: c.Clock, Resources: c.Resources, ClientIDRetention: c.ClientIDRetention, MaxQueuedPerQueue: c.MaxQueuedPerQueue, Retries: c.Retries,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func move(ctx context.Context, path string, config postgres.Config) error {
	return sqlite.Export(ctx, path, func(c *store.Contents) error {
		return postgres.Import(ctx, config, c, func(string, int64) {})
	})
}

func TestAStoreMovedFromSQLiteTellsTheSameAndGoesOn(t *testing.T) {
	t.Parallel()
	p := &places{}
	storetest.Moved(t, sqliteForm, formOf(p), func(c storetest.Config) {
		url := p.url(t, c.Place)
		if err := move(t.Context(), file(c.Place), postgres.Config{URL: url, Clock: c.Clock}); err != nil {
			t.Fatal(err)
		}
	})
}

// small is a SQLite store with a queue.
func small(t *testing.T) (path string) {
	t.Helper()
	place := t.TempDir()
	s := sqliteForm(t, storetest.Config{Place: place})
	if err := errors.Join(s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}), s.Close()); err != nil {
		t.Fatal(err)
	}
	return file(place)
}

func TestAStoreIsMovedIntoAnEmptyDatabaseOnly(t *testing.T) {
	t.Parallel()
	path, config := small(t), postgres.Config{URL: pgtest.Database(t)}
	if err := move(t.Context(), path, config); err != nil {
		t.Fatal(err)
	}
	err := move(t.Context(), path, config)
	if armada.CodeOf(err) != armada.CodePrecondition || !strings.Contains(err.Error(), "must be empty: make a new one") {
		t.Errorf("a second time: %v", err)
	}
}

func TestAStoreIsNotMovedIntoADatabaseThatAServerUses(t *testing.T) {
	t.Parallel()
	config := postgres.Config{URL: pgtest.Database(t)}
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	leader, leads, err := s.Lead(t.Context(), store.Replica{Name: "busy"}, time.Hour)
	if err != nil || !leads {
		t.Fatal(leads, err)
	}
	path := small(t)
	err = move(t.Context(), path, config)
	if armada.CodeOf(err) != armada.CodePrecondition || !strings.Contains(err.Error(), "the server busy uses the database") {
		t.Errorf("beside a server: %v", err)
	}
	position, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Resign(t.Context(), leader.Epoch); err != nil {
		t.Fatal(err)
	}
	if err := move(t.Context(), path, config); err != nil {
		t.Fatalf("after it resigned: %v", err)
	}
	// Whoever was there all the time notices.
	if _, _, err := s.Changes(t.Context(), position, 10); armada.CodeOf(err) != armada.CodeOutOfRange {
		t.Errorf("a reader of the feed is told %v, and should load anew", err)
	}
	if next, leads, err := s.Lead(t.Context(), store.Replica{Name: "next"}, time.Minute); err != nil || !leads || next.Epoch <= leader.Epoch {
		t.Errorf("the next leader is %+v, %v, %v; the last one had epoch %d", next, leads, err, leader.Epoch)
	}
}

// TestAMoveThatBreaksOffLeavesNothing breaks off at each of the tables.
func TestAMoveThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	path, config := small(t), postgres.Config{URL: pgtest.Database(t)}
	broken := errors.New("the disk is gone")
	tables := 0
	for at := 0; at == 0 || at < tables; at++ {
		err := sqlite.Export(t.Context(), path, func(c *store.Contents) error {
			tables = len(c.Tables)
			c.Tables[at].Rows = after(c.Tables[at].Rows, broken)
			return postgres.Import(t.Context(), config, c, func(string, int64) {})
		})
		if !errors.Is(err, broken) {
			t.Fatalf("broken off at table %d: %v", at, err)
		}
	}
	if tables < 10 {
		t.Fatalf("there are %d tables", tables)
	}
	if err := move(t.Context(), path, config); err != nil {
		t.Errorf("the database is not empty any more: %v", err)
	}
}

// after yields rows and then an error.
func after(rows iter.Seq2[[]any, error], err error) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for row, wrong := range rows {
			if !yield(row, wrong) {
				return
			}
		}
		yield(nil, err)
	}
}

// BenchmarkMove moves finished jobs (-finished) from SQLite, and tells how many
// rows and jobs a second, and how large the heap is at most.
func BenchmarkMove(b *testing.B) {
	path := finished(b, *finishedJobs)
	b.ResetTimer()
	rows, peak := int64(0), uint64(0)
	for range b.N {
		config := postgres.Config{URL: pgtest.Database(b)}
		err := sqlite.Export(b.Context(), path, func(c *store.Contents) error {
			for _, t := range c.Tables {
				rows += t.Count
			}
			return postgres.Import(b.Context(), config, c, func(string, int64) {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			})
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(*finishedJobs*b.N)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(float64(peak)/1e6, "MB-heap")
	b.ReportMetric(0, "ns/op")
}

// finished makes a SQLite store with so many finished jobs.
func finished(b *testing.B, n int) string {
	b.Helper()
	path := file(b.TempDir())
	s, err := sqlite.Open(b.Context(), sqlite.Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		b.Fatal(err)
	}
	for made := 0; made < n; {
		sub := jobs(armada.JobSet(fmt.Sprintf("set-%d", made%7)), min(300, n-made))
		made += len(sub.Jobs)
		if _, err := s.Submit(b.Context(), sub); err != nil {
			b.Fatal(err)
		}
		units := make([]store.Unit, len(sub.Jobs))
		for i := range units {
			id := sub.Jobs[i].Job.ID
			units[i] = store.Unit{
				{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: "east", Node: "node-17", Pool: "default"}},
				{Kind: lifecycle.ReportRunning, Job: id, Run: armada.NewRunID(id, 1), Executor: "east", Node: "node-17"},
				{Kind: lifecycle.ReportSucceeded, Job: id, Run: armada.NewRunID(id, 1), Executor: "east", Node: "node-17"},
			}
		}
		results, err := s.Transition(b.Context(), store.Fence{}, units)
		if err != nil || results[0].Verdict != lifecycle.Applied {
			b.Fatal(err, results)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}
