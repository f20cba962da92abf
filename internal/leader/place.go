package leader

import "armada"

// spot is where the pools see a job.
type spot uint8

const (
	nowhere spot = iota
	offered      // queued in every pool
	holding      // holds room of a node of one pool
)

// shown is what the pools were told of a job, as far as rounds may look at it.
// Equal values need no patch.
type shown struct {
	spot     spot
	shape    armada.ShapeID
	priority uint32
	wish     armada.WishKind
	pool     string
	run      armada.RunID
	node     string
}

// view returns the job and its run as they are once what is in flight has
// happened, with the shape that the pools know the job by. The run is nil for a job
// that stays queued.
func (e *entry) view() (armada.Job, *armada.Run) {
	job, run := e.job, e.run
	job.Shape = e.shape.id
	switch {
	case e.intent == leasing && job.State == armada.JobQueued:
		job.State, run = armada.JobLeased, e.lease
		job.Attempts = run.Attempt
	case e.intent == preempting && run != nil && job.Wish.Kind == armada.WishNone:
		job.Wish.Kind = armada.WishPreempt
	}
	return job, run
}

// place makes the pools show the job where it is now.
func (w *world) place(e *entry) {
	job, run := e.view()
	w.await(e, run)
	switch {
	case run != nil:
		w.show(e, shown{
			spot: holding, shape: job.Shape, priority: job.Priority, wish: job.Wish.Kind,
			pool: poolName(run.Pool), run: run.ID, node: run.Node,
		})
	case e.until.IsZero() && e.intent == idle: // else what is in flight must be settled first
		w.show(e, shown{spot: offered, shape: job.Shape, priority: job.Priority})
	default:
		w.show(e, shown{})
	}
}

// show patches the pools from what they were told to what they shall know, and
// marks those to which it may matter. Room that is taken matters to nobody:
// whoever took it knew.
func (w *world) show(e *entry, want shown) {
	was := e.shown
	if was == want {
		return
	}
	e.shown = want
	job, run := e.view()

	if was.spot == holding {
		p := w.pool(was.pool)
		p.plan.Remove(job.ID)
		p.runs--
		if want.spot != holding || was.pool != want.pool || was.run != want.run || was.node != want.node {
			p.dirty = true
			if w.rules.Floats(&e.shape.requirements.Resources) {
				w.stir() // what it gives back belongs to several pools
			}
		}
	}
	switch want.spot {
	case holding:
		p := w.pool(want.pool)
		if was.spot == offered {
			w.withdraw(job.ID, p) // Occupy takes it out of this queue
		}
		p.plan.Occupy(job, *run, e.shape.requirements)
		p.runs++
	case offered:
		for _, p := range w.pools {
			p.plan.Enqueue(job, e.shape.requirements)
		}
		w.stir()
		w.suspect(e)
	case nowhere:
		if was.spot == offered {
			w.withdraw(job.ID, nil)
			w.stir()
		}
	}
}

// withdraw takes a queued job out of every pool but one.
func (w *world) withdraw(id armada.JobID, except *pool) {
	for _, p := range w.pools {
		if p != except {
			p.plan.Remove(id)
		}
	}
}

// poolName is the pool of a node or run that may name none.
func poolName(name string) string {
	if name == "" {
		return armada.DefaultPool
	}
	return name
}
