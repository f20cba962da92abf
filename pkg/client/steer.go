package client

import (
	"context"
	"fmt"

	"armada"
	"armada/pkg/api"
)

// Cancel cancels jobs by id and returns the ids for which a cancellation is now
// in force: those that had ended already are missing. Queue and job set may be
// empty; if they are given, the jobs must be in them. The reason is kept, at
// most 50 bytes.
func (c *Client) Cancel(ctx context.Context, queue, jobSet string, ids []string, reason string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil // to a server it would mean the whole job set
	}
	answer, err := c.Submitter.CancelJobs(ctx, &api.JobCancelRequest{Queue: queue, JobSetId: jobSet, JobIds: ids, Reason: reason})
	if err != nil {
		return nil, fmt.Errorf("cancel %d jobs: %w", len(ids), err)
	}
	return answer.GetCancelledIds(), nil
}

// CancelJobSet cancels the active jobs of a job set, or only those in the given
// states. A job set without any is no error.
func (c *Client) CancelJobSet(ctx context.Context, queue, jobSet, reason string, states ...armada.JobState) error {
	request := &api.JobSetCancelRequest{Queue: queue, JobSetId: jobSet, Reason: reason}
	if len(states) > 0 {
		request.Filter = &api.JobSetFilter{States: wireStates(states)}
	}
	if _, err := c.Submitter.CancelJobSet(ctx, request); err != nil {
		return fmt.Errorf("cancel the job set %q of the queue %q: %w", jobSet, queue, err)
	}
	return nil
}

// Preempt takes jobs of a job set off their nodes, as if more urgent work had. It
// answers for each job: empty when its preemption is under way, otherwise why not.
// The reason is kept.
func (c *Client) Preempt(ctx context.Context, queue, jobSet string, ids []string, reason string) (map[string]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	answer, err := c.Submitter.PreemptJobs(ctx, &api.JobPreemptRequest{Queue: queue, JobSetId: jobSet, JobIds: ids, Reason: reason})
	if err != nil {
		return nil, fmt.Errorf("preempt %d jobs: %w", len(ids), err)
	}
	return answer.GetPreemptionResults(), nil
}

// Reprioritize gives jobs a new priority, the lower the sooner; without ids all
// active jobs of the job set. It answers for each job: empty when it has the
// priority now, otherwise why not.
func (c *Client) Reprioritize(ctx context.Context, queue, jobSet string, ids []string, priority float64) (map[string]string, error) {
	answer, err := c.Submitter.ReprioritizeJobs(ctx, &api.JobReprioritizeRequest{Queue: queue, JobSetId: jobSet, JobIds: ids, NewPriority: priority})
	if err != nil {
		return nil, fmt.Errorf("reprioritize jobs of the queue %q: %w", queue, err)
	}
	return answer.GetReprioritizationResults(), nil
}
