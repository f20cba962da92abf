package server_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/auth"
	"armada/internal/runs"
	"armada/internal/server"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
)

// Statement 1 of the compatibility notes.
func TestAClientMayPingOftenAndWithoutACall(t *testing.T) {
	t.Parallel()
	if most := server.DefaultConfig().KeepaliveMinTime; most > 5*time.Second {
		t.Errorf("by default a client may ping every %s only", most)
	}
	w := newWorld(t, options{config: func(c *server.Config) { c.KeepaliveMinTime = time.Nanosecond }})
	conn, err := net.Dial("tcp", w.server.GRPCAddr())
	ok(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, http2.ClientPreface)
	ok(t, err)
	framer := http2.NewFramer(conn, conn)
	ok(t, framer.WriteSettings())
	for i := range 20 {
		ok(t, framer.WritePing(false, [8]byte{byte(i)}))
		for answered := false; !answered; {
			frame, err := framer.ReadFrame()
			ok(t, err)
			switch f := frame.(type) {
			case *http2.GoAwayFrame:
				t.Fatalf("after %d pings: %v", i, f)
			case *http2.PingFrame:
				answered = f.IsAck() && f.Data[0] == byte(i)
			}
		}
	}
}

// Statement 2 of the compatibility notes.
func TestCompressedAndPlainRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, calls := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
		_, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"}, calls...)
		ok(t, err)
		answer, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "set", JobRequestItems: items(1)}, calls...)
		ok(t, err)
		if len(answer.GetJobResponseItems()) != 1 {
			t.Errorf("the answer is %v", answer)
		}
	}
}

// fakeExecutors takes what executors say.
type fakeExecutors struct {
	executorapi.UnimplementedExecutorApiServer
	executorapi.UnimplementedExecutorAgentServer

	lines    []runs.LogLine
	reported chan *executorapi.EventList
	asked    runs.LogQuery
}

func (f *fakeExecutors) Lease(_ context.Context, o *store.Order) (*executorapi.JobRunLease, error) {
	spec, err := wire.PodSpec(o.Template)
	return wire.Lease(o, spec, false), err
}

func (f *fakeExecutors) ReportEvents(_ context.Context, list *executorapi.EventList) (*emptypb.Empty, error) {
	f.reported <- list
	return &emptypb.Empty{}, nil
}

func (f *fakeExecutors) Logs(_ context.Context, executor armada.ExecutorID, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	f.asked = q
	for _, l := range f.lines {
		l.Container = fmt.Sprintf("%s/%s", executor, run)
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}

// Statements 3 and 5 of the compatibility notes.
func TestAReportOf10MiBAndWithBrokenTextIsAccepted(t *testing.T) {
	t.Parallel()
	f := &fakeExecutors{reported: make(chan *executorapi.EventList, 1)}
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Executors = f }})
	pod := &armadaevents.PodError{Message: "cut at \xe2\x82", DebugMessage: strings.Repeat("x", 10<<20)}
	list := &executorapi.EventList{Events: []*armadaevents.EventSequence{{Events: []*armadaevents.EventSequence_Event{{
		Event: &armadaevents.EventSequence_Event_JobRunErrors{JobRunErrors: &armadaevents.JobRunErrors{Errors: []*armadaevents.Error{{Reason: &armadaevents.Error_PodError{PodError: pod}}}}},
	}}}}}
	_, err := executorapi.NewExecutorApiClient(w.conn).ReportEvents(t.Context(), list)
	ok(t, err)
	if got := <-f.reported; !proto.Equal(got, list) {
		t.Error("the report changed on its way")
	}
}

func TestEveryMethodOfTheWireIsAnsweredByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ours := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if path := file.Path(); !strings.HasPrefix(path, "pkg/api/") || strings.Contains(path, "bidstore") || strings.Contains(path, "priorityoverride") {
			return true // those two are called by a server, not served
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				ours++
				w.answersByName(methods.Get(j))
			}
		}
		return true
	})
	if ours < 60 {
		t.Errorf("only %d methods were found", ours)
	}
}

