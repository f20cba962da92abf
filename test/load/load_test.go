package load

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"armada/pkg/api"
)

// BenchmarkDurableSubmitsInBatches has 4 clients submit batches of 200 jobs.
func BenchmarkDurableSubmitsInBatches(b *testing.B) {
	const clients, batch = 4, 200
	jobs := scale(80_000, 4_000)
	for b.Loop() {
		s := open(b, b.TempDir(), "1x1:cpu=1m,memory=1Mi")
		s.queue(b, "load")
		used := cpu()
		took := together(b, clients, func(ctx context.Context, client int) error {
			r := request("load", set(client), batch, "true")
			for range jobs / batch / clients {
				if _, err := s.submit.SubmitJobs(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
		reportCPU(b, cpu()-used, jobs)
		report(b, float64(jobs)/took.Seconds(), "jobs/s", 20_000, "min")
		s.close()
	}
}

// BenchmarkDurableSingleSubmits has 50 clients submit one job at a time.
func BenchmarkDurableSingleSubmits(b *testing.B) {
	const clients = 50
	jobs := scale(20_000, 1_000)
	for _, c := range []struct {
		name string
		set  func(client int) string
	}{
		{"many job sets", set},
		{"one job set", func(int) string { return "the-one" }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				s := open(b, b.TempDir(), "1x1:cpu=1m,memory=1Mi")
				s.queue(b, "load")
				used := cpu()
				took := together(b, clients, func(ctx context.Context, client int) error {
					r := request("load", c.set(client), 1, "true")
					for range jobs / clients {
						if _, err := s.submit.SubmitJobs(ctx, r); err != nil {
							return err
						}
					}
					return nil
				})
				reportCPU(b, cpu()-used, jobs)
				report(b, float64(jobs)/took.Seconds(), "jobs/s", 2_000, "min")
				s.close()
			}
		})
	}
}

// together runs clients at once and returns how long all of them took.
func together(b *testing.B, clients int, work func(ctx context.Context, client int) error) time.Duration {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	begin := time.Now()
	for client := range clients {
		g.Go(func() error { return work(ctx, client) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}

// BenchmarkSubmitToRunning is the time from the answer to a submit until a
// watcher sees the job running as a process, on an idle system.
func BenchmarkSubmitToRunning(b *testing.B) {
	samples := scale(500, 20)
	for b.Loop() {
		s := open(b, b.TempDir(), "")
		s.queue(b, "load")
		var mu sync.Mutex
		running := map[string]chan time.Time{}
		seen := func(job string) chan time.Time {
			mu.Lock()
			defer mu.Unlock()
			if running[job] == nil {
				running[job] = make(chan time.Time, 1)
			}
			return running[job]
		}
		ctx, cancel := context.WithCancel(b.Context())
		stream, err := s.event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "load", Id: "latency", Watch: true})
		if err != nil {
			b.Fatal(err)
		}
		var watching errgroup.Group
		watching.Go(func() error {
			for {
				m, err := stream.Recv()
				if err != nil {
					return nil //nolint:nilerr // the stream ends when the benchmark does
				}
				if e := m.GetMessage().GetRunning(); e != nil {
					seen(e.GetJobId()) <- time.Now()
				}
			}
		})
		var took []time.Duration
		for range samples {
			answer, err := s.submit.SubmitJobs(b.Context(), request("load", "latency", 1, "sleep", "0.005"))
			if err != nil {
				b.Fatal(err)
			}
			answered := time.Now()
			select {
			case at := <-seen(answer.GetJobResponseItems()[0].GetJobId()):
				took = append(took, at.Sub(answered))
			case <-time.After(30 * time.Second):
				b.Fatal("a job does not run")
			}
		}
		cancel()
		_ = watching.Wait()
		slices.Sort(took)
		at := func(q int) float64 { return float64(took[len(took)*q/100].Microseconds()) / 1000 }
		report(b, at(50), "p50-ms", 50, "p50-max")
		b.ReportMetric(at(99), "p99-ms")
		b.ReportMetric(250, "p99-max-limit")
		s.close()
	}
}

// BenchmarkWholeLife takes empty jobs from submit to succeeded on 100 simulated
// nodes.
func BenchmarkWholeLife(b *testing.B) {
	const clients, batch = 4, 100
	jobs := scale(20_000, 2_000)
	for b.Loop() {
		s := open(b, b.TempDir(), "1x100")
		s.queue(b, "load")
		var succeeded atomic.Int64
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		var watching errgroup.Group
		for client := range clients {
			stream, err := s.event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "load", Id: set(client), Watch: true})
			if err != nil {
				b.Fatal(err)
			}
			watching.Go(func() error {
				for {
					m, err := stream.Recv()
					if err != nil {
						return nil //nolint:nilerr // the stream ends when the benchmark does
					}
					if m.GetMessage().GetSucceeded() != nil && succeeded.Add(1) == int64(jobs) {
						close(done)
					}
				}
			})
		}
		used, begin := cpu(), time.Now()
		together(b, clients, func(ctx context.Context, client int) error {
			r := request("load", set(client), batch, "true")
			for range jobs / batch / clients {
				if _, err := s.submit.SubmitJobs(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
		select {
		case <-done:
		case <-time.After(5 * time.Minute):
			b.Fatalf("%d of %d jobs succeeded", succeeded.Load(), jobs)
		}
		took := time.Since(begin)
		reportCPU(b, cpu()-used, jobs)
		cancel()
		_ = watching.Wait()
		report(b, float64(jobs)/took.Seconds(), "jobs/s", 2_000, "min")
		s.close()
	}
}

// BenchmarkRestart is the time from opening a data folder with many queued jobs
// to the first lease. A watcher of the job set that was submitted first, and is
// short, sees it.
func BenchmarkRestart(b *testing.B) {
	const clients, batch = 4, 1_000
	jobs := scale(200_000, 8_000)
	for b.Loop() {
		dir := b.TempDir()
		b.Run("fill", func(b *testing.B) {
			s := open(b, dir, "1x1:cpu=1m,memory=1Ki")
			s.queue(b, "load")
			if _, err := s.submit.SubmitJobs(b.Context(), request("load", "the-first", 1, "true")); err != nil {
				b.Fatal(err)
			}
			together(b, clients, func(ctx context.Context, client int) error {
				r := request("load", set(client), batch, "true")
				for range jobs / batch / clients {
					if _, err := s.submit.SubmitJobs(ctx, r); err != nil {
						return err
					}
				}
				return nil
			})
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(heap(), "MB-heap")
		})
		b.Run("restart", func(b *testing.B) {
			used, begin := cpu(), time.Now()
			s := open(b, dir, "1x1")
			stream, err := s.event.GetJobSetEvents(b.Context(), &api.JobSetRequest{Queue: "load", Id: "the-first", Watch: true}, grpc.WaitForReady(true))
			if err != nil {
				b.Fatal(err)
			}
			for {
				m, err := stream.Recv()
				if err != nil {
					b.Fatal(err)
				}
				if m.GetMessage().GetLeased() != nil {
					break
				}
			}
			took := time.Since(begin)
			b.ReportMetric((cpu() - used).Seconds(), "cpu-s")
			report(b, took.Seconds(), "s", 5, "max")
		})
	}
}

// BenchmarkIdle is the time from opening an empty data folder to the first
// answer, and then the processor time that doing nothing takes.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		begin := time.Now()
		s := open(b, b.TempDir(), "")
		s.queue(b, "load")
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ready-ms")
		b.ReportMetric(2000, "ready-max-limit")
		used, begin := cpu(), time.Now()
		<-time.After(scale(10*time.Second, 500*time.Millisecond))
		report(b, (cpu()-used).Seconds()/time.Since(begin).Seconds()*100, "cpu-%", 1, "max")
		s.close()
	}
}

// heap is what this process keeps in memory, in MB.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}
