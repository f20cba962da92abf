package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/auth"
	"armada/internal/lifecycle"
	"armada/internal/server"
	"armada/pkg/api"
)

const goodSpec = `{"containers":[{"name":"main","image":"busybox","resources":{"requests":{"cpu":1,"memory":"1Gi"},"limits":{"cpu":1,"memory":"1Gi"}}}]}`

// Statement 65 of the compatibility notes.
func TestPuttingAQueueTwiceIsFineAndCreatesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, path := range []string{"/v1/queue/x", "/v1/queue/x", "/api/v1/queue/x"} {
		if answer, body := w.call(http.MethodPut, path, `{"priorityFactor":2}`); answer.StatusCode != http.StatusOK || body != "{}" {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
	got, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "x"})
	ok(t, err)
	if got.GetPriorityFactor() != 2 {
		t.Errorf("the queue is %v", got)
	}
	// Whoever creates a queue so may submit to it, and may still when he has done it again.
	if p := got.GetPermissions(); len(p) != 1 || len(p[0].GetSubjects()) != 1 || p[0].GetSubjects()[0].GetName() != auth.AnonymousName || len(p[0].GetVerbs()) != len(armada.OwnerVerbs()) {
		t.Errorf("the permissions are %v", p)
	}
	if answer, body := w.call(http.MethodPut, "/v1/queue/x", `{"priorityFactor":2,"userOwners":["ada"]}`); answer.StatusCode != http.StatusOK {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	got, err = w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "x"})
	ok(t, err)
	if p := got.GetPermissions(); len(p) != 1 || len(p[0].GetSubjects()) != 1 || p[0].GetSubjects()[0].GetName() != "ada" {
		t.Errorf("with owners the permissions are %v", p)
	}
}

func TestAQueueOverRESTHasItsActiveJobSets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.submitted("set", items(2))
	answer, body := w.call(http.MethodGet, "/v1/queue/q", "")
	var got struct {
		Name          string
		ActiveJobSets []struct {
			Name       string
			QueuedJobs int
		}
	}
	ok(t, json.Unmarshal([]byte(body), &got))
	if answer.StatusCode != http.StatusOK || got.Name != "q" || len(got.ActiveJobSets) != 1 || got.ActiveJobSets[0].QueuedJobs != 2 {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	over, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
	ok(t, err)
	if len(over.GetActiveJobSets()) != 0 {
		t.Errorf("over gRPC the queue is %v", over)
	}
	if answer, body := w.call(http.MethodGet, "/v1/queue/never", ""); answer.StatusCode != http.StatusNotFound || !strings.Contains(body, "could not find queue") {
		t.Errorf("an unknown queue: %d %s", answer.StatusCode, body)
	}
}

// Statement 66 of the compatibility notes.
func TestTheQueueStreamOverRESTHasTheShapeThatPagesRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.UpdateQueue(t.Context(), &api.Queue{Name: "q", PriorityFactor: 1})
	ok(t, err)
	answer, body := w.call(http.MethodGet, "/v1/batched/queues", "")
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if answer.StatusCode != http.StatusOK || len(lines) != 2 || !strings.HasPrefix(lines[0], `{"result":{"Event":{"queue":{"name":"q","priorityFactor":1`) || lines[1] != `{"result":{"Event":{"end":{}}}}` {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

// Statement 67 of the compatibility notes.
func TestEventsOverRESTBeginWithTheirHeadersAndHaveDates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	set := "with/slashes//and spaces"
	at := fmt.Sprintf("http://%s/v1/job-set/q/%s", w.server.HTTPAddr(), url.PathEscape(set))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader(`{"watch":true,"fromMessageId":null}`))
	ok(t, err)
	answer, err := http.DefaultClient.Do(request) // returns when the headers are there; no event is
	ok(t, err)
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" || answer.Header.Get("Grpc-Metadata-Armada-Stream-Open") != "" {
		t.Errorf("the stream begins with %d %v", answer.StatusCode, answer.Header)
	}
	id := w.submitted(set, items(1))[0]
	lines := bufio.NewScanner(answer.Body)
	for _, kind := range []string{"submitted", "queued"} {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var line struct {
			Result struct {
				ID      string
				Message map[string]struct{ JobID, Created string }
			}
		}
		ok(t, json.Unmarshal(lines.Bytes(), &line))
		event, found := line.Result.Message[kind]
		if _, err := time.Parse(time.RFC3339Nano, event.Created); !found || err != nil || line.Result.ID == "" || event.JobID != id {
			t.Errorf("%s: %s (%v)", kind, lines.Text(), err)
		}
	}
	go w.stop()
	if !lines.Scan() || !strings.Contains(lines.Text(), `"error"`) {
		t.Errorf("the stream ends with %q", lines.Text())
	}
}

