package simulated

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// few is a configuration of a few nodes whose pods end at once.
func few() Config {
	return Config{Nodes: []Group{{Name: "node", Count: 3, Allocatable: armada.Resources{32_000, 256 << 30}}}}
}

func TestTheSimulatedFormPassesTheSuite(t *testing.T) {
	t.Parallel()
	runstest.Run(t, func(*testing.T) runstest.World {
		return runstest.World{
			Open: func(t testing.TB) runs.Runtime {
				r, err := New(few())
				if err != nil {
					t.Fatal(err)
				}
				return r
			},
			Spec: func(o *runs.Order, job runstest.Job) {
				o.Annotations[AnnotationExitCode] = fmt.Sprint(job.ExitCode)
				o.Annotations[AnnotationLog] = strings.Join(job.Print, "\n")
				if job.Forever {
					o.Annotations[AnnotationRuntime] = "1h"
				}
				if job.Deaf {
					o.Annotations[AnnotationStopDelay] = "2h"
				}
				if job.Finishes { // its work is almost done and it does not let a stop keep it from that
					o.Annotations[AnnotationRuntime] = "500ms"
					o.Annotations[AnnotationStopDelay] = "2h"
				}
			},
			Command:  commandOf,
			Nameless: true,
		}
	})
}

// commandOf does a deed with what simulated containers have.
func commandOf(d runstest.Deed) []string {
	var args []string
	add := func(is bool, command ...string) {
		if is {
			args = append(append(args, command...), ";")
		}
	}
	add(d.Print != "", "echo", d.Print)
	add(d.Complain != "", "warn", d.Complain)
	add(d.Bulk > 0, "dots", fmt.Sprint(d.Bulk))
	add(d.Echo, "cat")
	add(d.Sizes, "sizes", "2")
	add(d.Forever, "sleep", "1h")
	return append(args, "exit", fmt.Sprint(d.ExitCode))
}

// order is the n-th order of a test, with annotations given in pairs.
func order(n int, annotations ...string) runs.Order {
	job := armada.JobID(fmt.Sprintf("01crz3ndektsv4rrffq69g%04d", n))
	o := runs.Order{Run: armada.NewRunID(job, 1), Job: job, Node: "node-1", Annotations: map[string]string{}}
	for i := 0; i < len(annotations); i += 2 {
		o.Annotations[annotations[i]] = annotations[i+1]
	}
	return o
}

func start(t testing.TB, r *Runtime, o runs.Order) {
	t.Helper()
	if err := r.Start(context.Background(), o); err != nil {
		t.Fatalf("start: %v", err)
	}
}

func status(t testing.TB, r *Runtime, run armada.RunID) runs.Status {
	t.Helper()
	s, known := r.ledger.Get(run)
	if !known {
		t.Fatalf("%s is not known", run)
	}
	return s
}

