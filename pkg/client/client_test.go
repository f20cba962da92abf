package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
)

// accept answers a submit request with ids made of the client ids.
func accept(r *api.JobSubmitRequest) *api.JobSubmitResponse {
	answer := &api.JobSubmitResponse{}
	for _, item := range r.GetJobRequestItems() {
		answer.JobResponseItems = append(answer.JobResponseItems, &api.JobSubmitResponseItem{JobId: "job of " + item.GetClientId()})
	}
	return answer
}

func items(n int) []*api.JobSubmitRequestItem {
	all := make([]*api.JobSubmitRequestItem, n)
	for i := range all {
		all[i] = &api.JobSubmitRequestItem{ClientId: fmt.Sprint(i)}
	}
	return all
}

func TestManyJobsGoInSeveralRequestsAndKeepTheirOrder(t *testing.T) {
	t.Parallel()
	f := &fake{onSubmit: func(_ int, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) { return accept(r), nil }}
	ids, err := connect(t, f, Config{}).Submit(t.Context(), "q", "s", items(450))
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if id != fmt.Sprintf("job of %d", i) {
			t.Fatalf("the id of job %d is %q", i, id)
		}
	}
	var sizes []int
	for _, r := range f.taken() {
		sizes = append(sizes, len(r.GetJobRequestItems()))
	}
	if len(ids) != 450 || !slices.Equal(sizes, []int{200, 200, 50}) {
		t.Errorf("%d ids from requests of %v jobs", len(ids), sizes)
	}
}

func TestARequestIsCutBeforeItGetsTooLong(t *testing.T) {
	t.Parallel()
	f := &fake{onSubmit: func(_ int, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) { return accept(r), nil }}
	long := items(10)
	for _, item := range long {
		item.Annotations = map[string]string{"long": strings.Repeat("x", 1<<20)}
	}
	ids, err := connect(t, f, Config{}).Submit(t.Context(), "q", "s", long)
	if err != nil || len(ids) != 10 {
		t.Fatal(len(ids), err)
	}
	for _, r := range f.taken() {
		if proto.Size(r) > mostSent+1<<10 {
			t.Errorf("a request has %d bytes", proto.Size(r))
		}
	}
}

func TestARepeatedSubmitCarriesTheSameClientIDs(t *testing.T) {
	t.Parallel()
	f := &fake{onSubmit: func(n int, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
		if n < 3 {
			return nil, errUnavailable
		}
		return accept(r), nil
	}}
	same := &api.JobSubmitRequestItem{Priority: 7, Labels: map[string]string{"a": "b"}}
	ids, err := connect(t, f, Config{}).Submit(t.Context(), "q", "s", []*api.JobSubmitRequestItem{same, same})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.taken()) != 3 || !proto.Equal(f.taken()[0], f.taken()[2]) {
		t.Errorf("the attempts differ: %v", f.taken())
	}
	if ids[0] == ids[1] || ids[0] == "job of " {
		t.Errorf("two jobs have the ids %q", ids)
	}
	if same.GetClientId() != "" {
		t.Error("the caller's item was changed")
	}
	if got := f.taken()[0].GetJobRequestItems()[1]; got.GetPriority() != 7 || got.GetLabels()["a"] != "b" {
		t.Errorf("an item lost something: %v", got)
	}
}

func TestAFailedRequestLeavesTheIDsOfThoseBefore(t *testing.T) {
	t.Parallel()
	f := &fake{onSubmit: func(n int, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
		if n == 2 {
			return nil, errDenied
		}
		return accept(r), nil
	}}
	ids, err := connect(t, f, Config{}).Submit(t.Context(), "q", "s", items(450))
	var failed *SubmitError
	if !errors.As(err, &failed) || failed.First != 200 || failed.Last != 399 || status.Code(err) != codes.PermissionDenied {
		t.Errorf("the error is %v", err)
	}
	if len(ids) != 200 || len(f.taken()) != 2 {
		t.Errorf("%d ids after %d requests", len(ids), len(f.taken()))
	}
}

func TestRepeatingEndsWithTheDeadlineAndTheLastAnswer(t *testing.T) {
	t.Parallel()
	f := &fake{onSubmit: func(int, *api.JobSubmitRequest) (*api.JobSubmitResponse, error) { return nil, errUnavailable }}
	c := connect(t, f, Config{Timeout: 50 * time.Millisecond})
	_, err := c.Submit(t.Context(), "q", "s", items(1))
	if status.Code(err) != codes.Unavailable || len(f.taken()) < 2 {
		t.Errorf("after %d attempts: %v", len(f.taken()), err)
	}
}

