package server

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/auth"
	"armada/pkg/api"
)

// executorService is api.Executor: what an operator does to an executor, and to
// the jobs that run there.
type executorService struct {
	api.UnimplementedExecutorServer
	*picking
}

// UpsertExecutorSettings closes an executor to new work, or opens it. Closing
// needs a reason, because somebody will ask.
func (s *executorService) UpsertExecutorSettings(ctx context.Context, r *api.ExecutorSettingsUpsertRequest) (*emptypb.Empty, error) {
	if _, err := s.auth.Authorize(ctx, auth.VerbUpdateExecutor, ""); err != nil {
		return nil, err
	}
	var wrong violations
	needName("name", r.GetName(), &wrong)
	switch n := len(r.GetCordonReason()); {
	case n == 0 && r.GetCordoned():
		wrong.add("cordonReason", "must not be empty when cordoned is true")
	case n > maxReason:
		wrong.add("cordonReason", fmt.Sprintf("is %d bytes long, at most %d are taken", n, maxReason))
	}
	if err := wrong.err("the executor was not changed"); err != nil {
		return nil, err
	}
	reason := r.GetCordonReason()
	if !r.GetCordoned() {
		reason = ""
	}
	return &emptypb.Empty{}, s.set(ctx, r.GetName(), r.GetCordoned(), reason)
}

func (s *executorService) set(ctx context.Context, name string, cordoned bool, reason string) error {
	err := s.store.CordonExecutor(ctx, armada.ExecutorID(name), cordoned, reason)
	if armada.CodeOf(err) == armada.CodeNotFound {
		return s.noExecutor(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("change the executor: %w", err)
	}
	return nil
}

// DeleteExecutorSettings opens an executor. That there is none is fine.
func (s *executorService) DeleteExecutorSettings(ctx context.Context, r *api.ExecutorSettingsDeleteRequest) (*emptypb.Empty, error) {
	if err := s.mayForget(ctx, r.GetName()); err != nil {
		return nil, err
	}
	err := s.set(ctx, r.GetName(), false, "")
	if armada.CodeOf(err) == armada.CodeNotFound {
		err = nil
	}
	return &emptypb.Empty{}, err
}

// DeleteExecutor forgets an executor that has no runs. That there is none is
// fine.
func (s *executorService) DeleteExecutor(ctx context.Context, r *api.ExecutorDeleteRequest) (*emptypb.Empty, error) {
	if err := s.mayForget(ctx, r.GetName()); err != nil {
		return nil, err
	}
	if err := s.store.DeleteExecutor(ctx, armada.ExecutorID(r.GetName())); err != nil {
		return nil, fmt.Errorf("forget the executor: %w", err)
	}
	return &emptypb.Empty{}, nil
}

func (s *executorService) mayForget(ctx context.Context, name string) error {
	if _, err := s.auth.Authorize(ctx, auth.VerbUpdateExecutor, ""); err != nil {
		return err
	}
	return named("name", name, "nothing was forgotten")
}

// CancelOnExecutor cancels jobs of the named queues that run on an executor.
func (s *executorService) CancelOnExecutor(ctx context.Context, r *api.ExecutorCancelRequest) (*emptypb.Empty, error) {
	jobs, caller, err := s.find(ctx, armada.VerbCancel, r.GetName(), pick(r.GetQueues(), r.GetPriorityClasses(), r.GetPools()))
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.cancelAll(ctx, jobs, caller.Name, fmt.Sprintf("all of executor %q was cancelled", r.GetName()))
}

// PreemptOnExecutor takes the places of preemptible jobs of the named queues that run
// on an executor.
func (s *executorService) PreemptOnExecutor(ctx context.Context, r *api.ExecutorPreemptRequest) (*emptypb.Empty, error) {
	jobs, caller, err := s.find(ctx, armada.VerbPreempt, r.GetName(), pick(r.GetQueues(), r.GetPriorityClasses(), r.GetPools()).toPreempt())
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.preemptAll(ctx, jobs, caller.Name, fmt.Sprintf("all of executor %q was preempted", r.GetName()))
}

func (s *executorService) find(ctx context.Context, verb armada.Verb, name string, of picked) ([]armada.JobID, auth.Principal, error) {
	var wrong violations
	needName("name", name, &wrong)
	s.check(of, &wrong)
	return s.findOn(ctx, verb, name, "", of, wrong)
}

// findOn returns the jobs on an executor that a request is about, and who asks.
func (p *picking) findOn(ctx context.Context, verb armada.Verb, executor, node string, of picked, wrong violations) ([]armada.JobID, auth.Principal, error) {
	caller, err := p.may(ctx, verb, of.queues)
	if err != nil {
		return nil, caller, err
	}
	if err := wrong.err("nothing was done to any job"); err != nil {
		return nil, caller, err
	}
	if err := p.exist(ctx, of.queues); err != nil {
		return nil, caller, err
	}
	if _, err := p.executor(ctx, executor); err != nil {
		return nil, caller, err
	}
	jobs, err := p.onExecutor(ctx, armada.ExecutorID(executor), node, of)
	return jobs, caller, err
}

// nodeService is api.Node: what an operator does to the jobs of one node.
type nodeService struct {
	api.UnimplementedNodeServer
	*picking
}

// CancelOnNode cancels jobs of the named queues that run on a node.
func (s *nodeService) CancelOnNode(ctx context.Context, r *api.NodeCancelRequest) (*emptypb.Empty, error) {
	jobs, caller, err := s.find(ctx, armada.VerbCancel, r.GetExecutor(), r.GetName(), pick(r.GetQueues(), r.GetPriorityClasses(), nil))
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.cancelAll(ctx, jobs, caller.Name, fmt.Sprintf("all of node %q was cancelled", r.GetName()))
}

// PreemptOnNode takes the places of preemptible jobs of the named queues that run on a
// node.
func (s *nodeService) PreemptOnNode(ctx context.Context, r *api.NodePreemptRequest) (*emptypb.Empty, error) {
	jobs, caller, err := s.find(ctx, armada.VerbPreempt, r.GetExecutor(), r.GetName(), pick(r.GetQueues(), r.GetPriorityClasses(), nil).toPreempt())
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.preemptAll(ctx, jobs, caller.Name, fmt.Sprintf("all of node %q was preempted", r.GetName()))
}

// find does not demand that the executor reports the node now: a node that is
// gone may still have runs. One that has neither is a wrong name.
func (s *nodeService) find(ctx context.Context, verb armada.Verb, executor, node string, of picked) ([]armada.JobID, auth.Principal, error) {
	var wrong violations
	needName("name", node, &wrong)
	needName("executor", executor, &wrong)
	s.check(of, &wrong)
	jobs, caller, err := s.findOn(ctx, verb, executor, node, of, wrong)
	if err == nil && len(jobs) == 0 {
		err = s.node(ctx, armada.ExecutorID(executor), node)
	}
	return jobs, caller, err
}
