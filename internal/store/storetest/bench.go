package storetest

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
)

// Limits are what a form must reach on two cores; docs/adr says where they come
// from. Benchmarks print them beside what they measured and a calibration of the
// machine in the same run; they never fail on time.
type Limits struct {
	Batches float64 // jobs/s, durable, batches of 200 by 4 clients
	Singles float64 // jobs/s, durable, one job per call by 50 clients
	Lives   float64 // jobs/s, lease, running and succeeded of a job
	Restart float64 // seconds until 200,000 queued jobs are loaded
}

// Bench opens a database: with the same place the same one, and each time apart
// from the others, as processes do.
type Bench struct {
	Open   func(b *testing.B, place string) store.Store
	Limits Limits
	// Replicas is how many stores write; 1 by default.
	Replicas int
}

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

// open opens the stores with queue "q".
func (k *Bench) open(b *testing.B) []store.Store {
	b.Helper()
	place := b.TempDir()
	stores := make([]store.Store, max(1, k.Replicas))
	for i := range stores {
		stores[i] = k.Open(b, place)
		b.Cleanup(func() { _ = stores[i].Close() })
	}
	if err := stores[0].PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		b.Fatal(err)
	}
	return stores
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

// SubmitBatches submits batches of 200 by 4 clients.
func (k *Bench) SubmitBatches(b *testing.B) {
	for _, kind := range []struct {
		name     string
		clientID bool
	}{{"Plain", false}, {"WithClientIDs", true}} {
		b.Run(kind.name, func(b *testing.B) {
			stores := k.open(b)
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
			clients(b, 4, n, func(client, call int) { mustSubmit(b, stores[client%len(stores)], batches[call-1]) })
			b.StopTimer()
			verdict(b, n*200, k.Limits.Batches)
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

// SubmitSingles submits single jobs by 50 clients.
func (k *Bench) SubmitSingles(b *testing.B) {
	for _, kind := range []struct {
		name string
		set  func(client int) string
	}{
		{"ManyJobSets", func(client int) string { return fmt.Sprintf("set-%d", client) }},
		{"OneJobSet", func(int) string { return "set" }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			stores := k.open(b)
			n := calls(b, 20000)
			b.ResetTimer()
			clients(b, 50, n, func(client, _ int) { mustSubmit(b, stores[client%len(stores)], batchOf(kind.set(client), 1)) })
			b.StopTimer()
			verdict(b, n, k.Limits.Singles)
		})
	}
}

// WholeLives takes queued jobs through lease, running and succeeded,
// 500 changes per call, by 4 clients.
func (k *Bench) WholeLives(b *testing.B) {
	stores := k.open(b)
	const piece = 500
	n := calls(b, 60)
	pieces := make([]store.Submission, n)
	for i := range pieces {
		pieces[i] = batchOf(fmt.Sprintf("set-%d", i%8), piece)
		mustSubmit(b, stores[0], pieces[i])
	}
	b.ResetTimer()
	clients(b, 4, n, func(client, call int) {
		for step := range 3 {
			units := make([]store.Unit, piece)
			for i := range units {
				units[i] = store.Unit{lifeStep(pieces[call-1].Jobs[i].Job.ID, step)}
			}
			results, err := stores[client%len(stores)].Transition(b.Context(), store.Fence{}, units)
			if err != nil || results[0].Verdict != lifecycle.Applied {
				b.Error(err, results[0])
			}
		}
	})
	b.StopTimer()
	verdict(b, n*piece, k.Limits.Lives)
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

// Restart opens the file and loads the state.
func (k *Bench) Restart(b *testing.B) {
	place := b.TempDir()
	s := k.Open(b, place)
	if err := s.PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		b.Fatal(err)
	}
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
		s := k.Open(b, place)
		loaded := 0
		_, err := s.Load(b.Context(), func(c store.Changes) error {
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
	b.ReportMetric(k.Limits.Restart, "limit-s")
	b.ReportMetric(0, "ns/op")
	calibration(b)
}

// FeedOf1000 is what the leader reads per 1,000 transitions.
func (k *Bench) FeedOf1000(b *testing.B) {
	s := k.open(b)[0]
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
