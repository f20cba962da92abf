package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/auth"
	"armada/internal/server"
	"armada/internal/settings"
	"armada/pkg/api"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/lookout"
	"armada/pkg/api/peers"
	"armada/pkg/api/schedulerobjects"
)

// holders are users who hold one permission each: theirs is their name.
func holders(c *auth.Config) {
	for _, p := range auth.Permissions() {
		group := "group-" + string(p)
		c.Groups[group] = []string{string(p)}
		c.PermissionGroupMapping[string(p)] = append(c.PermissionGroupMapping[string(p)], group)
	}
	c.Groups["nobodies"] = []string{"nobody"}
	// And users who hold a verb of the queue each.
	for _, verb := range armada.Verbs() {
		c.Groups["queue-"+string(verb)] = []string{"queue-" + string(verb)}
	}
}

func TestEveryPermissionOpensItsCallsHoweverACallerProvesWhoItIs(t *testing.T) {
	t.Parallel()
	g, job := granted(t)
	for _, rule := range auth.Rules() {
		var takes []string // the methods that take the verb, of which one will do
		for method, access := range server.Methods() {
			if access.Verb == rule.Verb {
				takes = append(takes, method)
			}
		}
		if len(takes) == 0 {
			t.Errorf("nothing takes %s", rule.Verb)
			continue
		}
		method := slices.Min(takes)
		for _, user := range everybody() {
			for _, m := range methods() {
				what := fmt.Sprintf("%s as %s by %s", method, user, m.name)
				h, c := m.prove(g, user)
				err := overGRPC(t, g.as(t, h, c), method, job)
				if code := status.Code(err); code == codes.Unauthenticated || may(user, rule.Verb) == (code == codes.PermissionDenied) {
					t.Errorf("%s: gRPC answers %v", what, err)
				}
				verb, path, body, there := route(t, method, job)
				if !there {
					continue
				}
				h, c = m.prove(g, user)
				answer, text := g.rest(t, h, c, verb, path, body)
				if code := answer.StatusCode; code == http.StatusUnauthorized || may(user, rule.Verb) == (code == http.StatusForbidden) {
					t.Errorf("%s: REST answers %s: %s", what, answer.Status, text)
				}
			}
		}
	}
}

func TestWhoProvesNothingIsUnauthenticatedAndToldHow(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(*auth.Config) {})
	var got metadata.MD
	_, err := api.NewSubmitClient(g.as(t, "", nil)).GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"}, grpc.Header(&got))
	wantCode(t, err, codes.Unauthenticated)
	want := []string{"Negotiate", "Bearer", `Basic realm="Armada", charset="UTF-8"`}
	if strings.Join(got.Get("www-authenticate"), "; ") != strings.Join(want, "; ") {
		t.Errorf("gRPC is challenged by %q, want %q", got.Get("www-authenticate"), want)
	}
	for verb, path := range map[string]string{"GET": "/v1/queue/q", "POST": "/v1/job-set/q/s"} { // one answer, and a stream
		answer, body := g.rest(t, "", nil, verb, path, "{}")
		if answer.StatusCode != http.StatusUnauthorized || strings.Join(answer.Header.Values("WWW-Authenticate"), "; ") != strings.Join(want, "; ") {
			t.Errorf("%s %s answers %s with %q: %s", verb, path, answer.Status, answer.Header.Values("WWW-Authenticate"), body)
		}
	}
}

func TestKerberosAnswersWithATokenOverBoth(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(*auth.Config) {})
	var got metadata.MD
	conn := g.as(t, header("Negotiate "+g.realm.Ticket("root", time.Hour)), nil)
	_, err := api.NewSubmitClient(conn).GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"}, grpc.Header(&got))
	ok(t, err)
	if all := got.Get("www-authenticate"); len(all) != 1 || !strings.HasPrefix(all[0], "Negotiate ") {
		t.Errorf("gRPC answers %q", all)
	}
	answer, _ := g.rest(t, header("Negotiate "+g.realm.Ticket("root", time.Hour)), nil, "GET", "/v1/queue/q", "")
	if all := answer.Header.Values("WWW-Authenticate"); answer.StatusCode != http.StatusOK || len(all) != 1 || !strings.HasPrefix(all[0], "Negotiate ") {
		t.Errorf("REST answers %s %q", answer.Status, all)
	}
}

