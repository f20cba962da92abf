package leader

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// memory is the part of a store that a leader needs, kept in memory: the real
// rules of internal/lifecycle, a fence that is checked with every transition,
// and a feed that repeats. Faults are put in by tests.
type memory struct {
	mu        sync.Mutex
	leader    store.Leader
	queues    map[string]armada.Queue
	shapes    map[armada.ShapeID]*armada.Requirements
	jobs      map[armada.JobID]*store.JobAndRun
	executors map[armada.ExecutorID]*store.ExecutorNodes
	history   map[armada.JobID][]armada.Event
	feed      []change // what changed, in order of commit
	listeners map[chan struct{}]bool
	held      time.Time // nothing may be started before

	transitions []int // changes of every transition that committed

	// before is called without the lock before a transition is decided.
	before func(fence store.Fence, units []store.Unit) error
	// shy leaves shapes out of the feed.
	shy bool
	// deaf loses wake-ups.
	deaf bool
}

// change names what changed.
type change struct {
	job      armada.JobID
	queue    string
	executor armada.ExecutorID
}

func newMemory() *memory {
	return &memory{
		queues: map[string]armada.Queue{}, shapes: map[armada.ShapeID]*armada.Requirements{},
		jobs: map[armada.JobID]*store.JobAndRun{}, executors: map[armada.ExecutorID]*store.ExecutorNodes{},
		history: map[armada.JobID][]armada.Event{}, listeners: map[chan struct{}]bool{},
	}
}

// changed records changes and wakes the listeners; the lock is held.
func (m *memory) changed(changes ...change) {
	m.feed = append(m.feed, changes...)
	if m.deaf {
		return
	}
	for signal := range m.listeners {
		select {
		case signal <- struct{}{}:
		default:
		}
	}
}

func (m *memory) putQueue(q armada.Queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[q.Name] = q
	m.changed(change{queue: q.Name})
}

func (m *memory) deleteQueue(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.queues, name)
	m.changed(change{queue: name})
}

// submit takes jobs in, numbered in order.
func (m *memory) submit(jobs ...armada.Job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, job := range jobs {
		job.Number, job.Submitted = int64(len(m.jobs)+1), time.Now()
		step := lifecycle.Begin(job)
		m.jobs[job.ID] = &store.JobAndRun{Job: step.Job}
		m.history[job.ID] = step.Events
		m.changed(change{job: job.ID})
	}
}

// acknowledge records that an executor was heard of.
func (m *memory) acknowledge(e armada.Executor, nodes ...armada.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.executors[e.ID]
	if have == nil {
		have = &store.ExecutorNodes{}
		m.executors[e.ID] = have
	}
	e.Acknowledged = time.Now()
	have.Reported = have.Reported && e.Session == have.Executor.Session
	have.Executor = e
	if nodes != nil {
		have.Nodes, have.Reported = nodes, true
		have.Kinds = store.RememberKinds(have.Kinds, store.KindsOf(nodes), time.Now())
	}
	m.changed(change{executor: e.ID})
}

// uncordon changes the setting of an executor, which need not live.
func (m *memory) uncordon(id armada.ExecutorID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.executors[id].Executor.Cordoned = false
	m.changed(change{executor: id})
}

// job returns a job as it is now, with its run.
func (m *memory) job(id armada.JobID) (armada.Job, armada.Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.jobs[id]
	if have.Run == nil {
		return have.Job, armada.Run{}
	}
	return have.Job, *have.Run
}

// inState counts the jobs in a state.
func (m *memory) inState(state armada.JobState) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, j := range m.jobs {
		if j.Job.State == state {
			n++
		}
	}
	return n
}

// epoch returns the epoch of leadership.
func (m *memory) epoch() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leader.Epoch
}

// size counts the jobs ever submitted.
func (m *memory) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.jobs)
}

// committed returns the changes of every transition that committed.
func (m *memory) committed() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.transitions)
}

// must applies one change on behalf of users and executors.
func (m *memory) must(c lifecycle.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.apply(store.Unit{c}); r.Verdict != lifecycle.Applied {
		panic(fmt.Sprintf("%s of %s: %s", c.Kind, c.Job, r.Why))
	}
}

// report applies a report of the executor that holds the job's run.
func (m *memory) report(kind lifecycle.ChangeKind, id armada.JobID) {
	_, run := m.job(id)
	m.must(lifecycle.Change{Kind: kind, Job: id, Run: run.ID, Executor: run.Executor})
}

// mark applies a mark of the job's run.
func (m *memory) mark(mark lifecycle.Mark, id armada.JobID) {
	_, run := m.job(id)
	m.must(lifecycle.Change{Kind: lifecycle.ReportMark, Mark: mark, Job: id, Run: run.ID, Executor: run.Executor})
}

