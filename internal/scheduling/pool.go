package scheduling

import (
	"reflect"
	"slices"
	"time"

	"armada"
	"armada/internal/scheduling/fairshare"
	"armada/internal/scheduling/placement"
)

// Pool is the state of one pool: what there is, what runs and what waits. It is
// patched as things change and only read by rounds. One goroutine owns it.
//
// The outcome of a round depends on what the pool contains and not on the order
// in which it was told.
type Pool struct {
	name    string
	config  Config
	rules   PoolRules
	version uint64
	now     time.Time // of the latest change, as far as anybody told

	space  *placement.Space
	queues map[string]*queue
	byName []*queue // sorted
	shapes map[armada.ShapeID]*shape
	kinds  map[string]*kind // of gangs
	jobs   map[armada.JobID]*job
	gangs  map[gangKey]*gang
	sites  map[placement.NodeRef]*site
	// unsettled are the gangs whose members have changed since the last round.
	unsettled []*gang
	// anchored are the complete gangs of which some run already and which ask
	// for nodes that share a label.
	anchored map[*gang]struct{}
	// reservations are those of the last outcome that was taken.
	reservations []Reservation

	shared    *Shared
	moved     bucket    // of runs preempted for fairness
	optimised time.Time // when it last did something
	bids      map[string]armada.QueueBids
	priced    []pricedKind // of the market
	lenders   []string     // pools whose jobs may be guests
	homes     []KnownKind  // of those
	perRound  *fractions   // the most that one round hands out; nil is no bound

	scratch scratch // the current round's; nothing of it outlives the round
}

// NewPool makes an empty pool that shares nothing with others.
func NewPool(name string, config Config) *Pool { return NewShared(config).NewPool(name) }

func newPool(name string, shared *Shared) *Pool {
	config := shared.config
	p := &Pool{
		name: name, config: config, rules: config.rules(name), shared: shared, perRound: fractionsOf(config.Resources, config.RoundLimits.In(name)),
		space:   placement.NewSpace(config.Resources, config.levels(name)),
		lenders: config.lenders(name),
		queues:  map[string]*queue{}, shapes: map[armada.ShapeID]*shape{}, kinds: map[string]*kind{},
		jobs: map[armada.JobID]*job{}, gangs: map[gangKey]*gang{}, sites: map[placement.NodeRef]*site{}, anchored: map[*gang]struct{}{},
	}
	if p.rules.Market != nil {
		p.openMarket()
	}
	return p
}

// Version changes whenever something changed that a round's outcome could
// depend on. A leader that remembers the version of its last round, and is not
// woken by [Outcome.Wake], has nothing to decide while it is the same.
func (p *Pool) Version() uint64 { return p.version + p.shared.version }

// SetQueue adds a queue or replaces its settings. Jobs of a queue that is not
// known wait until it is.
func (p *Pool) SetQueue(settings armada.Queue) {
	q := p.queue(settings.Name)
	if q.known && reflect.DeepEqual(q.settings, settings) {
		return
	}
	q.known, q.settings, q.factor = true, settings, fairshare.NewFactor(settings.PriorityFactor)
	p.limit(q)
	p.version++
}

// RemoveQueue forgets a queue. Should it have jobs, they wait, or run on
// without counting in the report.
func (p *Pool) RemoveQueue(name string) {
	q, ok := p.queues[name]
	if !ok || !q.known {
		return
	}
	q.known, q.settings, q.limits = false, armada.Queue{Name: name}, nil
	p.version++
	p.forgetQueue(q)
}

// SetNode adds a node or replaces it; its runs stay. The node's maps and slices
// must not change any more.
func (p *Pool) SetNode(n armada.Node) { p.nodeChanged(p.space.SetNode(p.config.node(n))) }

// RemoveNode forgets a node; its runs keep counting for their queues.
func (p *Pool) RemoveNode(executor armada.ExecutorID, name string) {
	p.nodeChanged(p.space.RemoveNode(placement.NodeRef{Executor: executor, Name: name}))
}

// SetExecutor tells whether an executor's nodes may get anything new; until
// told otherwise they may.
func (p *Pool) SetExecutor(id armada.ExecutorID, open bool) { p.changed(p.space.SetExecutor(id, open)) }

func (p *Pool) changed(really bool) {
	if really {
		p.version++
	}
}

// Enqueue adds a queued job or replaces it (its priority changed). A job that
// held a place gives it back and waits again. The requirements are shared by
// all jobs of one shape and must not change.
func (p *Pool) Enqueue(v armada.Job, requirements *armada.Requirements) {
	if j, ok := p.jobs[v.ID]; ok {
		if j.run == nil && j.same(v) {
			return
		}
		p.drop(j)
	}
	p.version++
	j := p.add(v, requirements)
	j.shape = p.form(j)
	j.queue.want(j.shape, 1)
	j.queue.queued++
	if j.gang != nil {
		j.gang.insert(j)
		p.unsettle(j.gang)
		return
	}
	j.queue.lane(j.shape.alone, bandSet(0).with(j.band)).insert(j.entry())
}

