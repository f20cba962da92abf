package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/sqlite"
)

// The limits are those of issue 2 and of docs/adr/0004-store.md, for the store
// alone on two cores. A benchmark prints them beside what it measured and a
// calibration of the machine in the same run; it never fails on time.
const (
	limitBatches = 20000 // jobs/s, durable, batches of 200 by 4 clients
	limitSingles = 2000  // jobs/s, durable, one job per call by 50 clients
	limitLives   = 10000 // jobs/s, lease, running and succeeded of a job
	limitRestart = 5     // seconds until 200,000 queued jobs are loaded
)

// verdict reports a rate beside its limit.
func verdict(b *testing.B, jobs int, limit float64) {
	b.Helper()
	b.ReportMetric(float64(jobs)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(limit, "limit-jobs/s")
	b.ReportMetric(0, "ns/op")
	calibration(b)
}

// calibration reports what the machine does right now: the time of a step of a
// fixed loop, and how often it can fsync a page.
func calibration(b *testing.B) {
	b.Helper()
	start, x := time.Now(), uint64(88172645463325252)
	const steps = 50_000_000
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		b.Fatal("impossible")
	}
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/steps, "ns/loop")
	f, err := os.Create(filepath.Join(b.TempDir(), "calibration"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page, syncs := make([]byte, 4096), 0
	for start = time.Now(); time.Since(start) < 200*time.Millisecond; syncs++ {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(syncs)/time.Since(start).Seconds(), "fsyncs/s")
}

func openBench(b *testing.B, path string) *sqlite.Store {
	b.Helper()
	s, err := sqlite.Open(b.Context(), sqlite.Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		b.Fatal(err)
	}
	return s
}

var benchIDs atomic.Int64

// batchOf makes a submission of n jobs with 600 bytes of spec.
func batchOf(set string, n int) store.Submission {
	q := &armada.Requirements{PriorityClass: "default", Resources: armada.Resources{1000, 1 << 30}}
	shape := q.Shape(armada.DefaultResourceTable())
	s := store.Submission{
		Queue: "q", JobSet: armada.JobSet(set),
		Templates: map[armada.TemplateID][]byte{"cafe": []byte(strings.Repeat("spec", 150))},
		Shapes:    map[armada.ShapeID]*armada.Requirements{shape: q},
		Jobs:      make([]store.NewJob, n),
	}
	for i := range s.Jobs {
		s.Jobs[i] = store.NewJob{
			Job:     armada.Job{ID: armada.JobID(fmt.Sprintf("01jn%022d", benchIDs.Add(1))), Owner: "alice", Groups: []string{"staff"}, Template: "cafe", Shape: shape},
			Details: armada.JobDetails{Namespace: "default", Labels: map[string]string{"app": "bench"}, Annotations: map[string]string{"a": "b"}},
		}
	}
	return s
}

// clients run work until n calls are done.
func clients(b *testing.B, count int, n int, work func(client, call int)) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for client := range count {
		group.Go(func() {
			for call := int(next.Add(1)); call <= n; call = int(next.Add(1)) {
				work(client, call)
			}
		})
	}
	group.Wait()
}

func mustSubmit(b *testing.B, s store.Store, sub store.Submission) {
	b.Helper()
	if _, err := s.Submit(b.Context(), sub); err != nil {
		b.Error(err)
	}
}

func BenchmarkSubmitBatchesOf200By4Clients(b *testing.B) {
	for _, kind := range []struct {
		name     string
		clientID bool
	}{{"Plain", false}, {"WithClientIDs", true}} {
		b.Run(kind.name, func(b *testing.B) {
			s := openBench(b, filepath.Join(b.TempDir(), "db"))
			n := calls(b, 300)
			batches := make([]store.Submission, n)
			for i := range batches {
				batches[i] = batchOf(fmt.Sprintf("set-%d", i%4), 200)
				for j := range batches[i].Jobs {
					if job := &batches[i].Jobs[j].Job; kind.clientID {
						job.ClientID = "client-" + string(job.ID)
					}
				}
			}
			b.ResetTimer()
			clients(b, 4, n, func(_, call int) { mustSubmit(b, s, batches[call-1]) })
			b.StopTimer()
			verdict(b, n*200, limitBatches)
		})
	}
}