func TestCredentialsThatMetadataCannotCarryAreNotTakenForNone(t *testing.T) {
	t.Parallel()
	yes := true
	g := newGuarded(t, func(c *auth.Config) {
		c.AnonymousAuth = &yes
		c.PermissionGroupMapping["watch_all_events"] = []string{auth.Everyone}
	})
	for _, h := range []header{"Basic Ünïcode", "Bearer \xff", "Basic", " ", "unheard-of x"} {
		if answer, body := g.rest(t, h, nil, "GET", "/v1/queue/q", ""); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q is answered %s: %s", h, answer.Status, body)
		}
	}
	if answer, body := g.rest(t, "", nil, "GET", "/v1/queue/q", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("anonymous is answered %s: %s", answer.Status, body)
	}
}

func TestNobodyNamesItselfBesideItsCredentials(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(*auth.Config) {})
	root := g.authority.Certify("root")
	for name, value := range map[string]string{
		"Grpc-Metadata-Armada-Client-Certificate-Bin": base64.StdEncoding.EncodeToString(root.Certificate[0]),
		"Armada-Client-Certificate-Bin":               base64.StdEncoding.EncodeToString(root.Certificate[0]),
		"Grpc-Metadata-Authorization":                 "basic " + base64.StdEncoding.EncodeToString([]byte("root:"+password)),
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.server.HTTPAddr()+"/v1/queue/q", nil)
		ok(t, err)
		request.Header.Set(name, value)
		transport := &http.Transport{TLSClientConfig: g.tls(nil)}
		answer, err := (&http.Client{Transport: transport}).Do(request)
		ok(t, err)
		_ = answer.Body.Close()
		transport.CloseIdleConnections()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s lets in: %s", name, answer.Status)
		}
	}
	md := metadata.Pairs("armada-client-certificate-bin", string(root.Certificate[0]))
	_, err := api.NewSubmitClient(g.as(t, "", nil)).GetQueue(metadata.NewOutgoingContext(t.Context(), md), &api.QueueGetRequest{Name: "q"})
	wantCode(t, err, codes.Unauthenticated)
}

