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
			kind := n.Kind()
			kind.Allocatable = kind.Allocatable.Add(w.rules.Budgeted(n.Pool))
			if s.requirements.Matches(n.Labels, n.Name) && scheduling.CouldRun(s.requirements, label, &kind) {
				return true
			}
		}
	}
	return anyKind(w.survey.absent, s, label)
}

// abandon proposes to give up a job for which no node is left that it was not
// tried on, or none with the memory that it would get.
func (w *world) abandon(e *entry, now time.Time) proposal {
	reason := "no node is left for another attempt, " + e.job.Lessons.String()
	if !w.couldRun(e.shape, e.label()) {
		reason = "another attempt gets more memory, and " + scheduling.WhyNever(e.shape.requirements, e.label(), w.survey.known, w.rules.Resources)
	}
	p := proposal{}
	p.add(e, lifecycle.Change{Kind: lifecycle.Abandon, Job: e.job.ID, Reason: reason})
	e.pursue(&p.unit[0], now)
	w.place(e)
	return p
}
