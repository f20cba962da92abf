package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada/internal/app"
	"armada/pkg/api"
)

// serverCommand makes the test binary be a server of its own, so that what it
// keeps in memory can be told from what clients do.
const serverCommand = "load-server"

// serverMain is armada up with simulated nodes. It prints its address, and stops
// when its input ends.
func serverMain(folder string) int {
	config := app.DefaultConfig()
	config.DataDir, config.Executor.Simulate, config.Executor.SimulatedRuntime = folder, "1x100", time.Millisecond
	config.Server.GRPCAddr, config.Server.HTTPAddr, config.Telemetry.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", ""
	up, err := app.Open(context.Background(), config, app.RoleUp, "load", slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer up.Close()
	failed := up.Start(context.Background())
	fmt.Println(up.GRPCAddr())
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
	}()
	select {
	case err := <-failed:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case <-closed:
	}
	hurry, cancel := context.WithCancel(context.Background())
	cancel()
	_ = up.Stop(context.Background(), hurry) // the folder goes too
	return 0
}

// serverProcess is a server in a process of its own.
type serverProcess struct {
	address string
	pid     int
}

// cpu is the processor time that the process has used.
func (p *serverProcess) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		b.Fatal(err)
	}
	// After the name in parentheses: the 12th and 13th are ticks of 10 ms, in the
	// process and in the kernel.
	fields := strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// startProcess starts a server that ends with the benchmark.
func startProcess(b *testing.B) *serverProcess {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := exec.Command(program, serverCommand, b.TempDir())
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = input.Close()
		if err := command.Wait(); err != nil {
			b.Errorf("the server ended with %v", err)
		}
	})
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		b.Fatalf("the server did not start: %v", err)
	}
	return &serverProcess{strings.TrimSpace(address), command.Process.Pid}
}

// peak is the most memory that the process had, in MB.
func (p *serverProcess) peak(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib * 1024 / 1e6
		}
	}
	b.Fatal("the process does not say how much memory it had")
	return 0
}

// watchers see how far behind they are.
type watchers struct {
	mu        sync.Mutex
	behind    []time.Duration
	succeeded atomic.Int64
}

// watch reads a job set until the context ends.
func (w *watchers) watch(ctx context.Context, event api.EventClient, set string) error {
	stream, err := event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "load", Id: set, Watch: true}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if _, err := stream.Header(); err != nil {
		return err
	}
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				return // the stream ends when the benchmark does
			}
			now := time.Now()
			r := m.GetMessage().ProtoReflect()
			one := r.Get(r.WhichOneof(r.Descriptor().Oneofs().ByName("events"))).Message().Interface()
			w.mu.Lock()
			w.behind = append(w.behind, now.Sub(one.(interface{ GetCreated() *timestamppb.Timestamp }).GetCreated().AsTime()))
			w.mu.Unlock()
			if m.GetMessage().GetSucceeded() != nil {
				w.succeeded.Add(1)
			}
		}
	}()
	return nil
}

// BenchmarkManyWatchers has 2,000 watchers on as many job sets, while 1,000 jobs
// a second are submitted one by one, run and end. How far a watcher is behind is
// the time from what an event tells to its arrival. The processor time is the
// server's alone.
func BenchmarkManyWatchers(b *testing.B) {
	const connections, perSecond = 20, 1_000
	sets, lasting := scale(2_000, 200), scale(30*time.Second, 2*time.Second)
	for b.Loop() {
		server := startProcess(b)
		ctx, stop := context.WithCancel(b.Context())
		var conns []*grpc.ClientConn
		for range connections {
			conn, err := grpc.NewClient(server.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, conn)
		}
		submit := api.NewSubmitClient(conns[0])
		if _, err := submit.CreateQueue(ctx, &api.Queue{Name: "load", PriorityFactor: 1}, grpc.WaitForReady(true)); err != nil {
			b.Fatal(err)
		}
		w := &watchers{}
		var opening errgroup.Group
		for i := range sets {
			opening.Go(func() error { return w.watch(ctx, api.NewEventClient(conns[i%connections]), set(i)) })
		}
		if err := opening.Wait(); err != nil {
			b.Fatal(err)
		}
		used := server.cpu(b)
		submitted := steadily(b, perSecond, lasting, func(n int) error {
			_, err := api.NewSubmitClient(conns[n%connections]).SubmitJobs(ctx, request("load", set(n%sets), 1, "true"))
			return err
		})
		for begin := time.Now(); w.succeeded.Load() < int64(submitted); <-time.After(10 * time.Millisecond) {
			if time.Since(begin) > time.Minute {
				b.Fatalf("%d of %d jobs succeeded", w.succeeded.Load(), submitted)
			}
		}
		reportCPU(b, server.cpu(b)-used, submitted)
		stop()
		w.mu.Lock()
		slices.Sort(w.behind)
		at := func(part float64) float64 {
			return float64(w.behind[int(float64(len(w.behind)-1)*part)].Microseconds()) / 1000
		}
		report(b, at(1), "most-ms-behind", 1000, "behind-max")
		b.ReportMetric(at(0.99), "p99-ms-behind")
		b.ReportMetric(float64(submitted)/lasting.Seconds(), "jobs/s")
		b.ReportMetric(server.peak(b), "MB-server")
		b.ReportMetric(1074, "MB-max-limit")
		w.mu.Unlock()
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// steadily does something so many times a second for some time, each time apart,
// and returns how often it did.
func steadily(b *testing.B, perSecond int, lasting time.Duration, do func(n int) error) int {
	b.Helper()
	var all errgroup.Group
	all.SetLimit(500) // beyond that the server has more to do than it can
	done, begin := 0, time.Now()
	for now := range ticks(b, 10*time.Millisecond) {
		if now.Sub(begin) > lasting {
			break
		}
		for due := int(now.Sub(begin).Seconds() * float64(perSecond)); done < due; done++ {
			n := done
			all.Go(func() error { return do(n) })
		}
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	return done
}

// ticks are the times of a clock that ends with the benchmark.
func ticks(b *testing.B, every time.Duration) <-chan time.Time {
	t := time.NewTicker(every)
	b.Cleanup(t.Stop)
	return t.C
}