func TestAStreamThatIsRefusedOverRESTHasTheRightStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	answer, body := w.call(http.MethodPost, "/v1/job-set/q/never", `{"errorIfMissing":true,"watch":true}`)
	if answer.StatusCode != http.StatusNotFound || !strings.Contains(body, "there is no job set") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if answer, body := w.call(http.MethodPost, "/v1/job-set/q/never", `{}`); answer.StatusCode != http.StatusOK || body != "" {
		t.Errorf("an empty stream: %d %s", answer.StatusCode, body)
	}
}

// Statement 68 of the compatibility notes.
func TestAnswersOverRESTHaveTheirMapsAndLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for path, want := range map[string]string{
		"/v1/job/reprioritize": `{"reprioritizationResults":{}}`,
		"/v1/job/preempt":      `{"preemptionResults":{}}`,
		"/v1/job/cancel":       `{"cancelledIds":[]}`,
	} {
		if answer, body := w.call(http.MethodPost, path, `{"queue":"q","jobSetId":"never"}`); answer.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %d %s, want %s", path, answer.StatusCode, body, want)
		}
	}
}

// Statement 69 of the compatibility notes.
func TestManifestsAreTakenOverRESTAsTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	answer, body := w.call(http.MethodPost, "/v1/job/submit", `{"queue":"q","JobSetID":"set","jobRequestItems":[{"priority":1,"namespace":null,"clientId":null,"podSpec":{
		"volumes":null,"nodeName":null,"containers":[
			{"name":"Container1","image":"busybox","env":null,"resources":{"requests":{"cpu":"120m","memory":"512Mi"},"limits":{"cpu":"120m","memory":"512Mi"}}},
			{"name":"b","image":"busybox","resources":{"requests":{"cpu":1,"memory":"1Gi"},"limits":{"cpu":1,"memory":"1Gi"}}}]}}]}`)
	if answer.StatusCode != http.StatusOK || !strings.Contains(body, `"jobResponseItems":[{"jobId":"`) {
		t.Fatalf("%d %s", answer.StatusCode, body)
	}
	if got := kindsOf(w.events("set"), ""); got != "submitted queued" {
		t.Errorf("the events are %s", got)
	}
}

// Statement 70 of the compatibility notes.
func TestStatesAreNamesOrNumbersOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for i, state := range []string{`"QUEUED"`, `0`} {
		set := fmt.Sprint("set", i)
		id := w.submitted(set, items(1))[0]
		answer, body := w.call(http.MethodPost, "/v1/jobset/cancel", fmt.Sprintf(`{"queue":"q","jobSetId":%q,"filter":{"states":[%s]}}`, set, state))
		if answer.StatusCode != http.StatusOK || body != "{}" {
			t.Errorf("%s: %d %s", state, answer.StatusCode, body)
		}
		if got := w.job(id).Job.State.String(); got != "cancelled" {
			t.Errorf("%s: the job is %s", state, got)
		}
	}
}

// Statement 71 of the compatibility notes.
func TestEverySuccessOverRESTIs200(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, c := range []struct{ verb, path, body string }{
		{http.MethodPost, "/v1/queue", `{"name":"y","priorityFactor":1}`},
		{http.MethodPut, "/v1/queue/y", `{"priorityFactor":1}`},
		{http.MethodPost, "/v1/batched/create_queues", `{"queues":[{"name":"z","priorityFactor":1}]}`},
		{http.MethodPut, "/v1/batched/update_queues", `{"queues":[{"name":"z","priorityFactor":1}]}`},
		{http.MethodDelete, "/v1/queue/y", ""},
		{http.MethodPost, "/v1/job/submit", `{"queue":"q","jobSetId":"s","jobRequestItems":[{"podSpec":` + goodSpec + `}]}`},
		{http.MethodPost, "/v1/job/reprioritize", `{"queue":"q","jobSetId":"s","newPriority":2}`},
		{http.MethodPost, "/v1/job/cancel", `{"queue":"q","jobSetId":"s"}`},
		{http.MethodPost, "/v1/jobset/cancel", `{"queue":"q","jobSetId":"s"}`},
		{http.MethodPost, "/v1/job-set/q/s", `{}`},
		{http.MethodPost, "/v1/job/status", `{"jobIds":["x"]}`},
		{http.MethodPost, "/v1/lookout/jobs", `{}`},
		{http.MethodGet, "/swagger.json", ""},
		{http.MethodGet, "/api/swagger.json", ""},
	} {
		if answer, body := w.call(c.verb, c.path, c.body); answer.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %d %s", c.verb, c.path, answer.StatusCode, body)
		}
	}
}

func TestViolationsAreReadableOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	answer, body := w.call(http.MethodPost, "/v1/job/submit", `{"queue":"q","jobSetId":"s","jobRequestItems":[{},{}]}`)
	for _, path := range []string{"job_request_items[0].pod_spec", "job_request_items[1].pod_spec"} {
		if answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, path) {
			t.Errorf("%d %s", answer.StatusCode, body)
		}
	}
}

func TestUnknownFieldsWarnAndAreRefusedWhenStrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	answer, _ := w.call(http.MethodPut, "/v1/queue/x", `{"priorityFactor":2,"colour":"red"}`)
	if got := answer.Header.Get("Warning"); answer.StatusCode != http.StatusOK || !strings.Contains(got, "colour") {
		t.Errorf("%d, warning %q", answer.StatusCode, got)
	}
	answer, body := w.call(http.MethodPut, "/v1/queue/strict?fieldValidation=Strict", `{"priorityFactor":2,"colour":"red"}`)
	if answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, "colour") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if answer, _ := w.call(http.MethodGet, "/v1/queue/strict", ""); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a refused request did something: %d", answer.StatusCode)
	}
}

func TestWhatNoCallCanCarryIsTheCallersFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, path := range []string{"/v1/queue/%C5", "/api/v1/retry-policy/a%ff", "/v1/scheduling-report?mostRecentForQueue.queueName=%ff", "/v1/batched/queues?%ff=1"} {
		if answer, body := w.call(http.MethodGet, path, ""); answer.StatusCode != http.StatusBadRequest || !json.Valid([]byte(body)) || !strings.Contains(body, "must be UTF-8") {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
	for header, want := range map[string]int{
		"Grpc-Metadata-Tenant: \xc3\xa9": http.StatusBadRequest, "Grpc-Metadata-Tenant: e": http.StatusOK,
		"Grpc-Metadata-Tenant-Bin: w6k=": http.StatusOK, "Tenant: \xc3\xa9": http.StatusOK,
	} {
		name, value, _ := strings.Cut(header, ": ")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.server.HTTPAddr()+"/v1/queue/q", nil)
		ok(t, err)
		request.Header.Set(name, value)
		answer, err := http.DefaultClient.Do(request)
		ok(t, err)
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%q: %d", header, answer.StatusCode)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{config: func(c *server.Config) { c.MaxBodyBytes = 100 }})
	answer, body := w.call(http.MethodPut, "/v1/queue/x", `{"priorityFactor":2,"labels":{"a":"`+strings.Repeat("x", 100)+`"}}`)
	if answer.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(body, "too large") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

func TestHealthIsSaidWithoutABody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	if answer, body := w.call(http.MethodGet, "/health", ""); answer.StatusCode != http.StatusNoContent || body != "" {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	ok(t, w.store.Close())
	if answer, body := w.call(http.MethodGet, "/health", ""); answer.StatusCode != http.StatusServiceUnavailable || body == "" {
		t.Errorf("without a store: %d %s", answer.StatusCode, body)
	}
}

func TestPagesOfAllowedOriginsMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{config: func(c *server.Config) {
		c.CORSAllowedOrigins, c.CORSAllowedMethods, c.CORSAllowedHeaders = []string{"http://ui"}, []string{"POST", "GET"}, []string{"Authorization", "X-Own"}
	}})
	for _, c := range []struct{ origin, verb, asked, allowed, methods string }{
		{"http://ui", http.MethodOptions, http.MethodPost, "http://ui", "POST, GET"},
		{"http://ui", http.MethodGet, "", "http://ui", ""},
		{"http://elsewhere", http.MethodOptions, http.MethodPost, "", ""},
		{"http://elsewhere", http.MethodGet, "", "", ""},
		{"", http.MethodGet, "", "", ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.verb, "http://"+w.server.HTTPAddr()+"/v1/queue/q", nil)
		ok(t, err)
		if c.origin != "" {
			request.Header.Set("Origin", c.origin)
		}
		if c.asked != "" {
			request.Header.Set("Access-Control-Request-Method", c.asked)
		}
		answer, err := http.DefaultClient.Do(request)
		ok(t, err)
		_ = answer.Body.Close()
		head := answer.Header
		if want := map[bool]int{true: http.StatusNoContent, false: http.StatusOK}[c.asked != ""]; answer.StatusCode != want {
			t.Errorf("%v: %d", c, answer.StatusCode)
		}
		if head.Get("Access-Control-Allow-Origin") != c.allowed || head.Get("Access-Control-Allow-Methods") != c.methods || head.Get("Vary") != "Origin" {
			t.Errorf("%v: %v", c, head)
		}
		if c.allowed == "" {
			continue
		}
		if c.asked != "" && head.Get("Access-Control-Allow-Headers") != "Authorization, X-Own" || head.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%v: %v", c, head)
		}
		if c.asked == "" && !strings.Contains(head.Get("Access-Control-Expose-Headers"), "Warning") {
			t.Errorf("%v: %v", c, head)
		}
	}
}

