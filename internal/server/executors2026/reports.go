package executors2026

import (
	"context"
	"fmt"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
)

// Report makes transitions of what an executor tells. Most reports name the
// executor; of others the run tells whose they are. A report about a run that the
// executor does not hold, that has ended or that nobody knows changes nothing, and
// is no error: the executor would send it, and all others of its list, for ever.
func (s *Service) Report(ctx context.Context, list *executorapi.EventList) error {
	changes := wire.Reports(list)
	if err := s.attribute(ctx, changes); err != nil {
		return err
	}
	var ids []armada.ExecutorID // in order of appearance
	of := map[armada.ExecutorID][]lifecycle.Change{}
	for _, c := range changes {
		if c.Kind == lifecycle.ReportReturned {
			c.MaxAttempts = s.config.MaxAttempts
		}
		if _, known := of[c.Executor]; !known && c.Executor != "" {
			ids = append(ids, c.Executor)
		}
		of[c.Executor] = append(of[c.Executor], c)
	}
	if len(ids) == 0 {
		return s.Authorize(ctx, "")
	}
	for _, id := range ids {
		if err := s.Authorize(ctx, id); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := s.record(ctx, id, of[id]); err != nil {
			return err
		}
	}
	return nil
}

// attribute completes changes that do not tell which executor they come from.
func (s *Service) attribute(ctx context.Context, changes []lifecycle.Change) error {
	var nameless []armada.JobID
	for i := range changes {
		if changes[i].Executor == "" {
			nameless = append(nameless, changes[i].Job)
		}
	}
	if len(nameless) == 0 {
		return nil
	}
	jobs, err := s.Store.JobsByID(ctx, nameless)
	if err != nil {
		return fmt.Errorf("looking for runs: %w", err)
	}
	holders := map[armada.RunID]armada.ExecutorID{}
	for i := range jobs {
		for _, run := range jobs[i].Runs {
			holders[run.ID] = run.Executor
		}
	}
	for i := range changes {
		if changes[i].Executor == "" {
			changes[i].Executor = holders[changes[i].Run]
		}
	}
	return nil
}

// record applies an executor's reports under its session. Those in the name of an
// executor that is another kind's now are dropped: that one tells by itself.
func (s *Service) record(ctx context.Context, id armada.ExecutorID, changes []lifecycle.Change) error {
	var fenced error
	for range 3 { // more often only when somebody else takes the id each time
		known, err := s.Store.Executor(ctx, id)
		switch {
		case armada.CodeOf(err) == armada.CodeNotFound, err == nil && !ours(&known):
			s.Log.Debug("reports of an executor that is not known as one of 2026", "executor", id, "reports", len(changes))
			return nil
		case err != nil:
			return fmt.Errorf("looking for the executor: %w", err)
		}
		fenced = s.transition(ctx, store.Fence{Executor: id, Session: known.Session}, changes)
		if armada.CodeOf(fenced) != armada.CodeFenced {
			return fenced
		}
	}
	return fenced
}
