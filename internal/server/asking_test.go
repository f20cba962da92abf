package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/runs"
	"armada/internal/server"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/lookout"
	"armada/pkg/api/peers"
	"armada/pkg/api/schedulerobjects"
)

func TestEveryIDAskedForHasAState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ids := w.submitted("set", items(2))
	w.change(ids[1], lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "default"}})
	answer, err := w.jobs.GetJobStatus(t.Context(), &api.JobStatusRequest{JobIds: []string{ids[0], ids[1], "never"}})
	ok(t, err)
	got := answer.GetJobStates()
	if len(got) != 3 || got[ids[0]] != api.JobState_QUEUED || got[ids[1]] != api.JobState_LEASED || got["never"] != api.JobState_UNKNOWN {
		t.Errorf("the states are %v", got)
	}
}

func TestDetailsTellTheRunsLatestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(2)
	list[0].ExternalJobUri = "x://1"
	ids := w.submitted("set", list)
	w.start(ids[0])
	w.change(ids[0], lifecycle.Change{Kind: lifecycle.ReportReturned, End: armada.RunEnd{Reason: "no room"}})
	w.change(ids[0], lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e2", Node: "n2", Pool: "default"}})
	answer, err := w.jobs.GetJobDetails(t.Context(), &api.JobDetailsRequest{JobIds: append(ids, "never"), ExpandJobSpec: true, ExpandJobRun: true})
	ok(t, err)
	got := answer.GetJobDetails()[ids[0]]
	if len(answer.GetJobDetails()) != 2 || got.GetLatestRunId() != ids[0]+"-2" || len(got.GetJobRuns()) != 2 ||
		got.GetJobRuns()[0].GetCluster() != "e2" || got.GetJobRuns()[1].GetState() != api.JobRunState_RUNS_STATE_LEASE_RETURNED ||
		got.GetSubmittedTs() == nil || len(got.GetJobSpec().GetPodSpec().GetContainers()) != 1 {
		t.Errorf("the details are %v", answer)
	}
	status, err := w.jobs.GetJobStatusUsingExternalJobUri(t.Context(), &api.JobStatusUsingExternalJobUriRequest{Queue: "q", Jobset: "set", ExternalJobUri: "x://1"})
	ok(t, err)
	if states := status.GetJobStates(); len(states) != 1 || states[ids[0]] != api.JobState_LEASED {
		t.Errorf("by URI: %v", states)
	}
	run, err := w.jobs.GetJobRunDetails(t.Context(), &api.JobRunDetailsRequest{RunIds: []string{ids[0] + "-1", ids[0] + "-9", "never"}})
	ok(t, err)
	if details := run.GetJobRunDetails(); len(details) != 1 || details[ids[0]+"-1"].GetNode() != "n1" {
		t.Errorf("by run: %v", details)
	}
}

func TestErrorsAreToldOfJobsThatFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ids := w.submitted("set", items(2))
	w.change(ids[0], lifecycle.Change{Kind: lifecycle.Reject, Reason: "too large for every node"})
	answer, err := w.jobs.GetJobErrors(t.Context(), &api.JobErrorsRequest{JobIds: ids})
	ok(t, err)
	if got := answer.GetJobErrors(); len(got) != 2 || got[ids[0]] != "too large for every node" || got[ids[1]] != "" {
		t.Errorf("the errors are %q", got)
	}
}

func TestAQueueIsActiveInThePoolWhereItsJobsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	answer, err := w.jobs.GetActiveQueues(t.Context(), &api.GetActiveQueuesRequest{})
	ok(t, err)
	if got := answer.GetActiveQueuesByPool(); len(got) != 0 {
		t.Errorf("without jobs: %v", got)
	}
	for i, pool := range []string{"default", "gpu"} {
		session := armada.SessionID("s" + pool)
		id := []armada.ExecutorID{"e1", "e2"}[i]
		ok(t, w.store.OpenSession(t.Context(), armada.Executor{ID: id, Session: session, Lease: time.Minute}))
		ok(t, w.store.PutNodes(t.Context(), id, session, []armada.Node{{Name: "n-" + pool, Executor: id, Pool: pool}}))
	}
	w.start(w.submitted("set", items(1))[0])
	answer, err = w.jobs.GetActiveQueues(t.Context(), &api.GetActiveQueuesRequest{})
	ok(t, err)
	if got := answer.GetActiveQueuesByPool(); len(got) != 1 || len(got["default"].GetQueues()) != 1 || got["default"].GetQueues()[0] != "q" {
		t.Errorf("with a running job: %v", got)
	}
	w.submitted("set", items(1))
	answer, err = w.jobs.GetActiveQueues(t.Context(), &api.GetActiveQueuesRequest{})
	ok(t, err)
	if got := answer.GetActiveQueuesByPool(); len(got) != 2 {
		t.Errorf("with a queued job: %v", got)
	}
}

// full says that every queued job waits for its queue, and reads logs where it is
// told to.
type full struct{ server.LogSource }

