package scheduling

import "armada"

// Pool is the state of one pool: what there is, what runs and what waits. It is
// patched as things change and only read by rounds. One goroutine owns it.
type Pool struct {
	name   string
	config Config
}

// NewPool makes an empty pool.
func NewPool(name string, config Config) *Pool { return &Pool{name: name, config: config} }

// SetQueue adds a queue or replaces its settings. Jobs of a queue that is not
// known wait until it is.
func (p *Pool) SetQueue(q armada.Queue) { panic("scheduling: to be written") }

// RemoveQueue forgets a queue that has no jobs.
func (p *Pool) RemoveQueue(name string) { panic("scheduling: to be written") }

// SetNode adds a node or replaces it; its runs stay.
func (p *Pool) SetNode(n armada.Node) { panic("scheduling: to be written") }

// RemoveNode forgets a node; its runs keep counting for their queues.
func (p *Pool) RemoveNode(executor armada.ExecutorID, name string) {
	panic("scheduling: to be written")
}

// SetExecutor tells whether an executor's nodes may get anything new.
func (p *Pool) SetExecutor(id armada.ExecutorID, open bool) { panic("scheduling: to be written") }

// Enqueue adds a queued job or replaces it (its priority changed). The
// requirements are shared by all jobs of one shape and must not change.
func (p *Pool) Enqueue(job armada.Job, requirements *armada.Requirements) {
	panic("scheduling: to be written")
}

// Occupy records that a job's run holds its requirements on a node of the pool,
// known or not; the job leaves the queue.
func (p *Pool) Occupy(job armada.Job, run armada.Run, requirements *armada.Requirements) {
	panic("scheduling: to be written")
}

// Remove forgets a job: it left the queue, or its run has ended and its room
// is free. Removing an unknown job does nothing.
func (p *Pool) Remove(job armada.JobID) { panic("scheduling: to be written") }

// Round is one round of one pool; see the package comment.
func Round(in Input) Outcome { panic("scheduling: to be written") }
