package load

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
)

// BenchmarkDurableSubmitsInBatches has 4 clients submit batches of 200 jobs.
func BenchmarkDurableSubmitsInBatches(b *testing.B) {
	onEachForm(b, func(b *testing.B, f form) {
		const clients, batch = 4, 200
		jobs := scale(80_000, 4_000)
		for b.Loop() {
			s := f.open(b, f.place(b), "1x1:cpu=1m,memory=1Mi")
			s.queue(b, "load")
			used := cpu()
			took := s.fill(b, clients, jobs/clients, batch, set)
			reportCPU(b, cpu()-used, jobs)
			report(b, float64(jobs)/took.Seconds(), "jobs/s", f.limit(20_000, 15_000), "min")
			s.close()
		}
	})
}

// BenchmarkDurableSingleSubmits has 50 clients submit one job at a time.
func BenchmarkDurableSingleSubmits(b *testing.B) {
	onEachForm(b, func(b *testing.B, f form) {
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
					s := f.open(b, f.place(b), "1x1:cpu=1m,memory=1Mi")
					s.queue(b, "load")
					used := cpu()
					took := s.fill(b, clients, jobs/clients, 1, c.set)
					reportCPU(b, cpu()-used, jobs)
					report(b, float64(jobs)/took.Seconds(), "jobs/s", 2_000, "min")
					s.close()
				}
			})
		}
	})
}

// fill has clients submit so many jobs each, in batches, at once, and returns
// how long all of them took.
func (s *system) fill(b *testing.B, clients, each, batch int, set func(client int) string) time.Duration {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	begin := time.Now()
	for client := range clients {
		g.Go(func() error {
			r := request("load", set(client), batch, "true")
			for range each / batch {
				if _, err := s.submitter(client).SubmitJobs(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}

// watch calls seen with each event of a job set until the function it returns
// is called.
func (s *system) watch(b *testing.B, set string, seen func(*api.EventMessage)) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	stream, err := s.event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "load", Id: set, Watch: true}, grpc.WaitForReady(true))
	if err != nil {
		cancel()
		b.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				return // the stream ends when the benchmark does
			}
			seen(m.GetMessage())
		}
	})
	return func() { cancel(); watching.Wait() }
}

// BenchmarkSubmitToRunning is the time from the answer to a submit until a
// watcher, of the other replica where there are two, sees the job running as a
// process, on an idle system.
func BenchmarkSubmitToRunning(b *testing.B) {
	onEachForm(b, func(b *testing.B, f form) {
		samples := scale(500, 20)
		for b.Loop() {
			s := f.open(b, f.place(b), "")
			s.queue(b, "load")
			var running sync.Map // by job, a channel of the time
			seen := func(job string) chan time.Time {
				c, _ := running.LoadOrStore(job, make(chan time.Time, 1))
				return c.(chan time.Time)
			}
			stop := s.watch(b, "latency", func(m *api.EventMessage) {
				if e := m.GetRunning(); e != nil {
					seen(e.GetJobId()) <- time.Now()
				}
			})
			took := func() time.Duration {
				answer, err := s.submitter(0).SubmitJobs(b.Context(), request("load", "latency", 1, "sleep", "0.005"))
				if err != nil {
					b.Fatal(err)
				}
				answered := time.Now()
				select {
				case at := <-seen(answer.GetJobResponseItems()[0].GetJobId()):
					return at.Sub(answered)
				case <-time.After(30 * time.Second):
					b.Fatal("a job does not run")
					return 0
				}
			}
			took() // the executor may only now have come
			var all []time.Duration
			for range samples {
				all = append(all, took())
			}
			stop()
			slices.Sort(all)
			at := func(q int) float64 { return float64(all[len(all)*q/100].Microseconds()) / 1000 }
			report(b, at(50), "p50-ms", f.limit(50, 100), "p50-max")
			b.ReportMetric(at(99), "p99-ms")
			b.ReportMetric(f.limit(250, 400), "p99-max-limit")
			s.close()
		}
	})
}

