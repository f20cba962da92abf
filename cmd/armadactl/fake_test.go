package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada/internal/runs/process"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
	"armada/pkg/client"
)

// TestMain lets the test binary be the supervisor of the process runtime.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.SupervisorCommand {
		os.Exit(process.SupervisorMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

var update = flag.Bool("update", false, "write the golden files anew")

// noon is when everything here happens.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// server is a server with one queue, demo, whose job set first has three jobs:
// one succeeded, one failed, one runs.
type server struct {
	api.UnimplementedSubmitServer
	mu   sync.Mutex
	said []string // what was asked for, one line each
	seen bool     // the start of the job 3 was
	// awaited says that somebody waits for the first event of the job set later.
	awaited bool
}

type (
	eventServer struct {
		api.UnimplementedEventServer
		main *server
	}
	lookoutServer struct {
		lookout.UnimplementedLookoutServer
		main *server
	}
	policyServer struct {
		api.UnimplementedRetryPolicyServiceServer
		main *server
	}
	reportServer struct {
		schedulerobjects.UnimplementedSchedulerReportingServer
	}
)

func (s *server) note(words ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, strings.Join(words, " "))
}

func (s *server) Health(ctx context.Context, _ *emptypb.Empty) (*api.HealthCheckResponse, error) {
	return &api.HealthCheckResponse{}, grpc.SetHeader(ctx, metadata.Pairs("armada-version", "v9"))
}

func (s *server) CreateQueue(_ context.Context, q *api.Queue) (*emptypb.Empty, error) {
	s.note("create", q.GetName(), number(q.GetPriorityFactor()), strings.Join(q.GetUserOwners(), "+"), strings.Join(q.GetGroupOwners(), "+"),
		yesNo(q.GetCordoned()), sorted(q.GetLabels()), strings.Join(q.GetRetryPolicies(), "+"))
	if q.GetPriorityFactor() < 1 {
		return nil, refused(&errdetails.BadRequest_FieldViolation{Field: "priority_factor", Description: "is 0.5, must be a number from 1 up"})
	}
	return &emptypb.Empty{}, nil
}

func (s *server) UpdateQueue(_ context.Context, q *api.Queue) (*emptypb.Empty, error) {
	byClass := q.GetResourceLimitsByPriorityClassName()
	for _, class := range slices.Sorted(maps.Keys(byClass)) {
		s.note(class+":", fractions(byClass[class].GetMaximumResourceFraction()))
		byPool := byClass[class].GetMaximumResourceFractionByPool()
		for _, pool := range slices.Sorted(maps.Keys(byPool)) {
			s.note(class+"@"+pool+":", fractions(byPool[pool].GetMaximumResourceFraction()))
		}
	}
	return &emptypb.Empty{}, known(q.GetName())
}

func (s *server) DeleteQueue(_ context.Context, r *api.QueueDeleteRequest) (*emptypb.Empty, error) {
	if r.GetName() == "demo" {
		return nil, status.Error(codes.FailedPrecondition, `the queue "demo" has active jobs`)
	}
	return &emptypb.Empty{}, nil
}

func demo() *api.Queue {
	return &api.Queue{Name: "demo", PriorityFactor: 1.5, Labels: map[string]string{"team": "x"}, Permissions: []*api.Queue_Permissions{
		{Subjects: []*api.Queue_Permissions_Subject{{Kind: "User", Name: "alice"}}, Verbs: []string{"submit", "watch"}},
	}}
}

// other is a queue that has limits, and no jobs.
func other() *api.Queue {
	half := map[string]float64{"cpu": 0.5, "memory": 0.25}
	return &api.Queue{Name: "other-queue", PriorityFactor: 1, Cordoned: true, ResourceLimitsByPriorityClassName: map[string]*api.PriorityClassResourceLimits{
		"batch": {MaximumResourceFraction: half, MaximumResourceFractionByPool: map[string]*api.PriorityClassPoolResourceLimits{
			"gpu": {MaximumResourceFraction: map[string]float64{"cpu": 0.005}},
		}},
	}}
}

func (s *server) GetQueue(_ context.Context, r *api.QueueGetRequest) (*api.Queue, error) {
	if r.GetName() == other().GetName() {
		return other(), nil
	}
	return demo(), known(r.GetName())
}

