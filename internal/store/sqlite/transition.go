package sqlite

import (
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// Transition applies changes.
func (s *Store) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	changes := 0
	for _, u := range units {
		changes += len(u)
	}
	if changes > store.MaxTransition {
		return nil, coded(armada.CodeInvalid, "transition: %d changes in one call, at most %d are allowed", changes, store.MaxTransition)
	}
	var results []store.UnitResult
	err := s.write(ctx, "transition", changes, func(b *batch) error {
		if err := b.check(fence); err != nil {
			return err
		}
		results = make([]store.UnitResult, len(units))
		for i, u := range units {
			var err error
			if results[i], err = b.apply(u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// check tells whether a fence holds.
func (b *batch) check(f store.Fence) error {
	if f.Epoch != 0 && !b.w.leads(f.Epoch) {
		return coded(armada.CodeFenced, "leadership epoch %d is over", f.Epoch)
	}
	if f.Executor != "" {
		return b.w.checkSession(f.Executor, f.Session)
	}
	return nil
}

// draft is a job within a unit that may still be refused.
type draft struct {
	entry   *entry
	job     armada.Job
	run     armada.Run
	earlier []armada.Run
	held    bool
	applied bool
}

// apply takes a unit wholly or not at all.
func (b *batch) apply(u store.Unit) (store.UnitResult, error) {
	drafts := make([]*draft, 0, len(u)) // one per change; changes of one job share theirs
	byJob := make(map[armada.JobID]*draft, len(u))
	type emission struct {
		set    *jobSet
		events []armada.Event
	}
	var emissions []emission
	verdict := lifecycle.Already
	for i := range u {
		d := byJob[u[i].Job]
		if d == nil {
			e, err := b.w.entry(u[i].Job)
			if err != nil {
				return store.UnitResult{}, err
			}
			if e == nil {
				return store.UnitResult{Verdict: lifecycle.Refused, Why: fmt.Sprintf("job %s is not known", u[i].Job)}, nil
			}
			d = &draft{entry: e, job: e.job, run: e.run}
			byJob[u[i].Job] = d
		}
		drafts = append(drafts, d)
		change := u[i]
		if change.Session != "" && b.w.checkSession(d.run.Executor, change.Session) != nil {
			return store.UnitResult{Verdict: lifecycle.Refused, Why: fmt.Sprintf("executor %s is back in another session", d.run.Executor)}, nil
		}
		change.At = change.At.Truncate(time.Microsecond).UTC()
		step := lifecycle.Apply(d.job, d.run, change, b.now)
		switch step.Verdict {
		case lifecycle.Refused:
			return store.UnitResult{Verdict: lifecycle.Refused, Why: step.Why}, nil
		case lifecycle.Applied:
			verdict = lifecycle.Applied
			d.take(step)
			emissions = append(emissions, emission{d.entry.set, step.Events})
		case lifecycle.Already:
		}
	}
	result := store.UnitResult{Verdict: verdict, Jobs: make([]armada.Job, len(u))}
	for i, d := range drafts {
		result.Jobs[i] = d.job
		b.keep(d)
	}
	for _, e := range emissions {
		b.emit(e.set, e.events...)
	}
	return result, nil
}

// take takes over the outcome of a change.
func (d *draft) take(step lifecycle.Step) {
	if step.Job.Attempts > d.job.Attempts && d.job.Attempts > 0 {
		d.earlier = append(d.earlier, d.run)
	}
	if step.Run.State.Active() != d.run.State.Active() || step.Run.Executor != d.run.Executor {
		d.held = true
	}
	d.job, d.run, d.applied = step.Job, step.Run, true
}

// keep makes a draft what the batch will write.
func (b *batch) keep(d *draft) {
	if !d.applied {
		return
	}
	d.applied = false // its later changes share it
	e := d.entry
	if was, is := e.job.State == armada.JobQueued, d.job.State == armada.JobQueued; was != is {
		by := int64(1)
		if was {
			by = -1
		}
		b.countQueued(e.job.Queue, by)
	}
	if d.job.Version != e.job.Version {
		b.touch(fedJob, e.job.Number)
	}
	if d.job.State.Terminal() {
		b.ended = append(b.ended, e.job.ID)
	}
	e.job, e.run = d.job, d.run
	e.earlier, e.held = append(e.earlier, d.earlier...), e.held || d.held
	if !e.fresh && !e.dirty {
		e.dirty = true
		b.changed = append(b.changed, e)
	}
	b.w.entries[e.job.ID] = e // it may have been loaded as a finished one, or evicted
}
