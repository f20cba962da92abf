package scheduling

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"armada"
)

// The benchmarks print their value, the median of several rounds, beside the
// limit that the project has set itself and beside a calibration: what a fixed loop takes on this machine in
// the same run. They report and never fail on time.

// calibrate is the time of a loop that depends on nothing but the machine: 100
// million steps of a linear congruence.
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
	market                  bool // places go to who bids more, and the jobs are of all bands
	loose                   bool // two thirds of the shapes are preemptible, and the first; with preemption
}

// sized is the world, or with -short a twentieth of it, which only shows that
// the benchmark runs.
func (w benchWorld) sized() benchWorld {
	if testing.Short() {
		w.nodes, w.jobs = w.nodes/20, w.jobs/20
	}
	return w
}

func (w benchWorld) node(i int) armada.Node {
	name := fmt.Sprintf("node-%06d", i)
	return armada.Node{
		Executor: "cluster", Name: name,
		Labels:      map[string]string{"kubernetes.io/hostname": name, "type": fmt.Sprint(i % max(w.nodeTypes, 1))},
		Allocatable: armada.Resources{int64(w.cores) * 1000, int64(w.cores) * 8 * gib, 1000 * gib},
	}
}

func (w benchWorld) pool() *Pool {
	p := NewPool("default", benchConfig())
	if w.loose {
		p = NewPool("default", preempting())
	}
	if w.market {
		config := benchConfig()
		config.Market = &MarketRules{SpotCutoff: 900_000}
		p = NewPool("default", config)
	}
	for i := range w.nodes {
		p.SetNode(w.node(i))
	}
	for i := range w.queues {
		p.SetQueue(armada.Queue{Name: fmt.Sprintf("queue-%03d", i), PriorityFactor: 1})
	}
	shapes := make([]*armada.Requirements, max(w.shapes, 1))
	ids := make([]armada.ShapeID, len(shapes))
	for i := range shapes {
		shapes[i] = w.shape(i)
		ids[i] = shapes[i].Shape(p.config.Resources)
	}
	for i := range w.jobs {
		s := i / w.queues % len(shapes)
		p.Enqueue(armada.Job{
			ID: armada.JobID(fmt.Sprintf("job-%022d", i)), Number: int64(i + 1),
			Queue: fmt.Sprintf("queue-%03d", i%w.queues), Shape: ids[s], Band: armada.PriceBand(i % 9),
		}, shapes[s])
	}
	return p
}

func (w benchWorld) shape(i int) *armada.Requirements {
	needs := &armada.Requirements{
		PriorityClass: []string{"armada-default", "armada-preemptible"}[i%3/2],
		Resources:     armada.Resources{1000, 4*gib + int64(i)*gib/64},
	}
	if w.loose {
		needs.PriorityClass = []string{"armada-preemptible", "armada-preemptible", "armada-default"}[i%3]
	}
	if i%4 == 3 {
		needs.NodeSelector = []armada.Label{{Key: "type", Value: fmt.Sprint(i % max(w.nodeTypes, 1))}}
	}
	return needs
}