func TestOnlyWatchersOfAQueueSeeItsJobs(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(c *auth.Config) {
		c.Groups["a"], c.Groups["b"], c.Groups["nobodies"] = []string{"ada"}, []string{"bob"}, []string{"eve"}
		c.PermissionGroupMapping["submit_any_jobs"] = []string{"admins"}
	})
	var jobs []string
	for _, name := range []string{"a", "b"} {
		_, err := g.submit.CreateQueue(t.Context(), &api.Queue{Name: name, PriorityFactor: 1, GroupOwners: []string{name}})
		ok(t, err)
		answer, err := g.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: name, JobSetId: "s", JobRequestItems: items(1)})
		ok(t, err)
		jobs = append(jobs, answer.GetJobResponseItems()[0].GetJobId())
	}
	ada := g.as(t, header("basic "+base64.StdEncoding.EncodeToString([]byte("ada:"+password))), nil)
	states, err := api.NewJobsClient(ada).GetJobStatus(t.Context(), &api.JobStatusRequest{JobIds: jobs})
	ok(t, err)
	if states.GetJobStates()[jobs[0]] != api.JobState_QUEUED || states.GetJobStates()[jobs[1]] != api.JobState_UNKNOWN {
		t.Errorf("ada sees %v", states)
	}
	details, err := api.NewJobsClient(ada).GetJobDetails(t.Context(), &api.JobDetailsRequest{JobIds: jobs})
	ok(t, err)
	if len(details.GetJobDetails()) != 1 {
		t.Errorf("ada sees the details of %d jobs", len(details.GetJobDetails()))
	}
	active, err := api.NewJobsClient(ada).GetActiveQueues(t.Context(), &api.GetActiveQueuesRequest{})
	ok(t, err)
	if got := fmt.Sprint(active.GetActiveQueuesByPool()["default"].GetQueues()); got != "[a]" {
		t.Errorf("ada sees the active queues %s", got)
	}
	looking := lookout.NewLookoutClient(ada)
	_, err = looking.GetJob(t.Context(), &lookout.GetJobRequest{JobId: jobs[1]})
	wantCode(t, err, codes.PermissionDenied)
	if err == nil || !strings.Contains(err.Error(), `user "ada" may not watch in the queue "b"`) || !strings.HasSuffix(err.Error(), `; the user is in the group "a"`) {
		t.Errorf("ada is told %v", err)
	}
	logs, err := looking.GetLogs(t.Context(), &lookout.LogsRequest{JobId: jobs[1]})
	ok(t, err)
	_, err = logs.Recv()
	wantCode(t, err, codes.PermissionDenied)
	_, err = schedulerobjects.NewSchedulerReportingClient(ada).GetQueueReport(t.Context(), &schedulerobjects.QueueReportRequest{QueueName: "b"})
	wantCode(t, err, codes.PermissionDenied)
	_, err = schedulerobjects.NewSchedulerReportingClient(ada).GetJobReport(t.Context(), &schedulerobjects.JobReportRequest{JobId: jobs[1]})
	wantCode(t, err, codes.PermissionDenied)
	_, err = looking.GetJobs(t.Context(), &lookout.GetJobsRequest{Filters: []*lookout.Filter{{Field: "queue", Values: []string{"b"}}}})
	wantCode(t, err, codes.PermissionDenied)
	everything, err := looking.GetJobs(t.Context(), &lookout.GetJobsRequest{})
	ok(t, err)
	if got := everything.GetJobs(); len(got) != 1 || got[0].GetQueue() != "a" {
		t.Errorf("in the list of all jobs ada sees %v", got)
	}
	_, err = schedulerobjects.NewSchedulerReportingClient(ada).GetSchedulingReport(t.Context(), &schedulerobjects.SchedulingReportRequest{})
	wantCode(t, err, codes.PermissionDenied)
	listed, err := looking.ListQueues(t.Context(), &lookout.ListQueuesRequest{})
	ok(t, err)
	if got := listed.GetQueues(); len(got) != 1 || got[0].GetName() != "a" {
		t.Errorf("in the list of queues ada sees %v", got)
	}
	counted, err := looking.CountJobs(t.Context(), &lookout.CountJobsRequest{})
	ok(t, err)
	if counted.GetCount() != 1 {
		t.Errorf("ada counts %d jobs", counted.GetCount())
	}
	eve := g.as(t, header("basic "+base64.StdEncoding.EncodeToString([]byte("eve:"+password))), nil)
	nothing, err := lookout.NewLookoutClient(eve).GetJobs(t.Context(), &lookout.GetJobsRequest{})
	ok(t, err)
	if len(nothing.GetJobs()) != 0 {
		t.Errorf("eve, who may watch nothing, sees %v", nothing.GetJobs())
	}
	own, err := looking.GetJobs(t.Context(), &lookout.GetJobsRequest{Filters: []*lookout.Filter{{Field: "queue", Values: []string{"a"}}}})
	ok(t, err)
	if len(own.GetJobs()) != 1 {
		t.Errorf("ada sees %d jobs of her own queue", len(own.GetJobs()))
	}
	// Cancelling by id alone takes the verb on the queue of the job.
	_, err = api.NewSubmitClient(ada).CancelJobs(t.Context(), &api.JobCancelRequest{JobId: jobs[1]})
	wantCode(t, err, codes.PermissionDenied)
	cancelled, err := api.NewSubmitClient(ada).CancelJobs(t.Context(), &api.JobCancelRequest{JobId: jobs[0]})
	ok(t, err)
	if len(cancelled.GetCancelledIds()) != 1 {
		t.Errorf("ada cancelled %v", cancelled.GetCancelledIds())
	}
	stream, err := api.NewSubmitClient(ada).GetQueues(t.Context(), &api.StreamingQueueGetRequest{})
	ok(t, err)
	first, err := stream.Recv()
	ok(t, err)
	second, err := stream.Recv()
	ok(t, err)
	if first.GetQueue().GetName() != "a" || second.GetEnd() == nil {
		t.Errorf("ada is shown the queues %v, %v", first, second)
	}
}

func TestAQueueKeepsItsJobsInItsNamespaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "n", PriorityFactor: 1, Labels: map[string]string{auth.NamespacesLabel: "team-a, team-b"}})
	ok(t, err)
	for namespace, want := range map[string]codes.Code{"team-a": codes.OK, "team-b": codes.OK, "kube-system": codes.PermissionDenied, "": codes.PermissionDenied} {
		list := items(1)
		list[0].Namespace = namespace
		_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "n", JobSetId: "s", JobRequestItems: list})
		wantCode(t, err, want)
	}
}

