package executors

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
)

// ReportEvents makes transitions of what an executor reports. Every report
// stands for itself: one that is late, repeated or about a run that the
// executor does not hold changes nothing, and is no error.
func (s *Service) ReportEvents(ctx context.Context, list *executorapi.EventList) (*emptypb.Empty, error) {
	id, session := armada.ExecutorID(list.GetExecutorId()), armada.SessionID(list.GetSessionId())
	if id == "" && session == "" { // an executor of the original
		if err := s.original.Report(ctx, list); err != nil {
			return nil, err
		}
		return &emptypb.Empty{}, nil
	}
	if err := s.authorize(ctx, id); err != nil {
		return nil, err
	}
	if session == "" {
		return nil, errNoSession
	}
	changes := wire.Reports(list)
	for i := range changes {
		c := &changes[i]
		c.Executor = id
		if c.Kind == lifecycle.ReportReturned && !blameless(&c.End) {
			c.MaxAttempts = s.config.MaxAttempts
		}
	}
	if err := s.transition(ctx, id, session, changes); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// blameless tells whether a lease came back for a reason that is the executor's
// or the store's: it says nothing about the job, which may try as often as that happens.
func blameless(end *armada.RunEnd) bool {
	if end.Category != armada.CategoryInternal { // an operator may use the same words
		return false
	}
	switch end.Subcategory {
	case armada.SubcategoryDrained, armada.SubcategoryLeaseExpired, armada.SubcategoryRunSpent:
		return true
	default:
		return false
	}
}

// lost records the end of runs that the executor should hold and does not.
func (s *Service) lost(ctx context.Context, st *stream, gone []store.JobAndRun) error {
	changes := make([]lifecycle.Change, len(gone))
	for i, j := range gone {
		s.log.Warn("an executor holds a run no more and has not told how it ended", "executor", st.executor, "run", j.Run.ID)
		changes[i] = lifecycle.Change{Kind: lifecycle.ReportUnknown, Job: j.Job.ID, Run: j.Run.ID, Executor: st.executor}
	}
	return s.transition(ctx, st.executor, st.session, changes)
}

// transition applies reports, each for itself, under the session's fence.
func (s *Service) transition(ctx context.Context, id armada.ExecutorID, session armada.SessionID, changes []lifecycle.Change) error {
	fence := store.Fence{Executor: id, Session: session}
	for len(changes) > 0 {
		n := min(len(changes), store.MaxTransition)
		units := make([]store.Unit, n)
		for i := range units {
			units[i] = changes[i : i+1]
		}
		results, err := s.store.Transition(ctx, fence, units)
		if err != nil {
			return fmt.Errorf("recording reports: %w", err)
		}
		for i, r := range results {
			if r.Verdict == lifecycle.Refused {
				s.log.Debug("a report changed nothing", "executor", id, "run", changes[i].Run, "report", changes[i].Kind.String(), "why", r.Why)
			}
		}
		changes = changes[n:]
	}
	return nil
}