// BenchmarkWholeLife takes empty jobs from submit to succeeded on 100 simulated
// nodes.
func BenchmarkWholeLife(b *testing.B) {
	onEachForm(b, func(b *testing.B, f form) {
		const clients, batch = 4, 100
		jobs := scale(20_000, 2_000)
		for b.Loop() {
			s := f.open(b, f.place(b), "1x100")
			s.queue(b, "load")
			var succeeded atomic.Int64
			done := make(chan struct{})
			var stops []func()
			for client := range clients {
				stops = append(stops, s.watch(b, set(client), func(m *api.EventMessage) {
					if m.GetSucceeded() != nil && succeeded.Add(1) == int64(jobs) {
						close(done)
					}
				}))
			}
			used, begin := cpu(), time.Now()
			s.fill(b, clients, jobs/clients, batch, set)
			select {
			case <-done:
			case <-time.After(5 * time.Minute):
				b.Fatalf("%d of %d jobs succeeded", succeeded.Load(), jobs)
			}
			took := time.Since(begin)
			reportCPU(b, cpu()-used, jobs)
			for _, stop := range stops {
				stop()
			}
			report(b, float64(jobs)/took.Seconds(), "jobs/s", f.limit(2_000, 1_500), "min")
			s.close()
		}
	})
}

// BenchmarkRestart is the time from opening what a system with many queued jobs
// has left to the first lease. A watcher of the job set that was submitted
// first, and is short, sees it.
func BenchmarkRestart(b *testing.B) {
	onEachForm(b, func(b *testing.B, f form) {
		const clients, batch = 4, 1_000
		jobs := int(f.limit(float64(scale(200_000, 8_000)), float64(scale(1_000_000, 8_000))))
		for b.Loop() {
			place := f.place(b)
			b.Run("fill", func(b *testing.B) {
				s := f.open(b, place, "1x1:cpu=1m,memory=1Ki")
				s.queue(b, "load")
				if _, err := s.submitter(0).SubmitJobs(b.Context(), request("load", "the-first", 1, "true")); err != nil {
					b.Fatal(err)
				}
				s.fill(b, clients, jobs/clients, batch, set)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(heap(), "MB-heap")
			})
			b.Run("restart", func(b *testing.B) {
				used, begin := cpu(), time.Now()
				s := f.open(b, place, "1x1")
				leased := make(chan struct{})
				s.watch(b, "the-first", func(m *api.EventMessage) {
					if m.GetLeased() != nil {
						close(leased)
					}
				})
				<-leased
				took := time.Since(begin)
				b.ReportMetric((cpu() - used).Seconds(), "cpu-s")
				report(b, took.Seconds(), "s", f.limit(5, 10), "max")
			})
		}
	})
}

// BenchmarkIdle is the time from opening an empty place to the first answer,
// and then the processor time that doing nothing takes.
func BenchmarkIdle(b *testing.B) {
	onEachForm(b, func(b *testing.B, f form) {
		for b.Loop() {
			place := f.place(b)
			begin := time.Now()
			s := f.open(b, place, "")
			s.queue(b, "load")
			b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ready-ms")
			b.ReportMetric(2000, "ready-max-limit")
			used, begin := cpu(), time.Now()
			<-time.After(scale(10*time.Second, 500*time.Millisecond))
			report(b, (cpu()-used).Seconds()/time.Since(begin).Seconds()*100, "cpu-%", 1, "max")
			s.close()
		}
	})
}

// BenchmarkIdleQueries is what two replicas and three executors without any work
// ask of PostgreSQL.
func BenchmarkIdleQueries(b *testing.B) {
	for b.Loop() {
		server := pgtest.Start(b, "shared_preload_libraries=pg_stat_statements")
		place := server.URL("postgres")
		server.Exec(b, place, "CREATE EXTENSION pg_stat_statements")
		s := form{replicas: true}.open(b, place, "3x10")
		s.queue(b, "load")
		conn, err := pgx.Connect(b.Context(), place)
		if err != nil {
			b.Fatal(err)
		}
		asked := func() (calls int64) {
			if err := conn.QueryRow(b.Context(), "SELECT sum(calls) FROM pg_stat_statements").Scan(&calls); err != nil {
				b.Fatal(err)
			}
			return calls
		}
		<-time.After(scale(5*time.Second, time.Second)) // for what follows a start
		first, begin := asked(), time.Now()
		<-time.After(scale(20*time.Second, 2*time.Second))
		report(b, float64(asked()-first)/time.Since(begin).Seconds(), "queries/s", 20, "max")
		if err := conn.Close(b.Context()); err != nil {
			b.Error(err)
		}
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
