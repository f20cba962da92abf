package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// known opens a session for an executor, so that the store knows it.
func (w *world) known(ids ...armada.ExecutorID) {
	w.t.Helper()
	for _, id := range ids {
		ok(w.t, w.store.OpenSession(w.t.Context(), armada.Executor{ID: id, Session: armada.SessionID("s-" + string(id)), Lease: 1 << 40}))
	}
}

// lease gives a job a place.
func (w *world) lease(job string, executor armada.ExecutorID, node, pool string) {
	w.t.Helper()
	w.change(job, lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: executor, Node: node, Pool: pool}})
}

// wishes are the wishes of jobs by their places in the list, or how they ended.
func (w *world) wishes(jobs []string) string {
	w.t.Helper()
	var words []string
	for i, id := range jobs {
		job := w.job(id).Job
		switch {
		case job.State.Terminal():
			words = append(words, fmt.Sprint(i, " ", job.State))
		case job.Wish.Kind == armada.WishCancel:
			words = append(words, fmt.Sprint(i, " cancel"))
		case job.Wish.Kind == armada.WishPreempt:
			words = append(words, fmt.Sprint(i, " preempt"))
		}
	}
	return strings.Join(words, ", ")
}

// fleet is a world with jobs: 0 and 1 of the queue "q" on two nodes of east, 2
// of "q" in west and in the pool "gpu", 3 of "other" on east, 4 of "q" queued. 1 and
// 2 are of the class armada-preemptible.
func fleet(t *testing.T) (*world, []string) {
	t.Helper()
	w := newWorld(t, options{})
	w.known("east", "west")
	_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "other", PriorityFactor: 1})
	ok(t, err)
	list := items(4)
	list[1].PodSpecs = []*corev1.PodSpec{pod(preemptible)}
	list[2].PodSpecs = []*corev1.PodSpec{pod(preemptible)}
	own := w.submitted("set", list)
	answer, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "other", JobSetId: "set", JobRequestItems: items(1)})
	ok(t, err)
	jobs := []string{own[0], own[1], own[2], answer.GetJobResponseItems()[0].GetJobId(), own[3]}
	w.lease(jobs[0], "east", "n1", "default")
	w.lease(jobs[1], "east", "n2", "default")
	w.lease(jobs[2], "west", "n1", "gpu")
	w.lease(jobs[3], "east", "n1", "default")
	return w, jobs
}

// Statement 3.3 of the compatibility notes: no queues are no jobs.
func TestJobsAreCancelledAndPreemptedByPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, verb, path, body, want string }{
		{"executor", "cancel", "/v1/executor/cancel/east", `{"queues":["q"]}`, "0 cancel, 1 cancel"},
		{"executor", "cancel", "/v1/executor/cancel/east", `{"queues":["q","other"]}`, "0 cancel, 1 cancel, 3 cancel"},
		{"executor", "cancel", "/v1/executor/cancel/east", `{}`, ""},
		{"executor", "cancel", "/v1/executor/cancel/east", `{"queues":["q"],"priorityClasses":["armada-preemptible"]}`, "1 cancel"},
		{"executor", "cancel", "/v1/executor/cancel/west", `{"queues":["q"],"pools":["default"]}`, ""},
		{"executor", "preempt", "/v1/executor/preempt/west", `{"queues":["q"],"pools":["gpu"]}`, "2 preempt"},
		{"executor", "preempt", "/v1/executor/preempt/east", `{}`, ""},
		{"node", "cancel", "/v1/node/cancel/n1", `{"executor":"east","queues":["q","other"]}`, "0 cancel, 3 cancel"},
		{"node", "cancel", "/v1/node/cancel/n1", `{"executor":"east"}`, ""},
		{"node", "preempt", "/v1/node/preempt/n2", `{"executor":"east","queues":["q"],"priorityClasses":["armada-preemptible"]}`, "1 preempt"},
		{"node", "preempt", "/v1/node/preempt/n1", `{"executor":"east","queues":["q","other"]}`, ""},
		{"node", "preempt", "/v1/node/preempt/n1", `{"executor":"east","queues":["q","other"],"priorityClasses":["armada-default"]}`, ""},
	} {
		t.Run(c.path+c.body, func(t *testing.T) {
			t.Parallel()
			w, jobs := fleet(t)
			if answer, body := w.call(http.MethodPost, c.path, c.body); answer.StatusCode != http.StatusOK || body != "{}" {
				t.Errorf("%d %s", answer.StatusCode, body)
			}
			if got := w.wishes(jobs); got != c.want {
				t.Errorf("changed were %q, want %q", got, c.want)
			}
		})
	}
}

