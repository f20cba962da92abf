package client_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

// connected is a client of the examples' server, and what closes both.
func connected() (*client.Client, func()) {
	address, stop := serve()
	c, err := client.Connect(context.Background(), client.Config{ArmadaURL: address})
	if err != nil {
		panic(err)
	}
	return c, func() { c.Close(); stop() }
}

// A config comes from the file that armadactl uses, and from the environment.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "armada")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "config.yaml")
	err = os.WriteFile(path, []byte(`
currentContext: home
contexts:
  home: {armadaUrl: "localhost:50051"}
  work: {armadaUrl: "armada.example.com:443", basicAuth: {username: alice, password: secret}}
`), 0o600)
	if err != nil {
		fmt.Println(err)
	}
	config, err := client.Load(path, "work")
	fmt.Println(config.Address(), config.UsesTLS(), *config.BasicAuth, err)

	variables := map[string]string{"ARMADA_URL": "127.0.0.1:20000"} // or os.Getenv
	err = config.Environment(func(name string) string { return variables[name] })
	fmt.Println(config.Address(), config.UsesTLS(), err)
	// Output:
	// armada.example.com:443 true {alice ********} <nil>
	// 127.0.0.1:20000 false <nil>
}

// Await waits for jobs, over broken connections.
func ExampleClient_Await() {
	c, stop := connected()
	defer stop()
	states, err := c.Await(context.Background(), client.Stream{Queue: "demo", JobSet: "greetings"}, []string{"1"}, nil)
	fmt.Println(states["1"], err)
	// Output: succeeded <nil>
}

// Jobs are found by what they are; EachJob reads them page by page.
func ExampleClient_EachJob() {
	c, stop := connected()
	defer stop()
	query := client.JobQuery{Queue: "demo", States: []armada.JobState{armada.JobFailed}, Limit: 10}
	err := c.EachJob(context.Background(), query, func(j *lookout.Job) error {
		fmt.Println(j.GetJobId(), client.StateOf(j.GetState()), j.GetReason())
		return nil
	})
	fmt.Println(err)
	// Output:
	// 2 failed out of memory
	// <nil>
}

func ExampleClient_Logs() {
	c, stop := connected()
	defer stop()
	err := c.Logs(context.Background(), client.LogQuery{Job: "1", Tail: 10}, func(line *lookout.LogLine) error {
		fmt.Println(line.GetContainer(), line.GetLine())
		return nil
	})
	fmt.Println(err)
	// Output:
	// hello hello, Ada
	// <nil>
}

// Jobs are cancelled, preempted and moved in their queue by id. What could not be
// done is told job by job.
func ExampleClient_Cancel() {
	ctx := context.Background()
	c, stop := connected()
	defer stop()
	cancelled, err := c.Cancel(ctx, "demo", "greetings", []string{"1", "2"}, "wrong input")
	fmt.Println("cancelled:", cancelled, err)
	moved, err := c.Reprioritize(ctx, "demo", "greetings", []string{"1"}, 5)
	fmt.Println("moved:", moved, err)
	preempted, err := c.Preempt(ctx, "demo", "greetings", []string{"2"}, "room for the release")
	fmt.Println("preempted:", preempted, err)
	// Output:
	// cancelled: [1] <nil>
	// moved: map[1:] <nil>
	// preempted: map[2:the job has failed] <nil>
}

// Queues are closed and emptied in bulk. Of a node or an executor the queues that
// are meant have to be named.
func ExampleClient_CancelOnQueue() {
	ctx := context.Background()
	c, stop := connected()
	defer stop()
	queues, err := c.Queues(ctx)
	if err != nil {
		fmt.Println(err)
	}
	for _, q := range queues {
		if err := c.CordonQueue(ctx, q.GetName()); err != nil {
			fmt.Println(err)
		}
		err := c.CancelOnQueue(ctx, q.GetName(), client.Work{States: []armada.JobState{armada.JobQueued}})
		fmt.Println(q.GetName(), err)
	}
	// Output: demo <nil>
}

// The rest is what the examples' server answers.

func (submit) CancelJobs(_ context.Context, r *api.JobCancelRequest) (*api.CancellationResult, error) {
	return &api.CancellationResult{CancelledIds: r.GetJobIds()[:1]}, nil
}

func (submit) ReprioritizeJobs(_ context.Context, r *api.JobReprioritizeRequest) (*api.JobReprioritizeResponse, error) {
	return &api.JobReprioritizeResponse{ReprioritizationResults: map[string]string{r.GetJobIds()[0]: ""}}, nil
}

func (submit) PreemptJobs(_ context.Context, r *api.JobPreemptRequest) (*api.PreemptionResult, error) {
	return &api.PreemptionResult{PreemptionResults: map[string]string{r.GetJobIds()[0]: "the job has failed"}}, nil
}

func (submit) GetQueues(_ *api.StreamingQueueGetRequest, stream grpc.ServerStreamingServer[api.StreamingQueueMessage]) error {
	if err := stream.Send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_Queue{Queue: &api.Queue{Name: "demo"}}}); err != nil {
		return err
	}
	return stream.Send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_End{End: &api.EndMarker{}}})
}

type queues struct {
	api.UnimplementedQueueServiceServer
}

func (queues) CordonQueue(context.Context, *api.QueueCordonRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (queues) CancelOnQueue(_ context.Context, r *api.QueueCancelRequest) (*emptypb.Empty, error) {
	if len(r.GetJobStates()) != 1 || r.GetJobStates()[0] != api.JobState_QUEUED {
		return nil, status.Errorf(codes.InvalidArgument, "job_states is %v", r.GetJobStates())
	}
	return &emptypb.Empty{}, nil
}

type looking struct {
	lookout.UnimplementedLookoutServer
}

func (looking) GetJobs(_ context.Context, r *lookout.GetJobsRequest) (*lookout.GetJobsResponse, error) {
	var asked []string
	for _, f := range r.GetFilters() {
		asked = append(asked, f.GetField()+"="+strings.Join(f.GetValues(), "|"))
	}
	if got := strings.Join(asked, " "); got != "queue=demo state=FAILED" {
		return nil, status.Error(codes.InvalidArgument, "filters are "+got)
	}
	return &lookout.GetJobsResponse{Jobs: []*lookout.Job{{JobId: "2", State: api.JobState_FAILED, Reason: "out of memory"}}}, nil
}

func (looking) GetLogs(_ *lookout.LogsRequest, stream grpc.ServerStreamingServer[lookout.LogLine]) error {
	return stream.Send(&lookout.LogLine{Container: "hello", Line: "hello, Ada"})
}