func TestNoIDsCancelNothing(t *testing.T) {
	t.Parallel()
	f := &fake{}
	if _, err := connect(t, f, Config{}).Cancel(t.Context(), "q", "s", nil, ""); err != nil || f.cancels != 0 {
		t.Errorf("%d calls, %v: without ids a server would cancel the whole job set", f.cancels, err)
	}
}

func TestAListOfQueuesIsCompleteOrReadAgain(t *testing.T) {
	t.Parallel()
	queue := func(name string) *api.StreamingQueueMessage {
		return &api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_Queue{Queue: &api.Queue{Name: name}}}
	}
	f := &fake{onQueues: func(n int, send func(*api.StreamingQueueMessage)) error {
		send(queue("a"))
		switch n {
		case 1:
			return errUnavailable
		case 2:
			return nil // no end marker
		}
		send(queue("b"))
		send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_End{End: &api.EndMarker{}}})
		return nil
	}}
	queues, err := connect(t, f, Config{}).Queues(t.Context())
	if err != nil || len(queues) != 2 || queues[1].GetName() != "b" {
		t.Errorf("%v, %v", queues, err)
	}
}

func TestJobsAreReadPageByPageUpToTheLimit(t *testing.T) {
	t.Parallel()
	f := &fake{onJobs: func(r *lookout.GetJobsRequest) *lookout.GetJobsResponse {
		page := &lookout.GetJobsResponse{NextPageToken: r.GetPageToken() + "x"}
		for range r.GetPageSize() {
			page.Jobs = append(page.Jobs, &lookout.Job{JobId: r.GetPageToken()})
		}
		return page
	}}
	jobs, err := connect(t, f, Config{}).Jobs(t.Context(), JobQuery{Limit: 1500})
	if err != nil || len(jobs) != 1500 || jobs[1499].GetJobId() != "x" {
		t.Errorf("%d jobs, %v", len(jobs), err)
	}
}

func TestJobSetsAreReadPageByPageUpToTheLimit(t *testing.T) {
	t.Parallel()
	var asked []string
	f := &fake{onSets: func(r *lookout.ListJobSetsRequest) *lookout.ListJobSetsResponse {
		asked = append(asked, fmt.Sprint(r.GetQueue(), r.GetStartsWith(), r.GetContains(), r.GetActiveOnly(), r.GetPageToken(), r.GetPageSize()))
		page := &lookout.ListJobSetsResponse{NextPageToken: r.GetPageToken() + "x"}
		for range r.GetPageSize() {
			page.JobSets = append(page.JobSets, &lookout.JobSetSummary{JobSet: r.GetPageToken()})
		}
		return page
	}}
	seen := 0
	query := JobSetQuery{Queue: "q", Prefix: "p", Contains: "c", Active: true, Limit: 1500}
	err := connect(t, f, Config{}).EachJobSet(t.Context(), query, func(*lookout.JobSetSummary) error { seen++; return nil })
	if want := []string{"qpctrue1000", "qpctruex500"}; err != nil || seen != 1500 || !slices.Equal(asked, want) {
		t.Errorf("%d job sets, asked for %q, %v", seen, asked, err)
	}
	query.Limit = 0
	err = connect(t, f, Config{}).EachJobSet(t.Context(), query, func(*lookout.JobSetSummary) error { seen++; return ErrStop })
	if err != nil || seen != 1501 {
		t.Errorf("%d job sets, %v", seen, err)
	}
}

func TestWhatIsAskedOfJobsReachesTheServer(t *testing.T) {
	t.Parallel()
	var asked *lookout.GetJobsRequest
	f := &fake{onJobs: func(r *lookout.GetJobsRequest) *lookout.GetJobsResponse {
		asked = r
		return &lookout.GetJobsResponse{Jobs: []*lookout.Job{{}, {}}, NextPageToken: "more"}
	}}
	at := time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	seen := 0
	err := connect(t, f, Config{}).EachJob(t.Context(), JobQuery{
		IDs: []string{"a", "b"}, Queue: "q", JobSet: "s", JobSetPrefix: "p", Owner: "o", Namespace: "n",
		States: []armada.JobState{armada.JobFailed, armada.JobRunning}, SubmittedAfter: at, SubmittedBefore: at.Add(time.Second), OrderBy: "team", OrderByAnnotation: true, Ascending: true,
		Annotations: map[string]string{"k": "v"}, Where: []*lookout.Filter{{Field: "cpu", Match: lookout.Match_GREATER_THAN, Values: []string{"4"}}},
	}, func(*lookout.Job) error { seen++; return ErrStop })
	if err != nil || seen != 1 {
		t.Errorf("%d jobs were seen, %v", seen, err)
	}
	var got []string
	for _, f := range asked.GetFilters() {
		got = append(got, fmt.Sprintf("%s %s %v %v", f.GetField(), f.GetMatch(), f.GetValues(), f.GetIsAnnotation()))
	}
	want := []string{
		"job_id IN [a b] false", "queue EQUALS [q] false", "job_set EQUALS [s] false", "job_set STARTS_WITH [p] false", "owner EQUALS [o] false",
		"namespace EQUALS [n] false", "state IN [FAILED RUNNING] false", "submitted GREATER_THAN [2026-11-23T12:00:00.000000005Z] false",
		"submitted LESS_THAN [2026-11-23T12:00:01.000000005Z] false", "k EQUALS [v] true", "cpu GREATER_THAN [4] false",
	}
	order := &lookout.Order{Field: "team", IsAnnotation: true, Direction: lookout.Direction_ASCENDING}
	if !slices.Equal(got, want) || !proto.Equal(asked.GetOrder(), order) {
		t.Errorf("asked for %q, %v", got, asked.GetOrder())
	}
}

