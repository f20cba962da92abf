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

func TestBadQueuesAreRefused(t *testing.T) {
	t.Parallel()
	bad := func(queue string, wrong ...violation) mistake {
		return mistake{sent: creating(t, queue), code: codes.InvalidArgument, wrong: wrong}
	}
	named := func(name string) mistake {
		return bad(`{"name":`+quote(name)+`,"priorityFactor":1}`, violation{"name", "must be at most 63 letters, digits, '-', '_' or '.', and begin and end with a letter or digit", "name:"})
	}
	refuse(t, map[string]mistake{
		"no name":                 bad(`{"name":"","priorityFactor":1}`, violation{"name", "must not be empty", ""}),
		"a name of 64 characters": named(strings.Repeat("x", 64)),
		"a name with a slash":     named("a/b"),
		"a name with a space":     named("a b"),
		"a name that ends badly":  named("demo-"),
		"a name in Greek":         named("ουρά"),
		"a factor below one":      bad(`{"name":"x","priorityFactor":0.5}`, violation{"priority_factor", "must be a number from 1 up", "priorityFactor: 0.5"}),
		"a factor of NaN":         bad(`{"name":"x","priorityFactor":"NaN"}`, violation{"priority_factor", "must be a number from 1 up", "priorityFactor: NaN"}),
		"an infinite factor":      bad(`{"name":"x","priorityFactor":"Infinity"}`, violation{"priority_factor", "must be a number from 1 up", "priorityFactor: Infinity"}),
		"a verb that there is not": bad(`{"name":"x","permissions":[{"subjects":[{"kind":"User","name":"ada"}],"verbs":["fly"]}]}`,
			violation{"permissions[0].verbs[0]", "must be one of submit, cancel", "fly"}),
	})
}
