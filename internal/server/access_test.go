package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"armada"
	"armada/internal/auth"
	"armada/internal/server"
	"armada/pkg/api"
)

// asks are requests about the queue "q", which has JOB in the job set "s", by
// method; of others the same for all methods, as far as they have such fields.
// What changes something asks for what does not exist: only whether the caller was
// let in counts.
var asks = map[string]string{
	"/api.Submit/CreateQueue": `{"name":"-"}`, "/api.QueueService/CreateQueue": `{"name":"-"}`,
	"/api.Submit/UpdateQueue": `{"name":"none"}`, "/api.QueueService/UpdateQueue": `{"name":"none"}`,
	"/api.Submit/DeleteQueue": `{"name":"none"}`, "/api.QueueService/DeleteQueue": `{"name":"none"}`,
	"/api.QueueService/CordonQueue": `{"name":"none"}`, "/api.QueueService/UncordonQueue": `{"name":"none"}`,
	"/api.Submit/CancelJobs":                                   `{"queue":"q","jobSetId":"none"}`,
	"/api.Submit/CancelJobSet":                                 `{"queue":"q","jobSetId":"none"}`,
	"/api.Submit/PreemptJobs":                                  `{"queue":"q","jobSetId":"none","jobIds":["x"]}`,
	"/api.QueueService/CancelOnQueue":                          `{"name":"q","priorityClasses":["armada-preemptible"]}`,
	"/api.Event/GetJobSetEvents":                               `{"queue":"q","id":"s"}`,
	"/api.Executor/CancelOnExecutor":                           `{"name":"e","queues":["q"]}`,
	"/api.Executor/PreemptOnExecutor":                          `{"name":"e","queues":["q"]}`,
	"/api.Node/CancelOnNode":                                   `{"name":"n","executor":"e","queues":["q"]}`,
	"/api.Node/PreemptOnNode":                                  `{"name":"n","executor":"e","queues":["q"]}`,
	"/schedulerobjects.SchedulerReporting/GetSchedulingReport": `{"mostRecentForQueue":{"queueName":"q"}}`,
	"/lookout.Lookout/Exec":                                    `{"start":{"jobId":"JOB","args":["true"]}}`,
	"/lookout.Lookout/ListJobSets":                             `{}`, // of any queue; with one it takes the verb
	// The name of a queue in one service, that of a policy in another.
	"/api.RetryPolicyService/GetRetryPolicy": `{"name":"none"}`, "/api.RetryPolicyService/DeleteRetryPolicy": `{"name":"none"}`,
}

// usual are the fields of the other requests.
var usual = map[string]string{
	"queue": `"q"`, "queue_name": `"q"`, "name": `"q"`, "job_set_id": `"s"`, "jobset": `"s"`, "job_set": `"s"`, "external_job_uri": `"u"`,
	"job_id": `"JOB"`, "job_ids": `["JOB"]`, "columns": `[]`,
}

// describe finds a method by its full name.
func describe(t *testing.T, method string) protoreflect.MethodDescriptor {
	t.Helper()
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	ok(t, err)
	m, is := d.(protoreflect.MethodDescriptor)
	if !is {
		t.Fatalf("%s is no method", method)
	}
	return m
}

// requestOf is what a method is asked, as JSON and as a message.
func requestOf(t *testing.T, method, job string) (text string, message proto.Message) {
	t.Helper()
	input := describe(t, method).Input()
	text, known := asks[method]
	if !known {
		var fields []string
		for name, value := range usual {
			f := input.Fields().ByName(protoreflect.Name(name))
			if f != nil && f.IsList() == strings.HasPrefix(value, "[") && f.Kind() == protoreflect.StringKind {
				fields = append(fields, fmt.Sprintf("%q:%s", f.JSONName(), value))
			}
		}
		text = "{" + strings.Join(fields, ",") + "}"
	}
	text = strings.ReplaceAll(text, "JOB", job)
	kind, err := protoregistry.GlobalTypes.FindMessageByName(input.FullName())
	ok(t, err)
	message = kind.New().Interface()
	ok(t, protojson.Unmarshal([]byte(text), message))
	return text, message
}

// overGRPC makes a call, of any kind, and returns how it ends or that it is open.
func overGRPC(t *testing.T, conn *grpc.ClientConn, method, job string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	ok(t, err)
	_, message := requestOf(t, method, job)
	if err := stream.SendMsg(message); err != nil && err != io.EOF { //nolint:errorlint // io.EOF says that RecvMsg knows why
		return err
	}
	ok(t, stream.CloseSend())
	kind, err := protoregistry.GlobalTypes.FindMessageByName(describe(t, method).Output().FullName())
	ok(t, err)
	if err := stream.RecvMsg(kind.New().Interface()); err != io.EOF { //nolint:errorlint // io.EOF is the end of a stream that went well
		return err
	}
	return nil
}

var inPath = regexp.MustCompile(`\{[^}]*\}`)

