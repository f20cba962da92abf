package postgres_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// Small by default: docs/adr/0011-postgres.md says what larger ones showed.
var (
	finishedJobs = flag.Int("finished", 20_000, "how many finished jobs the benchmarks of growth generate")
	transitions  = flag.Int("transitions", 20_000, "how many transitions the benchmark of bloat makes")
)

// grown opens a store with generated finished jobs, in job sets of 1000 with
// one block of events each, the later half of them younger than the time that is
// returned.
func grown(b *testing.B) (*postgres.Store, *pgx.Conn, time.Time) {
	b.Helper()
	url := pgtest.Database(b)
	s, err := postgres.Open(b.Context(), postgres.Config{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Submit(b.Context(), jobs("seed", 1)); err != nil { // its template and shape are used
		b.Fatal(err)
	}
	c, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close(context.Background()) })
	start := time.Now().Add(-48 * time.Hour)
	job := armada.Job{State: armada.JobSucceeded, Version: 4, Attempts: 1, Transitioned: start, Owner: "alice"}
	run := armada.Run{State: armada.RunSucceeded, Attempt: 1, Executor: "east", Node: "node-17", Pool: "default"}
	life, fixed := codec.AppendLife(nil, &job, &run), codec.AppendFixed(nil, &job)
	details := codec.AppendDetails(nil, &armada.JobDetails{Namespace: "default", Labels: map[string]string{"app": "bench"}})
	n := *finishedJobs
	micro := 24 * time.Hour.Microseconds() * 2 / int64(n+1) // between two jobs
	for _, q := range []struct {
		text string
		args []any
	}{
		{"UPDATE armada.template SET uses = uses + $1", []any{n}},
		{"UPDATE armada.shape SET uses = uses + $1", []any{n}},
		{"INSERT INTO armada.job_set (queue, name, last) SELECT 'q', 'old-' || i, 4000 FROM generate_series(0, $1::bigint / 1000) i", []any{n}},
		{`INSERT INTO armada.job (number, id, queue, job_set, template, shape, submitted, fixed, details)
			SELECT 10 + i, 'old-' || i, 1, (SELECT min(id) FROM armada.job_set WHERE name LIKE 'old-%') + i / 1000, 1, 1, $2 + i * $3, $4, $5
			FROM generate_series(0, $1::bigint - 1) i`, []any{n, start.UnixMicro(), micro, fixed, details}},
		{
			"INSERT INTO armada.ended (number, at, state, life) SELECT 10 + i, $2 + i * $3 + 1, 5, $4 FROM generate_series(0, $1::bigint - 1) i",
			[]any{n, start.UnixMicro(), micro, life},
		},
		{`INSERT INTO armada.event_block (job_set, last, count, at, events)
			SELECT s.id, 4000, 4000, (SELECT submitted FROM armada.job WHERE job_set = s.id ORDER BY number LIMIT 1), $1 FROM armada.job_set s WHERE name LIKE 'old-%'
			AND EXISTS (SELECT FROM armada.job WHERE job_set = s.id)`, []any{make([]byte, 20_000)}},
		{"UPDATE armada.lane SET job = $1::bigint + 100", []any{n}},
		{"ANALYZE", nil},
	} {
		if _, err := c.Exec(b.Context(), q.text, q.args...); err != nil {
			b.Fatalf("%s: %v", q.text, err)
		}
	}
	return s, c, start.Add(24 * time.Hour)
}

// BenchmarkBesideFinishedJobs is what active jobs cost beside many finished ones.
func BenchmarkBesideFinishedJobs(b *testing.B) {
	s, _, _ := grown(b)
	var submit, move, load, list time.Duration
	timed := func(sum *time.Duration, f func() error) {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		*sum += time.Since(start)
	}
	b.ResetTimer()
	for range b.N {
		sub := jobs("fresh", 200)
		timed(&submit, func() error { _, err := s.Submit(b.Context(), sub); return err })
		timed(&load, func() error {
			_, err := s.Load(b.Context(), func(store.Changes) error { return nil })
			return err
		})
		timed(&list, func() error {
			_, err := s.List(b.Context(), store.Query{Queue: "q", Descending: true, Limit: 100})
			return err
		})
		units := make([]store.Unit, len(sub.Jobs))
		for i := range units {
			units[i] = store.Unit{{Kind: lifecycle.Cancel, Job: sub.Jobs[i].Job.ID}}
		}
		timed(&move, func() error { _, err := s.Transition(b.Context(), store.Fence{}, units); return err })
	}
	for name, d := range map[string]time.Duration{"submit200": submit, "load": load, "list100": list, "cancel200": move} {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), "ms/"+name)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPrune forgets the older half of the finished jobs.
func BenchmarkPrune(b *testing.B) {
	for range b.N {
		b.StopTimer()
		s, c, before := grown(b)
		b.StartTimer()
		longest, pieces := time.Duration(0), 0
		for more := true; more; pieces++ {
			start := time.Now()
			done, err := s.Prune(b.Context(), store.Keep{Since: before}, 1000)
			if err != nil {
				b.Fatal(err)
			}
			more = done.More
			longest = max(longest, time.Since(start))
		}
		b.StopTimer()
		var left int
		if err := c.QueryRow(b.Context(), "SELECT count(*) FROM armada.job").Scan(&left); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if _, err := c.Exec(b.Context(), "VACUUM armada.job, armada.ended, armada.event_block"); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/vacuum")
		b.ReportMetric(float64(*finishedJobs+1-left)/b.Elapsed().Seconds()*float64(b.N), "jobs/s")
		b.ReportMetric(float64(longest.Milliseconds()), "ms/longest-piece")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBloat makes many transitions of the same active jobs: how large does
// their table become, and how many updates touched no index?
func BenchmarkBloat(b *testing.B) {
	for range b.N {
		url := pgtest.Database(b)
		s, err := postgres.Open(b.Context(), postgres.Config{URL: url})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
			b.Fatal(err)
		}
		sub := jobs("set", 1000)
		if _, err := s.Submit(b.Context(), sub); err != nil {
			b.Fatal(err)
		}
		for made := 0; made < *transitions; made += len(sub.Jobs) {
			units := make([]store.Unit, len(sub.Jobs))
			for i := range units {
				units[i] = store.Unit{{Kind: lifecycle.Reprioritise, Job: sub.Jobs[i].Job.ID, Priority: uint32(made % 7)}}
			}
			if _, err := s.Transition(b.Context(), store.Fence{}, units); err != nil {
				b.Fatal(err)
			}
		}
		_ = s.Close()
		c, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		var size, lane int64
		var hot float64
		err = c.QueryRow(b.Context(), `SELECT pg_total_relation_size('armada.active'), pg_total_relation_size('armada.lane'),
			coalesce((SELECT 100.0 * n_tup_hot_upd / nullif(n_tup_upd, 0) FROM pg_stat_user_tables WHERE relname = 'active'), 0)::float8`).Scan(&size, &lane, &hot)
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close(b.Context())
		b.ReportMetric(float64(size)/1000, "kB/1000-active-jobs")
		b.ReportMetric(float64(lane)/1000, "kB/lane")
		b.ReportMetric(hot, "%hot")
	}
	b.ReportMetric(0, "ns/op")
}