// Occupy records that a job's run holds its requirements on a node of the pool,
// known or not; the job leaves the queue. A run whose job has a wish is about to
// end: it holds its room until it has, does not count for its queue any more, and
// others may wait for the room.
func (p *Pool) Occupy(v armada.Job, run armada.Run, requirements *armada.Requirements) {
	node := placement.NodeRef{Executor: run.Executor, Name: run.Node}
	leaves, since := v.Wish.Kind != armada.WishNone, int64(0)
	if !run.Leased.IsZero() {
		since = run.Leased.UnixNano()
	}
	if j, ok := p.jobs[v.ID]; ok {
		if j.run != nil && j.run.id == run.ID && j.run.node == node && j.run.leaves == leaves && j.run.since == since && j.same(v) && j.shape == p.runsAs(j.shape.home, &run) {
			return
		}
		p.drop(j)
	}
	p.version++
	j := p.add(v, requirements)
	j.run = &place{id: run.ID, node: node, leaves: leaves, since: since, after: run.After}
	j.shape = p.runsAs(j.shape, &run)
	p.settleIn(j)
}

// Remove forgets a job: it left the queue, or its run has ended and its room
// is free. Removing an unknown job does nothing.
func (p *Pool) Remove(id armada.JobID) {
	if j, ok := p.jobs[id]; ok {
		p.version++
		p.drop(j)
	}
}

func (p *Pool) add(v armada.Job, requirements *armada.Requirements) *job {
	j := &job{
		id: v.ID, number: v.Number, priority: v.Priority, submitted: uint32(max(v.Submitted.Unix(), 0)),
		queue: p.queue(v.Queue), shape: p.shape(v.Shape, requirements),
	}
	if p.rules.Market != nil {
		j.band = v.Band
	}
	j.queue.jobs++
	j.shape.jobs++
	if !v.Gang.Alone() {
		j.gang = p.gang(v)
	}
	p.jobs[v.ID] = j
	return j
}

// drop takes a job out of everything that knows it.
func (p *Pool) drop(j *job) {
	delete(p.jobs, j.id)
	switch {
	case j.run != nil:
		p.moveOut(j)
	default:
		j.queue.want(j.shape, -1)
		j.queue.queued--
		if g := j.gang; g != nil {
			p.unsettle(g)
			g.remove(j)
		} else {
			p.leaveLane(j.queue.lane(j.shape.alone, bandSet(0).with(j.band)), j)
		}
	}
	j.queue.jobs--
	p.forgetQueue(j.queue)
	home := j.shape.home
	if home.jobs--; home.jobs == 0 {
		for _, s := range slices.Concat(home.away, home.guests, []*shape{home}) {
			p.space.RemoveDemand(s.demand)
		}
		delete(p.shapes, home.id)
	}
}

// leaveLane takes a job, or the gang whose turn is the job's, out of its lane.
func (p *Pool) leaveLane(l *lane, j *job) {
	l.remove(j.entry())
	if l.count > 0 {
		return
	}
	l.queue.dropLane(l)
	k := l.kind
	if k.lanes--; k.lanes > 0 || k.signature == "" {
		return
	}
	delete(p.kinds, k.signature)
	if k.uniform.Label != "" {
		p.space.RemoveLabel(k.uniform.Label)
	}
}

func (p *Pool) queue(name string) *queue {
	q, ok := p.queues[name]
	if !ok {
		q = &queue{name: name, factor: fairshare.NewFactor(1), lanes: map[laneKey]*lane{}, incomplete: map[*gang]struct{}{}}
		q.byClass = make([]ledger, len(p.config.Classes)+1)
		q.market = p.rules.Market != nil
		q.bid(p.bids[name])
		p.queues[name] = q
		at, _ := slices.BinarySearchFunc(p.byName, name, queueByName)
		p.byName = slices.Insert(p.byName, at, q)
	}
	return q
}

// forgetQueue drops a queue that nobody set and that has no jobs.
func (p *Pool) forgetQueue(q *queue) {
	if q.known || q.jobs > 0 {
		return
	}
	delete(p.queues, q.name)
	if at, ok := slices.BinarySearchFunc(p.byName, q.name, queueByName); ok {
		p.byName = slices.Delete(p.byName, at, at+1)
	}
}

func (p *Pool) shape(id armada.ShapeID, needs *armada.Requirements) *shape {
	if id == "" {
		id = needs.Shape(p.config.Resources)
	}
	s, ok := p.shapes[id]
	if !ok {
		s = &shape{id: id, needs: needs, demand: p.space.AddDemand(p.onNode(needs)), class: len(p.config.Classes), loose: p.rules.Market != nil}
		for i, c := range p.config.Classes {
			if c.Name == needs.PriorityClass {
				s.rank, s.loose, s.class = c.Priority, s.loose || c.Preemptible, i
			}
		}
		s.home = s
		p.addAway(s)
		s.waitAlone()
		p.shapes[id] = s
	}
	return s
}
