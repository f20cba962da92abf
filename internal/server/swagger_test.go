package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"sigs.k8s.io/yaml"

	"armada"
	"armada/internal/runs"
	"armada/internal/server"
	"armada/pkg/api"
)

// described is the description of the REST interface, as a library reads it.
// Objects have no members but those described.
func described(t *testing.T) *openapi3.T {
	t.Helper()
	var older openapi2.T
	ok(t, json.Unmarshal(api.Swagger, &older))
	d, err := openapi2conv.ToV3(&older)
	ok(t, err)
	ok(t, d.Validate(t.Context()))
	for _, s := range d.Components.Schemas {
		closeObjects(s)
	}
	return d
}

// closeObjects makes what is not described an error, in a schema and those that
// stand in it.
func closeObjects(s *openapi3.SchemaRef) {
	if s == nil || s.Ref != "" {
		return
	}
	v := s.Value
	if len(v.Properties) > 0 && v.AdditionalProperties.Has == nil && v.AdditionalProperties.Schema == nil {
		no := false
		v.AdditionalProperties.Has = &no
	}
	for _, p := range v.Properties {
		closeObjects(p)
	}
	closeObjects(v.Items)
	closeObjects(v.AdditionalProperties.Schema)
}

// sample is a call of an operation: what stands in its path, after it, and in its
// body. It is answered with 200.
type sample struct {
	in    map[string]string
	query string
	body  string
}