// route is how a method is called over REST: its verb, and its path with what is
// asked; false when it has none.
func route(t *testing.T, method, job string) (verb, path, body string, there bool) {
	t.Helper()
	d := describe(t, method)
	rule, is := proto.GetExtension(d.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !is || rule == nil {
		return "", "", "", false
	}
	switch {
	case rule.GetGet() != "":
		verb, path = http.MethodGet, rule.GetGet()
	case rule.GetPost() != "":
		verb, path = http.MethodPost, rule.GetPost()
	case rule.GetPut() != "":
		verb, path = http.MethodPut, rule.GetPut()
	case rule.GetDelete() != "":
		verb, path = http.MethodDelete, rule.GetDelete()
	}
	text, message := requestOf(t, method, job)
	path = inPath.ReplaceAllStringFunc(path, func(field string) string {
		f := d.Input().Fields().ByName(protoreflect.Name(strings.Trim(field, "{}")))
		if value := message.ProtoReflect().Get(f).String(); value != "" {
			return url.PathEscape(value)
		}
		return "none"
	})
	if rule.GetBody() == "" {
		var fields map[string]any
		ok(t, json.Unmarshal([]byte(text), &fields))
		return verb, path + "?" + query("", fields).Encode(), "", true
	}
	return verb, path, text, true
}

// query is a message as REST takes it in a query.
func query(prefix string, fields map[string]any) url.Values {
	q := url.Values{}
	for name, value := range fields {
		switch v := value.(type) {
		case map[string]any:
			maps.Copy(q, query(prefix+name+".", v))
		case string:
			q.Set(prefix+name, v)
		}
	}
	return q
}

// everybody are users who hold one right each, by the name of a permission or of a
// verb on the queue "q" with "queue-" before it, and one who holds none.
func everybody() []string {
	users := []string{"nobody"}
	for _, p := range auth.Permissions() {
		users = append(users, string(p))
	}
	for _, v := range armada.Verbs() {
		users = append(users, "queue-"+string(v))
	}
	return users
}

// may tells whether a user of everybody has the right to a verb on the queue "q".
func may(user string, verb armada.Verb) bool {
	rules := auth.Rules()
	rule := rules[slices.IndexFunc(rules, func(r auth.Rule) bool { return r.Verb == verb })]
	given, byQueue := strings.CutPrefix(user, "queue-")
	if byQueue {
		return slices.Contains(rule.ByQueue, armada.Verb(given))
	}
	return slices.Contains(rule.Permissions, auth.Permission(user))
}

// granted is a server where everybody has the right in the name, and a job of the
// queue "q".
func granted(t *testing.T) (g *guarded, job string) {
	t.Helper()
	g = newGuarded(t, holders)
	queue := &api.Queue{Name: "q", PriorityFactor: 1}
	for _, verb := range armada.Verbs() {
		queue.Permissions = append(queue.Permissions, &api.Queue_Permissions{
			Subjects: []*api.Queue_Permissions_Subject{{Kind: armada.SubjectGroup, Name: "queue-" + string(verb)}}, Verbs: []string{string(verb)},
		})
	}
	_, err := g.submit.UpdateQueue(t.Context(), queue)
	ok(t, err)
	submitter := api.NewSubmitClient(g.as(t, passwordOf("submit_any_jobs"), nil))
	answer, err := submitter.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "s", JobRequestItems: items(1)})
	ok(t, err)
	return g, answer.GetJobResponseItems()[0].GetJobId()
}

