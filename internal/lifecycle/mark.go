package lifecycle

import (
	"time"

	"armada"
)

// marked records a mark of a run that has not ended. It is no event: watchers
// are told nothing, and the time of the job's latest event stays.
func marked(job armada.Job, run armada.Run, c Change, now time.Time) Step {
	p, stuck := run.Polled, run.Stuck
	if wished := job.Wish.Kind != armada.WishNone; wished && (c.Mark == MarkDelivered || c.Mark == MarkRenewed) {
		return Step{Verdict: Refused, Why: "the job is wished to end", Job: job, Run: run}
	}
	switch c.Mark {
	case MarkDelivered:
		if p.Delivered.IsZero() && run.State == armada.RunLeased {
			p.Delivered = now
		}
	case MarkRenewed:
		// Who names a run has its pod: it need not be handed out, and is not done with.
		if p.Returned.IsZero() {
			p.Renewed, p.Done = now, time.Time{}
			if p.Delivered.IsZero() {
				p.Delivered = now
			}
		}
	case MarkDone:
		if p.Done.IsZero() {
			p.Done = now
		}
	case MarkReturned:
		if p.Returned.IsZero() {
			p.Returned = now
		}
	case MarkStuck:
		if run.State < armada.RunRunning {
			stuck = c.End.Reason
		}
	}
	if p == run.Polled && stuck == run.Stuck {
		return Step{Verdict: Already, Job: job, Run: run}
	}
	run.Polled, run.Stuck = p, stuck
	run.Version++
	job.Version++
	return Step{Verdict: Applied, Job: job, Run: run}
}
