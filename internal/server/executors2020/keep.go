package executors2020

import (
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// kept is what becomes of a job of which an executor has a pod.
type kept struct {
	keep bool       // the pod may stay
	unit store.Unit // what has to be recorded first; empty for nothing
}

// keep decides about a job that an executor names. Run is the job's current or
// latest run and before the one before that; before is only looked at for a run
// that was not handed out.
func (s *Service) keep(id armada.ExecutorID, job *armada.Job, run, before *armada.Run, now time.Time) kept {
	switch {
	case run == nil || run.Executor != id:
		return kept{}
	case run.State.Active():
		return s.keepActive(id, job, run, before, now)
	case job.State == armada.JobQueued && run.State == armada.RunLost:
		return adopt(id, run)
	default:
		// It ended by the executor's own word, and the pod is looked at until the
		// executor has done with it.
		return kept{keep: job.State.Terminal() && (run.State == armada.RunSucceeded || run.State == armada.RunFailed)}
	}
}

func (s *Service) keepActive(id armada.ExecutorID, job *armada.Job, run, before *armada.Run, now time.Time) kept {
	about := lifecycle.Change{Job: job.ID, Run: run.ID, Executor: id}
	p := &run.Polled
	switch {
	case p.Delivered.IsZero() && before != nil && (before.State != armada.RunLost || before.Executor != id):
		return kept{} // the pod is that of an attempt that has ended
	case !p.Returned.IsZero():
		return kept{}
	case job.Wish.Kind != armada.WishNone:
		// Nobody tells of the end of a pod that this answer kills.
		about.Kind = lifecycle.ReportStopped
		return kept{unit: store.Unit{about}}
	case p.Delivered.IsZero() && before != nil:
		return kept{keep: true, unit: resumed(about, before)}
	case p.Delivered.IsZero() || p.Renewed.IsZero() || !p.Done.IsZero() || now.Sub(p.Renewed) >= s.config.recorded():
		about.Kind, about.Mark = lifecycle.ReportMark, lifecycle.MarkRenewed
		return kept{keep: true, unit: store.Unit{about}}
	default:
		return kept{keep: true}
	}
}

// adopt leases a job again to the executor that has its pod, after the lease was
// given up: the work goes on.
func adopt(id armada.ExecutorID, lost *armada.Run) kept {
	about := lifecycle.Change{Job: lost.Job, Run: armada.NewRunID(lost.Job, lost.Attempt+1), Executor: id}
	lease := about
	lease.Kind, lease.Lease = lifecycle.Lease, lifecycle.Terms{Executor: id, Node: lost.Node, Pool: lost.Pool, Away: lost.Away}
	return kept{keep: true, unit: append(store.Unit{lease}, resumed(about, lost)...)}
}

// resumed is what is known of a run whose pod is that of the run before, which was
// given up: what was known of that.
func resumed(about lifecycle.Change, lost *armada.Run) store.Unit {
	about.Kind, about.Mark = lifecycle.ReportMark, lifecycle.MarkRenewed
	unit := store.Unit{about}
	about.Node, about.Pod = lost.Node, lost.Pod
	for _, reached := range []struct {
		at   time.Time
		kind lifecycle.ChangeKind
	}{{lost.Pending, lifecycle.ReportPending}, {lost.Started, lifecycle.ReportRunning}} {
		if !reached.at.IsZero() {
			about.Kind = reached.kind
			unit = append(unit, about)
		}
	}
	return unit
}