// calls is how much a benchmark does per iteration: little with -short.
func calls(b *testing.B, n int) int {
	b.Helper()
	if testing.Short() {
		n = max(1, n/50)
	}
	return n * b.N
}

func BenchmarkSubmitSingleJobsBy50Clients(b *testing.B) {
	for _, kind := range []struct {
		name string
		set  func(client int) string
	}{
		{"ManyJobSets", func(client int) string { return fmt.Sprintf("set-%d", client) }},
		{"OneJobSet", func(int) string { return "set" }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			s := openBench(b, filepath.Join(b.TempDir(), "db"))
			n := calls(b, 20000)
			b.ResetTimer()
			clients(b, 50, n, func(client, _ int) { mustSubmit(b, s, batchOf(kind.set(client), 1)) })
			b.StopTimer()
			verdict(b, n, limitSingles)
		})
	}
}

// BenchmarkWholeLives takes queued jobs through lease, running and succeeded,
// 500 changes per call, by 4 clients.
func BenchmarkWholeLives(b *testing.B) {
	s := openBench(b, filepath.Join(b.TempDir(), "db"))
	const piece = 500
	n := calls(b, 60)
	pieces := make([]store.Submission, n)
	for i := range pieces {
		pieces[i] = batchOf(fmt.Sprintf("set-%d", i%8), piece)
		mustSubmit(b, s, pieces[i])
	}
	b.ResetTimer()
	clients(b, 4, n, func(_, call int) {
		for step := range 3 {
			units := make([]store.Unit, piece)
			for i := range units {
				units[i] = store.Unit{lifeStep(pieces[call-1].Jobs[i].Job.ID, step)}
			}
			results, err := s.Transition(b.Context(), store.Fence{}, units)
			if err != nil || results[0].Verdict != lifecycle.Applied {
				b.Error(err, results[0])
			}
		}
	})
	b.StopTimer()
	verdict(b, n*piece, limitLives)
}

func lifeStep(id armada.JobID, step int) lifecycle.Change {
	run := armada.NewRunID(id, 1)
	pod := armada.Pod{Name: "armada-" + string(id), Namespace: "default", KubernetesID: "0b9c6a5e-3f0c-4a53-a8f1-36f6f3a3b2c1"}
	switch step {
	case 0:
		return lifecycle.Change{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: "east", Node: "node-17", Pool: "default"}}
	case 1:
		return lifecycle.Change{Kind: lifecycle.ReportRunning, Job: id, Run: run, Executor: "east", Node: "node-17", Pod: pod}
	default:
		return lifecycle.Change{Kind: lifecycle.ReportSucceeded, Job: id, Run: run, Executor: "east", Node: "node-17", Pod: pod}
	}
}

// BenchmarkRestartWith200000QueuedJobs opens the file and loads the state.
func BenchmarkRestartWith200000QueuedJobs(b *testing.B) {
	path := filepath.Join(b.TempDir(), "db")
	s := openBench(b, path)
	jobs := 200_000
	if testing.Short() {
		jobs = 10_000
	}
	for i := range jobs / 1000 {
		mustSubmit(b, s, batchOf(fmt.Sprintf("set-%d", i%20), 1000))
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		s, err := sqlite.Open(b.Context(), sqlite.Config{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		loaded := 0
		_, err = s.Load(b.Context(), func(c store.Changes) error {
			loaded += len(c.Jobs)
			return nil
		})
		if err != nil || loaded != jobs {
			b.Fatalf("loaded %d jobs: %v", loaded, err)
		}
		b.StopTimer()
		_ = s.Close()
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/restart")
	b.ReportMetric(limitRestart, "limit-s")
	b.ReportMetric(0, "ns/op")
	calibration(b)
}

// BenchmarkFeedOf1000Changes is what the leader reads per 1,000 transitions.
func BenchmarkFeedOf1000Changes(b *testing.B) {
	s := openBench(b, filepath.Join(b.TempDir(), "db"))
	at, err := s.End(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	mustSubmit(b, s, batchOf("set", 1000))
	b.ResetTimer()
	for range b.N {
		c, _, err := s.Changes(b.Context(), at, 2000)
		if err != nil || len(c.Jobs) != 1000 {
			b.Fatal(len(c.Jobs), err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "jobs/s")
	calibration(b)
}