func (w benchWorld) run(b *testing.B, limit time.Duration) {
	w = w.sized()
	p := w.pool()
	var times []time.Duration
	for b.Loop() {
		runtime.GC()
		begin := time.Now()
		out := Round(Input{Pool: p})
		times = append(times, time.Since(begin))
		if w.shapes == 0 && len(out.Decisions) != w.jobs {
			b.Fatalf("%d jobs were placed, expected %d", len(out.Decisions), w.jobs)
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
	benchWorld{nodes: 1000, cores: 32, queues: 4, jobs: 32_000}.run(b, 100*time.Millisecond)
}

func BenchmarkRound10000Nodes320000Jobs(b *testing.B) {
	benchWorld{nodes: 10_000, cores: 32, queues: 10, jobs: 320_000}.run(b, 640*time.Millisecond)
}

func BenchmarkRound100Shapes20NodeTypes(b *testing.B) {
	benchWorld{nodes: 10_000, cores: 32, nodeTypes: 20, queues: 10, jobs: 320_000, shapes: 100}.run(b, 1600*time.Millisecond)
}

// full is a world of which every node is full and which has a million jobs
// more, in 100 queues.
func full() (*Pool, benchWorld) {
	w := benchWorld{nodes: 10_000, cores: 32, nodeTypes: 20, queues: 100, jobs: 1_320_000, shapes: 100}.sized()
	p := w.pool()
	take(p, Round(Input{Pool: p}))
	return p, w
}

// take does with the leases what a leader does.
func take(p *Pool, out Outcome) []armada.JobID {
	var taken []armada.JobID
	for _, d := range out.Decisions {
		for _, l := range d.Leases {
			j := p.jobs[l.Job]
			p.Occupy(armada.Job{ID: j.id, Number: j.number, Queue: j.queue.name, Priority: j.priority, Shape: j.shape.id},
				armada.Run{ID: armada.NewRunID(l.Job, 1), Executor: l.Executor, Node: l.Node}, j.shape.needs)
			taken = append(taken, l.Job)
		}
	}
	return taken
}

func BenchmarkRoundWithNothingChanged(b *testing.B) {
	p, _ := full()
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		if out := Round(Input{Pool: p}); len(out.Decisions) > 0 {
			b.Fatalf("%d jobs were placed although nothing has changed", len(out.Decisions))
		}
		times = append(times, time.Since(begin))
	}
	report(b, times, 5*time.Millisecond)
}

func BenchmarkRoundAfterThreeSmallChanges(b *testing.B) {
	p, w := full()
	var times []time.Duration
	i := 0
	var queued *job
	for _, l := range p.byName[0].inOrder {
		queued = l.blocks[0][0].job
	}
	for b.Loop() {
		i++
		begin := time.Now()
		n := w.node(i % 500)
		n.Labels["type"] = "7"
		p.SetNode(n)
		p.SetQueue(armada.Queue{Name: "queue-007", PriorityFactor: 1 + float64(i%2)})
		p.Enqueue(armada.Job{
			ID: queued.id, Number: queued.number, Queue: queued.queue.name,
			Priority: uint32(i % 3), Shape: queued.shape.id,
		}, queued.shape.needs)
		Round(Input{Pool: p})
		times = append(times, time.Since(begin))
	}
	report(b, times, 5*time.Millisecond)
}

func BenchmarkRoundAfterANodeJoined(b *testing.B) {
	p, _ := full()
	var times []time.Duration
	for b.Loop() {
		p.RemoveNode("cluster", "late")
		Round(Input{Pool: p})
		begin := time.Now()
		p.SetNode(armada.Node{Executor: "cluster", Name: "late", Allocatable: armada.Resources{1}})
		Round(Input{Pool: p})
		times = append(times, time.Since(begin))
	}
	report(b, times, 25*time.Millisecond)
}

func BenchmarkRoundAfter1000FinishedAnd1000Arrived(b *testing.B) {
	p, w := full()
	finishedAndArrived(b, p, w)
}

func BenchmarkGangOf1000(b *testing.B) {
	for _, c := range []struct {
		name, uniform string
		milli         int64
		fits          bool
	}{
		{"fits", "", 9000, true},
		{"fits in one type", "type", 9000, true},
		{"cannot ever fit in one type", "type", 17_000, false}, // each of 20 types holds half of it
	} {
		b.Run(c.name, func(b *testing.B) {
			p := benchWorld{nodes: 10_000, cores: 32, nodeTypes: 20, queues: 1}.pool()
			needs := &armada.Requirements{Resources: armada.Resources{c.milli, gib}}
			for i := range 1000 {
				p.Enqueue(armada.Job{
					ID: armada.JobID(fmt.Sprintf("job-%022d", i)), Number: int64(i), Queue: "queue-000",
					Gang: armada.Gang{ID: "g", Cardinality: 1000, UniformityLabel: c.uniform},
				}, needs)
			}
			var times []time.Duration
			for b.Loop() {
				begin := time.Now()
				out := Round(Input{Pool: p})
				times = append(times, time.Since(begin))
				if fits := len(out.Decisions) == 1; fits != c.fits {
					b.Fatalf("that the gang fits is %v", fits)
				}
			}
			report(b, times, 20*time.Millisecond)
		})
	}
}

func BenchmarkBuildingStateFor100000NodesAndAMillionJobs(b *testing.B) {
	w := benchWorld{nodes: 100_000, cores: 32, nodeTypes: 20, queues: 100, jobs: 1_000_000, shapes: 100}.sized()
	var times []time.Duration
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begin := time.Now()
		p := w.pool()
		p.settle()
		p.space.Settle()
		times = append(times, time.Since(begin))
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(w.jobs), "bytes/job")
		runtime.KeepAlive(p)
	}
	report(b, times, 5*time.Second)
}
