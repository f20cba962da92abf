package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/auth"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/server"
	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// world is a server with a real store, and a client of it.
type world struct {
	t      testing.TB
	store  store.Store
	server *server.Server
	conn   *grpc.ClientConn
	submit api.SubmitClient
	queue  api.QueueServiceClient
	event  api.EventClient
	jobs   api.JobsClient
	stop   func() // ends the server and waits for it; may be called twice
}

// options change what a world is made of.
type options struct {
	config    func(*server.Config)
	deps      func(*server.Deps)
	wrapStore func(store.Store) store.Store
	dial      []grpc.DialOption
}

// newWorld starts a server on free ports, with the queue "q".
func newWorld(t testing.TB, o options) *world {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "armada.db"), Retries: store.Retries{Most: 5}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, store: kept}
	if o.wrapStore != nil {
		w.store = o.wrapStore(kept)
	}
	config := server.DefaultConfig()
	config.GRPCAddr, config.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	if o.config != nil {
		o.config(&config)
	}
	deps := server.Deps{
		Store: w.store, Rules: podspec.DefaultRules(armada.DefaultResourceTable()),
		Authenticator: auth.Anonymous{}, Authorizer: auth.NewAuthorizer(w.store), Log: slog.New(slog.DiscardHandler),
	}
	if o.deps != nil {
		o.deps(&deps)
	}
	w.serve(config, deps)
	w.connect(o.dial...)
	if _, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) serve(config server.Config, deps server.Deps) {
	w.t.Helper()
	at, err := server.Bind(w.t.Context(), config)
	ok(w.t, err)
	if w.server, err = server.New(config, at, deps); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil {
			w.t.Errorf("the server ended with %v", err)
		}
	}
	w.t.Cleanup(w.stop)
}

func (w *world) connect(more ...grpc.DialOption) {
	w.t.Helper()
	conn, err := grpc.NewClient(w.server.GRPCAddr(), append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, more...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	w.conn, w.submit, w.queue = conn, api.NewSubmitClient(conn), api.NewQueueServiceClient(conn)
	w.event, w.jobs = api.NewEventClient(conn), api.NewJobsClient(conn)
}

// pod is a pod spec that is fine, changed by edit.
func pod(edit ...func(*corev1.PodSpec)) *corev1.PodSpec {
	amounts := map[string]*resource.Quantity{"cpu": {String_: proto.String("1")}, "memory": {String_: proto.String("1Gi")}}
	spec := &corev1.PodSpec{Containers: []*corev1.Container{{
		Name: proto.String("main"), Image: proto.String("busybox"), Args: []string{"true"},
		Resources: &corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
	}}}
	for _, e := range edit {
		e(spec)
	}
	return spec
}

// preemptible makes a pod one whose place others may take.
func preemptible(p *corev1.PodSpec) { p.PriorityClassName = proto.String("armada-preemptible") }

// items are n items that are fine.
func items(n int) []*api.JobSubmitRequestItem {
	list := make([]*api.JobSubmitRequestItem, n)
	for i := range list {
		list[i] = &api.JobSubmitRequestItem{PodSpecs: []*corev1.PodSpec{pod()}}
	}
	return list
}

// submitted submits items to the queue "q" and returns the jobs' ids.
func (w *world) submitted(set string, list []*api.JobSubmitRequestItem) []string {
	w.t.Helper()
	answer, err := w.submit.SubmitJobs(w.t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: set, JobRequestItems: list})
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, item := range answer.GetJobResponseItems() {
		ids = append(ids, item.GetJobId())
	}
	return ids
}

// change makes something happen to a job, as the leader or an executor would.
func (w *world) change(job string, c lifecycle.Change) {
	w.t.Helper()
	c.Job = armada.JobID(job)
	if c.Kind.FromExecutor() {
		full, err := w.store.Job(w.t.Context(), c.Job)
		ok(w.t, err)
		c.Run, _ = full.Job.Run()
		c.Executor = "e1"
	}
	results, err := w.store.Transition(w.t.Context(), store.Fence{}, []store.Unit{{c}})
	if err != nil {
		w.t.Fatal(err)
	}
	if results[0].Verdict == lifecycle.Refused {
		w.t.Fatalf("%s of %s was refused: %s", c.Kind, job, results[0].Why)
	}
}

// start leases a job and lets it run.
func (w *world) start(job string) {
	w.t.Helper()
	w.change(job, lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "default"}})
	p := armada.Pod{Name: "armada-" + job + "-0", Namespace: "default", KubernetesID: "uid-" + job}
	w.change(job, lifecycle.Change{Kind: lifecycle.ReportPending, Pod: p})
	w.change(job, lifecycle.Change{Kind: lifecycle.ReportRunning, Pod: p, Node: "n1"})
}

// history reads the events of a job set to the end.
func (w *world) history(r *api.JobSetRequest) ([]*api.EventStreamMessage, error) {
	w.t.Helper()
	stream, err := w.event.GetJobSetEvents(w.t.Context(), r)
	if err != nil {
		return nil, err
	}
	var messages []*api.EventStreamMessage
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
}

// events reads all events of a job set in the queue "q".
func (w *world) events(set string) []*api.EventStreamMessage {
	w.t.Helper()
	messages, err := w.history(&api.JobSetRequest{Queue: "q", Id: set})
	if err != nil {
		w.t.Fatal(err)
	}
	return messages
}

// about is what every event tells.
type about interface {
	GetJobId() string
	GetQueue() string
	GetJobSetId() string
}

// inside returns the event in a message, and its name on the wire.
func inside(m *api.EventStreamMessage) (string, proto.Message) {
	r := m.GetMessage().ProtoReflect()
	field := r.WhichOneof(r.Descriptor().Oneofs().ByName("events"))
	if field == nil {
		return "nothing", nil
	}
	return string(field.Name()), r.Get(field).Message().Interface()
}

// kindsOf are the kinds of events, of one job if it is given.
func kindsOf(messages []*api.EventStreamMessage, job string) string {
	var names []string
	for _, m := range messages {
		name, event := inside(m)
		if a, ok := event.(about); job == "" || ok && a.GetJobId() == job {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// wantCode fails the test unless the error has the code.
func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("answered %s (%v), want %s", got, err, want)
	}
}

// ok fails the test at once on an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call makes a REST call and returns status and body.
func (w *world) call(verb, path, body string) (*http.Response, string) {
	w.t.Helper()
	return w.callWith(http.Header{}, verb, path, body)
}

// callWith is call with headers.
func (w *world) callWith(headers http.Header, verb, path, body string) (*http.Response, string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), verb, fmt.Sprintf("http://%s%s", w.server.HTTPAddr(), path), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header = headers
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, string(text)
}
