package leader

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// planner is one pool as the world patches it and asks it for decisions. The
// real one is a [scheduling.Pool] with its rounds.
type planner interface {
	SetQueue(q armada.Queue)
	RemoveQueue(name string)
	SetNode(n armada.Node)
	RemoveNode(executor armada.ExecutorID, name string)
	SetExecutor(id armada.ExecutorID, open bool)
	SetBids(bids map[string]armada.QueueBids) bool
	SetKnown(known []scheduling.KnownKind) bool
	Enqueue(job armada.Job, requirements *armada.Requirements)
	Occupy(job armada.Job, run armada.Run, requirements *armada.Requirements)
	Ended(job armada.Job, run armada.Run)
	Remove(job armada.JobID)
	At(now time.Time)
	Round(now time.Time) scheduling.Outcome
}

// fairPool is the planner of production.
type fairPool struct{ *scheduling.Pool }

// Round runs one round of the pool, and counts what it starts even if that is
// refused later.
func (p fairPool) Round(now time.Time) scheduling.Outcome {
	p.At(now)
	outcome := scheduling.Round(scheduling.Input{Now: now, Pool: p.Pool})
	p.Spend(now, outcome)
	return outcome
}

// world is everything that rounds decide from: all active jobs with their runs
// and shapes, the queues, the executors with their nodes, and one planner per
// pool that is patched to show the same. One goroutine owns it; it does no I/O
// and is told the time.
type world struct {
	plan   func(pool string) planner
	expiry Expiry
	// skew is how far the store's clock is ahead of ours, and since when, by the
	// store's clock, this replica leads.
	skew  time.Duration
	since time.Time
	types []scheduling.KnownKind // the configured node types
	rules scheduling.Config
	// unacknowledged is Config.MaxUnacknowledged.
	unacknowledged int
	ranks          map[string]int32 // priorities of the classes, by name
	now            time.Time        // of the latest change

	jobs      map[armada.JobID]*entry
	shapes    map[armada.ShapeID]*shape
	queues    map[string]armada.Queue
	bids      armada.Bids
	executors map[armada.ExecutorID]*agent
	pools     []*pool          // by name
	withheld  []*entry         // queued jobs that are offered again later, see entry.until
	unused    []armada.ShapeID // shapes that lost their last job, perhaps for a moment
	survey    survey
}

// entry is an active job with what the world does with it.
type entry struct {
	job   armada.Job  // as last told by the store
	run   *armada.Run // its current run; nil while queued
	shape *shape      // with what the job's attempts have taught
	agent *agent      // of run

	intent   intent      // what is in flight
	lease    *armada.Run // of leasing: the run as it will be
	shown    shown       // what the pools were told
	refusals int         // how often a decision about this version lost
	until    time.Time   // withheld until then; zero if it is not
	suspect  bool        // it is among the suspects
	awaits   *agent      // that was given its run and has not said to begin it
	told     time.Time   // when we learned of its run, or of the run's latest mark
}

// intent is the decision about a job that is in flight.
type intent uint8

const (
	idle intent = iota
	leasing
	preempting
	expiring
	rejecting
)

// shape is the requirements that jobs share: those that the store knows, or what
// attempts have taught makes of them.
type shape struct {
	id           armada.ShapeID
	requirements *armada.Requirements
	plain        *shape          // of one that was taught: what the store knows; else nil
	users        int             // jobs, and shapes that were made of it
	could        map[string]bool // whether a known kind of nodes fits, by the label that a gang must share
}

// pool is a planner and what the loop knows of it.
type pool struct {
	name  string
	plan  planner
	nodes int
	runs  int
	dirty bool      // something changed that may matter to it
	wake  time.Time // when its last round asked to be repeated; zero for never

	report  scheduling.Report
	waiting []scheduling.Waiting
}

// newWorld makes an empty world.
func newWorld(plan func(pool string) planner, expiry Expiry, skew time.Duration) *world {
	return &world{
		plan: plan, expiry: expiry, skew: skew,
		jobs:      map[armada.JobID]*entry{},
		shapes:    map[armada.ShapeID]*shape{},
		queues:    map[string]armada.Queue{},
		executors: map[armada.ExecutorID]*agent{},
	}
}

