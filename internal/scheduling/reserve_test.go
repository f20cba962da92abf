package scheduling

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armada"
)

// flood is a pool of nodes that one-core jobs of a queue without end keep full,
// and a gang of another queue that needs some of the nodes whole.
type flood struct {
	pool  *Pool
	needs *armada.Requirements
	now   time.Time
	jobs  int
	ends  map[armada.JobID]time.Time // of small jobs that run
	gang  []armada.Job
	begun bool
}

func newFlood(config Config, nodes, cores, gang int, lasts func() time.Duration) *flood {
	f := &flood{pool: NewPool("default", config), now: time.Unix(1_800_000_000, 0), ends: map[armada.JobID]time.Time{}}
	f.needs = &armada.Requirements{PriorityClass: "fixed", Resources: armada.Resources{1000}}
	for i := range nodes {
		f.pool.SetNode(armada.Node{Executor: "e", Name: fmt.Sprintf("n%02d", i), Allocatable: armada.Resources{int64(cores) * 1000}})
	}
	f.pool.SetQueue(armada.Queue{Name: "small", PriorityFactor: 1})
	f.pool.SetQueue(armada.Queue{Name: "big", PriorityFactor: 1})
	for range 2 * nodes * cores {
		f.submit()
	}
	f.round(lasts)
	whole := &armada.Requirements{PriorityClass: "fixed", Resources: armada.Resources{int64(cores) * 1000}}
	for i := range gang {
		j := armada.Job{
			ID: armada.JobID(fmt.Sprintf("g%d", i)), Number: 1 << 40, Queue: "big", Submitted: f.now, State: armada.JobQueued,
			Gang: armada.Gang{ID: "g", Cardinality: gang},
		}
		if gang == 1 {
			j.Gang = armada.Gang{}
		}
		f.gang = append(f.gang, j)
		f.pool.Enqueue(j, whole)
	}
	return f
}

func (f *flood) submit() {
	f.jobs++
	id := armada.JobID(fmt.Sprintf("s%06d", f.jobs))
	f.pool.Enqueue(armada.Job{ID: id, Number: int64(f.jobs), Queue: "small", Submitted: f.now, State: armada.JobQueued}, f.needs)
}

// round decides, and runs what it starts for as long as it is told.
func (f *flood) round(lasts func() time.Duration) {
	out := Round(Input{Now: f.now, Pool: f.pool})
	f.pool.Spend(f.now, out)
	for _, d := range out.Decisions {
		for _, l := range d.Leases {
			run := armada.Run{ID: armada.NewRunID(l.Job, 1), Job: l.Job, Executor: l.Executor, Node: l.Node}
			if l.Job[0] == 'g' {
				f.begun = true
				continue
			}
			f.pool.Occupy(armada.Job{ID: l.Job, Queue: "small", Attempts: 1, State: armada.JobRunning}, run, f.needs)
			f.ends[l.Job] = f.now.Add(lasts())
		}
	}
}

// step lets time pass, and ends and submits small jobs.
func (f *flood) step(d time.Duration, lasts func() time.Duration) {
	f.now = f.now.Add(d)
	for id, end := range f.ends {
		if !end.After(f.now) {
			delete(f.ends, id)
			f.pool.Remove(id)
			f.submit()
		}
	}
	f.round(lasts)
}

func TestSmallJobsDoNotStarveALargeGang(t *testing.T) {
	t.Parallel()
	const longest, after = 20 * time.Minute, 10 * time.Minute
	rules := ReservationRules{After: after, For: time.Hour, MostNodes: 100_000}
	rapid.Check(t, func(t *rapid.T) {
		config := benchConfig()
		config.Reservations = rules
		nodes := rapid.IntRange(1, 8).Draw(t, "nodes")
		lasts := func() time.Duration {
			return time.Minute * time.Duration(rapid.IntRange(1, int(longest/time.Minute)).Draw(t, "minutes"))
		}
		f := newFlood(config, nodes, rapid.IntRange(2, 6).Draw(t, "cores"), rapid.IntRange(1, nodes).Draw(t, "gang"), lasts)
		// Nodes are kept from when a small job starts after the time; those that run there
		// have ended a longest run later.
		submitted := f.now
		for !f.begun {
			f.step(time.Minute, lasts)
			if waited := f.now.Sub(submitted); waited > after+2*longest+2*time.Minute {
				t.Fatalf("the gang has waited for %v; kept is %+v", waited, f.pool.reservations)
			}
		}
	})
}

func TestWithoutReservationsSmallJobsDo(t *testing.T) {
	t.Parallel()
	n := 0
	lasts := func() time.Duration { // never two end at once
		n++
		return time.Duration(min(n, 2)) * time.Minute
	}
	f := newFlood(benchConfig(), 1, 2, 1, lasts)
	for range 600 {
		f.step(time.Minute, lasts)
	}
	if f.begun {
		t.Fatal("the world of the test above is not what it should be: the gang started by itself")
	}
}