// apply takes a unit wholly or not at all; the lock is held.
func (m *memory) apply(u store.Unit) store.UnitResult {
	result := store.UnitResult{Verdict: lifecycle.Already}
	next := map[armada.JobID]store.JobAndRun{}
	events := map[armada.JobID][]armada.Event{}
	for _, c := range u {
		now, staged := next[c.Job]
		if !staged {
			have := m.jobs[c.Job]
			if have == nil {
				return store.UnitResult{Verdict: lifecycle.Refused, Why: "unknown job"}
			}
			now = *have
		}
		run := armada.Run{}
		if now.Run != nil {
			run = *now.Run
		}
		step := lifecycle.Apply(now.Job, run, c, time.Now())
		if step.Verdict == lifecycle.Refused {
			return store.UnitResult{Verdict: lifecycle.Refused, Why: step.Why}
		}
		if step.Verdict == lifecycle.Applied {
			result.Verdict = lifecycle.Applied
		}
		now.Job = step.Job
		if step.Job.Attempts > 0 {
			now.Run = &step.Run
		}
		next[c.Job] = now
		events[c.Job] = append(events[c.Job], step.Events...)
		result.Jobs = append(result.Jobs, step.Job)
	}
	for id, j := range next {
		m.jobs[id] = &j
		m.history[id] = append(m.history[id], events[id]...)
		m.changed(change{job: id})
	}
	return result
}

// Transition is that of store.Jobs.
func (m *memory) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	if m.before != nil {
		if err := m.before(fence, units); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if fence.Epoch != 0 && fence.Epoch != m.leader.Epoch {
		return nil, &armada.Error{Code: armada.CodeFenced, Message: "the epoch is not current"}
	}
	results := make([]store.UnitResult, len(units))
	n := 0
	for i, u := range units {
		results[i] = m.apply(u)
		n += len(u)
	}
	m.transitions = append(m.transitions, n)
	return results, nil
}

// Lead is that of store.Leadership.
func (m *memory) Lead(_ context.Context, replica store.Replica, ttl time.Duration) (store.Leader, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case m.leader.Replica.Name == replica.Name && now.Before(m.leader.Until):
		m.leader.Until = now.Add(ttl)
	case !now.Before(m.leader.Until):
		m.leader = store.Leader{Replica: replica, Epoch: m.leader.Epoch + 1, Until: now.Add(ttl)}
	}
	return m.leader, m.leader.Replica == replica, nil
}

// Resign is that of store.Leadership.
func (m *memory) Resign(_ context.Context, epoch int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leader.Epoch == epoch {
		m.leader.Until = time.Time{}
	}
	return nil
}

// Load is that of store.Feed, in pieces of 1,000 jobs.
func (m *memory) Load(_ context.Context, visit func(store.Changes) error) (store.Position, error) {
	m.mu.Lock()
	position := m.position(len(m.feed))
	whole := store.Changes{Shapes: map[armada.ShapeID]*armada.Requirements{}}
	for _, q := range m.queues {
		whole.Queues = append(whole.Queues, q)
	}
	for id, s := range m.shapes {
		whole.Shapes[id] = s
	}
	for _, e := range m.executors {
		whole.Executors = append(whole.Executors, *e)
	}
	var jobs []store.JobAndRun
	for _, j := range m.jobs {
		if j.Job.State.Active() {
			jobs = append(jobs, *j)
		}
	}
	m.mu.Unlock()
	if err := visit(whole); err != nil {
		return nil, err
	}
	for piece := range slices.Chunk(jobs, 1000) {
		if err := visit(store.Changes{Jobs: piece}); err != nil {
			return nil, err
		}
	}
	return position, nil
}

func (m *memory) position(n int) store.Position {
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

// Changes is that of store.Feed. It repeats the last change of the piece before.
func (m *memory) Changes(_ context.Context, after store.Position, limit int) (store.Changes, store.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := int(binary.BigEndian.Uint64(after))
	to := min(from+limit, len(m.feed))
	c := store.Changes{Shapes: map[armada.ShapeID]*armada.Requirements{}}
	if from == to {
		return c, after, nil
	}
	for _, x := range m.feed[max(0, from-1):to] {
		m.tell(&c, x)
	}
	return c, m.position(to), nil
}

// tell adds the present state of what changed; the lock is held.
func (m *memory) tell(c *store.Changes, x change) {
	switch {
	case x.job != "":
		j := *m.jobs[x.job]
		c.Jobs = append(c.Jobs, j)
		if !m.shy {
			c.Shapes[j.Job.Shape] = m.shapes[j.Job.Shape]
		}
	case x.executor != "":
		c.Executors = append(c.Executors, *m.executors[x.executor])
	default:
		if q, ok := m.queues[x.queue]; ok {
			c.Queues = append(c.Queues, q)
		} else {
			c.Gone = append(c.Gone, x.queue)
		}
	}
}

// Subscribe is that of store.Feed.
func (m *memory) Subscribe() (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	signal := make(chan struct{}, 1)
	m.listeners[signal] = true
	return signal, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.listeners, signal)
	}
}

// Held is that of store.Restoration.
func (m *memory) Held(context.Context) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Until(m.held), nil
}

// Executors is that of store.Executors.
func (m *memory) Executors(context.Context) ([]store.ExecutorNodes, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []store.ExecutorNodes
	for _, e := range m.executors {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b store.ExecutorNodes) int { return cmp.Compare(a.Executor.ID, b.Executor.ID) })
	return all, nil
}

// Requirements is that of store.Asking.
func (m *memory) Requirements(_ context.Context, id armada.ShapeID) (*armada.Requirements, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.shapes[id]; r != nil {
		return r, nil
	}
	return nil, &armada.Error{Code: armada.CodeNotFound, Message: "unknown shape"}
}
