package scheduling

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"armada"
)

// The benchmarks print their value beside the limit that the project has set
// itself and beside a calibration: what a fixed loop takes on this machine in
// the same run. They report and never fail on time.

// calibrate is the time of a loop that depends on nothing but the machine, for
// 100 million steps of a linear congruence; about 100 ms on a machine of 2024.
func calibrate() time.Duration {
	begin := time.Now()
	x := uint64(1)
	for range 100_000_000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	runtime.KeepAlive(x)
	return time.Since(begin)
}

const gib = 1 << 30

func benchConfig() Config {
	return Config{
		Resources: armada.DefaultResourceTable(),
		Classes: []armada.PriorityClass{
			{Name: "armada-default", Priority: 1000},
			{Name: "armada-preemptible", Priority: 900, Preemptible: true},
		},
	}
}

// benchWorld says how large a world is.
type benchWorld struct {
	nodes, cores, nodeTypes int
	queues, jobs, shapes    int
}

func (w benchWorld) pool() *Pool {
	p := NewPool("default", benchConfig())
	for i := range w.nodes {
		n := armada.Node{Executor: "cluster", Name: fmt.Sprintf("node-%06d", i), Labels: map[string]string{
			"kubernetes.io/hostname": fmt.Sprintf("node-%06d", i),
		}}
		n.Labels["type"] = fmt.Sprint(i % max(w.nodeTypes, 1))
		n.Allocatable = armada.Resources{int64(w.cores) * 1000, int64(w.cores) * 8 * gib, 1000 * gib}
		p.SetNode(n)
	}
	for i := range w.queues {
		p.SetQueue(armada.Queue{Name: fmt.Sprintf("queue-%03d", i), PriorityFactor: 1})
	}
	shapes := make([]*armada.Requirements, max(w.shapes, 1))
	ids := make([]armada.ShapeID, len(shapes))
	for i := range shapes {
		shapes[i] = &armada.Requirements{
			PriorityClass: []string{"armada-default", "armada-preemptible"}[i%3/2],
			Resources:     armada.Resources{1000, 4*gib + int64(i)*gib/64},
		}
		if i%4 == 3 {
			shapes[i].NodeSelector = []armada.Label{{Key: "type", Value: fmt.Sprint(i % max(w.nodeTypes, 1))}}
		}
		ids[i] = shapes[i].Shape(p.config.Resources)
	}
	for i := range w.jobs {
		s := i / w.queues % len(shapes)
		p.Enqueue(armada.Job{
			ID: armada.JobID(fmt.Sprintf("job-%022d", i)), Number: int64(i + 1),
			Queue: fmt.Sprintf("queue-%03d", i%w.queues), Shape: ids[s],
		}, shapes[s])
	}
	return p
}

func (w benchWorld) run(b *testing.B, want int, limit time.Duration) {
	p := w.pool()
	var times []time.Duration
	for b.Loop() {
		runtime.GC()
		begin := time.Now()
		out := Round(Input{Pool: p})
		times = append(times, time.Since(begin))
		if want > 0 && len(out.Decisions) != want {
			b.Fatalf("%d jobs were placed, expected %d", len(out.Decisions), want)
		}
	}
	report(b, times, limit)
}

func report(b *testing.B, times []time.Duration, limit time.Duration) {
	b.Helper()
	slices.Sort(times)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms")
	b.ReportMetric(float64(limit.Microseconds())/1000, "ms-limit")
	b.ReportMetric(float64(calibrate().Microseconds())/1000, "ms-calibration")
}

func BenchmarkRound1000Nodes32000Jobs(b *testing.B) {
	benchWorld{nodes: 1000, cores: 32, queues: 4, jobs: 32_000}.run(b, 32_000, 100*time.Millisecond)
}

func BenchmarkRound10000Nodes320000Jobs(b *testing.B) {
	benchWorld{nodes: 10_000, cores: 32, queues: 10, jobs: 320_000}.run(b, 320_000, 640*time.Millisecond)
}

func BenchmarkRound100Shapes20NodeTypes(b *testing.B) {
	benchWorld{nodes: 10_000, cores: 32, nodeTypes: 20, queues: 10, jobs: 320_000, shapes: 100}.run(b, 0, 1600*time.Millisecond)
}
