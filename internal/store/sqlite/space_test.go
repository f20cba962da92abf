package sqlite

import (
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// fill submits jobs and lets them succeed, and returns how large the database is
// then.
func fill(t testing.TB, s *Store, first, n int) int64 {
	t.Helper()
	const piece = 500
	for at := first; at < first+n; at += piece {
		sub := submissionOf("set", at, piece)
		if _, err := s.Submit(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		var units []store.Unit
		for _, j := range sub.Jobs {
			units = append(units, store.Unit{{Kind: lifecycle.Lease, Job: j.Job.ID, Lease: lifecycle.Terms{Executor: "e", Node: "n", Pool: "p"}}},
				store.Unit{{Kind: lifecycle.ReportSucceeded, Job: j.Job.ID, Run: armada.NewRunID(j.Job.ID, 1), Executor: "e"}})
		}
		if _, err := s.Transition(t.Context(), store.Fence{}, units); err != nil {
			t.Fatal(err)
		}
	}
	return pages(t, s)
}

// pages is how much there is of the database, in pages of 4 KiB.
func pages(t testing.TB, s *Store) int64 {
	t.Helper()
	var n int64
	if err := s.read(t.Context(), "count pages", func(c *conn) error {
		r, err := c.one("PRAGMA page_count")
		if err == nil {
			n = r.int(0)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// forget prunes to the end.
func forget(t testing.TB, s *Store, keep store.Keep) {
	t.Helper()
	for more := true; more; {
		done, err := s.Prune(t.Context(), keep, 2000)
		if err != nil {
			t.Fatal(err)
		}
		more = done.More
	}
}

func TestTheRoomOfForgottenJobsIsUsedAgain(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	const jobs = 5_000
	first := fill(t, s, 0, jobs)
	for round := 1; round <= 3; round++ {
		forget(t, s, store.Keep{Since: time.Now().Add(time.Hour)})
		if size := fill(t, s, round*jobs, jobs); size > first+first/4 {
			t.Errorf("in round %d the database has %d pages, and had %d with as many jobs in the first", round, size, first)
		}
	}
}

// BenchmarkTooManyJobs is one look for the finished jobs that are too many,
// when there are as many as are kept, and when there are more.
func BenchmarkTooManyJobs(b *testing.B) {
	jobs := 200_000
	if testing.Short() {
		jobs = 2_000
	}
	s, _ := openFile(b)
	size := fill(b, s, 0, jobs)
	for name, most := range map[string]int{"enough": jobs, "more": jobs - 1} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.surplus(b.Context(), most); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(jobs), "jobs")
			b.ReportMetric(float64(size*4096)/float64(jobs), "bytes/job")
		})
	}
}
