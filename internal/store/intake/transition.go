package intake

import (
	"fmt"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// CheckSize answers Invalid for more changes than one call may make, and else
// how many there are.
func CheckSize(units []store.Unit) (int, error) {
	changes := 0
	for _, u := range units {
		changes += len(u)
	}
	if changes > store.MaxTransition {
		return 0, Coded(armada.CodeInvalid, "transition: %d changes in one call, at most %d are allowed", changes, store.MaxTransition)
	}
	return changes, nil
}

// Transition applies units in order, each wholly or not at all. Fenced when the
// fence does not hold.
func (b *Batch) Transition(fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	if err := b.check(fence); err != nil {
		return nil, err
	}
	results := make([]store.UnitResult, len(units))
	for i, u := range units {
		var err error
		if results[i], err = b.apply(u); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// check tells whether a fence holds.
func (b *Batch) check(f store.Fence) error {
	if f.Epoch != 0 {
		leads, err := b.form.Leads(f.Epoch)
		if err != nil {
			return err
		}
		if !leads {
			return Coded(armada.CodeFenced, "leadership epoch %d is over", f.Epoch)
		}
	}
	if f.Executor != "" {
		current, err := b.form.Current(f.Executor, f.Session)
		if err != nil {
			return err
		}
		if !current {
			return NotCurrent(f.Executor, f.Session)
		}
	}
	return nil
}

// NotCurrent is the answer to a session that is not the current one.
func NotCurrent(executor armada.ExecutorID, session armada.SessionID) error {
	return Coded(armada.CodeFenced, "session %q is not the current one of executor %q", session, executor)
}

// draft is a job within a unit that may still be refused.
type draft struct {
	entry   *Entry
	job     armada.Job
	run     armada.Run
	earlier []armada.Run
	held    bool
	applied bool
}

// emission is what a change adds to a job set.
type emission struct {
	set    *JobSet
	events []armada.Event
}

func refused(format string, args ...any) store.UnitResult {
	return store.UnitResult{Verdict: lifecycle.Refused, Why: fmt.Sprintf(format, args...)}
}

// apply takes a unit wholly or not at all.
func (b *Batch) apply(u store.Unit) (store.UnitResult, error) {
	drafts := make([]*draft, 0, len(u)) // one per change; changes of one job share theirs
	byJob := make(map[armada.JobID]*draft, len(u))
	var emissions []emission
	var retries []lifecycle.RetryDecision
	verdict := lifecycle.Already
	for i := range u {
		d := byJob[u[i].Job]
		if d == nil {
			e, err := b.form.Job(u[i].Job)
			if err != nil {
				return store.UnitResult{}, err
			}
			if e == nil {
				return refused("job %s is not known", u[i].Job), nil
			}
			d = &draft{entry: e, job: e.Job, run: e.Run}
			byJob[u[i].Job] = d
		}
		drafts = append(drafts, d)
		change := u[i]
		if change.Session != "" {
			current, err := b.form.Current(d.run.Executor, change.Session)
			if err != nil {
				return store.UnitResult{}, err
			}
			if !current {
				return refused("executor %s is back in another session", d.run.Executor), nil
			}
		}
		if change.Kind.EndsBadly() {
			retrying, err := b.retrying(d.job.Queue)
			if err != nil {
				return store.UnitResult{}, err
			}
			change.Retrying = retrying
		}
		change.At = change.At.Truncate(time.Microsecond).UTC()
		step := lifecycle.Apply(d.job, d.run, change, b.Now)
		switch step.Verdict {
		case lifecycle.Refused:
			return refused("%s", step.Why), nil
		case lifecycle.Applied:
			verdict = lifecycle.Applied
			d.take(step)
			if step.Retry != nil {
				retries = append(retries, *step.Retry)
			}
			emissions = append(emissions, emission{d.entry.Set, step.Events})
		case lifecycle.Already:
		}
	}
	result := store.UnitResult{Verdict: verdict, Jobs: make([]armada.Job, len(u)), Retries: retries}
	for i, d := range drafts {
		result.Jobs[i] = d.job
		if err := b.keep(d); err != nil {
			return store.UnitResult{}, err
		}
	}
	for _, e := range emissions {
		b.emit(e.set, e.events...)
	}
	return result, nil
}

// retrying is what the retry policies of a queue are; a name without a policy says
// nothing.
func (b *Batch) retrying(queue string) (lifecycle.Retrying, error) {
	retrying := lifecycle.Retrying{Most: b.limits.Retries.Most}
	names, err := b.form.PoliciesOf(queue)
	if err != nil {
		return retrying, err
	}
	if len(names) == 0 && b.limits.Retries.Default != "" {
		names = []string{b.limits.Retries.Default}
	}
	for _, name := range names {
		policy, known, err := b.form.Policy(name)
		if err != nil {
			return retrying, err
		}
		if known {
			retrying.Policies = append(retrying.Policies, policy)
		}
	}
	return retrying, nil
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
func (b *Batch) keep(d *draft) error {
	if !d.applied {
		return nil
	}
	d.applied = false // its later changes share it
	e := d.entry
	if was, is := e.Job.State == armada.JobQueued, d.job.State == armada.JobQueued; was != is {
		if was {
			b.Queued[e.Job.Queue]--
		} else {
			b.Queued[e.Job.Queue]++
		}
	}
	if e.Job.State.Active() && d.job.State.Terminal() && d.job.Attempts == 0 {
		if err := b.leave(e.Set, &d.job); err != nil {
			return err
		}
	}
	e.Told = e.Told || d.job.Version != e.Job.Version
	e.Job, e.Run = d.job, d.run
	e.Earlier, e.Held = append(e.Earlier, d.earlier...), e.Held || d.held
	if !e.Fresh && !e.Dirty {
		e.Dirty = true
		b.Changed = append(b.Changed, e)
	}
	return nil
}
