package executors2020

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
)

// ReturnLease takes a job back that could not be started. Why is told by an event
// that follows; the run ends with that, or soon without it. For a job that the
// executor does not hold nothing happens: it would call again for ever.
func (s *Service) ReturnLease(ctx context.Context, r *api.ReturnLeaseRequest) (*emptypb.Empty, error) {
	id, err := s.caller(ctx, "cluster_id", r.GetClusterId())
	if err != nil {
		return nil, err
	}
	job := armada.JobID(r.GetJobId())
	jobs, err := s.full(ctx, []armada.JobID{job})
	if err != nil {
		return nil, err
	}
	full := jobs[job]
	if full == nil {
		return &emptypb.Empty{}, nil
	}
	if run, _ := latest(full); holds(id, run) && !run.Polled.Delivered.IsZero() {
		mark := lifecycle.Change{Kind: lifecycle.ReportMark, Mark: lifecycle.MarkReturned, Job: job, Run: run.ID, Executor: id}
		if _, err := s.transition(ctx, fence(id), []store.Unit{{mark}}); err != nil && armada.CodeOf(err) != armada.CodeFenced {
			return nil, fmt.Errorf("taking the lease back: %w", err)
		}
	}
	return &emptypb.Empty{}, nil
}

// ReportDone records that executors have done with jobs. How they ended is told by
// events, which may come before or after: a job that was done with is not run
// again for want of news. It answers the ids of jobs that there are.
func (s *Service) ReportDone(ctx context.Context, r *api.IdList) (*api.IdList, error) {
	if err := s.Authorize(ctx, ""); err != nil {
		return nil, err
	}
	ids := jobIDs(r.GetIds())
	jobs, err := s.full(ctx, ids)
	if err != nil {
		return nil, err
	}
	answer := &api.IdList{}
	kinds := map[armada.ExecutorID]armada.ExecutorKind{}
	var units []store.Unit
	for _, id := range ids {
		full := jobs[id]
		if full == nil {
			continue
		}
		answer.Ids = append(answer.Ids, string(id))
		run, _ := latest(full)
		if run == nil || !run.State.Active() || run.Polled.Delivered.IsZero() || s.Authorize(ctx, run.Executor) != nil {
			continue // what the caller may not speak for concerns it as little as what is over
		}
		if _, known := kinds[run.Executor]; !known {
			e, err := s.Store.Executor(ctx, run.Executor)
			if err != nil && armada.CodeOf(err) != armada.CodeNotFound {
				return nil, fmt.Errorf("looking for the executor %s: %w", run.Executor, err)
			}
			kinds[run.Executor] = e.Kind
		}
		if kinds[run.Executor] == armada.Executor2020 {
			units = append(units, store.Unit{{Kind: lifecycle.ReportMark, Mark: lifecycle.MarkDone, Job: id, Run: run.ID, Executor: run.Executor}})
		}
	}
	if _, err := s.transition(ctx, store.Fence{}, units); err != nil {
		return nil, fmt.Errorf("recording what is done with: %w", err)
	}
	return answer, nil
}
