package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/server"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
)

// where is a filter.
func where(field string, match lookout.Match, values ...string) *lookout.Filter {
	return &lookout.Filter{Field: field, Match: match, Values: values}
}

// looking is a world with six jobs: the first runs, the second is cancelled and
// the third rejected. The last two are of another job set and owner of nothing.
func looking(t *testing.T) (*world, lookout.LookoutClient, []string) {
	t.Helper()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers, d.Executors = full{}, &fakeExecutors{} }})
	list := items(6)
	for i := range list {
		list[i].Priority = float64(10 + i)
		list[i].Annotations = map[string]string{"team": []string{"red", "blue"}[i%2]}
	}
	ids := w.submitted("first", list[:4])
	ids = append(ids, w.submitted("second", list[4:])...)
	w.start(ids[0])
	w.change(ids[1], lifecycle.Change{Kind: lifecycle.Cancel, By: "carol", Reason: "enough"})
	w.change(ids[2], lifecycle.Change{Kind: lifecycle.Reject, Reason: "too large"})
	return w, lookout.NewLookoutClient(w.conn), ids
}

func TestJobsAreFilteredByEveryFieldAndSortedByAny(t *testing.T) {
	t.Parallel()
	_, client, ids := looking(t)
	now := time.Now().UTC()
	team := where("team", lookout.Match_STARTS_WITH, "bl")
	team.IsAnnotation = true
	for want, filter := range map[string]*lookout.Filter{
		"0":       where("node", lookout.Match_CONTAINS, "1"),
		"0 ":      where("executor", lookout.Match_EXISTS),
		"1":       where("cancel_user", lookout.Match_EQUALS, "carol"),
		"1 ":      where("cancel_reason", lookout.Match_STARTS_WITH, "en"),
		"2":       where("reason", lookout.Match_CONTAINS, "large"),
		"1 2 3":   where("priority", lookout.Match_IN, "11", "12", "13"),
		"4 5":     where("priority", lookout.Match_GREATER_THAN, "13"),
		"3 4 5":   where("priority", lookout.Match_GREATER_OR_EQUAL, "13"),
		"0 1":     where("priority", lookout.Match_LESS_OR_EQUAL, "11"),
		"4 5 ":    where("job_set", lookout.Match_CONTAINS, "eco"),
		"1 3 5":   team,
		"0  ":     where("attempts", lookout.Match_GREATER_THAN, "0"),
		"":        where("submitted", lookout.Match_GREATER_THAN, now.Add(time.Hour).Format(time.RFC3339)),
		"3 4 5 ":  where("state", lookout.Match_IN, "QUEUED", "pending"),
		" ":       where("cpu", lookout.Match_LESS_THAN, "1"),
		"  ":      where("memory", lookout.Match_GREATER_THAN, "1Gi"),
		"   ":     where("gpu", lookout.Match_EXISTS),
		"0 1 2 3": where("job_set", lookout.Match_EQUALS, "first", "third"),
	} {
		page, err := client.GetJobs(t.Context(), &lookout.GetJobsRequest{
			Filters: []*lookout.Filter{filter}, Order: &lookout.Order{Direction: lookout.Direction_ASCENDING}, TimeBudget: durationpb.New(5 * time.Second),
		})
		ok(t, err)
		var got []string
		for _, job := range page.GetJobs() {
			got = append(got, fmt.Sprint(slices.Index(ids, job.GetJobId())))
		}
		if strings.Join(got, " ") != strings.TrimSpace(want) {
			t.Errorf("%v finds %v, want %s", filter, got, want)
		}
	}
	request := &lookout.GetJobsRequest{Order: &lookout.Order{Field: "priority"}, PageSize: 4}
	var got []float64
	for {
		page, err := client.GetJobs(t.Context(), request)
		ok(t, err)
		for _, job := range page.GetJobs() {
			got = append(got, job.GetPriority())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	if !slices.Equal(got, []float64{15, 14, 13, 12, 11, 10}) {
		t.Errorf("by priority: %v", got)
	}
}

func TestAFilterThatMeansNothingIsToldByItsPath(t *testing.T) {
	t.Parallel()
	_, client, _ := looking(t)
	_, err := client.GetJobs(t.Context(), &lookout.GetJobsRequest{
		Filters: []*lookout.Filter{
			where("colour", lookout.Match_EQUALS, "red"), where("state", lookout.Match_EQUALS, "flying"), where("priority", lookout.Match_GREATER_THAN, "high"),
			where("cpu", lookout.Match_LESS_THAN, "1 core"), where("submitted", lookout.Match_LESS_THAN, "today"), where("owner", lookout.Match_GREATER_THAN, "a"),
			where("owner", lookout.Match_EXISTS, "a"), where("owner", lookout.Match_CONTAINS), where("owner", lookout.Match_CONTAINS, "a", "b"),
			where("priority", lookout.Match_CONTAINS, "1"), where("owner", lookout.Match(77), "1"),
		},
		Order: &lookout.Order{Field: "colour"}, TimeBudget: durationpb.New(time.Hour), PageSize: 1001,
	})
	wantPaths(t, err, "page_size", "time_budget", "filters[0].field", "filters[1].values[0]", "filters[2].values[0]", "filters[3].values[0]",
		"filters[4].values[0]", "filters[5].match", "filters[6].values", "filters[7].values", "filters[8].values", "filters[9].match", "filters[10].match", "order.field")
	_, err = client.GroupJobs(t.Context(), &lookout.GroupJobsRequest{By: "submitted", PageSize: -1})
	wantPaths(t, err, "page_size", "by")
	_, err = client.GroupJobs(t.Context(), &lookout.GroupJobsRequest{By: "colour"})
	wantPaths(t, err, "by")
	_, err = client.CountJobs(t.Context(), &lookout.CountJobsRequest{AtMost: -1})
	wantPaths(t, err, "at_most")
	_, err = client.GetJob(t.Context(), &lookout.GetJobRequest{})
	wantPaths(t, err, "job_id")
	_, err = client.GetJobs(t.Context(), &lookout.GetJobsRequest{PageToken: "nonsense"})
	wantCode(t, err, codes.InvalidArgument)
	_, err = client.ListJobSets(t.Context(), &lookout.ListJobSetsRequest{PageToken: "nonsense"})
	wantCode(t, err, codes.InvalidArgument)
}

func TestJobsAreCountedAndGrouped(t *testing.T) {
	t.Parallel()
	w, client, _ := looking(t)
	counted, err := client.CountJobs(t.Context(), &lookout.CountJobsRequest{Filters: []*lookout.Filter{where("state", lookout.Match_EQUALS, "queued")}, AtMost: 2})
	ok(t, err)
	if counted.GetCount() != 3 || counted.GetAtLeast() {
		t.Errorf("queued: %v; states are counted exactly", counted)
	}
	counted, err = client.CountJobs(t.Context(), &lookout.CountJobsRequest{Filters: []*lookout.Filter{where("namespace", lookout.Match_EXISTS)}, AtMost: 2})
	ok(t, err)
	if counted.GetCount() != 2 || !counted.GetAtLeast() {
		t.Errorf("with a namespace: %v", counted)
	}
	groups, err := client.GroupJobs(t.Context(), &lookout.GroupJobsRequest{By: "team", IsAnnotation: true, Times: true})
	ok(t, err)
	if len(groups.GetGroups()) != 2 || groups.GetGroups()[0].GetValue() != "blue" || groups.GetGroups()[0].GetCount() != 3 ||
		groups.GetGroups()[0].GetStates()["CANCELLED"] != 1 || groups.GetGroups()[0].GetSubmitted().GetEarliest() == nil {
		t.Errorf("by team: %v", groups)
	}
	groups, err = client.GroupJobs(t.Context(), &lookout.GroupJobsRequest{By: "state", PageSize: 1})
	ok(t, err)
	if len(groups.GetGroups()) != 1 || groups.GetGroups()[0].GetValue() != "QUEUED" || groups.GetOthers() != 3 {
		t.Errorf("by state: %v", groups)
	}
	answer, body := w.call(http.MethodGet, "/v1/lookout/job-sets?startsWith=f&pageSize=5", "")
	if answer.StatusCode != http.StatusOK || !strings.Contains(body, `"jobSet":"first","count":4`) || strings.Contains(body, "second") {
		t.Errorf("job sets over REST: %d %s", answer.StatusCode, body)
	}
	for path, request := range map[string]string{
		"/v1/lookout/jobs/count": `{"filters":[{"field":"state","values":["RUNNING"]}]}`,
		"/v1/lookout/jobs/group": `{"by":"node","filters":[{"field":"state","values":["RUNNING"]}]}`,
	} {
		answer, body := w.call(http.MethodPost, path, request)
		if answer.StatusCode != http.StatusOK || !strings.Contains(body, `"count":1`) {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
}

func TestAJobTellsWhatItWasSubmittedAsAndStartedAs(t *testing.T) {
	t.Parallel()
	w, client, ids := looking(t)
	spec, err := client.GetJobSpec(t.Context(), &lookout.GetJobSpecRequest{JobId: ids[0]})
	ok(t, err)
	run := spec.GetAsRun()
	if spec.GetSubmitted().GetContainers()[0].GetImage() != "busybox" || spec.GetAnnotations()["team"] != "red" ||
		run.GetRunId() != ids[0]+"-1" || run.GetAnnotations()["armadaproject.io/pool"] != "default" || run.GetSpec().GetContainers()[0].GetImage() != "busybox" {
		t.Errorf("the spec is %v", spec)
	}
	spec, err = client.GetJobSpec(t.Context(), &lookout.GetJobSpecRequest{JobId: ids[5]})
	ok(t, err)
	if spec.GetSubmitted() == nil || spec.GetAsRun() != nil {
		t.Errorf("the spec of a job that waits is %v", spec)
	}
	_, err = client.GetJobSpec(t.Context(), &lookout.GetJobSpecRequest{JobId: "never"})
	wantCode(t, err, codes.NotFound)
	answer, body := w.call(http.MethodGet, "/v1/lookout/job/"+ids[0]+"/spec", "")
	if answer.StatusCode != http.StatusOK || !strings.Contains(body, `"cpu":"1"`) {
		t.Errorf("over REST: %d %s", answer.StatusCode, body)
	}
}

func TestQueuesAndExecutorsAreListedWithWhatTheyHold(t *testing.T) {
	t.Parallel()
	w, client, _ := looking(t)
	queues, err := client.ListQueues(t.Context(), &lookout.ListQueuesRequest{})
	ok(t, err)
	if q := queues.GetQueues(); !queues.GetSharesKnown() || len(q) != 1 || q[0].GetStates()["QUEUED"] != 3 || q[0].GetShares()[0].GetShare() != 0.25 {
		t.Errorf("the queues are %v", queues)
	}
	session := armada.SessionID("s1")
	ok(t, w.store.OpenSession(t.Context(), armada.Executor{ID: "e1", Session: session, Lease: time.Minute}))
	nodes := []armada.Node{{Name: "n1", Executor: "e1", Pool: "default", Allocatable: armada.Resources{8000, 16 << 30}}, {Name: "n2", Executor: "e1", Pool: "other"}}
	ok(t, w.store.PutNodes(t.Context(), "e1", session, nodes))
	executors, err := client.ListExecutors(t.Context(), &lookout.ListExecutorsRequest{Pool: "default"})
	ok(t, err)
	if e := executors.GetExecutors(); len(e) != 1 || e[0].GetNodeCount() != 1 || e[0].GetJobs() != 1 || e[0].GetUsed()["cpu"] != "1" ||
		e[0].GetNodes()[0].GetAllocatable()["cpu"] != "8" || e[0].GetNodes()[0].GetUsed()["memory"] != "1Gi" {
		t.Errorf("the executors are %v", executors)
	}
	executors, err = client.ListExecutors(t.Context(), &lookout.ListExecutorsRequest{Executor: "e2"})
	ok(t, err)
	if len(executors.GetExecutors()) != 0 {
		t.Errorf("another executor: %v", executors)
	}
	for _, path := range []string{"/v1/lookout/queues", "/v1/lookout/executors?withoutNodes=true"} {
		answer, body := w.call(http.MethodGet, path, "")
		if answer.StatusCode != http.StatusOK || !json.Valid([]byte(body)) || strings.Contains(body, "n2") {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
}

// watched is a stream of changes that has begun.
func watched(t *testing.T, client lookout.LookoutClient, filters ...*lookout.Filter) grpc.ServerStreamingClient[lookout.JobChanges] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	stream, err := client.WatchJobs(ctx, &lookout.WatchJobsRequest{Filters: filters, Interval: durationpb.New(100 * time.Millisecond)})
	ok(t, err)
	first, err := stream.Recv()
	ok(t, err)
	if len(first.GetJobs()) != 0 || first.GetReset_() {
		t.Errorf("the first message is %v", first)
	}
	return stream
}

func TestAWatcherIsToldOfEachJobThatChangesAndOfTheEndOfTheServer(t *testing.T) {
	t.Parallel()
	w, client, ids := looking(t)
	running := where("state", lookout.Match_EQUALS, "RUNNING")
	team := where("team", lookout.Match_EQUALS, "blue")
	team.IsAnnotation = true
	stream := watched(t, client, running, team, where("job_set", lookout.Match_EQUALS, "first"))
	until := func(id string, state api.JobState) *lookout.JobChange {
		t.Helper()
		for {
			message, err := stream.Recv()
			ok(t, err)
			for _, job := range message.GetJobs() {
				if job.GetJobId() != ids[3] {
					t.Errorf("told of %v, which is not chosen", job)
				}
				if job.GetJobId() == id && job.GetState() == state {
					return job
				}
			}
		}
	}
	w.change(ids[4], lifecycle.Change{Kind: lifecycle.Cancel, By: "carol"})
	w.start(ids[3])
	if job := until(ids[3], api.JobState_RUNNING); !job.GetMatches() || job.GetNode() != "n1" || job.GetQueue() != "q" {
		t.Errorf("running: %v", job)
	}
	w.change(ids[3], lifecycle.Change{Kind: lifecycle.ReportSucceeded})
	if job := until(ids[3], api.JobState_SUCCEEDED); job.GetMatches() {
		t.Errorf("succeeded: %v", job)
	}
	second := watched(t, client)
	w.stop()
	for _, s := range []grpc.ServerStreamingClient[lookout.JobChanges]{stream, second} {
		_, err := s.Recv()
		wantCode(t, err, codes.Unavailable)
	}
}

func TestAWatcherOfMoreThanIsRememberedListsAnew(t *testing.T) {
	t.Parallel()
	w, client, _ := looking(t)
	stream, err := client.WatchJobs(t.Context(), &lookout.WatchJobsRequest{Interval: durationpb.New(time.Hour)})
	ok(t, err)
	_, err = stream.Recv()
	wantPaths(t, err, "interval")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err = client.WatchJobs(ctx, &lookout.WatchJobsRequest{Interval: durationpb.New(15 * time.Second)}) // long enough to submit all of it, unless the machine is busy
	ok(t, err)
	_, err = stream.Recv()
	ok(t, err)
	for {
		for range 6 { // once more when the watcher took some of the last ones in between
			w.submitted("many", items(1000))
		}
		message, err := stream.Recv()
		ok(t, err)
		if message.GetReset_() {
			return
		}
	}
}

func FuzzAFilterIsAnsweredOrToldWhatIsWrong(f *testing.F) {
	w := newWorld(f, options{})
	w.submitted("set", items(2))
	client := lookout.NewLookoutClient(w.conn)
	f.Add("state", int32(0), "QUEUED", false)
	f.Add("cpu", int32(7), "1.5", false)
	f.Add("submitted", int32(4), "2026-01-01T00:00:00Z", false)
	f.Add("example.com/run", int32(2), "r\x00", true)
	f.Add("priority", int32(8), "-9223372036854775808", false)
	f.Fuzz(func(t *testing.T, field string, match int32, value string, annotation bool) {
		if !utf8.ValidString(field) || !utf8.ValidString(value) {
			return // no message has such a text
		}
		filter := where(field, lookout.Match(match), value)
		filter.IsAnnotation = annotation
		page, err := client.GetJobs(t.Context(), &lookout.GetJobsRequest{Filters: []*lookout.Filter{filter}})
		if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument || len(page.GetJobs()) > 2 {
			t.Errorf("%v: %d jobs, %v", filter, len(page.GetJobs()), err)
		}
		_, err = client.GroupJobs(t.Context(), &lookout.GroupJobsRequest{By: field, IsAnnotation: annotation})
		if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument {
			t.Errorf("by %q: %v", field, err)
		}
	})
}