func (s *server) GetQueueInfo(_ context.Context, r *api.QueueInfoRequest) (*api.QueueInfo, error) {
	info := &api.QueueInfo{Name: r.GetName()}
	if r.GetName() == "demo" {
		info.ActiveJobSets = []*api.JobSetInfo{{Name: "second", QueuedJobs: 1}, {Name: "first", QueuedJobs: 3, LeasedJobs: 2}}
	}
	return info, nil
}

func (s *server) GetQueues(_ *api.StreamingQueueGetRequest, stream grpc.ServerStreamingServer[api.StreamingQueueMessage]) error {
	for _, q := range []*api.Queue{demo(), other()} {
		if err := stream.Send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_Queue{Queue: q}}); err != nil {
			return err
		}
	}
	return stream.Send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_End{End: &api.EndMarker{}}})
}

func patient() *api.RetryPolicy {
	return &api.RetryPolicy{Name: "patient", RetryLimit: 3, DefaultAction: api.RetryAction_RETRY_ACTION_FAIL, Rules: []*api.RetryRule{
		{Action: api.RetryAction_RETRY_ACTION_FAIL, OnCategory: "user", OnSubcategory: "bug"},
		{Action: api.RetryAction_RETRY_ACTION_RETRY, OnExitCodes: []int32{3, 4}, OnTerminationMessage: "no space"},
		{Action: api.RetryAction_RETRY_ACTION_RETRY, OnConditions: []string{"OOMKilled"}, Mutate: &api.RetryMutation{
			Resources: &api.RetryResourceMutation{Memory: &api.RetryResourceBump{Factor: 1.5}},
		}},
	}}
}

func (s policyServer) CreateRetryPolicy(_ context.Context, p *api.RetryPolicy) (*emptypb.Empty, error) {
	s.main.note("policy", p.GetName(), p.GetRules()[0].GetAction().String(), p.GetRules()[0].GetOnTerminationMessage())
	if len(p.GetRules()) > 1 {
		return nil, refused(&errdetails.BadRequest_FieldViolation{Field: "rules[1].mutate.resources.memory.static", Description: "must be more than nothing"})
	}
	return &emptypb.Empty{}, nil
}

func (policyServer) UpdateRetryPolicy(_ context.Context, p *api.RetryPolicy) (*emptypb.Empty, error) {
	if p.GetName() != "patient" {
		return nil, status.Error(codes.NotFound, `there is no retry policy "`+p.GetName()+`"`)
	}
	return &emptypb.Empty{}, nil
}

