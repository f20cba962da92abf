package restjson_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada/internal/wire/restjson"
	"armada/pkg/api"
)

// echo answers what it was told, so that a test sees both directions.
type echo struct {
	api.UnimplementedSubmitServer
	api.UnimplementedEventServer
	queue atomic.Pointer[api.Queue]
	more  chan struct{} // Lets the second event through.
}

func (e *echo) SubmitJobs(_ context.Context, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
	response := &api.JobSubmitResponse{}
	for _, item := range r.GetJobRequestItems() {
		cpu := item.GetPodSpec().GetContainers()[0].GetResources().GetLimits()["cpu"].GetString_()
		response.JobResponseItems = append(response.JobResponseItems, &api.JobSubmitResponseItem{JobId: r.GetQueue() + "/" + r.GetJobSetId() + "/" + cpu})
	}
	return response, nil
}

func (e *echo) UpdateQueue(_ context.Context, q *api.Queue) (*emptypb.Empty, error) {
	e.queue.Store(q)
	return &emptypb.Empty{}, nil
}

func (e *echo) GetQueue(_ context.Context, r *api.QueueGetRequest) (*api.Queue, error) {
	return nil, status.Error(codes.NotFound, "no queue "+r.GetName())
}

func (e *echo) GetQueues(r *api.StreamingQueueGetRequest, s grpc.ServerStreamingServer[api.StreamingQueueMessage]) error {
	for i := range r.GetNum() {
		queue := &api.Queue{Name: fmt.Sprint("q", i)}
		if err := s.Send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_Queue{Queue: queue}}); err != nil {
			return err
		}
	}
	return s.Send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_End{End: &api.EndMarker{}}})
}

func (e *echo) GetJobSetEvents(r *api.JobSetRequest, s grpc.ServerStreamingServer[api.EventStreamMessage]) error {
	if r.GetQueue() == "none" {
		return status.Error(codes.NotFound, "no such job set")
	}
	if err := s.SendHeader(nil); err != nil {
		return err
	}
	if r.GetQueue() == "quiet" {
		<-e.more
		return status.Error(codes.Unavailable, "stopping")
	}
	for i, from := range []string{r.GetQueue(), r.GetId()} {
		message := &api.EventMessage{Events: &api.EventMessage_Queued{Queued: &api.JobQueuedEvent{
			JobId: from, Created: timestamppb.New(time.Unix(int64(i), 5)),
		}}}
		if err := s.Send(&api.EventStreamMessage{Id: fmt.Sprint(i), Message: message}); err != nil {
			return err
		}
		select {
		case <-e.more:
		case <-s.Context().Done():
		}
	}
	return status.Error(codes.Unavailable, "stopping")
}

func (e *echo) Health(context.Context, *emptypb.Empty) (*api.HealthCheckResponse, error) {
	return &api.HealthCheckResponse{Status: api.HealthCheckResponse_SERVING}, nil
}

const maxBody = 2 << 20

// rest serves echo over REST.
func rest(t *testing.T) (*echo, *httptest.Server) {
	t.Helper()
	e := &echo{more: make(chan struct{}, 2)}
	pipe := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	api.RegisterSubmitServer(server, e)
	api.RegisterEventServer(server, e)
	served := make(chan error, 1)
	go func() { served <- server.Serve(pipe) }()
	connection, err := grpc.NewClient("passthrough:pipe", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	mux := runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, restjson.Marshaler{}),
		runtime.WithForwardResponseOption(flushFirst))
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{api.RegisterSubmitHandler, api.RegisterEventHandler} {
		if err := register(t.Context(), mux, connection); err != nil {
			t.Fatal(err)
		}
	}
	front := httptest.NewServer(http.MaxBytesHandler(restjson.FieldValidation(mux), maxBody))
	t.Cleanup(func() {
		front.Close()
		_ = connection.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return e, front
}

// flushFirst sends the headers of a stream that was accepted.
func flushFirst(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	if metadata, _ := runtime.ServerMetadataFromContext(ctx); message != nil || metadata.HeaderMD == nil {
		return nil
	}
	w.Header().Set("Content-Type", restjson.ContentType)
	return http.NewResponseController(w).Flush()
}

// call answers status, body and warnings.
func call(t *testing.T, front *httptest.Server, verb, path, body string) (int, string, []string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), verb, front.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := front.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); kind != restjson.ContentType {
		t.Errorf("%s %s is answered as %q", verb, path, kind)
	}
	return response.StatusCode, string(text), response.Header.Values("Warning")
}