func (full) RunCommand(context.Context, armada.ExecutorID, wire.Exec, wire.ExecStream) error {
	return nil
}

func (full) Service() peers.PeersServer { return peers.UnimplementedPeersServer{} }

func (full) Waits(_ context.Context, jobs []armada.Job) []string {
	return slices.Repeat([]string{"the queue is cordoned"}, len(jobs))
}

func (full) Shares(context.Context, string, int) (string, error) { return "", nil }

func (full) QueueShares(context.Context) (map[string][]*lookout.QueueShare, bool) {
	return map[string][]*lookout.QueueShare{"q": {{Pool: "default", Share: 0.25}}}, true
}

func (full) Standing(context.Context, armada.Job) *lookout.Standing {
	return &lookout.Standing{Place: 12, Queued: 340, Pools: []*lookout.PoolStanding{{Pool: "default", Queues: 3, Share: 0.25, FairShare: 0.5}}}
}

func TestJobsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = full{} }})
	list := items(5)
	list[3].Annotations = map[string]string{"team": "a"}
	ids := w.submitted("set-1", list)
	w.submitted("other", items(1))
	w.start(ids[0])
	client := lookout.NewLookoutClient(w.conn)
	ask := func(filters ...*lookout.Filter) []string {
		t.Helper()
		var got []string
		request := &lookout.GetJobsRequest{PageSize: 2, Filters: filters}
		for {
			page, err := client.GetJobs(t.Context(), request)
			ok(t, err)
			if len(page.GetJobs()) > 2 {
				t.Errorf("a page has %d jobs", len(page.GetJobs()))
			}
			for _, job := range page.GetJobs() {
				got = append(got, job.GetJobId())
			}
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				return got
			}
		}
	}
	set := &lookout.Filter{Field: "job_set", Match: lookout.Match_STARTS_WITH, Values: []string{"set"}}
	if got := ask(set); len(got) != 5 || got[0] != ids[4] || got[4] != ids[0] {
		t.Errorf("by job set: %v, want the newest of %v first", got, ids)
	}
	if got := ask(set, &lookout.Filter{Field: "state", Match: lookout.Match_IN, Values: []string{"running", "PENDING"}}); len(got) != 1 || got[0] != ids[0] {
		t.Errorf("by state: %v", got)
	}
	if got := ask(&lookout.Filter{Field: "team", IsAnnotation: true, Values: []string{"a"}}); len(got) != 1 || got[0] != ids[3] {
		t.Errorf("by annotation: %v", got)
	}
	job, err := client.GetJob(t.Context(), &lookout.GetJobRequest{JobId: ids[1]})
	ok(t, err)
	if job.GetReason() != "the queue is cordoned" || job.GetPriorityClass() != "armada-default" || job.GetResources()["cpu"] != "1" {
		t.Errorf("the job is %v", job)
	}
	_, err = client.GetJob(t.Context(), &lookout.GetJobRequest{JobId: "never"})
	wantCode(t, err, codes.NotFound)
	_, err = client.GetJobs(t.Context(), &lookout.GetJobsRequest{PageSize: -1, Filters: []*lookout.Filter{{Field: "state", Values: []string{"flying"}}, {Field: "queue"}}})
	wantPaths(t, err, "page_size", "filters[0].values[0]", "filters[1].values")
}

func TestAJobThatIsAskedForByItselfTellsWhereItStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = full{} }})
	ids := w.submitted("set", items(2))
	w.start(ids[1])
	client := lookout.NewLookoutClient(w.conn)
	waits, err := client.GetJob(t.Context(), &lookout.GetJobRequest{JobId: ids[0]})
	ok(t, err)
	if s := waits.GetStanding(); s.GetPlace() != 12 || s.GetQueued() != 340 || len(s.GetPools()) != 1 || s.GetPools()[0].GetFairShare() != 0.5 {
		t.Errorf("it stands at %v", s)
	}
	runs, err := client.GetJob(t.Context(), &lookout.GetJobRequest{JobId: ids[1]})
	ok(t, err)
	if runs.GetStanding() != nil {
		t.Errorf("a job that runs stands at %v", runs.GetStanding())
	}
	answer, body := w.call(http.MethodGet, "/v1/lookout/job/"+ids[0], "")
	if answer.StatusCode != http.StatusOK || !strings.Contains(body, `"standing":{"place":12,"queued":340,`) {
		t.Errorf("over REST: %d %s", answer.StatusCode, body)
	}
}

