package leader

import (
	"time"

	"armada/internal/lifecycle"
	"armada/internal/scheduling"
)

// couldAgain tells whether there is a node for a shape that attempts have taught,
// whatever runs there, or one could come that fits.
func (w *world) couldAgain(s *shape, label string) bool {
	for _, x := range w.executors {
		for _, n := range x.nodes {
			if !s.requirements.Matches(n.Labels, n.Name) {
				continue
			}
			if _, could := w.rules.CouldRun(s.requirements, label, []scheduling.KnownKind{{Executor: x.ID, NodeKind: n.Kind()}}); could {
				return true
			}
		}
	}
	_, could := w.rules.CouldRun(s.requirements, label, w.survey.absent)
	return could
}

// abandon proposes to give up a job for which no node is left that it was not
// tried on, or none with the memory that it would get.
func (w *world) abandon(e *entry, now time.Time) proposal {
	reason := "no node is left for another attempt, " + e.job.Lessons.String()
	if !w.couldRun(e.shape, e.label()) {
		reason = "another attempt gets more memory, and " + w.rules.WhyNever(e.shape.requirements, e.label(), w.survey.known)
	}
	p := proposal{}
	p.add(e, lifecycle.Change{Kind: lifecycle.Abandon, Job: e.job.ID, Reason: reason})
	e.pursue(&p.unit[0], now)
	w.place(e)
	return p
}
