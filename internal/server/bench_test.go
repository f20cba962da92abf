package server_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// typical is a pod spec of about 600 bytes.
func typical() *corev1.PodSpec {
	return pod(func(p *corev1.PodSpec) {
		c := p.Containers[0]
		c.Image = proto.String("registry.example.com/team/simulation:2026.11.23-1")
		c.Command = []string{"/bin/sh", "-c"}
		c.Args = []string{"exec /opt/simulation/run --input s3://bucket/path/to/the/input --output s3://bucket/path/to/the/output --threads 1"}
		for i := range 5 {
			c.Env = append(c.Env, &corev1.EnvVar{Name: proto.String(fmt.Sprintf("SIMULATION_PARAMETER_%d", i)), Value: proto.String("some value of a parameter")})
		}
		p.NodeSelector = map[string]string{"armadaproject.io/pool-class": "compute"}
	})
}

// BenchmarkSubmit measures durable submits through the whole server, client and
// server on this machine. An iteration is one job.
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name           string
		clients, batch int
		sets           int
		ids            bool // every job has a client id
		differ         bool // no two jobs have the same spec
	}{
		{"4ClientsOf200", 4, 200, 4, false, false},
		{"4ClientsOf200WithClientIDs", 4, 200, 4, true, false},
		{"4ClientsOf200AllSpecsDiffer", 4, 200, 4, false, true},
		{"50ClientsOf1ManyJobSets", 50, 1, 50, false, false},
		{"50ClientsOf1OneJobSet", 50, 1, 1, false, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, options{})
			var left, made atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			b.ResetTimer()
			for client := range c.clients {
				conn, err := grpc.NewClient(w.server.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
				ok(b, err)
				defer func() { _ = conn.Close() }()
				submit := api.NewSubmitClient(conn)
				all.Go(func() {
					for {
						n := min(int64(c.batch), left.Add(-int64(c.batch))+int64(c.batch))
						if n <= 0 {
							return
						}
						request := &api.JobSubmitRequest{Queue: "q", JobSetId: fmt.Sprint("set", client%c.sets)}
						for range n {
							item := &api.JobSubmitRequestItem{Priority: 1, Namespace: "lab", PodSpecs: []*corev1.PodSpec{typical()}}
							if c.ids {
								item.ClientId = fmt.Sprintf("01kaz5w%019d", made.Add(1))
							}
							if c.differ {
								item.PodSpecs[0].Containers[0].Args[0] += fmt.Sprint(" --seed ", made.Add(1))
							}
							request.JobRequestItems = append(request.JobRequestItems, item)
						}
						if _, err := submit.SubmitJobs(b.Context(), request); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkHistory reads the events of a job set from the first to the last,
// over gRPC, with a client of its own on the same machine: seven events for each
// job, from submitted to succeeded.
func BenchmarkHistory(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { history(b, newWorld(b, options{})) })
	b.Run("PostgreSQL", func(b *testing.B) {
		kept, err := postgres.Open(b.Context(), postgres.Config{URL: pgtest.Start(b).URL("postgres")})
		ok(b, err)
		b.Cleanup(func() { ok(b, kept.Close()) })
		history(b, newWorld(b, options{wrapStore: func(store.Store) store.Store { return kept }}))
	})
}

func history(b *testing.B, w *world) {
	const perJob, atLeast = 7, 100_000
	jobs := 100_000
	if testing.Short() {
		jobs = 2_000
	}
	w.lives("set", jobs)
	var before, after unix.Rusage
	ok(b, unix.Getrusage(unix.RUSAGE_SELF, &before))
	for b.Loop() {
		stream, err := w.event.GetJobSetEvents(b.Context(), &api.JobSetRequest{Queue: "q", Id: "set"})
		ok(b, err)
		read := 0
		for {
			_, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			ok(b, err)
			read++
		}
		if read != perJob*jobs {
			b.Fatalf("read %d events of %d jobs", read, jobs)
		}
	}
	ok(b, unix.Getrusage(unix.RUSAGE_SELF, &after))
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/1000/float64(perJob*jobs*b.N), "cpu-us/event")
	b.ReportMetric(float64(perJob*jobs*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(atLeast, "min-limit")
}

// lives submits jobs and takes each of them to its end, in steps of many jobs.
func (w *world) lives(set string, jobs int) {
	w.t.Helper()
	list := items(500)
	for i := range list {
		list[i].PodSpecs = []*corev1.PodSpec{typical()}
	}
	for range jobs / len(list) {
		ids := w.submitted(set, list)
		for _, kind := range []lifecycle.ChangeKind{
			lifecycle.Lease, lifecycle.ReportPending, lifecycle.ReportRunning, lifecycle.ReportUsage, lifecycle.ReportSucceeded,
		} {
			units := make([]store.Unit, len(ids))
			for i, id := range ids {
				c := lifecycle.Change{
					Kind: kind, Job: armada.JobID(id), Node: "n1", Pod: armada.Pod{Name: "armada-" + id + "-0", Namespace: "default", KubernetesID: "uid-" + id},
				}
				if kind == lifecycle.Lease {
					c = lifecycle.Change{Kind: kind, Job: c.Job, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "default"}}
				} else {
					c.Run, c.Executor = armada.NewRunID(c.Job, 1), "e1"
				}
				if kind == lifecycle.ReportUsage {
					c.Usage = &armada.Usage{Max: map[string]string{"cpu": "1"}, Average: map[string]string{"cpu": "900m"}, Cumulative: map[string]string{"cpu": "54"}}
				}
				units[i] = store.Unit{c}
			}
			results, err := w.store.Transition(w.t.Context(), store.Fence{}, units)
			ok(w.t, err)
			if results[0].Verdict == lifecycle.Refused {
				w.t.Fatalf("%s was refused: %s", kind, results[0].Why)
			}
		}
	}
}
