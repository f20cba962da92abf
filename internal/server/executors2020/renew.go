package executors2020

import (
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
)

// RenewLease answers which of the named jobs may stay. The executor kills the pods
// of all others at once, and has no other way to learn of a cancel: so whatever
// keeps this call from knowing is UNAVAILABLE, of which nothing follows.
func (s *Service) RenewLease(ctx context.Context, r *api.RenewLeaseRequest) (*api.IdList, error) {
	id, err := s.caller(ctx, "cluster_id", r.GetClusterId())
	if err != nil {
		return nil, err
	}
	ids := jobIDs(r.GetIds())
	keep, err := s.renew(ctx, id, ids)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &armada.Error{Code: armada.CodeUnavailable, Message: "it is not known which jobs may stay", Cause: err}
	}
	answer := &api.IdList{}
	for _, job := range ids {
		if keep[job] {
			answer.Ids = append(answer.Ids, string(job))
		}
	}
	return answer, nil
}

// maxRounds bounds how often a decision is made anew that lost a race.
const maxRounds = 4

// renew returns the jobs that may stay, once all that follows from it is
// recorded.
func (s *Service) renew(ctx context.Context, id armada.ExecutorID, ids []armada.JobID) (map[armada.JobID]bool, error) {
	if e, err := s.Store.Executor(ctx, id); err != nil {
		return nil, fmt.Errorf("looking for the executor: %w", err)
	} else if e.Kind != armada.Executor2020 || e.Session != session {
		return nil, fmt.Errorf("%q is not known as an executor of 2020 yet: it has to ask for jobs first", id)
	}
	runs, err := s.Store.RunsOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("listing the runs: %w", err)
	}
	keep := make(map[armada.JobID]bool, len(ids))
	left := ids
	for range maxRounds {
		if left, err = s.decide(ctx, id, left, runs, keep); err != nil {
			return nil, err
		}
		if len(left) == 0 {
			return keep, s.missing(ctx, id, ids, keep, runs)
		}
		if runs, err = s.Store.RunsOf(ctx, id); err != nil {
			return nil, fmt.Errorf("listing the runs: %w", err)
		}
	}
	return nil, fmt.Errorf("%d jobs change while it is decided about them", len(left))
}

// decide decides about jobs, and returns those about which it has to be done
// anew, since they have changed.
func (s *Service) decide(ctx context.Context, id armada.ExecutorID, ids []armada.JobID, runs []store.JobAndRun, keep map[armada.JobID]bool) ([]armada.JobID, error) {
	held := make(map[armada.JobID]*store.JobAndRun, len(runs))
	for i := range runs {
		held[runs[i].Job.ID] = &runs[i]
	}
	var unsure []armada.JobID // of which more must be known than the present run
	for _, job := range ids {
		if j := held[job]; j == nil || j.Run.Polled.Delivered.IsZero() {
			unsure = append(unsure, job)
		}
	}
	jobs, err := s.full(ctx, unsure)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var units []store.Unit
	var subject []armada.JobID
	foreign := false
	for _, job := range ids {
		var k kept
		if full := jobs[job]; full != nil {
			run, before := latest(full)
			k = s.keep(id, &full.Job, run, before, now)
		} else if j := held[job]; j != nil {
			k = s.keep(id, &j.Job, j.Run, nil, now)
		}
		keep[job] = k.keep
		foreign = foreign || !k.keep && held[job] == nil
		if len(k.unit) > 0 {
			units, subject = append(units, k.unit), append(subject, job)
		}
	}
	if foreign {
		// In a store that was restored these may be attempts that it has forgotten:
		// nothing is started before this answer has ended them.
		if err := s.Store.Hold(ctx, s.config.PodsGone); err != nil {
			return nil, fmt.Errorf("holding what could be started: %w", err)
		}
	}
	return s.record(ctx, id, units, subject)
}

// record applies what was decided, and returns the jobs of which it was refused.
func (s *Service) record(ctx context.Context, id armada.ExecutorID, units []store.Unit, subject []armada.JobID) ([]armada.JobID, error) {
	results, err := s.transition(ctx, fence(id), units)
	if err != nil {
		return nil, fmt.Errorf("recording what may stay: %w", err)
	}
	var refused []armada.JobID
	for i, r := range results {
		if r.Verdict == lifecycle.Refused {
			refused = append(refused, subject[i])
		}
	}
	return refused, nil
}

// missing ends runs of which the executor should have a pod, and has none: those
// that are wished to end, and those that it never had, because the answer that
// handed them out was lost. That a run is missing means nothing when it is
// seen for the first time.
func (s *Service) missing(ctx context.Context, id armada.ExecutorID, named []armada.JobID, keep map[armada.JobID]bool, runs []store.JobAndRun) error {
	was, now := s.absentees(id), time.Now()
	absent := map[armada.RunID]time.Time{}
	var units []store.Unit
	names := make(map[armada.JobID]bool, len(named))
	for _, job := range named {
		names[job] = true
	}
	for i := range runs {
		job, run := &runs[i].Job, runs[i].Run
		p := &run.Polled
		if names[job.ID] || keep[job.ID] || p.Delivered.IsZero() || !p.Done.IsZero() || !p.Returned.IsZero() || now.Sub(p.Delivered) < s.config.PodsGone {
			continue
		}
		about := lifecycle.Change{Kind: lifecycle.ReportStopped, Job: job.ID, Run: run.ID, Executor: id, RunVersion: run.Version}
		if job.Wish.Kind == armada.WishNone {
			if !begins(run) {
				continue
			}
			about.Kind, about.End.Reason = lifecycle.ReportReturned, "the executor does not have it: the answer that handed it out was lost"
		}
		absent[run.ID] = now
		if since, missed := was[run.ID]; missed {
			absent[run.ID] = since
			if now.Sub(since) >= s.config.PodsGone/4 {
				units = append(units, store.Unit{about})
			}
		}
	}
	s.mu.Lock()
	s.absent[id] = absent
	s.mu.Unlock()
	if _, err := s.transition(ctx, fence(id), units); err != nil {
		return fmt.Errorf("ending what the executor does not have: %w", err)
	}
	return nil
}

// absentees are the runs that were missing when the executor last named what it
// holds, as far as this replica knows.
func (s *Service) absentees(id armada.ExecutorID) map[armada.RunID]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.absent[id]
}