func TestAQueueIsPutByOldClients(t *testing.T) {
	t.Parallel()
	e, front := rest(t)
	for range 2 {
		code, body, warnings := call(t, front, http.MethodPut, "/v1/queue/x", `{"priorityFactor":2}`)
		if code != http.StatusOK || body != "{}" || len(warnings) != 0 {
			t.Errorf("%d %s %v", code, body, warnings)
		}
	}
	same(t, e.queue.Load(), &api.Queue{Name: "x", PriorityFactor: 2})
}

func TestAManifestIsSubmittedOverREST(t *testing.T) {
	t.Parallel()
	_, front := rest(t)
	code, body, warnings := call(t, front, http.MethodPost, "/v1/job/submit",
		`{"queue":"a","JobSetID":"b","jobRequestItems":[{"podSpec":{"containers":[{"resources":{"limits":{"cpu":0.12}}}],"volumes":null}}]}`)
	if want := `{"jobResponseItems":[{"jobId":"a/b/120m"}]}`; code != http.StatusOK || body != want || len(warnings) != 0 {
		t.Errorf("%d %s %v, want %s", code, body, warnings, want)
	}
}

func TestUnknownNamesAreAWarningUnlessStrictIsAskedFor(t *testing.T) {
	t.Parallel()
	_, front := rest(t)
	const body = `{"queue":"a","jobRequestItems":[{"podSpec":{"containers":[{"imagge":"x"}]}}],"colour":1}`
	wantWarnings := []string{
		`299 - "unknown field \"jobRequestItems[0].podSpec.containers[0].imagge\""`,
		`299 - "unknown field \"colour\""`,
	}
	for _, query := range []string{"", "?fieldValidation=Warn"} {
		code, answer, warnings := call(t, front, http.MethodPost, "/v1/job/submit"+query, body)
		if code != http.StatusOK || fmt.Sprint(warnings) != fmt.Sprint(wantWarnings) {
			t.Errorf("%s: %d %s %v", query, code, answer, warnings)
		}
	}
	code, answer, warnings := call(t, front, http.MethodPost, "/v1/job/submit?fieldValidation=Ignore", body)
	if code != http.StatusOK || len(warnings) != 0 {
		t.Errorf("ignored: %d %s %v", code, answer, warnings)
	}
	code, answer, _ = call(t, front, http.MethodPost, "/v1/job/submit?fieldValidation=Strict", body)
	if code != http.StatusBadRequest || !strings.Contains(answer, `containers[0].imagge`) || !strings.Contains(answer, `colour`) {
		t.Errorf("strict: %d %s", code, answer)
	}
	code, answer, _ = call(t, front, http.MethodPost, "/v1/job/submit?fieldValidation=Perhaps", body)
	if code != http.StatusBadRequest || !strings.Contains(answer, "Ignore, Warn or Strict") {
		t.Errorf("perhaps: %d %s", code, answer)
	}
}

func TestManyUnknownNamesDoNotFillTheHeaders(t *testing.T) {
	t.Parallel()
	_, front := rest(t)
	var body strings.Builder
	body.WriteString(`{"priorityFactor":1`)
	for i := range 1000 {
		fmt.Fprintf(&body, `,"%s%d":0`, strings.Repeat("é\n", 300), i)
	}
	body.WriteString("}")
	body2 := strings.ReplaceAll(body.String(), "\n", `\n`)
	code, _, warnings := call(t, front, http.MethodPut, "/v1/queue/x", body2)
	size := 0
	for _, w := range warnings {
		size += len(w)
	}
	if code != http.StatusOK || len(warnings) != 51 || size > 100_000 {
		t.Errorf("%d with %d warnings of %d bytes", code, len(warnings), size)
	}
}