func TestLogsComeFromTheExecutorThatHasThem(t *testing.T) {
	t.Parallel()
	f := &fakeExecutors{lines: []runs.LogLine{{Text: []byte("one")}, {Text: []byte("two \xff"), Stderr: true}}}
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = full{f} }})
	ids := w.submitted("set", items(2))
	w.start(ids[0])
	client := lookout.NewLookoutClient(w.conn)
	stream, err := client.GetLogs(t.Context(), &lookout.LogsRequest{JobId: ids[0], Container: "main", TailLines: 5, Previous: true})
	ok(t, err)
	var got []string
	for {
		l, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		ok(t, err)
		got = append(got, l.GetContainer()+" "+l.GetStream()+": "+l.GetLine())
	}
	if want := "e1/" + ids[0] + "-1 stdout: one|e1/" + ids[0] + "-1 stderr: two �"; strings.Join(got, "|") != want || f.asked.Tail != 5 || !f.asked.Previous {
		t.Errorf("the log is %q, want %q, asked for as %+v", got, want, f.asked)
	}
	for _, id := range ids { // whether it was started or not
		stream, err = client.GetLogs(t.Context(), &lookout.LogsRequest{JobId: id, Container: "nope"})
		ok(t, err)
		_, err = stream.Recv()
		wantCode(t, err, codes.InvalidArgument)
		if told := status.Convert(err).Message(); !strings.Contains(told, `the job has no container "nope"; it has main`) {
			t.Errorf("a container that is not there: %s", told)
		}
	}
	for id, want := range map[string]codes.Code{ids[1]: codes.FailedPrecondition, "never": codes.NotFound} {
		stream, err := client.GetLogs(t.Context(), &lookout.LogsRequest{JobId: id})
		ok(t, err)
		_, err = stream.Recv()
		wantCode(t, err, want)
	}
	answer, body := w.call(http.MethodPost, "/v1/lookout/logs", `{"jobId":"`+ids[0]+`"}`)
	if answer.StatusCode != http.StatusOK || strings.Count(body, "\n") != 2 || !strings.Contains(body, `"line":"one"`) {
		t.Errorf("over REST: %d %s", answer.StatusCode, body)
	}
}

func TestANameThatIsLeftOutIsToldByItsPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{config: func(c *server.Config) { c.MaxIDsPerQuery = 1 }})
	policies, reports := api.NewRetryPolicyServiceClient(w.conn), schedulerobjects.NewSchedulerReportingClient(w.conn)
	ctx := t.Context()
	run := "01m8cvfzpbrcj1rzysf88gk04x-1"
	for name, c := range map[string]struct {
		call func() (any, error)
		path string
	}{
		"GetQueue":          {func() (any, error) { return w.submit.GetQueue(ctx, &api.QueueGetRequest{}) }, "name"},
		"DeleteQueue":       {func() (any, error) { return w.queue.DeleteQueue(ctx, &api.QueueDeleteRequest{}) }, "name"},
		"UncordonQueue":     {func() (any, error) { return w.queue.UncordonQueue(ctx, &api.QueueUncordonRequest{}) }, "name"},
		"GetRetryPolicy":    {func() (any, error) { return policies.GetRetryPolicy(ctx, &api.RetryPolicyGetRequest{}) }, "name"},
		"DeleteRetryPolicy": {func() (any, error) { return policies.DeleteRetryPolicy(ctx, &api.RetryPolicyDeleteRequest{}) }, "name"},
		"GetQueueReport":    {func() (any, error) { return reports.GetQueueReport(ctx, &schedulerobjects.QueueReportRequest{}) }, "queue_name"},
		"GetJobReport":      {func() (any, error) { return reports.GetJobReport(ctx, &schedulerobjects.JobReportRequest{}) }, "job_id"},
		"lookout GetJob":    {func() (any, error) { return lookout.NewLookoutClient(w.conn).GetJob(ctx, &lookout.GetJobRequest{}) }, "job_id"},
		"Logs":              {func() (any, error) { return binoculars.NewBinocularsClient(w.conn).Logs(ctx, &binoculars.LogRequest{}) }, "job_id"},
		"too many runs": {func() (any, error) {
			return w.jobs.GetJobRunDetails(ctx, &api.JobRunDetailsRequest{RunIds: []string{run, run}})
		}, "run_ids"},
		"too many jobs": {func() (any, error) {
			return w.jobs.GetJobStatus(ctx, &api.JobStatusRequest{JobIds: []string{"a", "b"}})
		}, "job_ids"},
		"CordonQueue": {func() (any, error) { return w.queue.CordonQueue(ctx, &api.QueueCordonRequest{}) }, "name"},
		"DeleteExecutor": {func() (any, error) {
			return api.NewExecutorClient(w.conn).DeleteExecutor(ctx, &api.ExecutorDeleteRequest{})
		}, "name"},
		"the report of a job": {func() (any, error) {
			return reports.GetSchedulingReport(ctx, &schedulerobjects.SchedulingReportRequest{Filter: &schedulerobjects.SchedulingReportRequest_MostRecentForJob{}})
		}, "job_id"},
	} {
		_, err := c.call()
		if got := paths(err); len(got) != 1 || got[0] != c.path {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := reports.GetQueueReport(ctx, &schedulerobjects.QueueReportRequest{QueueName: "qq"})
	wantCode(t, err, codes.NotFound)
	if err != nil && !strings.Contains(err.Error(), `could not find queue "qq", did you mean "q"?`) {
		t.Errorf("the report of an unknown queue is %v", err)
	}
}
