package server

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/auth"
	"armada/pkg/api"
)

// queueService is api.QueueService: the same queues under another name, and the
// methods that only clients of 2026 know.
type queueService struct {
	unimplementedQueueService
	*queues
	picking *picking
}

// unimplementedQueueService answers by name what queueService does not have: it
// is one level below so that embedded services come first.
type unimplementedQueueService struct {
	api.UnimplementedQueueServiceServer
}

// CordonQueue closes a queue: its queued jobs are not started.
func (s *queueService) CordonQueue(ctx context.Context, r *api.QueueCordonRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.cordon(ctx, r.GetName(), true)
}

// UncordonQueue opens it again.
func (s *queueService) UncordonQueue(ctx context.Context, r *api.QueueUncordonRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.cordon(ctx, r.GetName(), false)
}

func (s *queueService) cordon(ctx context.Context, name string, cordoned bool) error {
	caller, err := s.auth.Authorize(ctx, auth.VerbCordonQueue, name)
	if err != nil {
		return err
	}
	if err := named("name", name, "the queue was not changed"); err != nil {
		return err
	}
	queue, err := s.queue(ctx, name)
	if err != nil || queue.Cordoned == cordoned {
		return err
	}
	queue.Cordoned = cordoned
	return s.keep(ctx, queue, caller, true)
}

// withRun are the states of jobs that have a place to lose.
var withRun = []armada.JobState{armada.JobLeased, armada.JobPending, armada.JobRunning}

// PreemptOnQueue takes the places of the queue's preemptible jobs that have one.
func (s *queueService) PreemptOnQueue(ctx context.Context, r *api.QueuePreemptRequest) (*emptypb.Empty, error) {
	of := pick([]string{r.GetName()}, r.GetPriorityClasses(), r.GetPools()).toPreempt()
	jobs, caller, err := s.find(ctx, armada.VerbPreempt, r.GetName(), withRun, of, nil)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.picking.preemptAll(ctx, jobs, caller.Name, fmt.Sprintf("all of queue %q was preempted", r.GetName()))
}

// CancelOnQueue cancels the queue's jobs in the given states, or all active ones
// when none is given. Jobs that wait are in no pool.
func (s *queueService) CancelOnQueue(ctx context.Context, r *api.QueueCancelRequest) (*emptypb.Empty, error) {
	of := pick([]string{r.GetName()}, r.GetPriorityClasses(), r.GetPools())
	var wrong violations
	states := cancellable(r.GetJobStates(), "jobStates", &wrong)
	jobs, caller, err := s.find(ctx, armada.VerbCancel, r.GetName(), states, of, wrong)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.picking.cancelAll(ctx, jobs, caller.Name, fmt.Sprintf("all of queue %q was cancelled", r.GetName()))
}

// find returns the jobs of a queue that a request is about, and who asks.
func (s *queueService) find(ctx context.Context, verb armada.Verb, queue string, states []armada.JobState, of picked, wrong violations) ([]armada.JobID, auth.Principal, error) {
	needName("name", queue, &wrong)
	s.picking.check(of, &wrong)
	waiting := len(states) > 0 && !slices.ContainsFunc(states, func(state armada.JobState) bool { return state != armada.JobQueued })
	if len(of.pools) > 0 && waiting {
		wrong.add("pools", "queued jobs are in no pool yet: give no pools, or other states")
	}
	caller, err := s.picking.may(ctx, verb, of.queues)
	if err != nil {
		return nil, caller, err
	}
	if err := wrong.err("nothing was done to any job"); err != nil {
		return nil, caller, err
	}
	if err := s.picking.exist(ctx, of.queues); err != nil {
		return nil, caller, err
	}
	jobs, err := s.picking.inQueue(ctx, queue, states, of)
	return jobs, caller, err
}
