package leader

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"armada"
	"armada/internal/store"
)

// agent is an executor as the world knows it. Its runs are those that the store
// knows of, whether it reports nodes or not.
type agent struct {
	armada.Executor
	nodes map[string]armada.Node
	kinds []armada.NodeKind // of the nodes of the last day
	// reported tells whether it has told of its nodes, and was heard of, since
	// this replica leads.
	reported bool
	runs     map[armada.JobID]*entry

	// heard is when the store last recorded it, by our clock; what is placed
	// there depends on it. Clocks that disagree can only close an executor too
	// early or too late, which costs time and no run.
	heard time.Time
	// seen is when we learned of a record that was new to us. Runs are given up
	// by it, so that neither a new leader nor a clock that jumped takes an
	// executor's time away.
	seen   time.Time
	silent bool
	// awaited is how many runs it was given and has not said to begin, and crowded
	// tells that they are, or were, too many for it to get more.
	awaited int
	crowded bool
	// lapses is when the first of its runs may be given up of which, in the
	// protocol of 2020, each has a lease of its own.
	lapses time.Time
	// retried is when giving up its runs was last tried.
	retried time.Time
}

// retryExpiry is the pause between attempts to give up the same runs.
const retryExpiry = time.Second

// open tells whether anything new may be placed there.
func (x *agent) open() bool { return !x.silent && !x.Cordoned && !x.crowded && x.Session != "" }

// closes is when the executor counts as silent: its lease is counted from the
// store's record, whatever was answered later from memory.
func (e *Expiry) closes(x *agent) time.Time {
	switch x.Kind {
	case armada.Executor2026:
		return x.heard.Add(e.Original2026.ClosedAfter)
	case armada.Executor2020:
		return x.heard.Add(e.Original2020.ClosedAfter)
	default:
		return x.heard.Add(cmp.Or(x.Lease, e.Lease))
	}
}

// givesUp is when the executor's runs end, or the first of those that end each
// for itself.
func (e *Expiry) givesUp(x *agent) time.Time {
	switch x.Kind {
	case armada.Executor2026:
		return x.seen.Add(e.Original2026.GivenUp)
	case armada.Executor2020:
		return x.lapses
	default:
		return x.seen.Add(cmp.Or(x.Lease, e.Lease) + e.Margin + e.LostTimeout)
	}
}

// givesUp is when giving up the executor's runs is to be tried next.
func (w *world) givesUp(x *agent) time.Time {
	at := w.expiry.givesUp(x)
	if !x.retried.IsZero() && x.retried.Add(retryExpiry).After(at) {
		return x.retried.Add(retryExpiry)
	}
	return at
}

// lapses is when a run of an executor of 2020 is given up: like an executor's
// silence it is counted from when we learned of the latest word.
func (w *world) lapses(e *entry) time.Time { return e.told.Add(w.expiry.Original2020.GivenUp) }

// hear notes what a run that is held tells of itself beyond its state.
func (w *world) hear(e *entry, was *armada.Run) {
	if was == nil || was.ID != e.run.ID || !was.Polled.Latest().Equal(e.run.Polled.Latest()) {
		e.told = w.now
	}
	e.agent.lapses = earlier(e.agent.lapses, w.lapses(e))
}

// agents returns the executors by id.
func (w *world) agents() []*agent {
	agents := make([]*agent, 0, len(w.executors))
	for _, x := range w.executors {
		agents = append(agents, x)
	}
	slices.SortFunc(agents, func(a, b *agent) int { return cmp.Compare(a.ID, b.ID) })
	return agents
}

// agent returns an executor that holds a run, known to the store or not.
func (w *world) agent(id armada.ExecutorID) *agent {
	x := w.executors[id]
	if x == nil {
		x = &agent{Executor: armada.Executor{ID: id}, runs: map[armada.JobID]*entry{}, seen: w.now}
		w.executors[id] = x
	}
	return x
}