// missing returns the shapes of jobs that are new to the world which neither
// the world nor the piece knows.
func (w *world) missing(c store.Changes) []armada.ShapeID {
	var missing []armada.ShapeID
	for i := range c.Jobs {
		job := &c.Jobs[i].Job
		known := w.shapes[job.Shape] != nil || c.Shapes[job.Shape] != nil
		if known || !job.State.Active() || w.jobs[job.ID] != nil || slices.Contains(missing, job.Shape) {
			continue
		}
		missing = append(missing, job.Shape)
	}
	return missing
}

// learnShape remembers a shape.
func (w *world) learnShape(id armada.ShapeID, requirements *armada.Requirements) {
	if w.shapes[id] == nil {
		w.shapes[id] = &shape{id: id, requirements: requirements}
	}
}

// apply takes a piece of state over. What the world knows already, or knows
// better, changes nothing. A job whose shape nobody knows is left out.
func (w *world) apply(c store.Changes, now time.Time) {
	w.passTo(now)
	for _, q := range c.Queues {
		w.setQueue(q)
	}
	for _, name := range c.Gone {
		w.dropQueue(name)
	}
	for id, requirements := range c.Shapes {
		w.learnShape(id, requirements)
	}
	for i := range c.Executors {
		w.setExecutor(&c.Executors[i], now)
	}
	for i := range c.Jobs {
		w.setJob(c.Jobs[i].Job, c.Jobs[i].Run)
	}
	w.dropEmptyPools()
	w.dropUnusedShapes()
}

// passTo tells everybody the time of the changes that follow.
func (w *world) passTo(now time.Time) {
	w.now = now
	for _, p := range w.pools {
		p.plan.At(now)
	}
}

// setJob takes over a job if this version of it is news.
func (w *world) setJob(job armada.Job, run *armada.Run) {
	e := w.jobs[job.ID]
	switch {
	case e != nil && job.Version <= e.job.Version:
		return
	case !job.State.Active():
		if e != nil {
			if run != nil && e.shown.spot == holding {
				w.pool(e.shown.pool).plan.Ended(job, *run)
			}
			w.forget(e)
		}
		return
	case e == nil:
		if e = w.admit(job); e == nil {
			return
		}
	}
	w.learn(e, job, run)
	w.place(e)
}

// admit makes the entry of a job that is new to the world, or returns nil when
// its shape is unknown.
func (w *world) admit(job armada.Job) *entry {
	if w.shapes[job.Shape] == nil {
		return nil
	}
	e := &entry{}
	w.jobs[job.ID] = e
	return e
}

// shapeOf returns the shape of a job whose plain shape is known.
func (w *world) shapeOf(job *armada.Job) *shape {
	id := job.Lessons.Shape(job.Shape)
	if s := w.shapes[id]; s != nil {
		return s
	}
	plain := w.shapes[job.Shape]
	plain.users++
	s := &shape{id: id, requirements: job.Lessons.Apply(plain.requirements, w.rules.Resources), plain: plain}
	w.shapes[id] = s
	return s
}

// reshape gives an entry its shape, in place of the one that it had.
func (w *world) reshape(e *entry, s *shape) {
	if e.shape == s {
		return
	}
	s.users++
	if was := e.shape; was != nil {
		w.leave(was)
	}
	e.shape = s
}

// leave takes a user from a shape, which may be the last one for a moment only.
func (w *world) leave(s *shape) {
	if s.users--; s.users == 0 {
		w.unused = append(w.unused, s.id)
	}
}

// learn records what the store says of a job.
func (w *world) learn(e *entry, job armada.Job, run *armada.Run) {
	if job.State == armada.JobQueued {
		run = nil
	}
	was := e.run
	e.job, e.run, e.refusals, e.until = job, run, 0, time.Time{}
	w.reshape(e, w.shapeOf(&job))
	var holder *agent
	if run != nil {
		holder = w.agent(run.Executor)
	}
	if e.agent != nil && e.agent != holder {
		delete(e.agent.runs, job.ID)
	}
	if e.agent = holder; holder != nil {
		holder.runs[job.ID] = e
		w.hear(e, was)
	}
}