// samples are calls by the names of operations. Each works on things of its own.
func samples(jobs map[string]string) map[string]sample {
	named := func(name string) map[string]string { return map[string]string{"name": name} }
	byID := fmt.Sprintf(`{"jobIds":[%q]}`, jobs["running"])
	return map[string]sample{
		"Submit_SubmitJobs":                      {body: `{"queue":"q","jobSetId":"new","jobRequestItems":[{"podSpec":` + goodSpec + `}]}`},
		"Submit_CancelJobs":                      {body: fmt.Sprintf(`{"jobId":%q,"reason":"why not"}`, jobs["cancelled"])},
		"Submit_CancelJobSet":                    {body: `{"queue":"q","jobSetId":"set-cancelled","filter":{"states":["QUEUED","PENDING"]}}`},
		"Submit_ReprioritizeJobs":                {body: fmt.Sprintf(`{"jobIds":[%q],"newPriority":3}`, jobs["reprioritized"])},
		"Submit_PreemptJobs":                     {body: fmt.Sprintf(`{"queue":"q","jobSetId":"running","jobIds":[%q]}`, jobs["preempted"])},
		"Submit_CreateQueue":                     {body: `{"name":"made","priorityFactor":1}`},
		"Submit_CreateQueues":                    {body: `{"queues":[{"name":"made-too"},{"name":"not made","priorityFactor":-1}]}`},
		"Submit_UpdateQueue":                     {in: named("made-by-put"), body: `{"priorityFactor":2,"labels":{"team":"a"},"permissions":[{"subjects":[{"kind":"User","name":"ada"}],"verbs":["submit"]}]}`},
		"Submit_UpdateQueues":                    {body: `{"queues":[{"name":"q","priorityFactor":1},{"name":"","priorityFactor":2}]}`},
		"Submit_DeleteQueue":                     {in: named("deleted")},
		"Submit_GetQueue":                        {in: named("q")},
		"Submit_GetQueues":                       {query: "num=2"},
		"Event_GetJobSetEvents":                  {in: map[string]string{"queue": "q", "id": "running"}, body: `{}`},
		"Jobs_GetJobStatus":                      {body: byID},
		"Jobs_GetJobDetails":                     {body: strings.TrimSuffix(byID, "}") + `,"expandJobSpec":true,"expandJobRun":true}`},
		"Jobs_GetJobErrors":                      {body: byID},
		"Jobs_GetJobRunDetails":                  {body: fmt.Sprintf(`{"runIds":["%s-1"]}`, jobs["running"])},
		"Jobs_GetActiveQueues":                   {body: `{}`},
		"Jobs_GetJobStatusUsingExternalJobUri":   {body: `{"queue":"q","jobset":"running","externalJobUri":"x"}`},
		"Executor_UpsertExecutorSettings":        {in: named("west"), body: `{"cordoned":true,"cordonReason":"repair"}`},
		"Executor_DeleteExecutorSettings":        {in: named("north")},
		"Executor_DeleteExecutor":                {in: named("gone")},
		"Executor_CancelOnExecutor":              {in: named("east"), body: `{"queues":["other"],"priorityClasses":["armada-default"],"pools":["default"]}`},
		"Executor_PreemptOnExecutor":             {in: named("east"), body: `{"queues":["other"]}`},
		"Node_CancelOnNode":                      {in: named("n1"), body: `{"executor":"east","queues":["other"]}`},
		"Node_PreemptOnNode":                     {in: named("n1"), body: `{"executor":"east","queues":["other"]}`},
		"Binoculars_Logs":                        {body: fmt.Sprintf(`{"jobId":%q,"logOptions":{"tailLines":10}}`, jobs["running"])},
		"Binoculars_Cordon":                      {body: `{"nodeName":"n1"}`},
		"RetryPolicyService_CreateRetryPolicy":   {body: `{"name":"made","retryLimit":3,"defaultAction":"Fail","rules":[{"action":"Retry","onCategory":"infrastructure"}]}`},
		"RetryPolicyService_UpdateRetryPolicy":   {in: named("kept"), body: `{"retryLimit":2,"defaultAction":"Fail"}`},
		"RetryPolicyService_DeleteRetryPolicy":   {in: named("deleted")},
		"RetryPolicyService_GetRetryPolicy":      {in: named("kept")},
		"RetryPolicyService_GetRetryPolicies":    {},
		"SchedulerReporting_GetSchedulingReport": {query: "mostRecentForQueue.queueName=q&verbosity=1"},
		"SchedulerReporting_GetQueueReport":      {in: map[string]string{"queueName": "q"}, query: "verbosity=1"},
		"SchedulerReporting_GetJobReport":        {in: map[string]string{"jobId": jobs["queued"]}},
		"Lookout_GetJobs":                        {body: `{"pageSize":10}`},
		"Lookout_GetJob":                         {in: map[string]string{"jobId": jobs["running"]}},
		"Lookout_GetJobSpec":                     {in: map[string]string{"jobId": jobs["running"]}},
		"Lookout_CountJobs":                      {body: `{"filters":[{"field":"queue","values":["q"]}]}`},
		"Lookout_GroupJobs":                      {body: `{"by":"state"}`},
		"Lookout_ListJobSets":                    {query: "queue=q&activeOnly=true"},
		"Lookout_ListQueues":                     {},
		"Lookout_ListExecutors":                  {query: "pool=default"},
		"Lookout_GetLogs":                        {body: fmt.Sprintf(`{"jobId":%q}`, jobs["running"])},
	}
}

// sampled is a world in which the samples have an answer.
func sampled(t *testing.T) (*world, map[string]sample) {
	t.Helper()
	f := &fakeExecutors{lines: []runs.LogLine{{Text: []byte("one")}}}
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = full{f} }})
	w.known("east", "west", "north", "gone")
	ok(t, w.store.PutNodes(t.Context(), "east", "s-east", []armada.Node{{Name: "n1", Executor: "east", Pool: "default"}}))
	for _, queue := range []string{"other", "deleted"} {
		_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: queue, PriorityFactor: 1})
		ok(t, err)
	}
	for _, name := range []string{"kept", "deleted"} {
		_, err := api.NewRetryPolicyServiceClient(w.conn).CreateRetryPolicy(t.Context(), &api.RetryPolicy{Name: name, DefaultAction: api.RetryAction_RETRY_ACTION_FAIL})
		ok(t, err)
	}
	jobs := map[string]string{}
	for _, what := range []string{"running", "preempted", "cancelled", "reprioritized", "queued"} {
		jobs[what] = w.submitted("running", items(1))[0]
	}
	w.submitted("set-cancelled", items(2))
	w.start(jobs["running"])
	w.lease(jobs["preempted"], "north", "n2", "default")
	return w, samples(jobs)
}

