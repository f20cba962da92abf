package executors2020

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// reasonTime is for how long the reason of a lease that was given back is waited
// for: it follows at once, unless the executor has died in between.
const reasonTime = 3 * time.Second

// tidy ends runs of an executor that nobody else will end, and takes those that
// have ended out of the list.
func (s *Service) tidy(ctx context.Context, id armada.ExecutorID, runs map[armada.RunID]*store.JobAndRun) error {
	var units []store.Unit
	for _, j := range runs {
		if c, ends := s.untidy(j); ends {
			c.Job, c.Run, c.Executor = j.Job.ID, j.Run.ID, id
			units = append(units, store.Unit{c})
		}
	}
	results, err := s.transition(ctx, fence(id), units)
	if err != nil {
		return fmt.Errorf("ending what was not begun: %w", err)
	}
	for i := range results {
		delete(runs, units[i][0].Run) // ended now, or by somebody else
	}
	return nil
}

// untidy tells how a run ends that has no pod and will have none.
func (s *Service) untidy(j *store.JobAndRun) (lifecycle.Change, bool) {
	p := &j.Run.Polled
	switch {
	case !p.Returned.IsZero() && time.Since(p.Returned) > reasonTime:
		return lifecycle.Change{
			Kind: lifecycle.ReportReturned, MaxAttempts: s.config.MaxAttempts,
			End: armada.RunEnd{Reason: cmp.Or(j.Run.Stuck, "the executor gave the lease back and did not tell why")},
		}, true
	case j.Run.State != armada.RunLeased || !p.Delivered.IsZero():
		return lifecycle.Change{}, false
	case j.Job.Wish.Kind != armada.WishNone:
		return lifecycle.Change{Kind: lifecycle.ReportStopped}, true
	case time.Since(j.Run.Leased) > 2*s.config.PodsGone:
		return lifecycle.Change{
			Kind: lifecycle.ReportReturned, End: armada.RunEnd{Reason: "the executor had no room for it, as it counts its cluster"},
		}, true
	default:
		return lifecycle.Change{}, false
	}
}