// forget drops a job that has ended, everywhere.
func (w *world) forget(e *entry) {
	w.await(e, nil)
	w.show(e, shown{})
	if e.agent != nil {
		delete(e.agent.runs, e.job.ID)
	}
	delete(w.jobs, e.job.ID)
	w.leave(e.shape)
}

// setQueue takes over a queue's settings.
func (w *world) setQueue(q armada.Queue) {
	if was, known := w.queues[q.Name]; known && reflect.DeepEqual(was, q) {
		return
	}
	w.queues[q.Name] = q
	for _, p := range w.pools {
		p.plan.SetQueue(q)
		p.dirty = true
	}
}

// dropQueue forgets a queue that was deleted. Runs of it may live on.
func (w *world) dropQueue(name string) {
	delete(w.queues, name)
	for _, p := range w.pools {
		p.plan.RemoveQueue(name)
		p.dirty = true
	}
}

// setBids replaces what queues bid.
func (w *world) setBids(bids armada.Bids) {
	w.bids = bids
	for _, p := range w.pools {
		if p.plan.SetBids(bids[p.name]) {
			p.dirty = true
		}
	}
}

// inTurn are the pools in the order in which their rounds should be.
func (w *world) inTurn() []*pool {
	if len(w.rules.AwayPools) == 0 {
		return w.pools
	}
	names, byName := make([]string, len(w.pools)), map[string]*pool{}
	for i, p := range w.pools {
		names[i], byName[p.name] = p.name, p
	}
	turns := make([]*pool, len(w.pools))
	for i, name := range w.rules.InTurn(names) {
		turns[i] = byName[name]
	}
	return turns
}

// pool returns the pool of a name. A pool that is new learns the queues, the
// executors and the jobs that wait.
func (w *world) pool(name string) *pool {
	i, found := slices.BinarySearchFunc(w.pools, name, func(p *pool, name string) int { return cmp.Compare(p.name, name) })
	if found {
		return w.pools[i]
	}
	p := &pool{name: name, plan: w.plan(name), dirty: true}
	w.pools = slices.Insert(w.pools, i, p)
	for _, q := range w.queues {
		p.plan.SetQueue(q)
	}
	p.plan.SetBids(w.bids[name])
	p.plan.SetKnown(w.survey.known)
	for id, x := range w.executors {
		p.plan.SetExecutor(id, x.open())
	}
	for _, e := range w.waitingJobs() {
		job, _ := e.view()
		p.plan.Enqueue(job, e.shape.requirements)
	}
	return p
}

// waitingJobs returns the jobs that are offered to the pools, in order of
// submission.
func (w *world) waitingJobs() []*entry {
	var waiting []*entry
	for _, e := range w.jobs {
		if e.shown.spot == offered {
			waiting = append(waiting, e)
		}
	}
	slices.SortFunc(waiting, func(a, b *entry) int { return cmp.Compare(a.job.Number, b.job.Number) })
	return waiting
}

// dropEmptyPools forgets pools that have neither nodes nor runs.
func (w *world) dropEmptyPools() {
	w.pools = slices.DeleteFunc(w.pools, func(p *pool) bool { return p.nodes == 0 && p.runs == 0 })
}

// dropUnusedShapes forgets shapes whose last job has ended. It is done after a
// piece was applied whole: its later jobs may have the same shape.
func (w *world) dropUnusedShapes() {
	for i := 0; i < len(w.unused); i++ { // it may grow
		s := w.shapes[w.unused[i]]
		if s == nil || s.users > 0 {
			continue
		}
		delete(w.shapes, s.id)
		if s.plain != nil {
			w.leave(s.plain)
		}
	}
	w.unused = w.unused[:0]
}

// stir marks every pool.
func (w *world) stir() {
	for _, p := range w.pools {
		p.dirty = true
	}
}