// TestEveryDescribedRouteAnswersAsDescribed calls every operation of the
// description. One without a sample is called with nothing, and must be refused
// as described.
func TestEveryDescribedRouteAnswersAsDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	w, known := sampled(t)
	used := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(d.Paths.Map())) {
		for verb, operation := range d.Paths.Value(path).Operations() {
			call, sampled := known[operation.OperationID]
			used[operation.OperationID] = true
			for _, prefix := range []string{"", "/api"} {
				if prefix == "" && verb != http.MethodGet {
					continue // once is enough for what changes something
				}
				at := prefix + path
				for _, p := range operation.Parameters {
					if p.Value.In == openapi3.ParameterInPath {
						value := call.in[p.Value.Name]
						if !sampled {
							value = "x"
						}
						at = strings.ReplaceAll(at, "{"+p.Value.Name+"}", value)
					}
				}
				if operation.RequestBody != nil && !sampled {
					call.body = "{}"
				}
				if operation.RequestBody != nil {
					wantDescribed(t, at+": the request", operation.RequestBody.Value.Content["application/json"].Schema, call.body)
				}
				headers := http.Header{}
				if !sampled {
					headers.Set("Grpc-Timeout", "500m") // it may be a stream that goes on for ever
				}
				answer, body := w.callWith(headers, verb, at+"?"+call.query, call.body)
				if sampled && answer.StatusCode != http.StatusOK {
					t.Errorf("%s %s: %d %s", verb, at, answer.StatusCode, body)
				}
				wantAnswer(t, verb+" "+at, operation, answer, body)
			}
		}
	}
	for name := range known {
		if !used[name] {
			t.Errorf("%s is not described", name)
		}
	}
}

// TestTheExamplesOfTheDescriptionWorkAsTheyAre sends what a page about the interface
// offers to send, to a server that has what the examples name.
func TestTheExamplesOfTheDescriptionWorkAsTheyAre(t *testing.T) {
	t.Parallel()
	d := described(t)
	const aJob = "01jd0000000000000000000000" // is no job's id
	in := map[string]string{"{queue}": "demo", "{id}": "first-steps", "queue/{name}": "queue/demo", "retry-policy/{name}": "retry-policy/patient", "node/cancel/{name}": "node/cancel/node-1", "node/preempt/{name}": "node/preempt/node-1", "{name}": "local"}
	for path, item := range d.Paths.Map() {
		for verb, operation := range item.Operations() {
			if operation.RequestBody == nil {
				continue
			}
			t.Run(operation.OperationID, func(t *testing.T) {
				t.Parallel()
				w := exampled(t)
				example := operation.RequestBody.Value.Content["application/json"].Schema.Value.Example
				if example == nil {
					t.Fatal("there is no example")
				}
				body, err := json.Marshal(example)
				ok(t, err)
				at := path
				for _, from := range slices.Backward(slices.SortedFunc(maps.Keys(in), func(a, b string) int { return len(a) - len(b) })) {
					at = strings.ReplaceAll(at, from, in[from])
				}
				headers := http.Header{}
				if operation.OperationID == "Lookout_WatchJobs" {
					headers.Set("Grpc-Timeout", "200m") // it would go on
				}
				answer, text := w.callWith(headers, verb, at+"?fieldValidation=Strict", string(body))
				unknownJob := answer.StatusCode == http.StatusNotFound && strings.Contains(string(body), aJob)
				if answer.StatusCode != http.StatusOK && !unknownJob {
					t.Errorf("%s %s %s: %d %s", verb, at, body, answer.StatusCode, text)
				}
			})
		}
	}
}

