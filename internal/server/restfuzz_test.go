package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"armada/internal/server"
	"armada/pkg/api"
)

func FuzzSubmitOverREST(f *testing.F) {
	w := newWorld(f, options{})
	f.Add(`{"queue":"q","jobSetId":"s","jobRequestItems":[{"podSpec":` + goodSpec + `}]}`)
	f.Add(`{"queue":"q","jobSetId":"s","jobRequestItems":[{"priority":"NaN","ingress":[{"ports":[1,1]}],"annotations":{"armadaproject.io/gangId":"g"}}]}`)
	f.Add(`{"queue":`)
	f.Fuzz(func(t *testing.T, body string) {
		at := *w
		at.t = t
		answer, text := at.call(http.MethodPost, "/v1/job/submit", body)
		switch answer.StatusCode {
		case http.StatusOK, http.StatusBadRequest, http.StatusNotFound:
		default:
			t.Errorf("%d %s", answer.StatusCode, text)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("the answer is no JSON: %s", text)
		}
	})
}

// restRoutes are all routes of the description, in order, as verb and path.
func restRoutes(t testing.TB) [][2]string {
	t.Helper()
	var d struct {
		Paths map[string]map[string]json.RawMessage
	}
	ok(t, json.Unmarshal(api.Swagger, &d))
	var routes [][2]string
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, verb := range slices.Sorted(maps.Keys(d.Paths[path])) {
			routes = append(routes, [2]string{strings.ToUpper(verb), path})
		}
	}
	return routes
}

// FuzzRequestsOverREST sends anything to any route: in its path, its query and its
// body. The answer is JSON, and what is wrong is the caller's fault.
func FuzzRequestsOverREST(f *testing.F) {
	routes := restRoutes(f)
	w := newWorld(f, options{deps: func(d *server.Deps) { d.Peers = full{&fakeExecutors{}} }})
	at := func(path string) uint8 {
		return uint8(slices.IndexFunc(routes, func(r [2]string) bool { return r[1] == path }))
	}
	f.Add(at("/v1/batched/queues"), "", "num=1&num=2", "")
	f.Add(at("/v1/batched/queues"), "", "num=-1", "")
	f.Add(at("/v1/scheduling-report"), "", "mostRecentForQueue.queueName=q&mostRecentForJob.jobId=x&verbosity=9", "")
	f.Add(at("/v1/scheduling-report"), "", "mostRecentForQueue=%7B%7D&verbosity=x;y=%zz", "")
	f.Add(at("/v1/job-set/{queue}/{id}"), "q/../%2e", "fieldValidation=Strict", `{"fromMessageId":"1-1","queue":"other"}`)
	f.Add(at("/v1/queue/{name}"), "\x00\ue000", "fieldValidation=never", `{"priorityFactor":"-Infinity","permissions":[{}]}`)
	f.Add(at("/v1/lookout/jobs"), "", "", `{"filters":[{"field":"state","match":"IN","values":["QUEUED","x"]}],"pageSize":-1,"pageToken":"\u0000"}`)
	f.Add(at("/v1/node/cancel/{name}"), "n1", "", `{"executor":"e","queues":["q","q",""],"priorityClasses":[null]}`)
	f.Add(at("/v1/executor_settings/{name}"), "\n", "", `{"cordoned":true,"cordonReason":"\u0000"}`)
	f.Add(at("/v1/binoculars/log"), "", "", `{"jobId":"","sinceTime":"\ud800","logOptions":{"sinceSeconds":9223372036854775807,"tailLines":-1}}`)
	f.Add(at("/v1/binoculars/cordon"), "", "", `{"nodeName":"a\nb"}`)
	f.Add(at("/v1/retry-policy/{name}"), "p", "", `{"rules":[{"mutate":{"resources":{"memory":{"factor":1e999}}}}]}`)
	variable := regexp.MustCompile(`{[^}]*}`)
	watch := regexp.MustCompile(`(?i)watch|\\u`) // a stream that does not end, or the same in disguise
	f.Fuzz(func(t *testing.T, route uint8, inPath, query, body string) {
		one := *w
		one.t = t
		r := routes[int(route)%len(routes)]
		if strings.Contains(r[1], "job-set") && watch.MatchString(body) {
			return
		}
		path := variable.ReplaceAllLiteralString(r[1], url.PathEscape(inPath))
		if _, err := url.ParseRequestURI("http://host" + path + "?" + query); err != nil || strings.ContainsAny(query, " #") {
			return // no client sends it
		}
		answer, text := one.call(r[0], path+"?"+query, body)
		if answer.StatusCode >= http.StatusInternalServerError && answer.StatusCode != http.StatusNotImplemented {
			t.Errorf("%s %s: %d %s", r[0], path, answer.StatusCode, text)
		}
		for line := range strings.Lines(text) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s %s: no JSON: %s", r[0], path, line)
			}
		}
	})
}
