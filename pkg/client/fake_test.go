package client

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"armada/pkg/api"
	"armada/pkg/api/lookout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a server that does what a test gives it; what is nil answers
// UNIMPLEMENTED.
type fake struct {
	lookout.UnimplementedLookoutServer

	mu       sync.Mutex
	headers  metadata.MD // of the last call
	submits  []*api.JobSubmitRequest
	streams  []*api.JobSetRequest
	cancels  int
	onSubmit func(n int, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) // n from 1
	onStream func(n int, r *api.JobSetRequest, send func(id string, m *api.EventMessage)) error
	onQueues func(n int, send func(*api.StreamingQueueMessage)) error
	onJobs   func(*lookout.GetJobsRequest) *lookout.GetJobsResponse
	onSets   func(*lookout.ListJobSetsRequest) *lookout.ListJobSetsResponse
	onLogs   func(n int, send func(string)) error
	onExec   func(grpc.BidiStreamingServer[lookout.ExecRequest, lookout.ExecResponse]) error
	queues   int
	logs     int
	execs    int
}

// taken returns the submits so far. A call that its client has given up may
// still be coming in.
func (f *fake) taken() []*api.JobSubmitRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.submits)
}

func (h submitHalf) SubmitJobs(ctx context.Context, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
	f := h.fake
	f.mu.Lock()
	f.headers, _ = metadata.FromIncomingContext(ctx)
	f.submits = append(f.submits, r)
	n := len(f.submits)
	f.mu.Unlock()
	return f.onSubmit(n, r)
}

func (h submitHalf) CancelJobs(context.Context, *api.JobCancelRequest) (*api.CancellationResult, error) {
	f := h.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancels++
	return &api.CancellationResult{}, nil
}

func (h submitHalf) GetQueues(_ *api.StreamingQueueGetRequest, stream grpc.ServerStreamingServer[api.StreamingQueueMessage]) error {
	f := h.fake
	f.mu.Lock()
	f.queues++
	n := f.queues
	f.mu.Unlock()
	return f.onQueues(n, func(m *api.StreamingQueueMessage) { _ = stream.Send(m) })
}

func (h eventHalf) GetJobSetEvents(r *api.JobSetRequest, stream grpc.ServerStreamingServer[api.EventStreamMessage]) error {
	f := h.fake
	f.mu.Lock()
	f.streams = append(f.streams, r)
	n := len(f.streams)
	f.mu.Unlock()
	return f.onStream(n, r, func(id string, m *api.EventMessage) { _ = stream.Send(&api.EventStreamMessage{Id: id, Message: m}) })
}

func (f *fake) GetJobs(_ context.Context, r *lookout.GetJobsRequest) (*lookout.GetJobsResponse, error) {
	return f.onJobs(r), nil
}

func (f *fake) ListJobSets(_ context.Context, r *lookout.ListJobSetsRequest) (*lookout.ListJobSetsResponse, error) {
	return f.onSets(r), nil
}

func (f *fake) Exec(call grpc.BidiStreamingServer[lookout.ExecRequest, lookout.ExecResponse]) error {
	f.mu.Lock()
	f.execs++
	f.mu.Unlock()
	return f.onExec(call)
}

func (f *fake) GetLogs(_ *lookout.LogsRequest, stream grpc.ServerStreamingServer[lookout.LogLine]) error {
	f.mu.Lock()
	f.logs++
	n := f.logs
	f.mu.Unlock()
	return f.onLogs(n, func(line string) { _ = stream.Send(&lookout.LogLine{Line: line}) })
}

// submitHalf and eventHalf are a fake's parts as the services that they are of.
type (
	submitHalf struct {
		api.UnimplementedSubmitServer
		fake *fake
	}
	eventHalf struct {
		api.UnimplementedEventServer
		fake *fake
	}
)

// connect serves a fake and returns a client of it that pauses shortly.
func connect(t *testing.T, f *fake, config Config, options ...grpc.ServerOption) *Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(64<<20))...)
	api.RegisterSubmitServer(server, submitHalf{fake: f})
	api.RegisterEventServer(server, eventHalf{fake: f})
	lookout.RegisterLookoutServer(server, f)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	c, err := New(config, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	c.pauses = pauses{first: time.Millisecond, most: 2 * time.Millisecond}
	t.Cleanup(func() {
		_ = c.Close()
		server.Stop()
		<-served
	})
	return c
}

var (
	errUnavailable = status.Error(codes.Unavailable, "not now")
	errDenied      = status.Error(codes.PermissionDenied, "not you")
)