// exampled is a world that has what the examples name.
func exampled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = full{&fakeExecutors{}} }})
	w.known("local")
	ok(t, w.store.PutNodes(t.Context(), "local", "s-local", []armada.Node{{Name: "node-1", Executor: "local", Pool: "default"}}))
	_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "demo", PriorityFactor: 1})
	ok(t, err)
	_, err = w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "demo", JobSetId: "first-steps", JobRequestItems: items(1)})
	ok(t, err)
	_, err = api.NewRetryPolicyServiceClient(w.conn).CreateRetryPolicy(t.Context(), &api.RetryPolicy{Name: "patient", DefaultAction: api.RetryAction_RETRY_ACTION_FAIL})
	ok(t, err)
	return w
}

// wantAnswer fails the test unless an answer is as its operation describes it.
func wantAnswer(t *testing.T, what string, operation *openapi3.Operation, answer *http.Response, body string) {
	t.Helper()
	if strings.Contains(body, `"message":"Not Found"`) || strings.Contains(body, `"message":"Method Not Allowed"`) {
		t.Errorf("%s is not served: %s", what, body)
	}
	response := operation.Responses.Status(answer.StatusCode)
	if response == nil {
		response = operation.Responses.Default()
	}
	schema := response.Value.Content["application/json"].Schema
	closeObjects(schema)
	lines := []string{body}
	if strings.HasPrefix(*response.Value.Description, "A stream") {
		if lines = strings.Split(strings.TrimSuffix(body, "\n"), "\n"); body == "" {
			t.Errorf("%s has no line", what)
		}
	}
	for _, line := range lines {
		wantDescribed(t, what, schema, line)
	}
}

func wantDescribed(t *testing.T, what string, schema *openapi3.SchemaRef, text string) {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Errorf("%s: %v: %s", what, err, text)
		return
	}
	if err := schema.Value.VisitJSON(value, openapi3.EnableFormatValidation(), openapi3.MultiErrors()); err != nil {
		t.Errorf("%s is not as described: %v\n%s", what, err, text)
	}
}

// A request that is refused says so in the form that is described.
func TestRefusalsAreAsDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	w := newWorld(t, options{})
	for path, body := range map[string]string{"/v1/job/submit": `{"queue":"q","jobSetId":"s","jobRequestItems":[{},{}]}`, "/v1/job/cancel": `{`} {
		answer, text := w.call(http.MethodPost, path, body)
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
		wantAnswer(t, path, d.Paths.Value(path).Post, answer, text)
	}
}

// Pod specs of manifests as people write them are as described, and are taken.
func TestManifestsAreAsDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	w := newWorld(t, options{})
	manifests, err := filepath.Glob("testdata/manifests/*.yaml")
	ok(t, err)
	if len(manifests) < 3 {
		t.Fatalf("there are only %d manifests", len(manifests))
	}
	for _, path := range manifests {
		text, err := os.ReadFile(path)
		ok(t, err)
		var pod struct {
			Spec json.RawMessage `json:"spec"`
		}
		ok(t, yaml.Unmarshal(text, &pod))
		wantDescribed(t, path, d.Components.Schemas["v1PodSpec"], string(pod.Spec))
		body := `{"queue":"q","jobSetId":"set","jobRequestItems":[{"podSpec":` + string(pod.Spec) + `}]}`
		wantDescribed(t, path, d.Paths.Value("/v1/job/submit").Post.RequestBody.Value.Content["application/json"].Schema, body)
		if answer, said := w.call(http.MethodPost, "/v1/job/submit?fieldValidation=Strict", body); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, answer.StatusCode, said)
		}
	}
	for _, m := range w.events("set") {
		if job := m.GetMessage().GetSubmitted().GetJob(); job != nil && len(job.GetPodSpec().GetContainers()) == 0 {
			t.Errorf("a job without containers: %v", job)
		}
	}
	// What is wrong is not as described.
	for _, wrong := range []string{`{"containers":{}}`, `{"containers":[{"imagePullPolice":"Always"}]}`, `{"terminationGracePeriodSeconds":"30"}`} {
		var value any
		ok(t, json.Unmarshal([]byte(wrong), &value))
		if err := d.Components.Schemas["v1PodSpec"].Value.VisitJSON(value); err == nil {
			t.Errorf("%s is as described", wrong)
		}
	}
}