func TestJobsAreCancelledAndPreemptedByQueue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cancel  *api.QueueCancelRequest
		preempt *api.QueuePreemptRequest
		want    string
	}{
		"all":              {cancel: &api.QueueCancelRequest{}, want: "0 cancel, 1 cancel, 2 cancel, 4 cancelled"},
		"queued":           {cancel: &api.QueueCancelRequest{JobStates: []api.JobState{api.JobState_QUEUED}}, want: "4 cancelled"},
		"leased":           {cancel: &api.QueueCancelRequest{JobStates: []api.JobState{api.JobState_LEASED}}, want: "0 cancel, 1 cancel, 2 cancel"},
		"of a class":       {cancel: &api.QueueCancelRequest{PriorityClasses: []string{"armada-default"}}, want: "0 cancel, 4 cancelled"},
		"of a pool":        {cancel: &api.QueueCancelRequest{Pools: []string{"default"}}, want: "0 cancel, 1 cancel"},
		"preempted":        {preempt: &api.QueuePreemptRequest{}, want: "1 preempt, 2 preempt"},
		"preempted, class": {preempt: &api.QueuePreemptRequest{PriorityClasses: []string{"armada-preemptible"}}, want: "1 preempt, 2 preempt"},
		"preempted, pool":  {preempt: &api.QueuePreemptRequest{Pools: []string{"gpu"}}, want: "2 preempt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, jobs := fleet(t)
			var err error
			if c.cancel != nil {
				c.cancel.Name = "q"
				_, err = w.queue.CancelOnQueue(t.Context(), c.cancel)
			} else {
				c.preempt.Name = "q"
				_, err = w.queue.PreemptOnQueue(t.Context(), c.preempt)
			}
			ok(t, err)
			if got := w.wishes(jobs); got != c.want {
				t.Errorf("changed were %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhoCancelsByPlaceIsToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	w, jobs := fleet(t)
	executor, node := api.NewExecutorClient(w.conn), api.NewNodeClient(w.conn)
	ctx := t.Context()
	for _, c := range []struct {
		call func() error
		code codes.Code
		says string
	}{
		{func() error { _, err := executor.CancelOnExecutor(ctx, &api.ExecutorCancelRequest{}); return err }, codes.InvalidArgument, "name: must not be empty"},
		{func() error {
			_, err := executor.CancelOnExecutor(ctx, &api.ExecutorCancelRequest{Name: "esat", Queues: []string{"q"}})
			return err
		}, codes.NotFound, `could not find executor "esat", did you mean "east"`},
		{func() error {
			_, err := executor.PreemptOnExecutor(ctx, &api.ExecutorPreemptRequest{Name: "east", Queues: []string{"q", "othr"}})
			return err
		}, codes.NotFound, `could not find queue "othr", did you mean "other"`},
		{func() error {
			_, err := executor.PreemptOnExecutor(ctx, &api.ExecutorPreemptRequest{Name: "east", PriorityClasses: []string{"armada-default", "armada-preemptable"}})
			return err
		}, codes.InvalidArgument, `priorityClasses[1]: "armada-preemptable" is no priority class, did you mean "armada-preemptible"`},
		{func() error {
			_, err := node.CancelOnNode(ctx, &api.NodeCancelRequest{Name: "n1", Queues: []string{"q"}})
			return err
		}, codes.InvalidArgument, "executor: must not be empty"},
		{func() error {
			_, err := node.CancelOnNode(ctx, &api.NodeCancelRequest{Name: "n3", Executor: "east", Queues: []string{"q"}})
			return err
		}, codes.NotFound, `could not find node "n3" of executor "east", did you mean "n1" or "n2"?`},
		{func() error {
			_, err := node.PreemptOnNode(ctx, &api.NodePreemptRequest{Name: "n2", Executor: "west"})
			return err
		}, codes.NotFound, `could not find node "n2" of executor "west", did you mean "n1"?`},
		{func() error { _, err := node.PreemptOnNode(ctx, &api.NodePreemptRequest{Executor: "east"}); return err }, codes.InvalidArgument, "name: must not be empty"},
		{func() error { _, err := w.queue.CancelOnQueue(ctx, &api.QueueCancelRequest{}); return err }, codes.InvalidArgument, "name: must not be empty"},
		{func() error {
			_, err := w.queue.CancelOnQueue(ctx, &api.QueueCancelRequest{Name: "q", JobStates: []api.JobState{api.JobState_RUNNING, api.JobState_FAILED}})
			return err
		}, codes.InvalidArgument, "jobStates[1]: is FAILED"},
		{func() error {
			_, err := w.queue.CancelOnQueue(ctx, &api.QueueCancelRequest{Name: "q", JobStates: []api.JobState{api.JobState_QUEUED}, Pools: []string{"gpu"}})
			return err
		}, codes.InvalidArgument, "pools: queued jobs are in no pool"},
		{func() error {
			_, err := w.queue.PreemptOnQueue(ctx, &api.QueuePreemptRequest{Name: "nope"})
			return err
		}, codes.NotFound, "could not find queue"},
	} {
		err := c.call()
		wantCode(t, err, c.code)
		if !strings.Contains(status.Convert(err).Message(), c.says) {
			t.Errorf("it says %q, not %q", status.Convert(err).Message(), c.says)
		}
	}
	if got := w.wishes(jobs); got != "" {
		t.Errorf("changed were %s", got)
	}
}

func TestMoreJobsThanOneTransitionTakesAreCancelledByQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.submitted("a", items(store.MaxTransition+1))
	w.submitted("b", items(2))
	_, err := w.queue.CancelOnQueue(t.Context(), &api.QueueCancelRequest{Name: "q"})
	ok(t, err)
	left, err := w.store.Count(t.Context(), "q")
	ok(t, err)
	if len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// Statement 3.6 of the compatibility notes: an executor is opened without a
// reason.
func TestAnExecutorIsClosedOpenedAndForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.known("east")
	at := func() armada.Executor {
		e, err := w.store.Executor(t.Context(), "east")
		ok(t, err)
		return e
	}
	for _, c := range []struct {
		verb, path, body string
		code             int
		says             string
	}{
		{http.MethodPut, "/v1/executor_settings/east", `{"cordoned":true}`, http.StatusBadRequest, "cordonReason: must not be empty"},
		{http.MethodPut, "/v1/executor_settings/esat", `{"cordoned":true,"cordonReason":"repair"}`, http.StatusNotFound, `did you mean \"east\"`},
		{http.MethodPut, "/v1/executor_settings/east", `{"cordoned":true,"cordonReason":"repair"}`, http.StatusOK, "{}"},
	} {
		if answer, body := w.call(c.verb, c.path, c.body); answer.StatusCode != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s", c.path, c.body, answer.StatusCode, body)
		}
	}
	if e := at(); !e.Cordoned || e.CordonReason != "repair" {
		t.Errorf("closed, it is %+v", e)
	}
	executor := api.NewExecutorClient(w.conn)
	_, err := executor.UpsertExecutorSettings(t.Context(), &api.ExecutorSettingsUpsertRequest{Name: "east"})
	ok(t, err)
	if e := at(); e.Cordoned || e.CordonReason != "" {
		t.Errorf("opened, it is %+v", e)
	}
	_, err = executor.UpsertExecutorSettings(t.Context(), &api.ExecutorSettingsUpsertRequest{Name: "east", Cordoned: true, CordonReason: "again"})
	ok(t, err)
	for _, path := range []string{"/api/v1/executor_settings/east", "/api/v1/executor_settings/never"} {
		if answer, body := w.call(http.MethodDelete, path, ""); answer.StatusCode != http.StatusOK || body != "{}" {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
	if e := at(); e.Cordoned {
		t.Errorf("without settings it is %+v", e)
	}
	job := w.submitted("set", items(1))[0]
	w.lease(job, "east", "n1", "default")
	_, err = executor.DeleteExecutor(t.Context(), &api.ExecutorDeleteRequest{Name: "east"})
	wantCode(t, err, codes.FailedPrecondition)
	w.change(job, lifecycle.Change{Kind: lifecycle.Expire, Run: armada.NewRunID(armada.JobID(job), 1)})
	if answer, body := w.call(http.MethodDelete, "/v1/executors/east", ""); answer.StatusCode != http.StatusOK || body != "{}" {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if _, err := w.store.Executor(t.Context(), "east"); armada.CodeOf(err) != armada.CodeNotFound {
		t.Errorf("forgotten, it is there: %v", err)
	}
}

func TestANodeIsClosedInEveryExecutorThatHasItAndOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.known("east", "west", "south")
	for id, node := range map[armada.ExecutorID]string{"east": "n1", "west": "n1", "south": "n2"} {
		ok(t, w.store.PutNodes(t.Context(), id, armada.SessionID("s-"+string(id)), []armada.Node{{Name: node, Executor: id, Pool: "default"}}))
	}
	closed := func() string {
		all, err := w.store.Executors(t.Context())
		ok(t, err)
		var names []string
		for _, e := range all {
			if e.Nodes[0].Unschedulable {
				names = append(names, string(e.Executor.ID))
			}
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		body, want, says string
		code             int
	}{
		{`{"nodeName":"n1"}`, "east west", "{}", http.StatusOK},
		{`{"nodeName":"n9"}`, "east west", `could not find node \"n9\", did you mean`, http.StatusNotFound},
		{`{}`, "east west", "node_name: must be the name of a node", http.StatusBadRequest},
		{`{"nodeName":"n9","uncordon":true}`, "east west", "{}", http.StatusOK},
		{`{"nodeName":"n1","uncordon":true}`, "", "{}", http.StatusOK},
	} {
		answer, body := w.call(http.MethodPost, "/v1/binoculars/cordon", c.body)
		if answer.StatusCode != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.body, answer.StatusCode, body)
		}
		if got := closed(); got != c.want {
			t.Errorf("after %s closed in %q, want %q", c.body, got, c.want)
		}
	}
}

// brittle is a store that closes no node of west.
type brittle struct{ store.Store }

func (b brittle) CordonNode(ctx context.Context, id armada.ExecutorID, node string, cordoned bool) error {
	if id == "west" {
		return &armada.Error{Code: armada.CodeUnavailable, Message: "the database is away"}
	}
	return b.Store.CordonNode(ctx, id, node, cordoned)
}

// Statement 6 of the compatibility notes: UNAVAILABLE is said only when nothing
// was done.
func TestANodeClosedInSomeExecutorsOnlyIsAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{wrapStore: func(s store.Store) store.Store { return brittle{s} }})
	w.known("east", "west")
	for id, node := range map[armada.ExecutorID]string{"east": "n1", "west": "n1"} {
		ok(t, w.store.PutNodes(t.Context(), id, armada.SessionID("s-"+string(id)), []armada.Node{{Name: node, Executor: id, Pool: "default"}}))
	}
	client := binoculars.NewBinocularsClient(w.conn)
	_, err := client.Cordon(t.Context(), &binoculars.CordonRequest{NodeName: "n1"})
	wantCode(t, err, codes.Aborted)
	if !strings.Contains(err.Error(), "changed the node at 1 of 2 executors; repeat the call for the rest") {
		t.Error(err)
	}
	ok(t, w.store.PutNodes(t.Context(), "east", "s-east", []armada.Node{{Name: "n2", Executor: "east", Pool: "default"}}))
	_, err = client.Cordon(t.Context(), &binoculars.CordonRequest{NodeName: "n1"})
	wantCode(t, err, codes.Unavailable)
}
