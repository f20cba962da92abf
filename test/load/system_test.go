package load

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"armada/internal/app"
	"armada/internal/runs/process"
	"armada/internal/settings"
	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// TestMain lets the test binary be the supervisor of the process runtime or a
// server, and collects garbage as cmd/armada does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.SupervisorCommand {
		os.Exit(process.SupervisorMain(os.Args[2:]))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	if len(os.Args) > 2 && os.Args[1] == serverCommand {
		os.Exit(serverMain(os.Args[2]))
	}
	os.Exit(m.Run())
}

// form is a way to install the system.
type form struct{ replicas bool }

// onEachForm runs a benchmark on armada up, with SQLite in its data folder, and
// on two replicas of the server, with an executor and PostgreSQL.
func onEachForm(b *testing.B, run func(b *testing.B, f form)) {
	b.Run("up", func(b *testing.B) { run(b, form{}) })
	b.Run("replicas", func(b *testing.B) { run(b, form{replicas: true}) })
}

// limit is the one of the two that holds.
func (f form) limit(up, replicas float64) float64 {
	if f.replicas {
		return replicas
	}
	return up
}

// place makes room for what a system keeps: a data folder, or a database in a
// cluster of its own.
func (f form) place(b *testing.B) string {
	b.Helper()
	if f.replicas {
		return pgtest.Start(b).URL("postgres")
	}
	return b.TempDir()
}

// system is everything in this process, and clients of it. It is closed at the
// end of the benchmark at the latest.
type system struct {
	close   func()
	submits []api.SubmitClient // one for each replica
	event   api.EventClient    // of the last replica
}

// open starts everything on what a place keeps; simulate is as for armada up.
func (f form) open(b *testing.B, place, simulate string) *system {
	b.Helper()
	s := &system{}
	var closing []func()
	s.close = sync.OnceFunc(func() {
		for _, c := range slices.Backward(closing) {
			c()
		}
	})
	b.Cleanup(s.close)
	start := func(roles app.Roles, config app.Config) *app.System {
		up, end := start(b, roles, config)
		closing = append(closing, end)
		return up
	}

	config := app.DefaultConfig()
	config.Executor.Simulate, config.Executor.SimulatedRuntime = simulate, time.Millisecond
	config.Server.GRPCAddr, config.Server.HTTPAddr, config.Telemetry.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", ""
	// Jobs that fit on no node there is wait for one of these, and are not rejected.
	config.Scheduling.NodeTypes = []app.NodeType{{Name: "to-come", Capacity: map[string]string{"cpu": "64", "memory": "256Gi", "ephemeral-storage": "256Gi"}}}
	var addresses []string
	if f.replicas {
		config.Store.Database = settings.NewSecret(place)
		for _, name := range []string{"a", "b"} {
			config.Replica.Name = name
			addresses = append(addresses, start(app.RoleServer, config).GRPCAddr())
		}
		config.DataDir, config.Executor.ID, config.Executor.Servers = b.TempDir(), "load", addresses
		start(app.RoleExecutor, config)
	} else {
		config.DataDir = place
		addresses = []string{start(app.RoleUp, config).GRPCAddr()}
	}

	for _, address := range addresses {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		closing = append(closing, func() { _ = conn.Close() })
		s.submits = append(s.submits, api.NewSubmitClient(conn))
		s.event = api.NewEventClient(conn)
	}
	return s
}

// start starts one process's worth of the system. The function ends it in a
// hurry.
func start(b *testing.B, roles app.Roles, config app.Config) (*app.System, func()) {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("ARMADA_LOAD_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	up, err := app.Open(b.Context(), config, roles, "load", log)
	if err != nil {
		b.Fatal(err)
	}
	failed := up.Start(b.Context())
	return up, func() {
		select {
		case err := <-failed:
			b.Errorf("a part failed: %v", err)
		default:
		}
		hurry, cancel := context.WithCancel(context.Background())
		cancel()
		if err := up.Stop(context.Background(), hurry); err != nil {
			b.Log(err)
		}
		if err := up.Close(); err != nil {
			b.Error(err)
		}
	}
}

// submitter is the client that the n-th of those who submit uses.
func (s *system) submitter(n int) api.SubmitClient { return s.submits[n%len(s.submits)] }

func (s *system) queue(b *testing.B, name string) {
	b.Helper()
	if _, err := s.submits[0].CreateQueue(b.Context(), &api.Queue{Name: name, PriorityFactor: 1}, grpc.WaitForReady(true)); err != nil {
		b.Fatal(err)
	}
}

// request asks for n small jobs that run a command.
func request(queue, set string, n int, command ...string) *api.JobSubmitRequest {
	r := &api.JobSubmitRequest{Queue: queue, JobSetId: set}
	for range n {
		r.JobRequestItems = append(r.JobRequestItems, &api.JobSubmitRequestItem{
			Namespace: "default",
			PodSpec:   podSpec("1m", command...),
			Labels:    map[string]string{"load": "test"},
		})
	}
	return r
}

func podSpec(cpu string, command ...string) *corev1.PodSpec {
	amounts := map[string]*resource.Quantity{}
	for name, text := range map[string]string{"cpu": cpu, "memory": "1Mi", "ephemeral-storage": "1Mi"} {
		amounts[name] = &resource.Quantity{String_: proto.String(text)}
	}
	return &corev1.PodSpec{Containers: []*corev1.Container{{
		Name: proto.String("main"), Image: proto.String("none"), Command: command,
		Resources: &corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
	}}}
}

// report prints a value with its limit and what this machine can do.
func report(b *testing.B, value float64, unit string, limit float64, bound string) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(value, unit)
	b.ReportMetric(limit, bound+"-limit")
	loop, syncs := calibrate(b)
	b.ReportMetric(loop.Seconds()*1000, "ms-loop")
	b.ReportMetric(syncs, "fsyncs/s")
}

// reportCPU prints the processor time that each of n things took, client and
// server together: what a busy machine does not change.
func reportCPU(b *testing.B, used time.Duration, n int) {
	b.Helper()
	b.ReportMetric(float64(used.Microseconds())/float64(n), "cpu-us/job")
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // never for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// calibrate tells how long 100 million steps of a fixed loop take here, and how
// many durable writes of 4 KiB fit into a second.
func calibrate(b *testing.B) (loop time.Duration, syncs float64) {
	b.Helper()
	begin := time.Now()
	x := uint64(1)
	for range 100_000_000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	runtime.KeepAlive(x)
	loop = time.Since(begin)

	f, err := os.Create(filepath.Join(b.TempDir(), "calibration"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const writes = 100
	begin = time.Now()
	for range writes {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return loop, writes / time.Since(begin).Seconds()
}

// scale returns the size of a benchmark: small under -short.
func scale[N int | time.Duration](full, small N) N {
	if testing.Short() {
		return small
	}
	return full
}

func set(i int) string { return fmt.Sprintf("set-%04d", i) }