func TestAnErrorIsAnObjectWithItsMessage(t *testing.T) {
	t.Parallel()
	_, front := rest(t)
	code, body, _ := call(t, front, http.MethodGet, "/v1/queue/x", "")
	if want := `{"code":5,"message":"no queue x","details":[]}`; code != http.StatusNotFound || body != want {
		t.Errorf("%d %s, want %s", code, body, want)
	}
	code, body, _ = call(t, front, http.MethodPost, "/v1/job/submit", `{"queue":`)
	if code != http.StatusBadRequest || !strings.Contains(body, "not valid JSON") {
		t.Errorf("%d %s", code, body)
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	_, front := rest(t)
	code, body, _ := call(t, front, http.MethodPut, "/v1/queue/x", `{"labels":{"a":"`+strings.Repeat("x", maxBody)+`"}}`)
	if code != http.StatusBadRequest || !strings.Contains(body, "too large") {
		t.Errorf("%d %s", code, body)
	}
}

func TestTheQueueStreamEndsWithItsEndLine(t *testing.T) {
	t.Parallel()
	_, front := rest(t)
	_, body, _ := call(t, front, http.MethodGet, "/v1/batched/queues?num=2", "")
	want := `{"result":{"Event":{"queue":{"name":"q0"}}}}` + "\n" + `{"result":{"Event":{"queue":{"name":"q1"}}}}` + "\n" + `{"result":{"Event":{"end":{}}}}` + "\n"
	if body != want {
		t.Errorf("got\n%swant\n%s", body, want)
	}
	if _, body, _ = call(t, front, http.MethodGet, "/v1/batched/queues", ""); body != `{"result":{"Event":{"end":{}}}}`+"\n" {
		t.Errorf("without queues: %s", body)
	}
}

func TestEventsArriveLineByLineWhileTheStreamGoesOn(t *testing.T) {
	t.Parallel()
	e, front := rest(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/v1/job-set/q/s", strings.NewReader(`{"watch":true,"fromMessageId":null,"extra":1}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := front.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if got := response.Header.Values("Warning"); response.StatusCode != http.StatusOK || len(got) != 1 {
		t.Errorf("the stream starts with %d and warns of %v", response.StatusCode, got)
	}
	lines := bufio.NewScanner(response.Body)
	for _, want := range []string{
		`{"result":{"id":"0","message":{"queued":{"jobId":"q","created":"1970-01-01T00:00:00.000000005Z"}}}}`,
		`{"result":{"id":"1","message":{"queued":{"jobId":"s","created":"1970-01-01T00:00:01.000000005Z"}}}}`,
		`{"error":{"code":14,"message":"stopping","details":[]}}`,
	} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q (%v)", lines.Text(), want, lines.Err())
		}
		e.more <- struct{}{} // Only now may the next one be sent.
	}
}

func TestAStreamWithoutEventsHasItsHeadersAtOnce(t *testing.T) {
	t.Parallel()
	e, front := rest(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/v1/job-set/quiet/s", strings.NewReader(`{"watch":true,"extra":1}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := front.Client().Do(request) // The first event is never sent.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != restjson.ContentType || len(response.Header.Values("Warning")) != 1 {
		t.Errorf("the stream starts with %d and %v", response.StatusCode, response.Header)
	}
	e.more <- struct{}{}
	rest, err := io.ReadAll(response.Body)
	if want := `{"error":{"code":14,"message":"stopping","details":[]}}` + "\n"; err != nil || string(rest) != want {
		t.Errorf("it ends with %s (%v), want %s", rest, err, want)
	}
}

func TestAStreamThatIsRefusedHasItsOwnStatus(t *testing.T) {
	t.Parallel()
	_, front := rest(t)
	code, body, _ := call(t, front, http.MethodPost, "/v1/job-set/none/s", `{"errorIfMissing":true}`)
	if code != http.StatusNotFound || !strings.Contains(body, "no such job set") {
		t.Errorf("%d %s", code, body)
	}
}
