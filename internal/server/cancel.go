package server

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
)

// CancelJobs cancels jobs by id, or those of a job set when no id is given. A
// bare id is enough. The answer has the ids for which a cancel is now in force.
func (c *changes) CancelJobs(ctx context.Context, r *api.JobCancelRequest) (*api.CancellationResult, error) {
	key := store.JobSetKey{Queue: r.GetQueue(), JobSet: armada.JobSet(r.GetJobSetId())}
	ids := unique(append([]string{r.GetJobId()}, r.GetJobIds()...)...)
	var wrong violations
	checkReason(r.GetReason(), &wrong)
	if len(ids) == 0 {
		needSet(key, &wrong)
	}
	if err := wrong.err("nothing was cancelled"); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		cancelled, err := c.cancelSet(ctx, key, nil, r.GetReason())
		return &api.CancellationResult{CancelledIds: cancelled}, err
	}
	found, caller, err := c.selectJobs(ctx, armada.VerbCancel, key, ids)
	if err != nil {
		return nil, err
	}
	cancelled, err := c.cancel(ctx, found.jobs, caller.Name, r.GetReason())
	return &api.CancellationResult{CancelledIds: cancelled}, err
}

// CancelJobSet cancels the jobs of a job set that are in the given states; all
// active ones when none is given.
func (c *changes) CancelJobSet(ctx context.Context, r *api.JobSetCancelRequest) (*emptypb.Empty, error) {
	key := store.JobSetKey{Queue: r.GetQueue(), JobSet: armada.JobSet(r.GetJobSetId())}
	var wrong violations
	needSet(key, &wrong)
	checkReason(r.GetReason(), &wrong)
	states := cancellable(r.GetFilter().GetStates(), "filter.states", &wrong)
	if err := wrong.err("nothing was cancelled"); err != nil {
		return nil, err
	}
	if _, err := c.cancelSet(ctx, key, states, r.GetReason()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// cancellable returns the states to cancel, which are given at the path. A leased job is about to be pending
// and is meant with it: clients cannot name it.
func cancellable(asked []api.JobState, path string, wrong *violations) []armada.JobState {
	var states []armada.JobState
	for i, s := range asked {
		state, known := wire.StateOf(s)
		if !known || !state.Active() {
			wrong.add(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("is %s, must be QUEUED, LEASED, PENDING or RUNNING", s))
			continue
		}
		states = append(states, state)
		if state == armada.JobPending {
			states = append(states, armada.JobLeased)
		}
	}
	return states
}

func (c *changes) cancelSet(ctx context.Context, key store.JobSetKey, states []armada.JobState, reason string) ([]string, error) {
	jobs, caller, err := c.selectSet(ctx, armada.VerbCancel, key, states)
	if err != nil {
		return nil, err
	}
	return c.cancel(ctx, jobs, caller.Name, reason)
}

// cancel returns the ids of the jobs that are cancelled or will be, as many as an
// answer has room for.
func (c *changes) cancel(ctx context.Context, jobs []armada.JobID, by, reason string) ([]string, error) {
	var cancelled []string
	left := roomOfAnswer
	change := lifecycle.Change{Kind: lifecycle.Cancel, By: by, Reason: reason}
	err := c.apply(ctx, "cancelled", jobs, change, func(id armada.JobID, r store.UnitResult) {
		if r.Verdict == lifecycle.Refused {
			return
		}
		if left -= len(id) + beside; left >= 0 {
			cancelled = append(cancelled, string(id))
		}
	})
	return cancelled, err
}