// answersByName calls a method with an empty request: whatever it answers, it
// exists, and if it is not implemented it says which one it is.
func (w *world) answersByName(m protoreflect.MethodDescriptor) {
	w.t.Helper()
	name := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	var err error
	if m.IsStreamingClient() || m.IsStreamingServer() {
		var stream grpc.ClientStream
		desc := &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}
		if stream, err = w.conn.NewStream(ctx, desc, name); err == nil {
			_ = stream.SendMsg(dynamicpb.NewMessage(m.Input())) // what it answers counts
			_ = stream.CloseSend()
			err = stream.RecvMsg(dynamicpb.NewMessage(m.Output()))
		}
	} else {
		err = w.conn.Invoke(ctx, name, dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output()))
	}
	st := status.Convert(err)
	switch {
	case strings.Contains(st.Message(), "unknown service"), strings.Contains(st.Message(), "unknown method"), st.Code() == codes.Unknown:
		w.t.Errorf("%s: %v", name, err)
	case st.Code() == codes.Unimplemented && !strings.Contains(st.Message(), string(m.Name())):
		w.t.Errorf("%s does not say what is not implemented: %v", name, err)
	}
}

func TestHealthIsServingUntilTheServerStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	standard, err := healthpb.NewHealthClient(w.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	ok(t, err)
	one, err := w.submit.Health(t.Context(), &emptypb.Empty{})
	ok(t, err)
	other, err := w.event.Health(t.Context(), &emptypb.Empty{})
	ok(t, err)
	if standard.GetStatus() != healthpb.HealthCheckResponse_SERVING || one.GetStatus() != api.HealthCheckResponse_SERVING || other.GetStatus() != api.HealthCheckResponse_SERVING {
		t.Errorf("the answers are %s, %s, %s", standard.GetStatus(), one.GetStatus(), other.GetStatus())
	}
	watch, err := healthpb.NewHealthClient(w.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	ok(t, err)
	_, err = watch.Recv()
	ok(t, err)
	go w.stop()
	if last, err := watch.Recv(); err == nil && last.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("when the server stops it is %s", last.GetStatus())
	}
}

func TestHealthTellsTheVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Version = "v1.2.3" }})
	var header metadata.MD
	_, err := w.submit.Health(t.Context(), &emptypb.Empty{}, grpc.Header(&header))
	ok(t, err)
	if got := header.Get("armada-version"); !slices.Equal(got, []string{"v1.2.3"}) {
		t.Errorf("the version is %q", got)
	}
}

// strangers are callers that nobody knows.
type strangers struct{}

func (strangers) Authenticate(context.Context, auth.Credentials) (auth.Principal, error) {
	return auth.Principal{}, &armada.Error{Code: armada.CodeUnauthenticated, Message: "nobody knows you"}
}

func (strangers) Challenges() []string { return nil }

func TestNobodyIsServedWithoutAnIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) {
		d.Authenticator = &switched{first: auth.Anonymous{}, then: strangers{}, calls: 1}
	}})
	_, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
	wantCode(t, err, codes.Unauthenticated)
	_, err = w.history(&api.JobSetRequest{Queue: "q", Id: "set"})
	wantCode(t, err, codes.Unauthenticated)
}

// switched asks another authenticator after some calls.
type switched struct {
	first, then auth.Authenticator
	calls       int
}

func (s *switched) Challenges() []string { return nil }

func (s *switched) Authenticate(ctx context.Context, c auth.Credentials) (auth.Principal, error) {
	if s.calls--; s.calls >= 0 {
		return s.first.Authenticate(ctx, c)
	}
	return s.then.Authenticate(ctx, c)
}

// panicking is a store that fails in a way that nobody expected.
type panicking struct{ store.Store }

func (panicking) Count(context.Context, string) ([]store.JobSetCount, error) { panic("no") }

func TestAPanicIsAnInternalErrorOfOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{wrapStore: func(s store.Store) store.Store { return panicking{s} }})
	_, err := w.submit.GetQueueInfo(t.Context(), &api.QueueInfoRequest{Name: "q"})
	wantCode(t, err, codes.Internal)
	_, err = w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
	ok(t, err)
}

