package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/internal/auth"
	"armada/internal/server"
	"armada/internal/store"
	"armada/pkg/api"
)

// named takes the word of a call for who makes it.
type named struct{ auth.Anonymous }

func (named) Authenticate(_ context.Context, c auth.Credentials) (auth.Principal, error) {
	return auth.Principal{Name: strings.Join(c.Authorization, "")}, nil
}

// as returns a context of a user's calls.
func as(t *testing.T, user string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", user)
}

// bounded is a world with limits, in which users are who they say.
func bounded(t *testing.T, limits server.Limits) *world {
	t.Helper()
	return newWorld(t, options{
		config: func(c *server.Config) { c.Limits = limits },
		deps:   func(d *server.Deps) { d.Authenticator = named{} },
	})
}

// wantWait fails the test unless an error asks to wait.
func wantWait(t *testing.T, err error, says string) {
	t.Helper()
	wantCode(t, err, codes.ResourceExhausted)
	if !strings.Contains(status.Convert(err).Message(), says) {
		t.Errorf("it says %q, not %q", status.Convert(err).Message(), says)
	}
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.RetryInfo); is && info.GetRetryDelay().AsDuration() > 0 {
			return
		}
	}
	t.Errorf("it does not say when to try again: %v", status.Convert(err).Details())
}

func TestAUserWhoAsksTooOftenIsToldToWaitAndNobodyElse(t *testing.T) {
	t.Parallel()
	slow := server.CallRate{PerSecond: 0.001, Burst: 2}
	w := bounded(t, server.Limits{Submit: slow, Change: slow, Ask: slow})
	ada := as(t, "ada")
	calls := map[string]func(context.Context) error{
		"submit": func(ctx context.Context) error {
			_, err := w.submit.SubmitJobs(ctx, &api.JobSubmitRequest{Queue: "q", JobSetId: "set", JobRequestItems: items(1)})
			return err
		},
		"change": func(ctx context.Context) error {
			_, err := w.submit.CancelJobs(ctx, &api.JobCancelRequest{Queue: "q", JobSetId: "set"})
			return err
		},
		"ask": func(ctx context.Context) error {
			stream, err := w.event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "q", Id: "set"})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	}
	for _, kind := range []string{"submit", "change", "ask"} {
		ok(t, calls[kind](ada))
		ok(t, calls[kind](ada))
		wantWait(t, calls[kind](ada), `user "ada" makes more calls of the kind "`+kind)
		ok(t, calls[kind](as(t, "eve")))
	}
	for range 5 { // health is asked for by machines
		_, err := w.submit.Health(ada, &emptypb.Empty{})
		ok(t, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.server.HTTPAddr()+"/v1/queue/q", nil)
	ok(t, err)
	request.Header.Set("Authorization", "ada")
	answer, err := http.DefaultClient.Do(request)
	ok(t, err)
	_ = answer.Body.Close()
	if after := answer.Header.Get("Retry-After"); answer.StatusCode != http.StatusTooManyRequests || len(after) < 3 {
		t.Errorf("over REST: %d, to be repeated after %q", answer.StatusCode, after)
	}
}

func TestAUserHasOnlySoManyStreamsOpen(t *testing.T) {
	t.Parallel()
	w := bounded(t, server.Limits{Streams: 2})
	open := func(ctx context.Context) error {
		stream, err := w.event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "q", Id: "set", Watch: true})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	w.submitted("set", items(1))
	first, leave := context.WithCancel(as(t, "ada"))
	defer leave()
	ok(t, open(first))
	ok(t, open(as(t, "ada")))
	wantWait(t, open(as(t, "ada")), "has 2 streams open")
	ok(t, open(as(t, "eve")))
	leave()
	for { // the server hears of it soon
		err := open(as(t, "ada"))
		if err == nil {
			return
		}
		wantCode(t, err, codes.ResourceExhausted)
	}
}

func TestLimitsThatMakeNoSenseAreNamed(t *testing.T) {
	t.Parallel()
	err := server.Limits{Submit: server.CallRate{PerSecond: -1}, Ask: server.CallRate{PerSecond: 1}, Streams: -1}.Validate()
	for _, says := range []string{"limits.submit.perSecond", "limits.ask.burst", "limits.streams"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s is not in %v", says, err)
		}
	}
	if strings.Contains(err.Error(), "change") {
		t.Errorf("what is well is in %v", err)
	}
}

// never is a store whose queues are never read: it waits for the call's end.
type never struct{ store.Store }

func (never) Count(ctx context.Context, _ string) ([]store.JobSetCount, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestDeadlinesEndCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{wrapStore: func(s store.Store) store.Store { return never{s} }})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := w.submit.GetQueueInfo(ctx, &api.QueueInfoRequest{Name: "q"})
	wantCode(t, err, codes.DeadlineExceeded)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/v1/queue/q", w.server.HTTPAddr()), nil)
	ok(t, err)
	request.Header.Set("Grpc-Timeout", "50m")
	answer, err := http.DefaultClient.Do(request)
	ok(t, err)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("over REST: %d", answer.StatusCode)
	}
}

func TestTheServerDescribesItsServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	names := map[string]bool{}
	stream, err := reflectionpb.NewServerReflectionClient(w.conn).ServerReflectionInfo(t.Context())
	ok(t, err)
	ok(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	answer, err := stream.Recv()
	ok(t, err)
	for _, s := range answer.GetListServicesResponse().GetService() {
		names[s.GetName()] = true
	}
	for _, name := range []string{"api.Submit", "api.Node", "lookout.Lookout", "grpc.health.v1.Health", "binoculars.Binoculars"} {
		if !names[name] {
			t.Errorf("%s is not among %v", name, names)
		}
	}
	// The older version has the same messages under another name.
	older, err := w.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
	ok(t, err)
	ok(t, older.SendMsg(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "api.Submit"}}))
	file := &reflectionpb.ServerReflectionResponse{}
	ok(t, older.RecvMsg(file))
	if len(file.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("of api.Submit it says %v", file)
	}
}
