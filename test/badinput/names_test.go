package badinput

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"armada/pkg/api"
)

func TestAnUnknownQueueIsAnsweredWithTheOneThatWasMeant(t *testing.T) {
	t.Parallel()
	const says = `could not find queue "reserch", did you mean "research"?`
	refuse(t, map[string]mistake{
		"submit to it": {sent: submitting(t, "reserch", "set", item()), code: codes.NotFound, says: []string{says}},
		"cancel a job set of it": {sent: sending{
			method: api.Submit_CancelJobSet_FullMethodName, message: &api.JobSetCancelRequest{Queue: "reserch", JobSetId: "set"},
			verb: http.MethodPost, path: "/api/v1/jobset/cancel", body: `{"queue":"reserch","jobSetId":"set"}`,
			args: []string{"cancel", "job-set", "reserch", "set"},
		}, code: codes.NotFound, says: []string{says}},
		"reprioritize a job set of it": {sent: sending{
			method: api.Submit_ReprioritizeJobs_FullMethodName, message: &api.JobReprioritizeRequest{Queue: "reserch", JobSetId: "set", NewPriority: 1},
			verb: http.MethodPost, path: "/api/v1/job/reprioritize", body: `{"queue":"reserch","jobSetId":"set","newPriority":1}`,
			args: []string{"reprioritize", "job-set", "reserch", "set", "1"},
		}, code: codes.NotFound, says: []string{says}},
		"ask for it": {sent: sending{
			method: api.Submit_GetQueue_FullMethodName, message: &api.QueueGetRequest{Name: "reserch"},
			verb: http.MethodGet, path: "/api/v1/queue/reserch",
			args: []string{"get", "queue", "reserch"},
		}, code: codes.NotFound, says: []string{says}},
		// REST is not asked: PUT creates what it does not find.
		"update it": {sent: sending{
			method: api.Submit_UpdateQueue_FullMethodName, message: &api.Queue{Name: "reserch", PriorityFactor: 1},
			args: []string{"update", "queue", "reserch"},
		}, code: codes.NotFound, says: []string{says}},
		"one that resembles none": {sent: submitting(t, "production", "set", item()), code: codes.NotFound, says: []string{`could not find queue "production"`}},
	})
}

func TestEmptyAndOverLongNamesAreRefused(t *testing.T) {
	t.Parallel()
	in := func(m mistake) mistake { m.code = codes.InvalidArgument; return m }
	refuse(t, map[string]mistake{
		"jobs of no queue":      in(mistake{sent: submitting(t, "", "set", item()), wrong: []violation{{"queue", "must not be empty", ""}}}),
		"jobs of no job set":    in(mistake{sent: submitting(t, "demo", "", item()), wrong: []violation{{"job_set_id", "must not be empty", ""}}}),
		"a job set id of 1024":  in(mistake{sent: submitting(t, "demo", strings.Repeat("ä", 1024), item()), wrong: []violation{{"job_set_id", "has 1024 characters, at most 1023 are taken", "jobSetId"}}}),
		"a job set id with NUL": in(mistake{sent: submitting(t, "demo", "a\x00b", item()), wrong: []violation{{"job_set_id", "must not contain the character NUL", "jobSetId"}}}),
		"a cancel of no job set": in(mistake{sent: sending{
			method: api.Submit_CancelJobs_FullMethodName, message: &api.JobCancelRequest{Queue: "demo"},
			verb: http.MethodPost, path: "/api/v1/job/cancel", body: `{"queue":"demo"}`,
			args: []string{"cancel", "job-set", "demo", ""},
		}, wrong: []violation{{"job_set_id", "must not be empty", ""}}}),
	})
}

// creating is a request to create a queue; the rest of the queue is good.
func creating(t *testing.T, queue string) sending {
	t.Helper()
	message := &api.Queue{}
	decode(t, queue, message)
	return sending{
		method: api.Submit_CreateQueue_FullMethodName, message: message,
		verb: http.MethodPost, path: "/api/v1/queue", body: queue,
		args: []string{"create", "-f", "FILE"}, file: "kind: Queue\n" + toYAML(t, queue),
	}
}

func policing(t *testing.T, policy string) sending {
	t.Helper()
	message := &api.RetryPolicy{}
	decode(t, policy, message)
	return sending{
		method: api.RetryPolicyService_CreateRetryPolicy_FullMethodName, message: message,
		verb: http.MethodPost, path: "/api/v1/retry-policy", body: policy,
		args: []string{"create", "retry-policy", "-f", "FILE"}, file: "kind: RetryPolicy\n" + toYAML(t, policy),
	}
}