func TestErrorsFitIntoWhatTheClientTakes(t *testing.T) {
	t.Parallel()
	// Clients on gRPC's C core bound an answer's headers at 8 KiB.
	w := newWorld(t, options{dial: []grpc.DialOption{grpc.WithUserAgent("grpc-python/1.60"), grpc.WithMaxHeaderListSize(8 << 10)}})
	list := make([]*api.JobSubmitRequestItem, 500)
	for i := range list {
		list[i] = &api.JobSubmitRequestItem{}
	}
	_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "set", JobRequestItems: list})
	wantCode(t, err, codes.InvalidArgument)
	if !strings.Contains(status.Convert(err).Message(), "job_request_items[0].pod_spec") {
		t.Errorf("the error says nothing: %v", err)
	}
}

func TestCallsAreCountedByMethodAndCode(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Registry = registry }})
	_, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "never"})
	wantCode(t, err, codes.NotFound)
	families, err := registry.Gather()
	ok(t, err)
	got := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "armada_server_calls_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got[strings.Join(labels, " ")] = metric.GetCounter().GetValue()
		}
	}
	if want := map[string]float64{"NotFound /api.Submit/GetQueue": 1, "OK /api.Submit/CreateQueue": 1}; !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// listening notes what calls say about who makes them.
type listening struct{ heard chan [2]string }

func (listening) Challenges() []string { return nil }

func (l listening) Authenticate(ctx context.Context, c auth.Credentials) (auth.Principal, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	said := [2]string{strings.Join(c.Authorization, ","), strings.Join(md.Get("tenant"), ",")}
	if said != [2]string{} {
		l.heard <- said
	}
	return auth.Principal{Name: "ada"}, nil
}

func TestCredentialsAndMetadataPassTheGateway(t *testing.T) {
	t.Parallel()
	l := listening{make(chan [2]string, 1)}
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Authenticator = l }})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.server.HTTPAddr()+"/v1/queue/q", nil)
	ok(t, err)
	request.Header.Set("Authorization", "Basic abc")
	request.Header.Set("Grpc-Metadata-Tenant", "t1")
	answer, err := http.DefaultClient.Do(request)
	ok(t, err)
	_ = answer.Body.Close()
	if got, want := <-l.heard, [2]string{"Basic abc", "t1"}; answer.StatusCode != http.StatusOK || got != want {
		t.Errorf("%d, heard %q, want %q", answer.StatusCode, got, want)
	}
	id := w.submitted("set", items(1))[0]
	if got := w.job(id).Job.Owner; got != "ada" {
		t.Errorf("the owner is %q", got)
	}
}

func TestARequestThatIsTooLargeIsToldTheLimitAndIsNotRepeated(t *testing.T) {
	t.Parallel()
	const most = 100_000
	f := &fakeExecutors{reported: make(chan *executorapi.EventList, 1)}
	w := newWorld(t, options{config: func(c *server.Config) { c.MaxMessageBytes = most }, deps: func(d *server.Deps) { d.Executors = f }})
	request := &api.JobSubmitRequest{Queue: "q", JobSetId: "s", JobRequestItems: items(1)}
	note := map[string]string{"note": strings.Repeat("x", most/2)} // as many digits in its lengths as the whole has
	request.JobRequestItems[0].Annotations = note
	note["note"] += strings.Repeat("x", most-proto.Size(request))
	_, err := w.submit.SubmitJobs(t.Context(), request)
	ok(t, err)
	note["note"] += "x"
	for _, how := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
		_, err = w.submit.SubmitJobs(t.Context(), request, how...)
		wantCode(t, err, codes.InvalidArgument) // clients repeat RESOURCE_EXHAUSTED
		if want := "the request is 100001 bytes long, at most 100000 are taken (server.maxMessageBytes)"; err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("the client is told %v, want %s", err, want)
		}
	}
	stream, err := w.event.GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: "q", Id: strings.Repeat("x", most)})
	ok(t, err)
	_, err = stream.Recv()
	wantCode(t, err, codes.InvalidArgument)
}