// setExecutor takes over an executor and its nodes.
func (w *world) setExecutor(c *store.ExecutorNodes, now time.Time) {
	x := w.agent(c.Executor.ID)
	was := x.open()
	if c.Deleted {
		x.Executor = armada.Executor{ID: x.ID}
		x.kinds, x.reported, w.survey.stale = nil, false, true
		w.setNodes(x, nil)
		w.tellOpen(x)
		if len(x.runs) == 0 {
			delete(w.executors, x.ID)
		}
		return
	}
	news := c.Executor.Session != x.Session || c.Executor.Acknowledged.After(x.Acknowledged)
	first := x.heard.IsZero()
	x.Executor = c.Executor
	switch {
	case first:
		age := max(0, now.Add(w.skew).Sub(c.Executor.Acknowledged))
		x.heard, x.seen = now.Add(-age), now
		x.silent = !now.Before(w.expiry.closes(x))
	case news:
		w.survey.stale = w.survey.stale || !now.Before(x.seen.Add(store.KindsKept)) // it was forgotten
		x.heard, x.seen, x.silent = now, now, false
	}
	reported := c.Reported && !c.Executor.Acknowledged.Before(w.since)
	if first || x.reported != reported || !reflect.DeepEqual(x.kinds, c.Kinds) {
		x.kinds, x.reported, w.survey.stale = c.Kinds, reported, true
	}
	if first || x.open() != was {
		w.tellOpen(x)
	}
	w.setNodes(x, c.Nodes)
}

// tellOpen tells the pools whether an executor gets anything new. A pool that
// begins later is told then.
func (w *world) tellOpen(x *agent) {
	for _, p := range w.pools {
		p.plan.SetExecutor(x.ID, x.open())
	}
	w.stir()
}

// await counts the run of a job for as long as its executor has not said that
// it begins. The run is nil for a job that has none.
func (w *world) await(e *entry, run *armada.Run) {
	var by *agent
	if run != nil && run.State == armada.RunLeased {
		by = w.agent(run.Executor)
	}
	if was := e.awaits; was != by {
		e.awaits = by
		w.crowd(was, -1)
		w.crowd(by, 1)
	}
}

// crowd closes an executor that has too many such runs, and opens it again when
// half of as many are left, so that it does not change with every run.
func (w *world) crowd(x *agent, more int) {
	if x == nil {
		return
	}
	was := x.open()
	x.awaited += more
	switch {
	case w.unacknowledged > 0 && x.awaited > w.unacknowledged:
		x.crowded = true
	case x.awaited <= w.unacknowledged/2:
		x.crowded = false
	}
	if x.open() != was {
		w.tellOpen(x)
	}
}

// setNodes replaces an executor's nodes and patches the pools where they differ.
func (w *world) setNodes(x *agent, nodes []armada.Node) {
	next := make(map[string]armada.Node, len(nodes))
	for _, n := range nodes {
		n.Executor, n.Pool = x.ID, poolName(n.Pool)
		next[n.Name] = n
	}
	for _, was := range x.nodes {
		if n, stays := next[was.Name]; !stays || n.Pool != was.Pool {
			p := w.pool(was.Pool)
			p.plan.RemoveNode(x.ID, was.Name)
			p.nodes--
			p.dirty = true
		}
	}
	for _, n := range nodes {
		n = next[n.Name]
		was, had := x.nodes[n.Name]
		if had && reflect.DeepEqual(was, n) {
			continue
		}
		p := w.pool(n.Pool)
		p.plan.SetNode(n)
		p.dirty = true
		if !had || was.Pool != n.Pool {
			p.nodes++
		}
	}
	x.nodes = next
}

// judge closes executors that were silent for too long when the store was
// asked, which is the time of the latest answer that told of all of them.
func (w *world) judge(asked time.Time) {
	for _, x := range w.executors {
		if !x.silent && !x.heard.IsZero() && !asked.Before(w.expiry.closes(x)) {
			x.silent = true
			w.tellOpen(x)
		}
	}
}

// suspicious is when an executor seems to have been silent for too long next,
// so that the store must be asked; zero for never.
func (w *world) suspicious() time.Time {
	var next time.Time
	for _, x := range w.executors {
		if !x.silent && !x.heard.IsZero() {
			next = earlier(next, w.expiry.closes(x))
		}
		if len(x.runs) > 0 {
			next = earlier(next, w.givesUp(x))
		}
	}
	return next
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
