package sessions

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"armada"
	"armada/internal/executor"
	"armada/internal/lifecycle"
	"armada/internal/runs"
	"armada/internal/store"
)

// To look for more: go test ./test/sessions -run Whatever -turmoil.seeds 100. A
// seed says what goes wrong and when; who of two that wake at the same moment is
// first stays with the Go scheduler.
var (
	seeds     = flag.Uint64("turmoil.seeds", 3, "how many seeds are tried")
	firstSeed = flag.Uint64("turmoil.first", 0, "the first of them")
)

// jobCores and nodeCores make four jobs fill a node.
const jobCores, nodeCores = 8, 32

// stay is the time that a pod really was on a node.
type stay struct {
	run         armada.RunID
	job         armada.JobID
	node        string
	began, left time.Time // left is zero while it is there
}

// diary writes down what really ran, on all clusters.
type diary struct {
	mu    sync.Mutex
	stays map[armada.RunID]*stay
	twice []armada.RunID // runs that were started again after they had been forgotten
}

// witness is a runtime that writes into a diary.
type witness struct {
	runs.Runtime
	diary *diary
}

func (r *witness) Start(ctx context.Context, o runs.Order) error {
	began := time.Now()
	if err := r.Runtime.Start(ctx, o); err != nil {
		return err
	}
	r.diary.mu.Lock()
	defer r.diary.mu.Unlock()
	if had := r.diary.stays[o.Run]; had != nil {
		if !had.left.IsZero() {
			r.diary.twice = append(r.diary.twice, o.Run)
		}
		return nil
	}
	r.diary.stays[o.Run] = &stay{run: o.Run, job: o.Job, node: o.Node, began: began}
	return nil
}

func (r *witness) Forget(ctx context.Context, run armada.RunID) error {
	statuses, _ := r.Changed(0)
	for _, s := range statuses {
		if s.Run == run {
			r.diary.mu.Lock()
			r.diary.stays[run].left = s.Ended
			r.diary.mu.Unlock()
		}
	}
	return r.Runtime.Forget(ctx, run)
}

// turmoil is a world in which everything goes wrong by a seed.
type turmoil struct {
	*world
	random   *rand.Rand
	clusters []armada.ExecutorID
	diary    *diary
	jobs     []armada.JobID
}

// between is a random time.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// plague lets things happen to one cluster until the end, one after the other,
// and then leaves it in order. Its executor is never dead for as long as a lease:
// what its pods do then is nobody's promise.
func (u *turmoil) plague(id armada.ExecutorID, seed uint64, end time.Time) *cluster {
	r := rand.New(rand.NewPCG(seed, 1))
	calls := rand.New(rand.NewPCG(seed, 2))
	var mu sync.Mutex
	slow := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if calls.IntN(20) == 0 {
			return between(calls, 0, 3*time.Second)
		}
		return between(calls, 0, 50*time.Millisecond)
	}
	wrap := func(inner runs.Runtime) runs.Runtime { return &witness{inner, u.diary} }
	open := func(runtime runs.Runtime) *cluster {
		c := u.world.open(id, options{wrap: wrap, runtime: runtime, cores: nodeCores, config: func(c *executor.Config) { c.Patience = 10 * time.Second }})
		c.link.delayed(slow)
		return c
	}
	c := open(nil)
	for time.Now().Before(end) {
		pause(between(r, 10*time.Second, 40*time.Second))
		switch r.IntN(6) {
		case 0:
			c.link.cut()
		case 1, 2: // a silence, often longer than the lease
			lost := []struct{ requests, pushes bool }{{true, false}, {false, true}, {true, true}}[r.IntN(3)]
			c.link.lose(lost.requests, lost.pushes)
			pause(between(r, time.Second, 3*theLease/2))
			c.link.mend()
			pause(30 * time.Second) // so that a death does not add to it
		case 3: // the agent dies, its pods do not
			c.stop()
			pause(between(r, 0, 20*time.Second))
			c = open(c.runtime)
			pause(30 * time.Second)
		case 4: // the same, and the server does not hear of it before the next one is there
			c.link.lose(true, true)
			c.stop()
			dead := c.link
			c = open(c.runtime)
			pause(30 * time.Second)
			dead.cut()
		case 5:
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			_ = c.agent.Drain(ctx) // it need not be done by then
			cancel()
			c.stop()
			c = open(c.runtime)
			pause(30 * time.Second)
		}
	}
	c.link.mend()
	return c
}

