package leader

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/sqlite"
)

// openSQLite opens the real store of one machine.
func openSQLite(t testing.TB, folder string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(folder, "armada.db")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runLeader runs a leader with the real scheduler until stop is called.
func runLeader(t testing.TB, s Store) (l *Leader, stop func()) {
	t.Helper()
	l, err := New(Config{Scheduling: testScheduling()}, Parts{Store: s, Replica: store.Replica{Name: "a"}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	return l, func() {
		cancel()
		<-done
	}
}

// must fails on an error of a preparation.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// submitLone takes n jobs of one core in, and returns their ids.
func submitLone(t testing.TB, s *sqlite.Store, n int, prefix string) []armada.JobID {
	t.Helper()
	template := armada.TemplateID("template")
	var ids []armada.JobID
	for first := range slices.Chunk(slices.Collect(numbers(n)), 1000) {
		sub := store.Submission{
			Queue: "physics", JobSet: "set",
			Templates: map[armada.TemplateID][]byte{template: []byte("spec")},
			Shapes:    map[armada.ShapeID]*armada.Requirements{oneCore: testShapes[oneCore]},
		}
		for _, i := range first {
			job := aJob(armada.JobID(fmt.Sprintf("%s%025d", prefix, i)))
			job.Owner, job.Template = "ann", template
			sub.Jobs = append(sub.Jobs, store.NewJob{Job: job, Details: armada.JobDetails{Namespace: "default"}})
		}
		taken, err := s.Submit(t.Context(), sub)
		must(t, err)
		for _, j := range taken {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

func numbers(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// until waits for a condition, which is looked at whenever the store changes.
func until(t testing.TB, s *sqlite.Store, what string, condition func() bool) {
	t.Helper()
	signal, stop := s.Subscribe()
	defer stop()
	late := time.After(30 * time.Second)
	for !condition() {
		select {
		case <-signal:
		case <-late:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// counted counts the active jobs in a state.
func counted(t testing.TB, s *sqlite.Store, state armada.JobState) int64 {
	t.Helper()
	counts, err := s.Count(t.Context(), "physics")
	must(t, err)
	n := int64(0)
	for _, c := range counts {
		if c.State == state {
			n += c.Jobs
		}
	}
	return n
}

func prepare(t testing.TB, s *sqlite.Store, cores int64) {
	t.Helper()
	must(t, s.PutQueue(t.Context(), armada.Queue{Name: "physics", PriorityFactor: 1}))
	must(t, s.OpenSession(t.Context(), anExecutor("east")))
	must(t, s.PutNodes(t.Context(), "east", "1", []armada.Node{aNode("n1", cores), aNode("n2", cores)}))
}

func TestOverTheRealStoreJobsAreLeasedBeforeAndAfterARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := openSQLite(t, folder)
	prepare(t, s, 700)
	submitLone(t, s, 2000, "j")
	_, stop := runLeader(t, s)
	until(t, s, "1400 leases", func() bool { return counted(t, s, armada.JobLeased) == 1400 })
	stop()
	must(t, s.Close())

	s = openSQLite(t, folder)
	t.Cleanup(func() { must(t, s.Close()) })
	l, stop := runLeader(t, s)
	t.Cleanup(stop)
	must(t, s.PutNodes(t.Context(), "east", "1", []armada.Node{aNode("n1", 700), aNode("n2", 700), aNode("n3", 500)}))
	until(t, s, "500 more leases", func() bool { return counted(t, s, armada.JobLeased) == 1900 })

	orders, err := s.RunsOf(t.Context(), "east")
	must(t, err)
	on := map[string]int{}
	for _, o := range orders {
		on[o.Run.Node]++
	}
	if on["n1"] != 700 || on["n2"] != 700 || on["n3"] != 500 {
		t.Errorf("runs by node are %v", on)
	}

	// The end of one makes room for one.
	run := orders[0].Run
	_, err = s.Transition(t.Context(), store.Fence{}, []store.Unit{{
		{Kind: lifecycle.ReportSucceeded, Job: run.Job, Run: run.ID, Executor: "east"},
	}})
	must(t, err)
	until(t, s, "one more lease", func() bool { return counted(t, s, armada.JobQueued) == 99 && counted(t, s, armada.JobLeased) == 1900 })
	until(t, s, "an explanation", func() bool {
		r := l.Explanations().Reports()
		return len(r) == 1 && len(r[0].Queues) == 1 && r[0].Queues[0].Queue == "physics"
	})
}

// BenchmarkSubmitToLease is the time from the answer to a submission on an idle
// system to its lease.
func BenchmarkSubmitToLease(b *testing.B) {
	s := openSQLite(b, b.TempDir())
	prepare(b, s, 1_000_000)
	_, stop := runLeader(b, s)
	defer func() {
		stop()
		must(b, s.Close())
	}()
	submitLone(b, s, 1, "warm")
	until(b, s, "the leader", func() bool { return counted(b, s, armada.JobLeased) == 1 })
	var took []time.Duration
	for b.Loop() {
		ids := submitLone(b, s, 1, fmt.Sprint("x", len(took), "x"))
		begun := time.Now()
		until(b, s, "a lease", func() bool {
			j, err := s.Job(b.Context(), ids[0])
			must(b, err)
			return j.Job.State == armada.JobLeased
		})
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkRestart is the time from opening the store with 200,000 queued jobs
// to the first lease.
func BenchmarkRestart(b *testing.B) {
	folder := b.TempDir()
	s := openSQLite(b, folder)
	prepare(b, s, 100)
	submitLone(b, s, 200_000, "j")
	must(b, s.Close())
	for b.Loop() {
		s := openSQLite(b, folder)
		_, stop := runLeader(b, s)
		until(b, s, "a lease", func() bool { return counted(b, s, armada.JobLeased) > 0 })
		b.StopTimer()
		until(b, s, "all leases", func() bool { return counted(b, s, armada.JobLeased) == 200 })
		stop()
		runs, err := s.RunsOf(b.Context(), "east")
		must(b, err)
		var units []store.Unit
		for _, r := range runs {
			units = append(units, store.Unit{{Kind: lifecycle.ReportReturned, Job: r.Job.ID, Run: r.Run.ID, Executor: "east"}})
		}
		_, err = s.Transition(b.Context(), store.Fence{}, units)
		must(b, err)
		must(b, s.Close())
		b.StartTimer()
	}
}

// BenchmarkWholeLives is how many jobs per second are submitted, leased, run and
// finished, by an executor that reports every start and end at once.
func BenchmarkWholeLives(b *testing.B) {
	const jobs = 10_000
	s := openSQLite(b, b.TempDir())
	prepare(b, s, 500)
	_, stop := runLeader(b, s)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan int, 1)
	go func() { done <- finishWhatIsLeased(ctx, b, s) }()
	ended := 0
	for b.Loop() {
		ended -= jobs
		submitLone(b, s, jobs, fmt.Sprint("x", -ended, "x"))
		until(b, s, "all ends", func() bool {
			return counted(b, s, armada.JobQueued)+counted(b, s, armada.JobLeased)+counted(b, s, armada.JobRunning) == 0
		})
	}
	b.ReportMetric(float64(b.N*jobs)/b.Elapsed().Seconds(), "jobs/s")
	cancel()
	if n := <-done; n != -ended {
		b.Errorf("%d jobs ended, want %d", n, -ended)
	}
	stop()
	must(b, s.Close())
}

// finishWhatIsLeased reports that leased jobs run, and then that they
// succeeded, and counts them.
func finishWhatIsLeased(ctx context.Context, b *testing.B, s *sqlite.Store) (ended int) {
	signal, stop := s.Subscribe()
	defer stop()
	at, err := s.End(b.Context())
	must(b, err)
	for ctx.Err() == nil {
		c, next, err := s.Changes(b.Context(), at, 1000)
		must(b, err)
		at = next
		for _, kind := range []lifecycle.ChangeKind{lifecycle.ReportRunning, lifecycle.ReportSucceeded} {
			var units []store.Unit
			for _, j := range c.Jobs {
				if j.Job.State == armada.JobLeased {
					units = append(units, store.Unit{{Kind: kind, Job: j.Job.ID, Run: j.Run.ID, Executor: "east"}})
				}
			}
			if len(units) == 0 {
				break
			}
			results, err := s.Transition(b.Context(), store.Fence{}, units)
			must(b, err)
			for _, r := range results {
				if kind == lifecycle.ReportSucceeded && r.Verdict == lifecycle.Applied {
					ended++
				}
			}
		}
		if len(c.Jobs) > 0 {
			continue
		}
		select {
		case <-signal:
		case <-ctx.Done():
		}
	}
	return ended
}
