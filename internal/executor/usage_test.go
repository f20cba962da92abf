package executor

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/runs"
)

func TestUsageIsTheMostTheMeanAndTheSumOfWhatWasSeen(t *testing.T) {
	t.Parallel()
	m, begin, running := newMeter(), time.Unix(1e9, 0), map[armada.RunID]bool{"a-1": true}
	see := func(after time.Duration, cpu, memory int64) *armada.Usage {
		at := begin.Add(after)
		samples := map[armada.RunID]runs.Sample{"a-1": {At: at, Window: 10 * time.Second, CPU: cpu, Memory: memory}}
		return m.add(samples, running, time.Minute, at)["a-1"]
	}
	if u := see(0, 500_000_000, 100); u != nil {
		t.Errorf("reported at once: %v", u)
	}
	see(20*time.Second, 1_500_000_000, 300)
	see(20*time.Second, 9_000_000_000, 900) // the same sample once more
	see(10*time.Second, 9_000_000_000, 900) // one that is older
	want := &armada.Usage{
		Max:     map[string]string{"cpu": "2500m", "memory": "300"},
		Average: map[string]string{"cpu": "1500m", "memory": "200"},
		// 10 s of 0.5 cores, 20 s of 1.5 and 40 s of 2.5.
		Cumulative: map[string]string{"cpu": "135000m"},
	}
	if diff := cmp.Diff(want, see(time.Minute, 2_500_000_000, 200)); diff != "" {
		t.Error(diff)
	}
	see(80*time.Second, 1_000_000, 50)
	want = &armada.Usage{
		Max:        map[string]string{"cpu": "1m", "memory": "50"},
		Average:    map[string]string{"cpu": "1m", "memory": "50"},
		Cumulative: map[string]string{"cpu": "135020m"},
	}
	if diff := cmp.Diff(want, m.end("a-1")); diff != "" {
		t.Error(diff)
	}
	if u := m.end("a-1"); u != nil {
		t.Errorf("its end has another usage: %v", u)
	}
}

func TestOnlyRunsThatRunAreMeasuredAndNotAllAtOnce(t *testing.T) {
	t.Parallel()
	m, begin := newMeter(), time.Unix(1e9, 0)
	samples, running := map[armada.RunID]runs.Sample{"over-1": {At: begin, CPU: 1, Memory: 1}}, map[armada.RunID]bool{}
	for i := range mostUsages + 10 {
		run := armada.RunID(fmt.Sprintf("r%d-1", i))
		samples[run], running[run] = runs.Sample{At: begin, Window: time.Second, CPU: 1, Memory: 1}, true
	}
	if first := m.add(samples, running, time.Minute, begin); len(first) != 0 {
		t.Fatalf("%d runs are reported at once", len(first))
	}
	reported := m.add(nil, running, time.Minute, begin.Add(time.Minute))
	if len(reported) != mostUsages {
		t.Errorf("%d runs are reported, want %d", len(reported), mostUsages)
	}
	rest := m.add(nil, running, time.Minute, begin.Add(61*time.Second))
	for run := range rest {
		if reported[run] != nil {
			t.Errorf("run %s is reported twice", run)
		}
	}
	if len(rest) != 10 {
		t.Errorf("%d runs are left for the next time, want 10", len(rest))
	}
	if u := m.end("over-1"); u != nil {
		t.Errorf("a run that does not run was measured: %v", u)
	}
	if m.add(nil, nil, time.Minute, begin.Add(time.Hour)); len(m.runs) != 0 {
		t.Errorf("%d runs are remembered that do not run", len(m.runs))
	}
}

func TestUsageThatComesAfterTheEndOfARunIsNotReported(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "a-1")
	l.learn([]runs.Status{seen("a-1", runs.Running)})
	acknowledge(l)
	first := &armada.Usage{Max: map[string]string{"cpu": "1m"}}
	l.used("a-1", first)
	reports := l.unreported(false)
	if len(reports) != 1 || reports[0].usage != first {
		t.Fatalf("reported %+v", reports)
	}
	second := &armada.Usage{Max: map[string]string{"cpu": "2m"}}
	l.used("a-1", second) // while the report is on its way
	l.acknowledged(reports[0])
	if reports = l.unreported(false); len(reports) != 1 || reports[0].usage != second {
		t.Fatalf("what came while the report was on its way became %+v", reports)
	}
	l.acknowledged(reports[0])
	if reports = l.unreported(false); len(reports) != 0 {
		t.Errorf("reported twice: %+v", reports)
	}
	l.learn([]runs.Status{seen("a-1", runs.Succeeded)})
	l.used("a-1", second)
	if reports = l.unreported(false); len(reports) != 1 || reports[0].usage != nil {
		t.Errorf("reported after the end: %+v", reports)
	}
}