func passwordOf(user string) header {
	return header("basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func TestEveryMethodOfTheServerIsInTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	stream, err := reflectionpb.NewServerReflectionClient(w.conn).ServerReflectionInfo(t.Context())
	ok(t, err)
	ok(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	answer, err := stream.Recv()
	ok(t, err)
	ok(t, stream.CloseSend())
	served := map[string]bool{}
	for _, s := range answer.GetListServicesResponse().GetService() {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(s.GetName()))
		ok(t, err)
		all := d.(protoreflect.ServiceDescriptor).Methods() //nolint:forcetypeassert // the server says that it is a service
		for i := range all.Len() {
			served["/"+s.GetName()+"/"+string(all.Get(i).Name())] = true
		}
	}
	listed := server.Methods()
	for method := range served {
		if _, there := listed[method]; !there {
			t.Errorf("%s is served, and is not in the list of methods", method)
		}
	}
	for method, access := range listed {
		if !served[method] {
			t.Errorf("%s is in the list of methods, and is not served", method)
		}
		// Who may change something is asked for a right, and its calls are counted as
		// changes, which are written down.
		name := method[strings.LastIndex(method, "/")+1:]
		reads := access.Kind == "ask" || access.Kind == "free"
		if access.Verb == "" && !reads {
			t.Errorf("%s changes something and takes no right", method)
		}
		if machines := access.Verb == auth.VerbExecuteJobs || access.Verb == auth.VerbAskReplica; machines != (access.Kind == "free" && access.Verb != "") {
			t.Errorf("%s takes %q and counts as %s", method, access.Verb, access.Kind)
		}
		if !reads && (strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List") || strings.HasPrefix(name, "Watch")) {
			t.Errorf("%s counts as %s", method, access.Kind)
		}
	}
}

func TestAMethodThatIsNotInTheListIsClosedEvenWhereEverythingIsOpen(t *testing.T) {
	t.Parallel()
	anybody := auth.With(t.Context(), auth.Principal{Name: auth.AnonymousName})
	ok(t, server.Let(anybody, "/api.Submit/SubmitJobs"))
	if err := server.Let(anybody, "/api.Submit/Forgotten"); armada.CodeOf(err) != armada.CodeDenied {
		t.Errorf("it is answered %v", err)
	}
}

func TestEveryMethodIsOpenToWhoMayCallItAndClosedToEverybodyElse(t *testing.T) {
	t.Parallel()
	g, job := granted(t)
	began := len(g.logs.String())
	written := map[[2]string]int{} // how often a call is written down, by user and method
	for _, user := range append(everybody(), "") {
		conn := g.as(t, map[bool]header{false: passwordOf(user)}[user == ""], nil)
		for method, access := range server.Methods() {
			want := codes.OK // let in, whatever becomes of the call
			switch {
			case user == "" && !access.Unsigned:
				want = codes.Unauthenticated
			case user != "" && access.Verb != "" && !may(user, access.Verb):
				want = codes.PermissionDenied
			}
			answers := map[string]codes.Code{"gRPC": status.Code(overGRPC(t, conn, method, job))}
			if verb, path, body, there := route(t, method, job); there {
				answers["REST"] = g.byREST(t, user, verb, path, body)
			}
			for over, got := range answers {
				letIn := got != codes.Unauthenticated && got != codes.PermissionDenied
				if letIn != (want == codes.OK) || !letIn && got != want || got == codes.Unknown || got == codes.Internal {
					t.Errorf("%s answers %s to %q by %s, want %s", over, method, user, got, want)
				}
				if !letIn || access.Kind == "submit" || access.Kind == "change" {
					written[[2]string{user, method}]++
				}
			}
		}
	}
	g.stop()
	for line := range strings.Lines(g.logs.String()[began:]) {
		var call struct{ User, From, Method, Code string }
		if json.Unmarshal([]byte(line), &call) != nil {
			continue // of the log
		}
		if written[[2]string{call.User, "/" + call.Method}]--; call.From != "127.0.0.1" || call.Code == "" {
			t.Errorf("it is written down as %s", line)
		}
	}
	for call, n := range written {
		if n != 0 {
			t.Errorf("%d calls of %s by %q are not written down", n, call[1], call[0])
		}
	}
}

// byREST makes a call over REST, and does not wait for the end of a stream. It
// returns the code that the answer says.
func (g *guarded) byREST(t *testing.T, user, verb, path, body string) codes.Code {
	t.Helper()
	status, text := g.browse(t, user, verb, path, body)
	if status == http.StatusOK {
		return codes.OK
	}
	var said struct {
		Code  codes.Code
		Error struct{ Code codes.Code } // of a stream
	}
	err := json.Unmarshal([]byte(text), &said)
	code := max(said.Code, said.Error.Code)
	if err != nil || (status == http.StatusUnauthorized) != (code == codes.Unauthenticated) || (status == http.StatusForbidden) != (code == codes.PermissionDenied) {
		t.Errorf("%s is answered %d: %s", path, status, text)
	}
	return code
}

func (g *guarded) browse(t *testing.T, user, verb, path, body string) (status int, text string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, verb, "https://"+g.server.HTTPAddr()+path, strings.NewReader(body))
	ok(t, err)
	if user != "" {
		request.Header.Set("Authorization", string(passwordOf(user)))
	}
	answer, err := g.browser.Do(request)
	ok(t, err)
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusOK {
		return answer.StatusCode, "" // it may go on
	}
	all, err := io.ReadAll(answer.Body)
	ok(t, err)
	return answer.StatusCode, string(all)
}

// What is served over HTTP and is no call: nothing of it tells about jobs.
func TestOnlyHealthAndTheDescriptionOfTheInterfaceAreOpenToStrangers(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, holders)
	for path, want := range map[string]int{
		"/health": http.StatusNoContent, "/swagger.json": http.StatusOK, "/api/swagger.json": http.StatusOK, "/api/docs": http.StatusOK,
		"/": http.StatusNotFound, "/metrics": http.StatusNotFound, "/debug/pprof/": http.StatusNotFound, "/debug/pprof/heap": http.StatusNotFound,
		"/v1/": http.StatusNotFound, "/v1/nothing": http.StatusNotFound, "/api.Submit/GetQueue": http.StatusNotFound,
		"/peers.Peers/Waits": http.StatusNotFound, "/executorapi.ExecutorApi/ReportEvents": http.StatusNotFound,
	} {
		if code, text := g.browse(t, "", http.MethodGet, path, ""); code != want {
			t.Errorf("%s is answered %d: %s", path, code, text)
		}
	}
}