// strikes hit servers, leaders and users.
func (u *turmoil) strikes(end time.Time) {
	r := u.random
	stops := map[string]func(){"a": u.lead("a"), "b": u.lead("b")}
	for time.Now().Before(end) {
		pause(between(r, time.Second, 20*time.Second))
		switch r.IntN(8) {
		case 0:
			u.unserve()
			pause(between(r, 0, 15*time.Second))
			u.serve()
		case 1:
			u.lostAnswers.Store(true)
			pause(between(r, 0, 20*time.Second))
			u.lostAnswers.Store(false)
		case 2:
			name := []string{"a", "b"}[r.IntN(2)]
			stops[name]()
			pause(between(r, 0, 5*time.Second))
			stops[name] = u.lead(name)
		case 3:
			for _, id := range u.jobs[max(0, len(u.jobs)-r.IntN(8)):] {
				c := lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "ann"}
				_, err := u.store.Transition(context.Background(), store.Fence{}, []store.Unit{{c}})
				ok(u.t, err)
			}
		default:
			for range r.IntN(12) {
				most := []time.Duration{time.Second, 40 * time.Second, 10 * time.Minute}[r.IntN(3)]
				l := life{
					runtime: between(r, 0, most).String(), pending: between(r, 0, 5*time.Second).String(),
					stopDelay: between(r, 0, 20*time.Second).String(), exit: r.IntN(5) / 4, cores: jobCores,
				}
				u.jobs = append(u.jobs, u.submit(l))
			}
		}
	}
}

func TestWhateverGoesWrongEveryJobEndsOnceAndNothingRunsTwice(t *testing.T) {
	for i := range *seeds {
		seed := *firstSeed + i
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				u := &turmoil{
					world: w, random: rand.New(rand.NewPCG(seed, 0)),
					clusters: []armada.ExecutorID{"east", "south", "west"}, diary: &diary{stays: map[armada.RunID]*stay{}},
				}
				end := time.Now().Add(10 * time.Minute)
				survivors := make([]*cluster, len(u.clusters))
				var all sync.WaitGroup
				for i, id := range u.clusters {
					all.Go(func() { survivors[i] = u.plague(id, seed*100+uint64(i), end) })
				}
				u.strikes(end)
				all.Wait()
				w.until("every job has ended", func() bool {
					active, err := w.store.Count(t.Context(), "q")
					ok(t, err)
					return len(active) == 0
				})
				for _, c := range survivors {
					c.forgets()
				}
				u.judge()
			})
		})
	}
}

// judge checks what must be true whatever happened.
func (u *turmoil) judge() {
	u.t.Helper()
	outcomes := map[armada.JobState]int{}
	endings := map[armada.JobID]int{}
	events, _, err := u.store.ReadEvents(u.t.Context(), store.JobSetKey{Queue: "q", JobSet: "set"}, store.Cursor{}, 1_000_000)
	ok(u.t, err)
	for i, e := range events {
		if e.Number != int64(i)+1 {
			u.t.Fatalf("event %d has number %d", i+1, e.Number)
		}
		switch e.Kind {
		case armada.EventSucceeded, armada.EventFailed, armada.EventCancelled:
			endings[e.Job]++
		default:
		}
	}
	attempts := 0
	for _, id := range u.jobs {
		job := u.job(id)
		outcomes[job.Job.State]++
		attempts += job.Job.Attempts
		if endings[id] != 1 || !job.Job.State.Terminal() {
			u.t.Errorf("job %s is %s; its events are %q", id, job.Job.State, u.kinds(id))
		}
	}
	for _, run := range u.diary.twice {
		u.t.Errorf("run %s was started again", run)
	}
	u.overlaps(func(s *stay) string { return "job " + string(s.job) }, 1)
	u.overlaps(func(s *stay) string { return "node " + s.node }, nodeCores/jobCores)
	u.t.Logf("%d jobs, %d runs, %d of them really began: %v", len(u.jobs), attempts, len(u.diary.stays), outcomes)
	if len(u.jobs) < 50 || outcomes[armada.JobSucceeded] < len(u.jobs)/4 || attempts <= len(u.jobs)/2 {
		u.t.Error("that was no test: too little happened")
	}
}

// overlaps fails when more than most stays with the same key were at a time.
func (u *turmoil) overlaps(key func(*stay) string, most int) {
	u.t.Helper()
	byKey := map[string][]*stay{}
	for _, s := range u.diary.stays {
		if s.left.IsZero() {
			u.t.Errorf("run %s never left %s", s.run, s.node)
			continue
		}
		byKey[key(s)] = append(byKey[key(s)], s)
	}
	for name, stays := range byKey {
		slices.SortFunc(stays, func(a, b *stay) int { return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.run, b.run)) })
		var there []*stay
		for _, s := range stays {
			there = append(slices.DeleteFunc(there, func(e *stay) bool { return !e.left.After(s.began) }), s)
			if len(there) > most {
				text := ""
				for _, e := range there {
					text += fmt.Sprintf("\n  %s from %s to %s", e.run, e.began.Format(time.TimeOnly), e.left.Format(time.TimeOnly))
				}
				u.t.Errorf("%s had %d runs at a time:%s", name, len(there), text)
			}
		}
	}
}
