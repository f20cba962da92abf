package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/podspec"
	"armada/internal/server"
	"armada/internal/store"
	"armada/internal/wire/restjson"
	"armada/pkg/api"
)

// request is a submit request in JSON, of items without their braces.
func request(items ...string) string {
	return `{"queue":"q","jobSetId":"s","jobRequestItems":[{` + strings.Join(items, `},{`) + `}]}`
}

// good is the pod spec of an item.
const good = `"podSpec":` + goodSpec

// spec is an item with a pod spec of one container with more members, and of more.
func spec(container, more string) string {
	return `"podSpec":{"containers":[{"name":"main"` + container + `}]` + more + `}`
}

func resources(of string) string { return spec(`,"resources":`+of, "") }

func member(gang, more string) string {
	return `"annotations":{"armadaproject.io/gangId":"g"` + gang + `},` + more
}

// rows are what the original refuses at submission, by the numbers of its rules, and
// what only we refuse. Those of its rules that we relax are in accepted.
var rows = []struct {
	rule     int // 0 for ours
	body, at string
	says     string
}{
	{1, `{"jobSetId":"s"}`, "queue", "must not be empty"},
	{2, request(member("", good)), "job_request_items[0].annotations[armadaproject.io/gangCardinality]", "is missing"},
	{2, request(member(`,"armadaproject.io/gangCardinality":"0"`, good)), "job_request_items[0].annotations[armadaproject.io/gangCardinality]", `is "0", must be a whole number from 1`},
	{2, request(member(`,"armadaproject.io/gangCardinality":"two"`, good)), "job_request_items[0].annotations[armadaproject.io/gangCardinality]", `is "two"`},
	{2, request(member(`,"armadaproject.io/gangCardinality":"2","armadaproject.io/failFast":"yes"`, good)), "job_request_items[0].annotations[armadaproject.io/failFast]", `is "yes"`},
	{2, request(member(`,"armadaproject.io/gangCardinality":"2"`, good), member(`,"armadaproject.io/gangCardinality":"3"`, good)), "job_request_items[1].annotations[armadaproject.io/gangCardinality]", "is 3, but 2 in"},
	{
		2, request(member(`,"armadaproject.io/gangCardinality":"2"`, good), member(`,"armadaproject.io/gangCardinality":"2"`, spec("", `,"priorityClassName":"armada-preemptible"`))),
		"job_request_items[1].pod_spec.priorityClassName", `is "armada-preemptible", but "armada-default"`,
	},
	{
		2, request(member(`,"armadaproject.io/gangCardinality":"2"`, good), member(`,"armadaproject.io/gangCardinality":"2","armadaproject.io/gangNodeUniformityLabel":"rack"`, good)),
		"job_request_items[1].annotations[armadaproject.io/gangNodeUniformityLabel]", `is "rack", but ""`,
	},
	{3, `{"queue":"q"}`, "job_set_id", "must not be empty"},
	{4, `{"queue":"q","jobSetId":"` + strings.Repeat("ä", 1024) + `"}`, "job_set_id", "has 1024 characters, at most 1023"},
	{6, request(``), "job_request_items[0].pod_spec", "is missing"},
	{6, request(good + `,"podSpecs":[` + goodSpec + `]`), "job_request_items[0].pod_specs", "must be empty when pod_spec is set"},
	{6, request(`"podSpecs":[` + goodSpec + `,` + goodSpec + `]`), "job_request_items[0].pod_specs", "exactly one"},
	{7, request(spec(`,"args":["`+strings.Repeat("x", 65536)+`"]`, "")), "job_request_items[0].pod_spec", "at most 65535 are taken"},
	{
		8, request(spec("", `,"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{}}]}}`)),
		"job_request_items[0].pod_spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", "",
	},
	{
		8, request(spec("", `,"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Like","values":["b"]}]}]}}}`)),
		"job_request_items[0].pod_spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator", "",
	},
	{9, request(resources(`{"requests":{"cpu":1}}`)), "job_request_items[0].pod_spec.containers[0].resources.limits[cpu]", "is missing"},
	{9, request(resources(`{"requests":{"cpu":-1},"limits":{"cpu":1}}`)), "job_request_items[0].pod_spec.containers[0].resources.requests[cpu]", "must not be negative"},
	{9, request(resources(`{"requests":{"cpu":2},"limits":{"cpu":1}}`)), "job_request_items[0].pod_spec.containers[0].resources.limits[cpu]", "less than the request"},
	{9, request(resources(`{"requests":{"cpu":1},"limits":{"cpu":"1001m"}}`)), "job_request_items[0].pod_spec.containers[0].resources.limits[cpu]", "more than the request"},
	{9, request(resources(`{"requests":{"memory":"1Ki"},"limits":{"memory":"1Ki"}}`)), "job_request_items[0].pod_spec.containers[0].resources.requests[memory]", "must be at least 1Mi"},
	{
		9, request(spec("", `,"initContainers":[{"name":"first","resources":{"requests":{"memory":"1Gi"},"limits":{"memory":"2Gi"}}}]`)),
		"job_request_items[0].pod_spec.initContainers[0].resources.limits[memory]", "more than the request",
	},
	{
		10, request(spec("", `,"initContainers":[{"name":"first","resources":{"requests":{"cpu":1},"limits":{"cpu":1}}}]`)),
		"job_request_items[0].pod_spec.initContainers[0].resources.requests[cpu]", "whole cpus",
	},
	{11, request(spec("", `,"priorityClassName":"urgent"`)), "job_request_items[0].pod_spec.priorityClassName", "armada-default"},
	{12, request(spec("", `,"terminationGracePeriodSeconds":301`)), "job_request_items[0].pod_spec.terminationGracePeriodSeconds", "from 1 to 300"},
	{12, request(spec("", `,"terminationGracePeriodSeconds":-1`)), "job_request_items[0].pod_spec.terminationGracePeriodSeconds", "from 1 to 300"},
	{13, request(good + `,"ingress":[{}]`), "job_request_items[0].ingress[0].ports", "at least one port"},
	{13, request(good + `,"ingress":[{"ports":[80]},{"ports":[81,80]}]`), "job_request_items[0].ingress[1].ports", "port 80 is in ingress[0] already"},
	{
		14, request(spec(`,"ports":[{"containerPort":80}]`, `,"initContainers":[{"name":"first","ports":[{"containerPort":80}]}]`)),
		"job_request_items[0].pod_spec.containers[0].ports[0].containerPort", "is 80, which",
	},
	{15, request(good + `,"clientId":"` + strings.Repeat("ä", 101) + `"`), "job_request_items[0].client_id", "has 101 characters, at most 100"},
	{16, request(spec("", `,"tolerations":[{"key":"kept","operator":"Exists"}]`)), "job_request_items[0].pod_spec.tolerations[0].key", ""},
	{17, request(good + `,"annotations":{"armadaproject.io/priceBand":"I"}`), "job_request_items[0].annotations[armadaproject.io/priceBand]", "must be one of A to H"},

	{0, request(good + `,"namespace":"No Namespace"`), "job_request_items[0].namespace", "lower-case"},
	{0, request(good + `,"priority":"NaN"`), "job_request_items[0].priority", "must be a number"},
	{0, request(good + `,"labels":{"a b":"c"}`), "job_request_items[0].labels[a b]", "is not a label key"},
	{0, request(good + `,"annotations":{"a b":"c"}`), "job_request_items[0].annotations[a b]", "is not an annotation key"},
	{0, request(good + `,"services":[{"ports":[80],"name":"My Service"}]`), "job_request_items[0].services[0].name", "cannot be the name of a service"},
	{0, request(good + `,"services":[{"ports":[80],"name":"a"},{"ports":[81],"name":"a"}]`), "job_request_items[0].services[1].name", "is the name of services[0] already"},
	{0, request(good + `,"services":[{"ports":[80,80]}]`), "job_request_items[0].services[0].ports", "port 80 is given twice"},
	{0, request(good + `,"services":[{"ports":[0]}]`), "job_request_items[0].services[0].ports", "0 is no port"},
	{0, request(good + `,"services":[{"ports":[80],"type":7}]`), "job_request_items[0].services[0].type", "7 is no type"},
	{0, request(good + `,"ingress":[{"ports":[80],"certName":"My Secret"}]`), "job_request_items[0].ingress[0].cert_name", "cannot be the name of a secret"},
	{0, request(good + `,"ingress":[{"ports":[80],"annotations":{"a b":"c"}}]`), "job_request_items[0].ingress[0].annotations[a b]", "is not an annotation key"},
	{0, request(good + `,"externalJobUri":"\u0000"`), "job_request_items[0].external_job_uri", "the character NUL"},
}

