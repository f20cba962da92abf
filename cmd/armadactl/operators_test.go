package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	corev1 "armada/pkg/api/k8s/core/v1"
	"armada/pkg/api/lookout"
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
	clusterServer struct {
		binoculars.UnimplementedBinocularsServer
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
	if r.GetName() == "node-x" {
		return nil, status.Error(codes.NotFound, `could not find node "node-x" of executor "local"`)
	}
	return knownExecutor(r.GetExecutor())
}

func (s nodeServer) PreemptOnNode(_ context.Context, r *api.NodePreemptRequest) (*emptypb.Empty, error) {
	s.main.note("preempt-on-node", r.GetName(), r.GetExecutor(), fmt.Sprint(r.GetQueues(), r.GetPriorityClasses()))
	return knownExecutor(r.GetExecutor())
}

func (s clusterServer) Cordon(_ context.Context, r *binoculars.CordonRequest) (*emptypb.Empty, error) {
	s.main.note("cordon-node", r.GetNodeName(), yesNo(!r.GetUncordon()))
	if r.GetNodeName() == "node-3" {
		return nil, status.Error(codes.NotFound, `could not find node "node-3"`)
	}
	return &emptypb.Empty{}, nil
}

func (s *server) PreemptJobs(_ context.Context, r *api.JobPreemptRequest) (*api.PreemptionResult, error) {
	s.note("preempt", r.GetQueue(), r.GetJobSetId(), strings.Join(r.GetJobIds(), "+"), r.GetReason())
	why := ""
	if r.GetJobIds()[0] == job(0) {
		why = "the job has succeeded"
	}
	return &api.PreemptionResult{PreemptionResults: map[string]string{r.GetJobIds()[0]: why}}, known(r.GetQueue())
}

func (lookoutServer) ListQueues(context.Context, *lookout.ListQueuesRequest) (*lookout.ListQueuesResponse, error) {
	return &lookout.ListQueuesResponse{SharesKnown: true, Queues: []*lookout.QueueSummary{
		{Name: "other-queue", PriorityFactor: 1, Cordoned: true, States: map[string]int64{"SUCCEEDED": 9}},
		{
			Name: "demo", PriorityFactor: 1.5, States: map[string]int64{"QUEUED": 4, "PENDING": 1, "LEASED": 2, "RUNNING": 3},
			Shares: []*lookout.QueueShare{
				{Pool: "cpu", Share: 0.5, Demand: 1, AdjustedFairShare: 0.25, Stopped: "the limit of the queue"}, {Pool: "gpu", Demand: 0.005},
			},
			Changes: []*lookout.QueueChange{{Time: at(30), By: "ada", What: "priority factor 1 to 1.5, permissions"}, {Time: at(0), By: "bob", What: "created"}},
		},
	}}, nil
}

func (lookoutServer) ListExecutors(_ context.Context, r *lookout.ListExecutorsRequest) (*lookout.ListExecutorsResponse, error) {
	if name := r.GetExecutor(); name != "" && name != "local" {
		return &lookout.ListExecutorsResponse{}, nil
	}
	amounts := func(cpu, memory string) map[string]string {
		return map[string]string{"cpu": cpu, "memory": memory, "nvidia.com/gpu": "1"}
	}
	return &lookout.ListExecutorsResponse{Executors: []*lookout.ExecutorSummary{{
		Executor: "local", LastHeard: at(58), Cordoned: true, CordonReason: "new network", NodeCount: 2, Jobs: 3, Allocatable: amounts("32", "64Gi"), Used: amounts("2", "3Gi"),
		Nodes: []*lookout.NodeSummary{
			{Name: "node-1", Pool: "default", Jobs: 1, Allocatable: amounts("16", "32Gi"), Used: map[string]string{"cpu": "500m"}, UsedByOthers: map[string]string{"cpu": "1"}},
			{Name: "node-2", Pool: "gpu", NodeType: "big", Unschedulable: true, Jobs: 2, Allocatable: map[string]string{"cpu": "16"}, Used: amounts("1500m", "3Gi")},
		},
	}}}, nil
}

