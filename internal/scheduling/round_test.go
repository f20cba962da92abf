package scheduling

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestARoundAllocatesOnlyItsOutcome(t *testing.T) { // not parallel: it counts allocations
	few := benchWorld{nodes: 400, cores: 32, nodeTypes: 4, queues: 4, jobs: 200, shapes: 8}.pool()
	many := benchWorld{nodes: 400, cores: 32, nodeTypes: 4, queues: 4, jobs: 3000, shapes: 8}.pool()
	count := func(p *Pool) float64 {
		Round(Input{Pool: p}) // the scratch memory grows to its size once
		return testing.AllocsPerRun(5, func() { Round(Input{Pool: p}) })
	}
	if f, m := count(few), count(many); m > f {
		t.Errorf("a round of 3000 jobs made %v allocations, one of 200 made %v", m, f)
	}
	few = benchWorld{nodes: 400, cores: 32, nodeTypes: 4, queues: 4, jobs: 200, shapes: 8, loose: true}.pool()
	many = benchWorld{nodes: 400, cores: 32, nodeTypes: 4, queues: 4, jobs: 3000, shapes: 8, loose: true}.pool()
	if f, m := count(few), count(many); m > f {
		t.Errorf("where it might preempt, a round of 3000 jobs made %v allocations, one of 200 made %v", m, f)
	}
}

// TestALaneIsASortedList compares what a lane offers with what it was given.
func TestALaneIsASortedList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{lanes: map[laneKey]*lane{}}
		l := q.lane(&kind{}, 1)
		var reference []*job
		for i := range int64(rapid.IntRange(0, 1500).Draw(t, "appended")) {
			j := &job{number: i * 1000, queue: q}
			l.insert(j.entry())
			reference = append(reference, j)
		}
		for i := range int64(rapid.IntRange(0, 200).Draw(t, "changes")) {
			if len(reference) > 0 && rapid.Bool().Draw(t, "remove") {
				at := rapid.IntRange(0, len(reference)-1).Draw(t, "at")
				l.remove(reference[at].entry())
				reference = slices.Delete(reference, at, at+1)
				continue
			}
			j := &job{number: rapid.Int64Range(0, 1500).Draw(t, "number")*1000 + 1 + i, priority: rapid.Uint32Range(0, 2).Draw(t, "priority")}
			l.insert(j.entry())
			reference = append(reference, j)
		}
		slices.SortFunc(reference, compareJobs)
		if l.count != len(reference) {
			t.Fatalf("the lane has %d of %d", l.count, len(reference))
		}
		if l.count == 0 {
			return
		}
		for i, want := range reference {
			if l.next.job != want {
				t.Fatalf("the lane offers %v at %d, expected %v", l.next, i, want.entry())
			}
			if more := l.take(); more != (i+1 < len(reference)) {
				t.Fatalf("more is %v after %d of %d", more, i, len(reference))
			}
		}
	})
}

func TestAnEmptiedPoolRemembersNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.pool(1)
		Round(Input{Pool: p})
		for _, j := range w.jobs {
			p.Remove(j.ID)
		}
		for _, n := range w.nodes {
			p.RemoveNode(n.Executor, n.Name)
		}
		for _, q := range w.queues {
			p.RemoveQueue(q.Name)
		}
		Round(Input{Pool: p})
		left := len(p.jobs) + len(p.gangs) + len(p.shapes) + len(p.kinds) + len(p.queues) + len(p.byName) + len(p.unsettled) + len(p.anchored)
		if left+p.space.Remembered() != 0 {
			t.Fatalf("the pool remembers %d and its space %d", left, p.space.Remembered())
		}
	})
}