// accepted are requests that the original refuses, or is said to: of rules 5, 9, and 12.
var accepted = []string{
	request(good + `,"namespace":""`), request(spec("", "")), request(resources(`{"limits":{"cpu":1}}`)), request(spec("", `,"terminationGracePeriodSeconds":0`)),
	request(good + `,"annotations":{"armadaproject.io/gangId":"g","armadaproject.io/gangCardinality":"5"}`), // the others may come later
}

func TestEveryRuleOfSubmittingHoldsOverBothWays(t *testing.T) {
	t.Parallel()
	rules := podspec.DefaultConfig()
	rules.RestrictedTolerationKeys = []string{"kept"}
	made, err := rules.Rules(armada.DefaultResourceTable())
	ok(t, err)
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Rules = made }})
	seen := map[int]bool{}
	for _, row := range rows {
		seen[row.rule] = true
		what := fmt.Sprintf("rule %d, %.120s", row.rule, row.body)
		sent := &api.JobSubmitRequest{}
		_, err := restjson.Decode([]byte(row.body), sent)
		ok(t, err)
		_, err = w.submit.SubmitJobs(t.Context(), sent)
		told := status.Convert(err).Message()
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(told, row.at+": ") || !strings.Contains(told, row.says) {
			t.Errorf("%s: over gRPC it is %v, want %s %s", what, err, row.at, row.says)
		}
		if got := paths(err); len(got) != 1 || got[0] != row.at {
			t.Errorf("%s: the violations are at %q, want %q", what, got, row.at)
		}
		answer, body := w.call(http.MethodPost, "/v1/job/submit", row.body)
		var refusal struct{ Message string }
		if err := json.Unmarshal([]byte(body), &refusal); err != nil || answer.StatusCode != http.StatusBadRequest || refusal.Message != told {
			t.Errorf("%s: over REST it is %d %q, want %q", what, answer.StatusCode, refusal.Message, told)
		}
	}
	for rule := 1; rule <= 17; rule++ {
		if !seen[rule] && rule != 5 { // an empty namespace is the namespace default
			t.Errorf("rule %d has no row", rule)
		}
	}
	if jobs, err := w.store.ActiveJobs(t.Context(), store.JobSetKey{Queue: "q", JobSet: "s"}, nil); err != nil || len(jobs) != 0 {
		t.Errorf("submitted were %v, %v", jobs, err)
	}
	for _, body := range accepted {
		if answer, body := w.call(http.MethodPost, "/v1/job/submit", body); answer.StatusCode != http.StatusOK {
			t.Errorf("%d %s", answer.StatusCode, body)
		}
	}
}