func TestReplicasKnowEachOtherByTheirSecretAndNobodyElseAsksWhatTheyAsk(t *testing.T) {
	t.Parallel()
	const secret = "a secret of all replicas"
	g := newGuarded(t, func(c *auth.Config) { c.PeerSecret = settings.NewSecret(secret) })
	ask := func(h header) error {
		_, err := peers.NewPeersClient(g.as(t, h, nil)).Shares(t.Context(), &peers.SharesRequest{})
		return err
	}
	wantCode(t, ask(header(server.PeerScheme+" "+secret)), codes.Unimplemented) // let in, and nothing is there
	wantCode(t, ask(header(server.PeerScheme+" "+secret+"x")), codes.Unauthenticated)
	wantCode(t, ask(header("basic "+base64.StdEncoding.EncodeToString([]byte("root:"+password)))), codes.PermissionDenied)
	// And it opens nothing else.
	_, err := api.NewSubmitClient(g.as(t, header(server.PeerScheme+" "+secret), nil)).GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
	wantCode(t, err, codes.PermissionDenied)
}

func TestTheExecutorOfTheProcessIsLetInAsSuchOnly(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(*auth.Config) {})
	conn, err := g.server.Connect()
	ok(t, err)
	defer func() { _ = conn.Close() }()
	_, err = executorapi.NewExecutorApiClient(conn).ReportEvents(t.Context(), &executorapi.EventList{})
	wantCode(t, err, codes.Unimplemented)
	_, err = api.NewSubmitClient(conn).GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
	wantCode(t, err, codes.PermissionDenied)
}

func TestACallerIsToldWhoItIs(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(*auth.Config) {})
	h, c := methods()[0].prove(g, "root")
	var got metadata.MD
	_, err := api.NewSubmitClient(g.as(t, h, c)).Health(t.Context(), nil, grpc.Header(&got))
	ok(t, err)
	if fmt.Sprint(got.Get("armada-caller-bin"), got.Get("armada-caller-groups-bin"), got.Get("armada-caller-method")) != "[root] [admins] [basic]" {
		t.Errorf("it is told %v", got)
	}
	_, err = api.NewSubmitClient(g.as(t, "", nil)).Health(t.Context(), nil)
	ok(t, err)
	_, err = api.NewSubmitClient(g.as(t, "basic eDp5", nil)).Health(t.Context(), nil)
	wantCode(t, err, codes.Unauthenticated)
}

func TestChangesAndRefusalsAreWrittenDownAndSecretsAreNot(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(c *auth.Config) { c.Groups["nobodies"] = []string{"eve"} })
	var secrets []string
	for _, m := range methods() {
		for _, user := range []string{"root", "eve"} {
			h, c := m.prove(g, user)
			if _, secret, found := strings.Cut(string(h), " "); found {
				secrets = append(secrets, secret)
			}
			_, _ = api.NewSubmitClient(g.as(t, h, c)).CreateQueue(t.Context(), &api.Queue{Name: "made-by-" + m.name, PriorityFactor: 1})
			broken := header(strings.Replace(string(h), " ", " x", 1))
			_, _ = api.NewSubmitClient(g.as(t, broken, nil)).CreateQueue(t.Context(), &api.Queue{Name: "never", PriorityFactor: 1})
		}
	}
	wrong := base64.StdEncoding.EncodeToString([]byte("root:a wrong password of root"))
	_, _ = api.NewSubmitClient(g.as(t, header("basic "+wrong), nil)).CreateQueue(t.Context(), &api.Queue{Name: "never", PriorityFactor: 1})
	g.stop()
	text := g.logs.String()
	for _, want := range []string{
		`"user":"root","by":"kerberos","from":"127.0.0.1","method":"api.Submit/CreateQueue","code":"OK","name":"made-by-kerberos"`,
		`"user":"eve","by":"clientCertificate","from":"127.0.0.1","method":"api.Submit/CreateQueue","code":"PermissionDenied"`,
		`"code":"Unauthenticated"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %s in:\n%s", want, text)
		}
	}
	for _, secret := range append(secrets, wrong, password, "a wrong password of root") {
		if strings.Contains(text, secret) {
			t.Errorf("%q stands in a log", secret)
		}
	}
}