// A page reads the answer of fetch() as it comes, line by line, from where it is
// allowed to.
func TestAPageOfAnAllowedOriginWatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{config: func(c *server.Config) { c.CORSAllowedOrigins, c.CORSAllowCredentials = []string{"http://ui"}, false }})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.server.HTTPAddr()+"/api/v1/job-set/q/set", strings.NewReader(`{"watch":true}`))
	ok(t, err)
	for name, value := range map[string]string{"Origin": "http://ui", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Content-Type": "application/json"} {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	ok(t, err)
	defer func() { _ = answer.Body.Close() }()
	if head := answer.Header; answer.StatusCode != http.StatusOK || head.Get("Access-Control-Allow-Origin") != "http://ui" || head.Get("Access-Control-Allow-Credentials") != "" {
		t.Fatalf("%d %v", answer.StatusCode, head)
	}
	lines := bufio.NewScanner(answer.Body)
	for n := range 3 {
		w.submitted("set", items(1))
		for _, kind := range []string{"submitted", "queued"} {
			if !lines.Scan() || !json.Valid(lines.Bytes()) || !strings.Contains(lines.Text(), `"`+kind+`"`) {
				t.Fatalf("job %d: %s (%v)", n, lines.Text(), lines.Err())
			}
		}
	}
}

func TestARequestWithoutABodyIsAnEmptyOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for path, want := range map[string]struct {
		code int
		says string
	}{
		"/v1/queues/active":    {http.StatusOK, "activeQueuesByPool"},
		"/v1/job-set/nope/set": {http.StatusNotFound, "could not find queue"},
		"/v1/job/cancel":       {http.StatusBadRequest, "job_set_id: must not be empty"},
	} {
		if answer, body := w.call(http.MethodPost, path, ""); answer.StatusCode != want.code || !strings.Contains(body, want.says) {
			t.Errorf("%s: %d %s, want %d %s", path, answer.StatusCode, body, want.code, want.says)
		}
	}
}

func TestAnUnknownPathIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) {
		d.UI = http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte("<html>")) })
	}})
	if answer, body := w.call(http.MethodGet, "/jobs", ""); answer.StatusCode != http.StatusOK || body != "<html>" {
		t.Errorf("the pages: %d %s", answer.StatusCode, body)
	}
	if answer, _ := w.call(http.MethodGet, "/v1/never", ""); answer.StatusCode != http.StatusNotFound {
		t.Errorf("%d", answer.StatusCode)
	}
	if answer, body := w.call(http.MethodPatch, "/v1/queue/q", "{}"); answer.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(body, "no method PATCH") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if answer, body := newWorld(t, options{}).call(http.MethodGet, "/jobs", ""); answer.StatusCode != http.StatusNotFound || !json.Valid([]byte(body)) {
		t.Errorf("without pages: %d %s", answer.StatusCode, body)
	}
}

func TestACancelOverRESTSendsFourLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))[0]
	w.change(id, lifecycle.Change{Kind: lifecycle.Cancel, By: "ada"})
	_, body := w.call(http.MethodPost, "/api/v1/job-set/q/set", `{}`)
	if got := strings.Count(body, "\n"); got != 4 || !strings.HasSuffix(body, "\n") {
		t.Errorf("%d lines: %s", got, body)
	}
}
