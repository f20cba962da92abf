package postgres_test

import (
	"context"
	"flag"
	"slices"
	"strings"
	"sync/atomic"
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

// growth is a database with generated finished jobs.
type growth struct {
	*postgres.Store
	conn   *pgx.Conn
	middle time.Time // half of the finished jobs ended before
}

const (
	grownQueues = 20   // that share the finished jobs
	rounds      = 15   // that one iteration takes the median of
	perSet      = 1000 // finished jobs of a job set, whose events are one block
)

// grown makes n finished jobs, which ended in the course of two days. Large
// numbers take their time: indexes are made when the rows are there.
func grown(b *testing.B, n int) *growth {
	b.Helper()
	server := pgtest.Start(b, "wal_level=minimal", "max_wal_senders=0", "max_wal_size=8GB", "maintenance_work_mem=512MB", "shared_buffers=512MB")
	url := server.Database(b)
	s, err := postgres.Open(b.Context(), postgres.Config{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	for i := range grownQueues {
		if err := s.PutQueue(b.Context(), armada.Queue{Name: "q" + strings.Repeat("x", i), PriorityFactor: 1}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.Submit(b.Context(), jobs("seed", 1)); err != nil { // its template and shape are used
		b.Fatal(err)
	}
	c, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close(context.Background()) })
	g := &growth{Store: s, conn: c, middle: time.Now().Add(-24 * time.Hour)}
	if n > 0 {
		g.generate(b, n)
	}
	return g
}

// generate writes the rows that n jobs of two days leave.
func (g *growth) generate(b *testing.B, n int) {
	b.Helper()
	start := g.middle.Add(-24 * time.Hour)
	job := armada.Job{State: armada.JobSucceeded, Version: 4, Attempts: 1, Transitioned: start, Owner: "alice"}
	run := armada.Run{State: armada.RunSucceeded, Attempt: 1, Executor: "east", Node: "node-17", Pool: "default"}
	life, fixed := codec.AppendLife(nil, &job, &run), codec.AppendFixed(nil, &job)
	details := codec.AppendDetails(nil, &armada.JobDetails{Namespace: "default", Labels: map[string]string{"app": "bench"}})
	micro := 48 * time.Hour.Microseconds() / int64(n+1) // between two jobs
	for _, q := range []struct {
		text string
		args []any
	}{
		{"ALTER TABLE armada.job DROP CONSTRAINT job_pkey, DROP CONSTRAINT job_id", nil},
		{"ALTER TABLE armada.ended DROP CONSTRAINT ended_pkey", nil},
		{"DROP INDEX armada.job_of_queue, armada.job_of_set, armada.ended_of_queue, armada.ended_at", nil},
		{"UPDATE armada.template SET uses = uses + $1", []any{n}},
		{"UPDATE armada.shape SET uses = uses + $1", []any{n}},
		{`INSERT INTO armada.job_set (queue, name, last) SELECT (SELECT name FROM armada.queue WHERE id = 1 + i % $2), 'old-' || i, 4000
			FROM generate_series(0, ($1::bigint - 1) / $3) i`, []any{n, grownQueues, perSet}},
		{`INSERT INTO armada.job (number, id, queue, job_set, template, shape, submitted, fixed, details)
			SELECT 10 + i, '01' || lpad(i::text, 24, '0'), 1 + (i / $6) % $7, (SELECT min(id) FROM armada.job_set WHERE name LIKE 'old-%') + i / $6,
			1, 1, $2 + i * $3, $4, $5 FROM generate_series(0, $1::bigint - 1) i`, []any{n, start.UnixMicro(), micro, fixed, details, perSet, grownQueues}},
		{`INSERT INTO armada.ended (number, queue, at, state, life) SELECT 10 + i, 1 + (i / $5) % $6, $2 + i * $3 + 1, 5, $4
			FROM generate_series(0, $1::bigint - 1) i`, []any{n, start.UnixMicro(), micro, life, perSet, grownQueues}},
		{"ALTER TABLE armada.job ADD PRIMARY KEY (number), ADD CONSTRAINT job_id UNIQUE (id)", nil},
		{"ALTER TABLE armada.ended ADD PRIMARY KEY (number)", nil},
		{"CREATE INDEX job_of_queue ON armada.job (queue, number)", nil},
		{"CREATE INDEX job_of_set ON armada.job (job_set, number)", nil},
		{"CREATE INDEX ended_of_queue ON armada.ended (queue, at)", nil},
		{"CREATE INDEX ended_at ON armada.ended (at)", nil},
		{`INSERT INTO armada.event_block (job_set, last, count, at, events)
			SELECT s.id, 4000, 4000, (SELECT submitted FROM armada.job WHERE job_set = s.id ORDER BY number LIMIT 1), $1
			FROM armada.job_set s WHERE name LIKE 'old-%'`, []any{make([]byte, 20*perSet)}},
		{"UPDATE armada.lane SET job = $1::bigint + 100", []any{n}},
		{"VACUUM ANALYZE", nil},
	} {
		if _, err := g.conn.Exec(b.Context(), q.text, q.args...); err != nil {
			b.Fatalf("%s: %v", q.text, err)
		}
	}
	var size int64
	if err := g.conn.QueryRow(b.Context(), "SELECT pg_database_size(current_database())").Scan(&size); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d finished jobs take %d MB", n, size>>20)
}

// round is what active jobs cost, by what is done with them.
func (g *growth) round(b *testing.B, took map[string][]time.Duration) {
	b.Helper()
	timed := func(what string, f func() error) {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatalf("%s: %v", what, err)
		}
		took[what] = append(took[what], time.Since(start))
	}
	transition := func(what string, ids []armada.JobID, change lifecycle.Change) {
		units := make([]store.Unit, len(ids))
		for i, id := range ids {
			change.Job, change.Run = id, armada.NewRunID(id, 1)
			units[i] = store.Unit{change}
		}
		timed(what, func() error { _, err := g.Transition(b.Context(), store.Fence{}, units); return err })
	}
	sub := jobs("fresh", 200)
	ids := make([]armada.JobID, len(sub.Jobs))
	for i := range sub.Jobs {
		ids[i] = sub.Jobs[i].Job.ID
	}
	timed("submit", func() error { _, err := g.Submit(b.Context(), sub); return err })
	transition("lease", ids, lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "east", Node: "n", Pool: "default"}})
	timed("leader", func() error {
		_, err := g.Load(b.Context(), func(store.Changes) error { return nil })
		return err
	})
	timed("active", func() error {
		_, err := g.List(b.Context(), store.Query{Queue: "q", States: []armada.JobState{armada.JobLeased}, Limit: 100})
		return err
	})
	timed("page", func() error {
		_, err := g.List(b.Context(), store.Query{Queue: "q", Descending: true, Limit: 100})
		return err
	})
	timed("get", func() error { _, err := g.Job(b.Context(), ids[0]); return err })
	timed("count", func() error { _, err := g.Count(b.Context(), ""); return err })
	transition("finish", ids, lifecycle.Change{Kind: lifecycle.ReportSucceeded, Executor: "east"})
}

