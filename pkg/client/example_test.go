package client_test

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

// Connect, create a queue, submit a job, and watch it to its end.
func Example() {
	ctx := context.Background()
	address, stop := serve()
	defer stop()

	c, err := client.Connect(ctx, client.Config{ArmadaURL: address})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	if err := c.CreateQueue(ctx, &api.Queue{Name: "demo"}); err != nil {
		fmt.Println(err)
	}
	spec, err := manifest.ReadPodSpec([]byte(`
containers:
  - name: hello
    command: [echo, hello]
    resources:
      requests: {cpu: 100m, memory: 32Mi}
      limits: {cpu: 100m, memory: 32Mi}
`))
	if err != nil {
		fmt.Println(err)
	}
	ids, err := c.Submit(ctx, "demo", "greetings", []*api.JobSubmitRequestItem{
		{PodSpecs: []*manifest.PodSpec{spec}},
	})
	fmt.Println(ids, err)

	var progress client.Progress
	err = c.Watch(ctx, client.Stream{Queue: "demo", JobSet: "greetings"}, func(m *api.EventStreamMessage) error {
		progress.Apply(m.GetMessage())
		fmt.Println(client.Head(m.GetMessage()).Kind)
		if progress.Done() {
			return client.ErrStop
		}
		return nil
	})
	fmt.Println(progress.Count(armada.JobSucceeded), "succeeded,", err)
	// Output:
	// [1] <nil>
	// submitted
	// queued
	// running
	// succeeded
	// 1 succeeded, <nil>
}

// What a server finds wrong with a request is there by path.
func ExampleViolations() {
	ctx := context.Background()
	address, stop := serve()
	defer stop()
	c, err := client.Connect(ctx, client.Config{ArmadaURL: address})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	_, err = c.Submit(ctx, "demo", "greetings", []*api.JobSubmitRequestItem{{}})
	fmt.Println(status.Code(err))
	for _, v := range client.Violations(err) {
		fmt.Println(v.Path, v.Message)
	}
	// Output:
	// InvalidArgument
	// job_request_items[0].pod_spec is missing
}

// serve is a server of one job: it breaks the connection in the middle of the
// job's life, as networks do. It is not part of the examples.
func serve() (address string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	api.RegisterSubmitServer(server, submit{})
	api.RegisterEventServer(server, events{})
	api.RegisterQueueServiceServer(server, queues{})
	lookout.RegisterLookoutServer(server, looking{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return listener.Addr().String(), func() { server.Stop(); <-served }
}

type submit struct{ api.UnimplementedSubmitServer }

func (submit) CreateQueue(context.Context, *api.Queue) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (submit) SubmitJobs(_ context.Context, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
	if len(r.GetJobRequestItems()[0].GetPodSpecs()) == 0 {
		return nil, refusal("job_request_items[0].pod_spec", "is missing")
	}
	return &api.JobSubmitResponse{JobResponseItems: []*api.JobSubmitResponseItem{{JobId: "1"}}}, nil
}

func refusal(path, message string) error {
	refused, err := status.New(codes.InvalidArgument, "nothing was submitted").WithDetails(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: path, Description: message}},
	})
	if err != nil {
		return err
	}
	return refused.Err()
}

type events struct{ api.UnimplementedEventServer }

func (events) GetJobSetEvents(r *api.JobSetRequest, stream grpc.ServerStreamingServer[api.EventStreamMessage]) error {
	at := timestamppb.Now()
	all := []*api.EventMessage{
		{Events: &api.EventMessage_Submitted{Submitted: &api.JobSubmittedEvent{JobId: "1", Created: at, Job: &api.Job{}}}},
		{Events: &api.EventMessage_Queued{Queued: &api.JobQueuedEvent{JobId: "1", Created: at}}},
		{Events: &api.EventMessage_Running{Running: &api.JobRunningEvent{JobId: "1", Created: at}}},
		{Events: &api.EventMessage_Succeeded{Succeeded: &api.JobSucceededEvent{JobId: "1", Created: at}}},
	}
	seen := len(r.GetFromMessageId())
	for i, event := range all[seen:] {
		if i == 2 {
			break
		}
		seen++
		if err := stream.Send(&api.EventStreamMessage{Id: "xxxx"[:seen], Message: event}); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "the network is gone")
}
