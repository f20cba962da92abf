package leader

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// byScheduler is who asks for preemptions.
const byScheduler = "scheduler"

// A job that lost is withheld for this time, doubled with every further loss.
const (
	firstPause = 20 * time.Millisecond
	maxPause   = 30 * time.Second
)

// proposal is a unit on its way to the store. Until its answer is settled the
// world shows what it wants.
type proposal struct {
	pool    string // empty for expiries and rejections
	unit    store.Unit
	members []*entry // one per change of the unit
}

// errImpossible tells of a decision that does not fit the world that it was
// made from: a defect, never a race.
var errImpossible = errors.New("the decision contradicts the world")

// errInFlight tells of a decision that would take away a place that is still on its
// way to the store: it has to be made again when that has arrived.
var errInFlight = errors.New("the run to preempt is not committed yet")

// propose shows a decision of a pool's round as if it had happened, and returns
// what the store has to be asked for. A decision that contradicts the world
// changes nothing.
func (w *world) propose(pool string, d scheduling.Decision, now time.Time) (proposal, error) {
	p := proposal{pool: pool}
	for _, v := range d.Preemptions {
		e := w.jobs[v.Job]
		if e != nil && e.intent == leasing && e.lease.ID == v.Run {
			return proposal{}, errInFlight
		}
		if e == nil || e.run == nil || e.run.ID != v.Run || e.intent != idle {
			return proposal{}, fmt.Errorf("preempting run %s: %w", v.Run, errImpossible)
		}
		p.add(e, lifecycle.Change{Kind: lifecycle.Preempt, Job: v.Job, Run: v.Run, By: byScheduler, Reason: v.Reason, For: v.For})
	}
	for _, l := range d.Leases {
		e := w.jobs[l.Job]
		if e == nil || e.shown.spot != offered {
			return proposal{}, fmt.Errorf("leasing job %s: %w", l.Job, errImpossible)
		}
		terms := lifecycle.Terms{Executor: l.Executor, Node: l.Node, Pool: pool, After: l.After, Away: l.Away}
		p.add(e, lifecycle.Change{Kind: lifecycle.Lease, Job: l.Job, Lease: terms})
	}
	if len(p.unit) > store.MaxTransition {
		return proposal{}, fmt.Errorf("a unit of %d changes, at most %d fit in a transition", len(p.unit), store.MaxTransition)
	}
	for i, e := range p.members {
		e.pursue(&p.unit[i], now)
		w.place(e)
	}
	return p, nil
}

// pursue notes what is in flight for the job.
func (e *entry) pursue(c *lifecycle.Change, now time.Time) {
	switch c.Kind {
	case lifecycle.Lease:
		attempt := e.job.Attempts + 1
		e.intent = leasing
		e.lease = &armada.Run{
			ID: armada.NewRunID(e.job.ID, attempt), Job: e.job.ID, Attempt: attempt,
			Executor: c.Lease.Executor, Node: c.Lease.Node, Pool: c.Lease.Pool, After: c.Lease.After, Away: c.Lease.Away,
			State: armada.RunLeased, Version: 1, Leased: now,
		}
	case lifecycle.Preempt:
		e.intent = preempting
	case lifecycle.Reject, lifecycle.Abandon:
		e.intent = rejecting
	default:
		e.intent = expiring
	}
}

// add appends a change of a job.
func (p *proposal) add(e *entry, c lifecycle.Change) {
	p.unit = append(p.unit, c)
	p.members = append(p.members, e)
}

// settle replaces what a proposal wanted by what became of it.
func (w *world) settle(p proposal, r store.UnitResult, now time.Time) {
	w.passTo(now)
	refused := r.Verdict == lifecycle.Refused
	for i, e := range p.members {
		if w.jobs[p.unit[i].Job] != e {
			continue // it ended meanwhile
		}
		was, lease := e.intent, e.lease
		e.intent, e.lease = idle, nil
		switch {
		case refused:
			w.withhold(e, now)
		case i < len(r.Jobs) && r.Jobs[i].Version > e.job.Version:
			run := e.run
			if was == leasing {
				run = lease
			}
			if !r.Jobs[i].State.Active() {
				w.forget(e)
				continue
			}
			w.learn(e, r.Jobs[i], run)
		}
		w.place(e)
	}
}

// withhold keeps a job whose decision lost out of new ones for a moment: what
// it lost to is probably in the feed already.
func (w *world) withhold(e *entry, now time.Time) {
	e.refusals++
	if e.until.IsZero() {
		w.withheld = append(w.withheld, e)
	}
	e.until = now.Add(min(firstPause<<min(e.refusals-1, 16), maxPause))
}

// release offers jobs again that were withheld for long enough.
func (w *world) release(now time.Time) {
	w.withheld = slices.DeleteFunc(w.withheld, func(e *entry) bool {
		if w.jobs[e.job.ID] != e || e.until.IsZero() {
			return true // gone, or there was news of it
		}
		if now.Before(e.until) {
			return false
		}
		e.until = time.Time{}
		w.place(e)
		return true
	})
}

// released is when the next withheld job is offered again; zero for never.
func (w *world) released() time.Time {
	var next time.Time
	for _, e := range w.withheld {
		next = earlier(next, e.until)
	}
	return next
}

// overdue returns proposals to give up every run of executors that were silent
// for too long, as far as the store knew at the time of asking, and those runs of
// executors of 2020 that were not renewed for too long.
func (w *world) overdue(asked time.Time) []proposal {
	var proposals []proposal
	for _, x := range w.agents() {
		if len(x.runs) == 0 || asked.Before(w.givesUp(x)) {
			continue
		}
		x.retried = asked
		for _, e := range x.idleRuns() {
			if x.Kind == armada.Executor2020 && asked.Before(w.lapses(e)) {
				continue
			}
			p := proposal{}
			p.add(e, x.givingUp(e))
			e.pursue(&p.unit[0], asked)
			proposals = append(proposals, p)
		}
		w.lapseNext(x)
	}
	return proposals
}

// givingUp is how a run of the executor ends for want of news. What an executor
// of 2020 leases is promised to run again, unless it says that it has done with it.
func (x *agent) givingUp(e *entry) lifecycle.Change {
	switch {
	case x.Kind != armada.Executor2020:
		return lifecycle.Change{Kind: lifecycle.Expire, Job: e.job.ID, Run: e.run.ID, Session: x.Session}
	case e.run.Polled.Done.IsZero():
		return lifecycle.Change{Kind: lifecycle.Expire, Job: e.job.ID, Run: e.run.ID, RunVersion: e.run.Version, Again: true}
	default:
		return lifecycle.Change{
			Kind: lifecycle.ReportUnknown, Job: e.job.ID, Run: e.run.ID, RunVersion: e.run.Version, Executor: x.ID,
			End: armada.RunEnd{Reason: "outcome unknown: the executor has done with the job and has not told how it ended"},
		}
	}
}

// lapseNext finds out anew when the first run of the executor may be given up.
func (w *world) lapseNext(x *agent) {
	x.lapses = time.Time{}
	for _, e := range x.runs {
		x.lapses = earlier(x.lapses, w.lapses(e))
	}
}

// idleRuns returns the runs of the executor for which nothing is in flight nor
// withheld, in order of submission.
func (x *agent) idleRuns() []*entry {
	var idleRuns []*entry
	for _, e := range x.runs {
		if e.intent == idle && e.until.IsZero() {
			idleRuns = append(idleRuns, e)
		}
	}
	slices.SortFunc(idleRuns, func(a, b *entry) int { return cmp.Compare(a.job.Number, b.job.Number) })
	return idleRuns
}