func (lookoutServer) ListJobSets(_ context.Context, r *lookout.ListJobSetsRequest) (*lookout.ListJobSetsResponse, error) {
	if r.GetQueue() == "nope" {
		return &lookout.ListJobSetsResponse{}, nil
	}
	all := []*lookout.JobSetSummary{
		{Queue: "demo", JobSet: "second", Count: 1, States: map[string]int64{"QUEUED": 1}},
		{Queue: "demo", JobSet: "first", Count: 12, States: map[string]int64{"FAILED": 2, "RUNNING": 3, "SUCCEEDED": 7}},
	}
	if r.GetContains() != "" {
		all = nil
	}
	return &lookout.ListJobSetsResponse{JobSets: all[:min(int(r.GetPageSize()), len(all))]}, nil
}

func (lookoutServer) GetJobSpec(_ context.Context, r *lookout.GetJobSpecRequest) (*lookout.JobSpec, error) {
	pod := func(image string) *corev1.PodSpec {
		return &corev1.PodSpec{Containers: []*corev1.Container{{Name: proto.String("main"), Image: proto.String(image)}}}
	}
	switch r.GetJobId() {
	case job(0):
		return &lookout.JobSpec{JobId: job(0), Submitted: pod("a"), AsRun: &lookout.RunSpec{Spec: pod("b")}}, nil
	case job(2):
		return &lookout.JobSpec{JobId: job(2), Submitted: pod("a")}, nil
	default:
		return nil, status.Error(codes.NotFound, "job "+r.GetJobId()+" is not known")
	}
}

func (s lookoutServer) CountJobs(_ context.Context, r *lookout.CountJobsRequest) (*lookout.CountJobsResponse, error) {
	s.main.note(filterWords(r.GetFilters()))
	return &lookout.CountJobsResponse{Count: 3, AtLeast: len(r.GetFilters()) > 1}, nil
}

func (s lookoutServer) GroupJobs(_ context.Context, r *lookout.GroupJobsRequest) (*lookout.GroupJobsResponse, error) {
	s.main.note(filterWords(r.GetFilters()), "by", r.GetBy())
	if r.GetIsAnnotation() {
		return &lookout.GroupJobsResponse{Groups: []*lookout.JobGroup{{Count: 3}}, Others: 4, SearchedUntil: at(0)}, nil
	}
	return &lookout.GroupJobsResponse{Groups: []*lookout.JobGroup{{Value: "alice", Count: 2, States: map[string]int64{"QUEUED": 2}}, {Value: "bob", Count: 1}}}, nil
}

// filterWords are filters in the words of their messages.
func filterWords(filters []*lookout.Filter) string {
	var all []string
	for _, f := range filters {
		words := f.GetField() + " " + f.GetMatch().String() + " " + strings.Join(f.GetValues(), "|")
		if f.GetIsAnnotation() {
			words = "annotation " + words
		}
		all = append(all, words)
	}
	return strings.Join(all, "; ")
}

func TestFiltersReachTheServer(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"--queue demo --state failed":                            "queue EQUALS demo; state IN FAILED",
		"--executor e --node n --pool p --priority-class c":      "executor EQUALS e; node EQUALS n; pool EQUALS p; priority_class EQUALS c",
		"--filter cpu>=4 --filter cpu<=8 --filter reason~memory": "cpu GREATER_OR_EQUAL 4; cpu LESS_OR_EQUAL 8; reason CONTAINS memory",
		"--filter attempts>1 --filter priority<2":                "attempts GREATER_THAN 1; priority LESS_THAN 2",
		"--filter owner=a=b --filter owner^=al":                  "owner EQUALS a=b; owner STARTS_WITH al",
		"--filter cancel_user --filter annotation:team~res":      "cancel_user EXISTS ; annotation team CONTAINS res",
		"--annotation k=v --filter annotation:team":              "annotation k EQUALS v; annotation team EXISTS ",
	} {
		if r := run(t, strings.Fields("get jobs --count "+line)...); !slices.Equal(r.said, []string{want}) {
			t.Errorf("%s asked for %q, not %q: %s", line, r.said, want, r.errors)
		}
	}
	for _, wrong := range []string{"", "=a", "^a", "annotation:", "a^b"} {
		if r := run(t, "get", "jobs", "--count", "--filter", wrong); r.code != exitUsage || len(r.said) > 0 {
			t.Errorf("%q: exit code %d, asked for %q", wrong, r.code, r.said)
		}
	}
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
		"cordon node n1":                                        {"cordon-node n1 yes"},
		"uncordon node n1":                                      {"cordon-node n1 no"},
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