func TestAPodLivesAsItsAnnotationsSay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := New(few())
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		o := order(1, AnnotationPendingDelay, "2m", AnnotationRuntime, "3h", AnnotationExitCode, "3")
		start(t, r, o)
		for _, step := range []struct {
			after time.Duration
			phase runs.Phase
		}{
			{2*time.Minute - 1, runs.Pending},
			{2 * time.Minute, runs.Running},
			{2*time.Minute + 3*time.Hour - 1, runs.Running},
			{2*time.Minute + 3*time.Hour, runs.Failed},
		} {
			<-time.After(time.Until(begun.Add(step.after)))
			synctest.Wait()
			if s := status(t, r, o.Run); s.Phase != step.phase {
				t.Errorf("after %v it is %v", step.after, s.Phase)
			}
		}
		s := status(t, r, o.Run)
		if !s.Running.Equal(begun.Add(2*time.Minute)) || !s.Ended.Equal(s.Running.Add(3*time.Hour)) || s.End.Containers[0].ExitCode != 3 {
			t.Errorf("it is %+v", s)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestADrivenRuntimeMovesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := few()
	config.PendingDelay, config.Runtime, config.ExitCode = time.Second, time.Minute, 4
	r, err := NewDriven(config, zero)
	if err != nil {
		t.Fatal(err)
	}
	if next, any := r.Next(); any {
		t.Errorf("with no pods something happens at %v", next)
	}
	o := order(1)
	start(t, r, o)
	stopped := order(2, AnnotationRuntime, "1h", AnnotationStopDelay, "10s")
	start(t, r, stopped)
	var seen []string
	for next, any := r.Next(); any; next, any = r.Next() {
		r.AdvanceTo(next)
		seen = append(seen, fmt.Sprintf("%v %v %v", next.Sub(zero), status(t, r, o.Run).Phase, status(t, r, stopped.Run).Phase))
		if next.Equal(zero.Add(61 * time.Second)) {
			if err := r.Stop(context.Background(), stopped.Run, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"1s running running", "1m1s failed running", "1m11s failed stopped"}
	if !slices.Equal(seen, want) {
		t.Errorf("what happened is %q", seen)
	}
	r.AdvanceTo(zero) // time does not go back
	start(t, r, order(3))
	if s := status(t, r, order(3).Run); !s.Pending.Equal(zero.Add(71 * time.Second)) {
		t.Errorf("the time is %v", s.Pending)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestOneLongStepMakesEveryTransitionAtItsOwnTime(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r, err := NewDriven(few(), zero)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		start(t, r, order(n, AnnotationPendingDelay, fmt.Sprint(n, "s"), AnnotationRuntime, fmt.Sprint(100-n, "m")))
	}
	r.AdvanceTo(zero.Add(24 * time.Hour))
	for n := range 100 {
		s := status(t, r, order(n).Run)
		pending, runtime := time.Duration(n)*time.Second, time.Duration(100-n)*time.Minute
		if s.Phase != runs.Succeeded || !s.Running.Equal(zero.Add(pending)) || !s.Ended.Equal(zero.Add(pending+runtime)) {
			t.Errorf("run %d is %+v", n, s)
		}
	}
}

func TestAnAnnotationThatCannotBeReadFailsTheRun(t *testing.T) {
	t.Parallel()
	r, err := NewDriven(few(), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for n, wrong := range [][2]string{
		{AnnotationRuntime, "long"},
		{AnnotationRuntime, "-1s"},
		{AnnotationPendingDelay, "1"},
		{AnnotationStopDelay, ""},
		{AnnotationExitCode, "256"},
		{AnnotationExitCode, "-1"},
	} {
		o := order(n, wrong[0], wrong[1])
		start(t, r, o)
		if s := status(t, r, o.Run); s.Phase != runs.Failed || !strings.Contains(s.End.Reason, wrong[0]) {
			t.Errorf("%v: it is %+v", wrong, s)
		}
	}
	if next, any := r.Next(); any {
		t.Errorf("something happens at %v", next)
	}
}

func TestTheRunsOfAKilledNodeAreUnknownAndOthersLive(t *testing.T) {
	t.Parallel()
	config := few()
	config.Runtime = time.Hour
	r, err := NewDriven(config, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	dies, lives := order(1), order(2)
	lives.Node = "node-2"
	start(t, r, dies)
	start(t, r, lives)
	r.AdvanceTo(time.Unix(1, 0))
	r.KillNode("node-1")
	if s := status(t, r, dies.Run); s.Phase != runs.Unknown || s.End.Subcategory != armada.SubcategoryOutcomeUnknown {
		t.Errorf("the run of the node is %+v", s)
	}
	if s := status(t, r, lives.Run); s.Phase != runs.Running {
		t.Errorf("the run of another node is %+v", s)
	}
	if nodes, err := r.Nodes(context.Background()); err != nil || len(nodes) != 2 {
		t.Errorf("the nodes are %+v, %v", nodes, err)
	}
	onDead := order(3)
	if err := r.Start(context.Background(), onDead); err == nil {
		t.Error("a run was started on a node that is gone")
	}
	r.ReviveNode("node-1")
	start(t, r, onDead)
	r.AdvanceTo(time.Unix(7200, 0))
	if s := status(t, r, dies.Run); s.Phase != runs.Unknown {
		t.Errorf("the run of the killed node has become %v", s.Phase)
	}
}

func TestTheShorthandSaysHowManyNodesOfWhichSize(t *testing.T) {
	t.Parallel()
	table := armada.DefaultResourceTable()
	for text, want := range map[string]Shape{
		"3x100":                          {3, 100, armada.Resources{32_000, 256 << 30, 512 << 30}},
		"1x1:cpu=1500m,memory=1Gi":       {1, 1, armada.Resources{1500, 1 << 30, 512 << 30}},
		"2x5:nvidia.com/gpu=8":           {2, 5, armada.Resources{32_000, 256 << 30, 512 << 30, 8}},
		"2x5:cpu=8, memory=64G":          {2, 5, armada.Resources{8_000, 64_000_000_000, 512 << 30}},
		"1x1:cpu=1,cpu=2,memory=0":       {1, 1, armada.Resources{2_000, 0, 512 << 30}},
		"10x1000:ephemeral-storage=10Gi": {10, 1000, armada.Resources{32_000, 256 << 30, 10 << 30}},
	} {
		got, err := ParseShape(table, text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, wrong := range []string{"", "3", "x", "3x", "x3", "0x1", "1x0", "-1x1", "3x100x2", "3x100:", "3x100:cpu", "3x100:cpu=", "3x100:gold=1", "3x100:cpu=-1"} {
		if got, err := ParseShape(table, wrong); err == nil {
			t.Errorf("%q is %+v", wrong, got)
		}
	}
}

func TestAConfigurationIsCheckedByPath(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]Config{
		"nodes[1].name":         {Nodes: []Group{{Name: "a", Count: 1}, {Name: "a", Count: 1}}},
		"nodes[0].count":        {Nodes: []Group{{Name: "a"}}},
		"pendingDelay, runtime": {Runtime: -1},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %s the error is %v", want, err)
		}
	}
}

// The goal is thousands of transitions per second beside a scheduler; this is
// what the runtime alone takes for a whole life, the listener's reading included.
func BenchmarkWholeLives(b *testing.B) {
	config := few()
	config.Nodes[0].Count = 100
	config.Runtime = time.Millisecond
	r, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	ctx := context.Background()
	var cursor runs.Cursor
	take := func() (ended int) {
		var changed []runs.Status
		changed, cursor = r.Changed(cursor)
		for _, s := range changed {
			if s.Phase.Ended() {
				ended++
				if err := r.Forget(ctx, s.Run); err != nil {
					b.Fatal(err)
				}
			}
		}
		return ended
	}
	orders := make([]runs.Order, b.N)
	for n := range orders {
		orders[n] = order(n)
	}
	b.ResetTimer()
	for started, ended := 0, 0; ended < b.N; {
		if started < b.N && started-ended < 3200 {
			if err := r.Start(ctx, orders[started]); err != nil {
				b.Fatal(err)
			}
			started++
			continue
		}
		<-r.Updates()
		ended += take()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
}

func TestATraceShowsWhatEveryPodDid(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := few()
	var seen []string
	config.Trace = func(s runs.Status) { seen = append(seen, fmt.Sprintf("%s %v", s.Run, s.Phase)) }
	r, err := NewDriven(config, zero)
	if err != nil {
		t.Fatal(err)
	}
	first, second := order(1, AnnotationRuntime, "1m"), order(2, AnnotationRuntime, "1h")
	start(t, r, first)
	start(t, r, first) // known: nothing happens
	start(t, r, second)
	r.AdvanceTo(zero)
	r.AdvanceTo(zero.Add(time.Minute))
	r.KillNode("node-1")
	want := []string{
		string(first.Run) + " pending", string(first.Run) + " running",
		string(second.Run) + " pending", string(second.Run) + " running",
		string(first.Run) + " succeeded", string(second.Run) + " unknown",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("the trace is %q", seen)
	}
}