func TestALogIsOpenedAgainUntilItHasALineAndNotAfter(t *testing.T) {
	t.Parallel()
	f := &fake{onLogs: func(n int, send func(string)) error {
		if n < 3 {
			return errUnavailable
		}
		send("one")
		send("two")
		return errUnavailable
	}}
	var lines []string
	err := connect(t, f, Config{}).Logs(t.Context(), LogQuery{Job: "j"}, func(l *lookout.LogLine) error {
		lines = append(lines, l.GetLine())
		return nil
	})
	if !slices.Equal(lines, []string{"one", "two"}) || status.Code(err) != codes.Unavailable || f.logs != 3 {
		t.Errorf("%q after %d attempts, %v", lines, f.logs, err)
	}
}

// encodings notes how requests were compressed.
type encodings struct {
	stats.Handler
	last atomic.Pointer[string]
}

func (e *encodings) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (e *encodings) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *encodings) HandleConn(context.Context, stats.ConnStats)                       {}
func (e *encodings) HandleRPC(_ context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		e.last.Store(&header.Compression)
	}
}

func TestRequestsAreCompressedAndSayWhoCalls(t *testing.T) {
	t.Parallel()
	f := &fake{onSubmit: func(_ int, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) { return accept(r), nil }}
	seen := &encodings{}
	c := connect(t, f, Config{BasicAuth: &BasicAuth{Username: "alice", Password: "secret"}}, grpc.StatsHandler(seen))
	if _, err := c.Submit(t.Context(), "q", "s", items(1)); err != nil {
		t.Fatal(err)
	}
	if got := f.headers.Get("authorization"); !slices.Equal(got, []string{"basic YWxpY2U6c2VjcmV0"}) {
		t.Errorf("authorization is %q", got)
	}
	if got := *seen.last.Load(); got != "gzip" {
		t.Errorf("the request is compressed by %q", got)
	}
	plain := connect(t, f, Config{Uncompressed: true}, grpc.StatsHandler(seen))
	if _, err := plain.Submit(t.Context(), "q", "s", items(1)); err != nil {
		t.Fatal(err)
	}
	if got := *seen.last.Load(); got != "" {
		t.Errorf("the plain request is compressed by %q", got)
	}
}

func TestAServerThatIsNotThereIsSaidSo(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // nobody listens there now
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = Connect(ctx, Config{ArmadaURL: address})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), address) {
		t.Errorf("the error is %v", err)
	}
}

func TestPrintingACredentialHidesItsSecret(t *testing.T) {
	t.Parallel()
	config := Config{
		BasicAuth:          &BasicAuth{Username: "alice", Password: "hunter2"},
		OpenIDPasswordAuth: &OpenIDAuth{ClientID: "me", ClientSecret: "hunter2", Password: "hunter2"},
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("config", "basic", config.BasicAuth, "oidc", config.OpenIDPasswordAuth)
	printed := fmt.Sprintf("%v %+v %#v %s", *config.BasicAuth, config.BasicAuth, config.OpenIDPasswordAuth, config.OpenIDPasswordAuth) + logged.String()
	if strings.Contains(printed, "hunter2") || !strings.Contains(printed, "alice") {
		t.Errorf("printed: %s", printed)
	}
}

func TestAMessageOverALimitIsSentOnce(t *testing.T) {
	t.Parallel()
	f := &fake{onSubmit: func(int, *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
		return nil, status.Error(codes.ResourceExhausted, "grpc: received message larger than max (10 vs. 1)")
	}}
	_, err := connect(t, f, Config{Timeout: 5 * time.Second}).Submit(t.Context(), "q", "s", items(1))
	if status.Code(err) != codes.ResourceExhausted || len(f.taken()) != 1 {
		t.Errorf("after %d attempts: %v", len(f.taken()), err)
	}
}