// BenchmarkBesideFinishedJobs is what active jobs cost in a database with nothing
// else, and beside many finished ones; the two take turns.
func BenchmarkBesideFinishedJobs(b *testing.B) {
	empty, full := grown(b, 0), grown(b, *finishedJobs)
	without, with := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range b.N * rounds {
		empty.round(b, without)
		full.round(b, with)
	}
	for what := range with {
		beside, alone := median(with[what]), median(without[what])
		b.ReportMetric(float64(beside.Microseconds())/1000, "ms/"+what)
		b.ReportMetric(float64(beside)/float64(alone), "times/"+what)
	}
	b.ReportMetric(0, "ns/op")
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkPrune forgets the older half of the finished jobs, without a pause,
// while single jobs are submitted.
func BenchmarkPrune(b *testing.B) {
	for range b.N {
		g := grown(b, *finishedJobs)
		submits := func(until func() bool) []time.Duration {
			var took []time.Duration
			for !until() {
				start := time.Now()
				if _, err := g.Submit(b.Context(), jobs("beside", 1)); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			return took
		}
		n := 0
		quiet := submits(func() bool { n++; return n > 200 })
		var done atomic.Bool
		var pruned int
		start := time.Now()
		go func() {
			defer done.Store(true)
			for more := true; more; {
				f, err := g.Prune(b.Context(), store.Keep{Since: g.middle}, 2000)
				if err != nil {
					b.Error(err)
					return
				}
				pruned += f.Jobs
				more = f.More
			}
		}()
		busy := submits(done.Load)
		b.ReportMetric(float64(pruned)/time.Since(start).Seconds(), "pruned/s")
		for name, q := range map[string]int{"p50": 50, "p99": 99} {
			at := func(list []time.Duration) time.Duration { return list[len(list)*q/100] }
			b.ReportMetric(float64(at(quiet).Microseconds())/1000, "ms/"+name+"-before")
			b.ReportMetric(float64(at(busy).Microseconds())/1000, "ms/"+name+"-while")
		}
		start = time.Now()
		if _, err := g.conn.Exec(b.Context(), "VACUUM armada.job, armada.ended, armada.event_block"); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/vacuum")
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
