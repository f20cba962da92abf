package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/pkg/api"
)

const (
	failAction  = api.RetryAction_RETRY_ACTION_FAIL
	retryAction = api.RetryAction_RETRY_ACTION_RETRY
)

// patient repeats, twice, what ends with the exit code 3.
func patient() *api.RetryPolicy {
	return &api.RetryPolicy{Name: "patient", RetryLimit: 2, DefaultAction: failAction, Rules: []*api.RetryRule{
		{Action: retryAction, OnExitCodes: []int32{3}, Mutate: &api.RetryMutation{Affinity: &api.RetryAffinityMutation{AvoidSameNode: true}}},
		{Action: retryAction, OnConditions: []string{"OOMKilled"}, Mutate: &api.RetryMutation{Resources: &api.RetryResourceMutation{Memory: &api.RetryResourceBump{Static: "1Gi"}}}},
	}}
}

func TestARetryPolicyIsAnsweredAsItWasSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	policies := api.NewRetryPolicyServiceClient(w.conn)
	_, err := policies.CreateRetryPolicy(t.Context(), &api.RetryPolicy{Name: "patient", DefaultAction: retryAction})
	ok(t, err)
	_, err = policies.CreateRetryPolicy(t.Context(), patient())
	ok(t, err)
	_, err = policies.CreateRetryPolicy(t.Context(), &api.RetryPolicy{Name: "never", DefaultAction: failAction})
	ok(t, err)
	got, err := policies.GetRetryPolicy(t.Context(), &api.RetryPolicyGetRequest{Name: "patient"})
	ok(t, err)
	if diff := cmp.Diff(patient(), got, protocmp.Transform()); diff != "" {
		t.Errorf("the policy (-set +got):\n%s", diff)
	}
	list, err := policies.GetRetryPolicies(t.Context(), &api.RetryPolicyListRequest{})
	ok(t, err)
	if all := list.GetRetryPolicies(); len(all) != 2 || all[0].GetName() != "never" || all[1].GetName() != "patient" {
		t.Errorf("the policies are %v", all)
	}
}

func TestAnUnknownRetryPolicyIsNotFoundAndDeletedAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	policies := api.NewRetryPolicyServiceClient(w.conn)
	_, err := policies.CreateRetryPolicy(t.Context(), patient())
	ok(t, err)
	_, err = policies.UpdateRetryPolicy(t.Context(), &api.RetryPolicy{Name: "patent", DefaultAction: failAction})
	wantCode(t, err, codes.NotFound)
	if !strings.Contains(err.Error(), `there is no retry policy "patent", did you mean "patient"?`) {
		t.Errorf("the answer is %v", err)
	}
	_, err = policies.GetRetryPolicy(t.Context(), &api.RetryPolicyGetRequest{Name: "nope"})
	wantCode(t, err, codes.NotFound)
	_, err = policies.DeleteRetryPolicy(t.Context(), &api.RetryPolicyDeleteRequest{Name: "nope"})
	ok(t, err)
}

func TestQueuesNameRetryPoliciesThatThereAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	policies := api.NewRetryPolicyServiceClient(w.conn)
	_, err := policies.CreateRetryPolicy(t.Context(), patient())
	ok(t, err)
	_, err = w.submit.CreateQueue(t.Context(), &api.Queue{Name: "x", RetryPolicies: []string{"patient", "nope", "patient"}})
	wantCode(t, err, codes.InvalidArgument)
	wantPaths(t, err, "retry_policies[1]", "retry_policies[2]")
	_, err = w.submit.CreateQueue(t.Context(), &api.Queue{Name: "x", RetryPolicies: []string{"patient"}})
	ok(t, err)
	_, err = policies.DeleteRetryPolicy(t.Context(), &api.RetryPolicyDeleteRequest{Name: "patient"})
	ok(t, err)
	got, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "x"})
	ok(t, err)
	if len(got.GetRetryPolicies()) > 0 {
		t.Errorf("the policy is deleted and the queue names %v", got.GetRetryPolicies())
	}
}

func TestRetryPoliciesAreKeptOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	const body = `{"name":"patient","retryLimit":2,"defaultAction":"Fail","rules":[{"action":"retry","onExitCodes":[3]}]}`
	for _, step := range []struct {
		verb, path, body string
		code             int
		want             string
	}{
		{http.MethodPut, "/api/v1/retry-policy/patient", body, http.StatusNotFound, "there is no retry policy"},
		{http.MethodPost, "/api/v1/retry-policy", body, http.StatusOK, "{}"},
		{http.MethodGet, "/api/v1/retry-policy/patient", "", http.StatusOK, `"defaultAction":"Fail","rules":[{"action":"Retry"`},
		{http.MethodPut, "/api/v1/retry-policy/patient", `{"defaultAction":"Retry"}`, http.StatusOK, "{}"},
		{http.MethodGet, "/api/v1/retry-policies", "", http.StatusOK, `{"retryPolicies":[{"name":"patient","defaultAction":"Retry"`},
		{http.MethodPost, "/api/v1/retry-policy", `{"name":"p","defaultAction":"Maybe"}`, http.StatusBadRequest, "must be one of Fail, Retry"},
		{http.MethodDelete, "/api/v1/retry-policy/patient", "", http.StatusOK, "{}"},
		{http.MethodGet, "/api/v1/retry-policy/patient", "", http.StatusNotFound, "there is no retry policy"},
	} {
		answer, text := w.call(step.verb, step.path, step.body)
		if answer.StatusCode != step.code || !strings.Contains(text, step.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", step.verb, step.path, answer.StatusCode, text, step.code, step.want)
		}
	}
}

func TestWatchersAreToldThatAnotherAttemptFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := api.NewRetryPolicyServiceClient(w.conn).CreateRetryPolicy(t.Context(), patient())
	ok(t, err)
	_, err = w.submit.UpdateQueue(t.Context(), &api.Queue{Name: "q", PriorityFactor: 1, RetryPolicies: []string{"patient"}})
	ok(t, err)
	id := w.submitted("set", items(1))[0]
	for range 2 {
		w.start(id)
		w.change(id, lifecycle.Change{Kind: lifecycle.ReportFailed, End: armada.RunEnd{
			Reason: "exit code 3", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 3}},
		}})
	}
	var failed []bool
	for _, m := range w.events("set") {
		if f := m.GetMessage().GetFailed(); f != nil {
			failed = append(failed, f.GetRetryable())
		}
	}
	if diff := cmp.Diff([]bool{true, true}, failed); diff != "" {
		t.Errorf("failed events that are retryable (-want +got):\n%s", diff)
	}
}
