package leader

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"armada"
	"armada/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The shapes of tests: one and two cores.
const (
	oneCore  armada.ShapeID = "one core"
	twoCores armada.ShapeID = "two cores"
)

var testShapes = map[armada.ShapeID]*armada.Requirements{
	oneCore:  {Resources: armada.Resources{1000}},
	twoCores: {Resources: armada.Resources{2000}},
}

// aStore returns a store with a queue.
func aStore() *memory {
	m := newMemory()
	for id, s := range testShapes {
		m.shapes[id] = s
	}
	m.putQueue(armada.Queue{Name: "physics", PriorityFactor: 1})
	return m
}

// anExecutor returns one of ours, with a lease of 30 s.
func anExecutor(id armada.ExecutorID) armada.Executor {
	return armada.Executor{ID: id, Session: "1", Lease: 30 * time.Second}
}

// aNode returns a node of the default pool.
func aNode(name string, cores int64) armada.Node {
	return armada.Node{Name: name, Allocatable: armada.Resources{1000 * cores}}
}

// aJob returns a job of one core.
func aJob(id armada.JobID) armada.Job {
	return armada.Job{ID: id, Queue: "physics", JobSet: "set", Shape: oneCore}
}

// someJobs returns n jobs of one core.
func someJobs(n int) []armada.Job {
	jobs := make([]armada.Job, n)
	for i := range jobs {
		jobs[i] = aJob(armada.JobID(fmt.Sprintf("j%05d", i)))
	}
	return jobs
}

// aGang returns jobs of one gang.
func aGang(id string, jobs ...armada.Job) []armada.Job {
	for i := range jobs {
		jobs[i].Gang = armada.Gang{ID: id, Cardinality: len(jobs)}
	}
	return jobs
}

// replica is a leader that runs.
type replica struct {
	*Leader
	mu    sync.Mutex
	pools map[string]*firstFit // of the present term
	stop  func()               // stops it in order and waits
}

// pool returns what a pool of the present term was told so far.
func (r *replica) pool(name string) *firstFit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[name].clone()
}

// start runs a replica until the test ends, inside a synctest bubble.
func start(t *testing.T, s Store, name string, options ...func(*Leader, *replica)) *replica {
	t.Helper()
	l, err := New(Config{Scheduling: testScheduling()}, Parts{Store: s, Replica: store.Replica{Name: name}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Leader: l, pools: map[string]*firstFit{}}
	plan := func(pool string) planner {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pools[pool] = newFirstFit(pool)
		return r.pools[pool]
	}
	l.plans = func() func(string) planner { return plan }
	for _, o := range options {
		o(l, r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(r.stop)
	synctest.Wait()
	return r
}

// pass lets virtual time pass and everything happen that is due.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wantState fails unless the jobs are in the state.
func wantState(t *testing.T, m *memory, state armada.JobState, ids ...armada.JobID) {
	t.Helper()
	for _, id := range ids {
		if job, _ := m.job(id); job.State != state {
			t.Errorf("job %s is %s, want %s", id, job.State, state)
		}
	}
}

// leases counts the leases in a job's history.
func (m *memory) leases(id armada.JobID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, e := range m.history[id] {
		if e.Kind == armada.EventLeased {
			n++
		}
	}
	return n
}
