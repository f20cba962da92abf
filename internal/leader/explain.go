package leader

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"

	"armada"
	"armada/internal/scheduling"
)

// Explanations tell what the latest round of each pool saw and why jobs wait.
// They are empty while this replica does not lead. All methods may be called
// from many goroutines and, but for Standing, never block; what they return must
// not be changed.
type Explanations struct {
	latest    atomic.Pointer[[]explanation]
	questions chan question // for the loop
}

// question asks for the place of a job in its queue.
type question struct {
	job    armada.JobID
	answer chan armada.Standing // holds one
}

// explanation is that of one pool.
type explanation struct {
	report  scheduling.Report
	waiting []scheduling.Waiting
}

// Leading tells whether there are explanations: this replica leads and has
// looked at every pool.
func (x *Explanations) Leading() bool { return x.latest.Load() != nil }

// Reports returns the latest report of every pool, by name.
func (x *Explanations) Reports() []scheduling.Report {
	all := x.all()
	reports := make([]scheduling.Report, len(all))
	for i := range all {
		reports[i] = all[i].report
	}
	return reports
}

// Waiting returns why jobs of a pool wait, one entry per shape and queue, and
// false for a pool that is not known.
func (x *Explanations) Waiting(pool string) ([]scheduling.Waiting, bool) {
	for _, e := range x.all() {
		if e.report.Pool == pool {
			return e.waiting, true
		}
	}
	return nil, false
}

// Reasons returns why a queued job waits in each pool that may still take it,
// the most hopeful reason first. There are none for a job that is not queued or while nobody leads
// here.
func (x *Explanations) Reasons(job armada.Job) []armada.Reason {
	if job.State != armada.JobQueued || !x.Leading() {
		return nil
	}
	all := x.all()
	if len(all) == 0 {
		return []armada.Reason{{Code: armada.ReasonNoExecutor}}
	}
	reasons := make([]armada.Reason, 0, len(all))
	for _, e := range all {
		reason := e.reason(&job)
		reason.Pool = e.report.Pool
		reasons = append(reasons, reason)
	}
	slices.SortStableFunc(reasons, func(a, b armada.Reason) int { return int(a.Code) - int(b.Code) })
	return reasons
}

// Standing returns where a queued job stands, and false while nobody leads here,
// for a job that is not queued, or when the context is done first. The leader
// counts between two rounds.
func (x *Explanations) Standing(ctx context.Context, job armada.Job) (armada.Standing, bool) {
	if job.State != armada.JobQueued || !x.Leading() {
		return armada.Standing{}, false
	}
	q := question{job: job.ID, answer: make(chan armada.Standing, 1)}
	select {
	case x.questions <- q:
	case <-ctx.Done():
		return armada.Standing{}, false
	}
	var s armada.Standing
	select {
	case s = <-q.answer:
	case <-ctx.Done():
	}
	for _, r := range x.Reports() {
		p := armada.PoolStanding{Pool: r.Pool}
		for _, q := range r.Queues {
			if q.Demand > 0 {
				p.Queues++
			}
			if q.Queue == job.Queue {
				p.Share, p.FairShare = q.Share, q.AdjustedShare
			}
		}
		s.Pools = append(s.Pools, p)
	}
	return s, s.Place > 0
}

// reason returns why a job waits in the pool: what is told of its gang while
// that is incomplete, otherwise what is told of its shape.
func (e *explanation) reason(job *armada.Job) armada.Reason {
	reason := armada.Reason{Code: armada.ReasonNotConsidered}
	shape := job.Lessons.Shape(job.Shape)
	for i := range e.waiting {
		w := &e.waiting[i]
		switch {
		case w.Queue != job.Queue || w.Shape != shape:
		case w.Gang == "":
			reason = w.Reason
		case w.Gang == job.Gang.ID && w.JobSet == job.JobSet:
			return w.Reason
		}
	}
	return reason
}

// standing counts the jobs of the queue that wait, and those before the job. Its
// place is 0 when it does not wait.
func (w *world) standing(id armada.JobID) armada.Standing {
	s := armada.Standing{}
	e := w.jobs[id]
	if e == nil || e.job.State != armada.JobQueued {
		return s
	}
	s.Place = 1
	for _, o := range w.jobs {
		if o.job.State != armada.JobQueued || o.job.Queue != e.job.Queue {
			continue
		}
		s.Queued++
		if w.goesFirst(o, e) {
			s.Place++
		}
	}
	return s
}

// goesFirst tells whether a goes before b, which wait in one queue.
func (w *world) goesFirst(a, b *entry) bool {
	return cmp.Or(
		cmp.Compare(w.ranks[b.shape.requirements.PriorityClass], w.ranks[a.shape.requirements.PriorityClass]),
		cmp.Compare(a.job.Priority, b.job.Priority),
		cmp.Compare(a.job.Number, b.job.Number),
	) < 0
}

func (x *Explanations) all() []explanation {
	if all := x.latest.Load(); all != nil {
		return *all
	}
	return nil
}

// pools is how many pools are explained, -1 while there are no explanations.
func (x *Explanations) pools() int {
	if all := x.latest.Load(); all != nil {
		return len(*all)
	}
	return -1
}

// publish replaces the explanations by those of the pools' latest rounds.
func (x *Explanations) publish(pools []*pool) {
	all := make([]explanation, len(pools))
	for i, p := range pools {
		all[i] = explanation{report: p.report, waiting: p.waiting}
		all[i].report.Pool = p.name
	}
	x.latest.Store(&all)
}

// clear drops the explanations: others lead.
func (x *Explanations) clear() { x.latest.Store(nil) }
