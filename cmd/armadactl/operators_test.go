package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/pkg/api"
)

// The services for operators: of the executors there is one, local.
type (
	queueServer struct {
		api.UnimplementedQueueServiceServer
		main *server
	}
	executorServer struct {
		api.UnimplementedExecutorServer
		main *server
	}
	nodeServer struct {
		api.UnimplementedNodeServer
		main *server
	}
)

func (s queueServer) CordonQueue(_ context.Context, r *api.QueueCordonRequest) (*emptypb.Empty, error) {
	s.main.note("cordon", r.GetName())
	if r.GetName() != "demo" {
		return nil, status.Error(codes.PermissionDenied, "you may not cordon the queue "+r.GetName())
	}
	return &emptypb.Empty{}, nil
}

func (s queueServer) UncordonQueue(_ context.Context, r *api.QueueUncordonRequest) (*emptypb.Empty, error) {
	s.main.note("uncordon", r.GetName())
	return &emptypb.Empty{}, nil
}

func (s queueServer) CancelOnQueue(_ context.Context, r *api.QueueCancelRequest) (*emptypb.Empty, error) {
	s.main.note("cancel-on-queue", r.GetName(), fmt.Sprint(r.GetJobStates(), r.GetPriorityClasses(), r.GetPools()))
	return &emptypb.Empty{}, nil
}

func (s queueServer) PreemptOnQueue(_ context.Context, r *api.QueuePreemptRequest) (*emptypb.Empty, error) {
	s.main.note("preempt-on-queue", r.GetName(), fmt.Sprint(r.GetPriorityClasses(), r.GetPools()))
	return &emptypb.Empty{}, nil
}

func knownExecutor(name string) (*emptypb.Empty, error) {
	if name != "local" {
		return nil, status.Error(codes.NotFound, `there is no executor "`+name+`"`)
	}
	return &emptypb.Empty{}, nil
}

func (s executorServer) UpsertExecutorSettings(_ context.Context, r *api.ExecutorSettingsUpsertRequest) (*emptypb.Empty, error) {
	s.main.note("settings", r.GetName(), yesNo(r.GetCordoned()), r.GetCordonReason())
	return knownExecutor(r.GetName())
}

func (s executorServer) DeleteExecutor(_ context.Context, r *api.ExecutorDeleteRequest) (*emptypb.Empty, error) {
	return knownExecutor(r.GetName())
}

func (s executorServer) CancelOnExecutor(_ context.Context, r *api.ExecutorCancelRequest) (*emptypb.Empty, error) {
	s.main.note("cancel-on-executor", r.GetName(), fmt.Sprint(r.GetQueues(), r.GetPriorityClasses(), r.GetPools()))
	return knownExecutor(r.GetName())
}

func (s executorServer) PreemptOnExecutor(_ context.Context, r *api.ExecutorPreemptRequest) (*emptypb.Empty, error) {
	s.main.note("preempt-on-executor", r.GetName(), fmt.Sprint(r.GetQueues(), r.GetPriorityClasses(), r.GetPools()))
	return knownExecutor(r.GetName())
}

func (s nodeServer) CancelOnNode(_ context.Context, r *api.NodeCancelRequest) (*emptypb.Empty, error) {
	s.main.note("cancel-on-node", r.GetName(), r.GetExecutor(), fmt.Sprint(r.GetQueues(), r.GetPriorityClasses()))
	return knownExecutor(r.GetExecutor())
}

func (s nodeServer) PreemptOnNode(_ context.Context, r *api.NodePreemptRequest) (*emptypb.Empty, error) {
	s.main.note("preempt-on-node", r.GetName(), r.GetExecutor(), fmt.Sprint(r.GetQueues(), r.GetPriorityClasses()))
	return knownExecutor(r.GetExecutor())
}

func (s *server) PreemptJobs(_ context.Context, r *api.JobPreemptRequest) (*api.PreemptionResult, error) {
	s.note("preempt", r.GetQueue(), r.GetJobSetId(), strings.Join(r.GetJobIds(), "+"), r.GetReason())
	why := ""
	if r.GetJobIds()[0] == job(0) {
		why = "the job has succeeded"
	}
	return &api.PreemptionResult{PreemptionResults: map[string]string{r.GetJobIds()[0]: why}}, known(r.GetQueue())
}

func TestWhatOperatorsAskForReachesTheServer(t *testing.T) {
	t.Parallel()
	all := "[demo other-queue]"
	for line, want := range map[string][]string{
		"cordon queue demo":                                     {"cordon demo"},
		"cordon queues -l team=x":                               {"cordon demo"},
		"cordon queues -l team --inverse":                       {"cordon other-queue"},
		"cordon queues demo --dry-run":                          nil,
		"cordon queues":                                         nil,
		"cordon queues demo -l team":                            nil,
		"uncordon queues demo other-queue":                      {"uncordon demo", "uncordon other-queue"},
		"cordon executor local broken":                          {"settings local yes broken"},
		"cordon executor local":                                 nil,
		"uncordon executor local":                               {"settings local no "},
		"cancel queues demo -s queued,running -a":               {"cancel-on-queue demo [QUEUED RUNNING] [] []"},
		"cancel queue demo -s leased -p batch,best --pools cpu": {"cancel-on-queue demo [LEASED] [batch best] [cpu]"},
		"cancel queues --selector team --only-cordoned -s queued -a --inverse": {
			"cancel-on-queue demo [QUEUED] [] []", "cancel-on-queue other-queue [QUEUED] [] []",
		},
		"cancel queues --selector team=x -s queued -a --dry-run":   nil,
		"cancel queues demo -a":                                    nil,
		"cancel queues demo -s queued":                             nil,
		"cancel queues demo -s queued -a -p batch":                 nil,
		"cancel queues demo -s succeeded -a":                       nil,
		"cancel queues -s queued -a":                               nil,
		"cancel queues demo nope --inverse -s queued -a":           nil,
		"preempt queues demo -p batch --pools gpu":                 {"preempt-on-queue demo [batch] [gpu]"},
		"preempt queues demo -s queued -a":                         nil,
		"cancel executor local -a":                                 {"cancel-on-executor local " + all + " [] []"},
		"cancel executor local -q demo -p batch --pools cpu,gpu":   {"cancel-on-executor local [demo] [batch] [cpu gpu]"},
		"cancel executor local":                                    nil,
		"preempt executor local -a -q a,b":                         {"preempt-on-executor local [a b] [] []"},
		"cancel node n1 -e local -a":                               {"cancel-on-node n1 local " + all + " []"},
		"cancel node n1 -a":                                        nil,
		"preempt node n1 --executor local -q demo -p batch":        {"preempt-on-node n1 local [demo] [batch]"},
		"preempt job demo first " + job(2) + " room":               {"preempt demo first " + job(2) + " room"},
		"preempt job " + job(2) + " --reason room":                 {"preempt demo first " + job(2) + " room"},
		"preempt job demo first " + job(2) + " room --reason room": nil,
	} {
		if r := run(t, strings.Fields(line)...); !slices.Equal(r.said, want) || (want == nil) != (r.code == exitUsage || strings.Contains(line, "dry-run") || strings.Contains(line, "nope")) {
			t.Errorf("%s asked for %q, exit code %d: %s", line, r.said, r.code, r.errors)
		}
	}
}