func (policyServer) DeleteRetryPolicy(context.Context, *api.RetryPolicyDeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (policyServer) GetRetryPolicy(_ context.Context, r *api.RetryPolicyGetRequest) (*api.RetryPolicy, error) {
	if r.GetName() != "patient" {
		return nil, status.Error(codes.NotFound, `there is no retry policy "`+r.GetName()+`"`)
	}
	return patient(), nil
}

func (policyServer) GetRetryPolicies(context.Context, *api.RetryPolicyListRequest) (*api.RetryPolicyList, error) {
	return &api.RetryPolicyList{RetryPolicies: []*api.RetryPolicy{{Name: "never", DefaultAction: api.RetryAction_RETRY_ACTION_FAIL}, patient()}}, nil
}

func (s *server) SubmitJobs(_ context.Context, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
	if err := known(r.GetQueue()); err != nil {
		return nil, err
	}
	if r.GetJobSetId() == "refused" {
		return nil, refused(&errdetails.BadRequest_FieldViolation{
			Field: "job_request_items[0].pod_spec.containers[0].resources.limits[cpu]", Description: "is too much",
		})
	}
	answer := &api.JobSubmitResponse{}
	for i := range r.GetJobRequestItems() {
		if r.GetJobSetId() == "second" {
			i++
		}
		answer.JobResponseItems = append(answer.JobResponseItems, &api.JobSubmitResponseItem{JobId: job(i)})
	}
	return answer, nil
}

func (s *server) CancelJobs(_ context.Context, r *api.JobCancelRequest) (*api.CancellationResult, error) {
	if id := r.GetJobId(); id != "" {
		r.JobIds = append(r.JobIds, id)
	}
	s.note("cancel", r.GetQueue(), r.GetJobSetId(), strings.Join(r.GetJobIds(), "+"), r.GetReason())
	if len(r.GetJobIds()) == 0 {
		return &api.CancellationResult{CancelledIds: []string{job(1), job(2)}}, nil
	}
	if r.GetJobIds()[0] != job(2) {
		return &api.CancellationResult{}, nil
	}
	return &api.CancellationResult{CancelledIds: r.GetJobIds()}, nil
}

func (s *server) CancelJobSet(_ context.Context, r *api.JobSetCancelRequest) (*emptypb.Empty, error) {
	s.note("cancel-set", r.GetQueue(), r.GetJobSetId(), r.GetReason())
	return &emptypb.Empty{}, known(r.GetQueue())
}

func (s *server) ReprioritizeJobs(_ context.Context, r *api.JobReprioritizeRequest) (*api.JobReprioritizeResponse, error) {
	results := map[string]string{}
	if r.GetJobSetId() == "first" {
		results[job(2)] = ""
		for _, id := range r.GetJobIds() {
			if id == job(1) {
				results = map[string]string{id: "the job is failed"}
			}
		}
	}
	return &api.JobReprioritizeResponse{ReprioritizationResults: results}, nil
}

func (s eventServer) GetJobSetEvents(r *api.JobSetRequest, stream grpc.ServerStreamingServer[api.EventStreamMessage]) error {
	if err := known(r.GetQueue()); err != nil {
		return err
	}
	if r.GetId() == "later" {
		s.main.mu.Lock()
		defer s.main.mu.Unlock()
		s.main.awaited = r.GetWatch() && !r.GetErrorIfMissing()
		if !s.main.awaited {
			return status.Error(codes.NotFound, "it has no events")
		}
		return status.Error(codes.FailedPrecondition, "nothing will come") // a watch that would go on
	}
	if r.GetId() == "starting" {
		s.main.mu.Lock()
		s.main.seen = true
		s.main.mu.Unlock()
		return stream.Send(&api.EventStreamMessage{Id: "a", Message: &api.EventMessage{Events: &api.EventMessage_Running{Running: &api.JobRunningEvent{JobId: job(3)}}}})
	}
	for i, m := range history() {
		id := string(rune('a' + i))
		if id > r.GetFromMessageId() {
			if err := stream.Send(&api.EventStreamMessage{Id: id, Message: m}); err != nil {
				return err
			}
		}
	}
	if r.GetWatch() {
		<-stream.Context().Done()
	}
	return nil
}

func (lookoutServer) GetJobs(_ context.Context, r *lookout.GetJobsRequest) (*lookout.GetJobsResponse, error) {
	answer := &lookout.GetJobsResponse{Jobs: jobs()}
	for _, f := range r.GetFilters() {
		answer.Jobs = slices.DeleteFunc(answer.Jobs, func(j *lookout.Job) bool { return !passes(j, f) })
	}
	order, known := orders[r.GetOrder().GetField()]
	if !known {
		return nil, refused(&errdetails.BadRequest_FieldViolation{Field: "order.field", Description: "there is no field " + r.GetOrder().GetField()})
	}
	slices.SortStableFunc(answer.Jobs, func(a, b *lookout.Job) int { return order(b, a) })
	if r.GetOrder().GetDirection() == lookout.Direction_ASCENDING {
		slices.Reverse(answer.Jobs)
	}
	if n := int(r.GetPageSize()); n < len(answer.Jobs) {
		answer.Jobs, answer.NextPageToken = answer.Jobs[:n], "more"
	}
	return answer, nil
}

// orders are how jobs compare by the fields that this server sorts by.
var orders = map[string]func(a, b *lookout.Job) int{
	"submitted": func(_, _ *lookout.Job) int { return 0 }, // as they are
	"state":     func(a, b *lookout.Job) int { return cmp.Compare(a.GetState(), b.GetState()) },
	"priority":  func(a, b *lookout.Job) int { return cmp.Compare(a.GetPriority(), b.GetPriority()) },
	"last_transition": func(a, b *lookout.Job) int {
		return a.GetLastTransition().AsTime().Compare(b.GetLastTransition().AsTime())
	},
}

// passes tells whether a job passes a filter, as far as this server has any.
func passes(j *lookout.Job, f *lookout.Filter) bool {
	field := map[string]string{
		"queue": j.GetQueue(), "job_set": j.GetJobSet(), "state": j.GetState().String(), "job_id": j.GetJobId(), "owner": j.GetOwner(),
		"submitted": j.GetSubmitted().AsTime().Format(time.RFC3339Nano),
	}[f.GetField()]
	switch f.GetMatch() {
	case lookout.Match_EQUALS, lookout.Match_IN:
		return slices.Contains(f.GetValues(), field)
	case lookout.Match_STARTS_WITH:
		return strings.HasPrefix(field, f.GetValues()[0])
	case lookout.Match_GREATER_THAN:
		return field > f.GetValues()[0]
	default:
		panic("no such filter")
	}
}

func (lookoutServer) GetJob(_ context.Context, r *lookout.GetJobRequest) (*lookout.Job, error) {
	for _, j := range jobs() {
		if j.GetJobId() != r.GetJobId() {
			continue
		}
		if j.GetState() == api.JobState_QUEUED {
			j.Standing = &lookout.Standing{Place: 12, Queued: 340, Pools: []*lookout.PoolStanding{
				{Pool: "default", Queues: 3, Share: 0.25, FairShare: 0.333333}, {Pool: "gpu", Queues: 1, FairShare: 0.004},
			}}
		}
		return j, nil
	}
	if r.GetJobId() == job(3) { // is about to start
		return &lookout.Job{JobId: job(3), Queue: "demo", JobSet: "starting", State: api.JobState_LEASED, Reason: "pulling the image"}, nil
	}
	return nil, status.Error(codes.NotFound, "job "+r.GetJobId()+" is not known")
}

// Exec plays a program that says what it was given, reads its input, and ends as its
// first argument says.
func (s lookoutServer) Exec(call grpc.BidiStreamingServer[lookout.ExecRequest, lookout.ExecResponse]) error {
	first, err := call.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	switch start.GetJobId() {
	case job(0):
		return status.Error(codes.FailedPrecondition, "the run r1 of the job has ended (succeeded): no command can be run")
	case job(1):
		return status.Error(codes.PermissionDenied, `user "alice" may not exec in the queue "demo": that takes the verb exec on the queue, or the permission exec_any_jobs`)
	}
	said := fmt.Sprintf("%q in %q of the run %q\n", start.GetArgs(), start.GetContainer(), start.GetRunId())
	for start.GetInput() {
		m, err := call.Recv()
		if err != nil {
			return err
		}
		if m.GetInputEnded() {
			break
		}
		said += string(m.GetInput())
	}
	code, _ := strconv.Atoi(start.GetArgs()[0])
	for _, answer := range []*lookout.ExecResponse{
		{Message: &lookout.ExecResponse_Stdout{Stdout: []byte(said)}},
		{Message: &lookout.ExecResponse_Stderr{Stderr: []byte("warned\n")}},
		{Message: &lookout.ExecResponse_ExitCode{ExitCode: int32(code)}},
	} {
		if err := call.Send(answer); err != nil {
			return err
		}
	}
	return nil
}

func (s lookoutServer) GetLogs(r *lookout.LogsRequest, stream grpc.ServerStreamingServer[lookout.LogLine]) error {
	s.main.mu.Lock()
	started := r.GetJobId() == job(0) || r.GetJobId() == job(1) && !r.GetFollow() && r.GetTailLines() == explainedLines || r.GetJobId() == job(3) && s.main.seen
	s.main.mu.Unlock()
	if !started {
		return status.Error(codes.FailedPrecondition, "the job is queued and was never started: there is no log")
	}
	lines := []*lookout.LogLine{
		{Line: "one", Stream: "stdout", Timestamp: timestamppb.New(noon), Container: "main"},
		{Line: "two", Stream: "stderr", Timestamp: timestamppb.New(noon.Add(time.Second)), Container: "main"},
		{Line: "aside", Stream: "stdout", Timestamp: timestamppb.New(noon.Add(-time.Hour)), Container: "side"},
	}
	if r.GetPrevious() {
		lines = []*lookout.LogLine{{Line: "in an earlier life", Stream: "stdout", Timestamp: timestamppb.New(noon), Container: "side"}}
	}
	lines = slices.DeleteFunc(lines, func(l *lookout.LogLine) bool {
		return r.GetContainer() != "" && l.GetContainer() != r.GetContainer() || l.GetTimestamp().AsTime().Before(r.GetSince().AsTime())
	})
	if n := r.GetTailLines(); n > 0 {
		lines = lines[max(len(lines)-int(n), 0):]
	}
	for _, line := range lines {
		if err := stream.Send(line); err != nil {
			return err
		}
	}
	return nil
}

func (reportServer) GetSchedulingReport(context.Context, *schedulerobjects.SchedulingReportRequest) (*schedulerobjects.SchedulingReport, error) {
	return &schedulerobjects.SchedulingReport{Report: "Pool cpu\n  demo 50%\n"}, nil
}

func (reportServer) GetQueueReport(_ context.Context, r *schedulerobjects.QueueReportRequest) (*schedulerobjects.QueueReport, error) {
	return &schedulerobjects.QueueReport{Report: "Pool cpu\n  " + r.GetQueueName() + " 50%\n"}, known(r.GetQueueName())
}

func (reportServer) GetJobReport(_ context.Context, r *schedulerobjects.JobReportRequest) (*schedulerobjects.JobReport, error) {
	return &schedulerobjects.JobReport{Report: "Job " + r.GetJobId() + " is queued\n  no node has 8 free cpu\n  number 12 of 340 that wait in queue demo\n"}, nil
}

func known(queue string) error {
	if queue == "demo" {
		return nil
	}
	return status.Error(codes.NotFound, `could not find queue "`+queue+`"`)
}

func refused(violations ...*errdetails.BadRequest_FieldViolation) error {
	s, err := status.New(codes.InvalidArgument, "refused").WithDetails(&errdetails.BadRequest{FieldViolations: violations})
	if err != nil {
		return err
	}
	return s.Err()
}

// ran is what a command line came to.
type ran struct {
	code        int
	out, errors string
	said        []string // to the server
}

// run runs a command line against a server of its own.
func run(t *testing.T, args ...string) ran {
	t.Helper()
	connect, s := serve(t)
	result := runWith(t, connect, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	result.said = s.said
	return result
}

// serve starts a server and returns how to connect to it.
func serve(t *testing.T) (func(client.Config) (*client.Client, error), *server) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	grpcServer := grpc.NewServer()
	s := &server{}
	api.RegisterSubmitServer(grpcServer, s)
	api.RegisterRetryPolicyServiceServer(grpcServer, policyServer{main: s})
	api.RegisterQueueServiceServer(grpcServer, queueServer{main: s})
	api.RegisterExecutorServer(grpcServer, executorServer{main: s})
	binoculars.RegisterBinocularsServer(grpcServer, clusterServer{main: s})
	api.RegisterNodeServer(grpcServer, nodeServer{main: s})
	api.RegisterEventServer(grpcServer, eventServer{main: s})
	lookout.RegisterLookoutServer(grpcServer, lookoutServer{main: s})
	schedulerobjects.RegisterSchedulerReportingServer(grpcServer, reportServer{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = grpcServer.Serve(listener)
	}()
	t.Cleanup(func() { grpcServer.Stop(); <-served })
	return func(config client.Config) (*client.Client, error) {
		return client.New(config, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	}, s
}

func runWith(t *testing.T, connect func(client.Config) (*client.Client, error), args ...string) ran {
	t.Helper()
	return runIn(t, &cli{connect: connect}, args...)
}

// runIn runs a command line in a world; what a test leaves out of it is quiet,
// and no terminal.
func runIn(t *testing.T, c *cli, args ...string) ran {
	t.Helper()
	var out, errors bytes.Buffer
	c.out, c.errors, c.zone, c.now = &out, &errors, time.UTC, func() time.Time { return noon }
	if c.in == nil {
		c.in = strings.NewReader("")
	}
	if c.environment == nil {
		c.environment = func(string) string { return "" }
	}
	if c.terminal == nil {
		c.terminal = func() (int, bool) { return 0, false }
	}
	if c.signals == nil {
		c.signals = func(ctx context.Context) (context.Context, func() error) { return ctx, func() error { return nil } }
	}
	if !strings.Contains(strings.Join(args, " "), "--config") && c.environment("ARMADA_CONFIG") == "" {
		args = append([]string{"--config", filepath.Join("testdata", "config.yaml")}, args...)
	}
	code := c.run(t.Context(), args)
	return ran{code: code, out: out.String(), errors: errors.String()}
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update to accept, -want +got):\n%s", path, diff)
	}
}