func TestBadRetryPoliciesAreRefused(t *testing.T) {
	t.Parallel()
	bad := func(policy string, wrong ...violation) mistake {
		return mistake{sent: policing(t, policy), code: codes.InvalidArgument, wrong: wrong}
	}
	rule := func(rule, path, phrase, line string) mistake {
		return bad(`{"name":"p","defaultAction":"Fail","rules":[`+rule+`]}`, violation{"rules[0]." + path, phrase, line})
	}
	refuse(t, map[string]mistake{
		"no default":                    bad(`{"name":"p"}`, violation{"default_action", "must be Fail or Retry", ""}),
		"a long name":                   bad(`{"name":"`+strings.Repeat("x", 64)+`","defaultAction":"Fail"}`, violation{"name", "must be 1 to 63 lower-case letters", "name:"}),
		"a name in capitals":            bad(`{"name":"P","defaultAction":"Fail"}`, violation{"name", "must be 1 to 63 lower-case letters", "name: P"}),
		"no action":                     rule(`{"onCategory":"user"}`, "action", "must be Fail or Retry", "onCategory"),
		"a rule for everything":         rule(`{"action":"Fail"}`, "on_category", "a rule must name one of them", "action: Fail"),
		"a part of no category":         rule(`{"action":"Fail","onExitCodes":[1],"onSubcategory":"oom"}`, "on_subcategory", "must come with on_category", "onSubcategory: oom"),
		"the exit code of a success":    rule(`{"action":"Fail","onExitCodes":[1,0]}`, "on_exit_codes[1]", "must be another exit code", "0"),
		"a condition that there is not": rule(`{"action":"Fail","onConditions":["Bored"]}`, "on_conditions[0]", "must be one of OOMKilled, Evicted, DeadlineExceeded, Preempted", "Bored"),
		"a pattern that is none":        rule(`{"action":"Fail","onTerminationMessage":"("}`, "on_termination_message", "is no regular expression", "onTerminationMessage"),
		"a failure with a next attempt": rule(`{"action":"Fail","onExitCodes":[1],"mutate":{"affinity":{"avoidSameNode":true}}}`, "mutate", "there is none", "mutate:"),
		"two kinds of growth":           rule(`{"action":"Retry","onExitCodes":[1],"mutate":{"resources":{"memory":{"static":"1Gi","factor":2}}}}`, "mutate.resources.memory", "must have one of them", "memory:"),
		"memory that shrinks":           rule(`{"action":"Retry","onExitCodes":[1],"mutate":{"resources":{"memory":{"factor":0.5}}}}`, "mutate.resources.memory.factor", "must be a number above 1", "factor: 0.5"),
		"memory of no amount":           rule(`{"action":"Retry","onExitCodes":[1],"mutate":{"resources":{"memory":{"static":"much"}}}}`, "mutate.resources.memory.static", "", "static: much"),
	})
}

func TestBadQueuesAreRefused(t *testing.T) {
	t.Parallel()
	bad := func(queue string, wrong ...violation) mistake {
		return mistake{sent: creating(t, queue), code: codes.InvalidArgument, wrong: wrong}
	}
	named := func(name string) mistake {
		return bad(`{"name":`+quote(name)+`,"priorityFactor":1}`, violation{"name", "must be at most 63 letters, digits, '-', '_' or '.', and begin and end with a letter or digit", "name:"})
	}
	refuse(t, map[string]mistake{
		"no name":                          bad(`{"name":"","priorityFactor":1}`, violation{"name", "must not be empty", ""}),
		"a name of 64 characters":          named(strings.Repeat("x", 64)),
		"a name with a slash":              named("a/b"),
		"a name with a space":              named("a b"),
		"a name that ends badly":           named("demo-"),
		"a name in Greek":                  named("ουρά"),
		"a factor below one":               bad(`{"name":"x","priorityFactor":0.5}`, violation{"priority_factor", "must be a number from 1 up", "priorityFactor: 0.5"}),
		"a factor of NaN":                  bad(`{"name":"x","priorityFactor":"NaN"}`, violation{"priority_factor", "must be a number from 1 up", "priorityFactor: NaN"}),
		"an infinite factor":               bad(`{"name":"x","priorityFactor":"Infinity"}`, violation{"priority_factor", "must be a number from 1 up", "priorityFactor: Infinity"}),
		"a retry policy that there is not": bad(`{"name":"x","retryPolicies":["none"]}`, violation{"retry_policies[0]", "there is no retry policy \"none\"", "none"}),
		"a verb that there is not": bad(`{"name":"x","permissions":[{"subjects":[{"kind":"User","name":"ada"}],"verbs":["fly"]}]}`,
			violation{"permissions[0].verbs[0]", "must be one of submit, cancel", "fly"}),
	})
}
