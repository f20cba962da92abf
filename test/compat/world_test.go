package compat

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
	"armada/internal/app"
	"armada/internal/auth"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/server"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/internal/store/sqlite"
	"armada/test/compat/wiretable"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m, "max_connections=300")
	if code == 0 {
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n") // there is nobody else to tell
			code = 1
		}
	}
	os.Exit(code)
}

// Fields are those of a message, by their names in the table.
type Fields = wiretable.Fields

// patience bounds failures; nothing waits so long that works.
const patience = time.Minute

// world is a server with a real store. There is no leader and no executor: what
// they decide and report the test does in their place.
type world struct {
	t      *testing.T
	store  store.Store
	server *server.Server
	stop   func() // ends the server and waits for it; may be called twice

	*client
}

// onEachForm runs a test on both forms of the store.
func onEachForm(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newWorldOn(t, openPostgres(t, pgtest.Database(t))))
	})
}

// newWorld starts a server on SQLite, with the queue "q".
func newWorld(t *testing.T) *world {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "armada.db"), Retries: store.Retries{Most: 5}})
	ok(t, err)
	t.Cleanup(func() { ok(t, kept.Close()) })
	return newWorldOn(t, kept)
}

func openPostgres(t *testing.T, url string) store.Store {
	t.Helper()
	kept, err := postgres.Open(t.Context(), postgres.Config{URL: url, Retries: store.Retries{Most: 5}})
	ok(t, err)
	t.Cleanup(func() { ok(t, kept.Close()) })
	return kept
}

// newWorldOn starts a server on a store, with the queue "q".
func newWorldOn(t *testing.T, kept store.Store) *world {
	t.Helper()
	w := &world{t: t, store: kept}
	config := server.DefaultConfig()
	config.GRPCAddr, config.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	at, err := server.Bind(t.Context(), config)
	ok(t, err)
	w.server, err = server.New(config, at, server.Deps{
		Store: kept, Rules: podspec.DefaultRules(armada.DefaultResourceTable()),
		Authenticator: auth.Anonymous{}, Authorizer: auth.NewAuthorizer(kept), Log: slog.New(slog.DiscardHandler),
	})
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx) }()
	w.stop = func() {
		if ctx.Err() == nil {
			cancel()
			ok(t, <-served)
		}
	}
	t.Cleanup(w.stop)
	w.client = newClient(t, w.server.GRPCAddr(), wiretable.Year2026())
	w.must("api.Submit/CreateQueue", Fields{"name": "q", "priority_factor": 1.0})
	return w
}

// startUp starts the whole system in this process, with two simulated nodes, and
// returns its address.
func startUp(t *testing.T, edit func(*app.Config)) string {
	t.Helper()
	config := app.DefaultConfig()
	config.DataDir, config.Executor.Simulate = t.TempDir(), "1x2"
	config.Server.GRPCAddr, config.Server.HTTPAddr, config.Telemetry.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", ""
	edit(&config)
	up, err := app.Open(t.Context(), config, app.RoleUp, "compat", slog.New(slog.DiscardHandler))
	ok(t, err)
	broken := up.Start(context.Background())
	t.Cleanup(func() {
		select {
		case err := <-broken:
			t.Errorf("a part failed: %v", err)
		default:
		}
		hurry, cancel := context.WithCancel(context.Background())
		cancel()
		if err := up.Stop(context.Background(), hurry); err != nil {
			t.Log(err)
		}
		ok(t, up.Close())
	})
	return up.GRPCAddr()
}

// of is another client of the server, of the year whose table is given.
func (w *world) of(table *wiretable.Table) *client { return newClient(w.t, w.server.GRPCAddr(), table) }

// client speaks as one year's table says.
type client struct {
	t     *testing.T
	conn  *grpc.ClientConn
	table *wiretable.Table
}

func newClient(t *testing.T, address string, table *wiretable.Table) *client {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ok(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t, conn, table}
}

// method is the descriptor of "package.Service/Method".
func (c *client) method(name string) protoreflect.MethodDescriptor {
	c.t.Helper()
	service, method, _ := strings.Cut(name, "/")
	for _, s := range c.table.Services() {
		if m := s.Methods().ByName(protoreflect.Name(method)); string(s.FullName()) == service && m != nil {
			return m
		}
	}
	c.t.Fatalf("the table has no method %s", name)
	return nil
}

// call makes a call with one answer.
func (c *client) call(name string, fields Fields, options ...grpc.CallOption) (proto.Message, error) {
	c.t.Helper()
	m := c.method(name)
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	answer := c.new(m.Output())
	err := c.conn.Invoke(ctx, "/"+name, c.make(m.Input(), fields), answer, options...)
	return answer, err
}

// make and new are messages of the table, or those that are not its own.
func (c *client) make(d protoreflect.MessageDescriptor, fields Fields) proto.Message {
	if d.FullName() == "google.protobuf.Empty" {
		return c.new(d)
	}
	return c.table.Make(d.FullName(), fields)
}

func (c *client) new(d protoreflect.MessageDescriptor) proto.Message {
	return c.table.New(d.FullName())
}

// must is call, and the test ends on an error.
func (c *client) must(name string, fields Fields) proto.Message {
	c.t.Helper()
	answer, err := c.call(name, fields)
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	return answer
}

// refused makes a call that must be refused with a code.
func (c *client) refused(code codes.Code, name string, fields Fields) {
	c.t.Helper()
	if _, err := c.call(name, fields); status.Code(err) != code {
		c.t.Errorf("%s %v answers %v, want %s", name, fields, err, code)
	}
}

// open opens a stream of answers to one request.
func (c *client) open(ctx context.Context, name string, fields Fields) *stream {
	c.t.Helper()
	m := c.method(name)
	s, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+name)
	ok(c.t, err)
	ok(c.t, s.SendMsg(c.make(m.Input(), fields)))
	ok(c.t, s.CloseSend())
	return &stream{c.t, s, func() proto.Message { return c.new(m.Output()) }}
}

// stream is what a server sends.
type stream struct {
	t     *testing.T
	grpc  grpc.ClientStream
	empty func() proto.Message
}

// next is the next message, or how the stream ended: io.EOF for OK.
func (s *stream) next() (proto.Message, error) {
	m := s.empty()
	err := s.grpc.RecvMsg(m)
	return m, err
}

// rest reads to the end, which must be OK.
func (s *stream) rest() []proto.Message {
	s.t.Helper()
	var all []proto.Message
	for {
		m, err := s.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		ok(s.t, err)
		all = append(all, m)
	}
}

// event is one message of an event stream.
type event struct {
	id   string
	kind string
	body proto.Message
}

func eventOf(m proto.Message) event {
	e := event{id: wiretable.At(m, "id").String()}
	message := wiretable.At(m, "message").Message().Interface()
	if kind := wiretable.Kind(message, "events"); kind != "" {
		e.kind, e.body = string(kind), wiretable.At(message, kind).Message().Interface()
	}
	return e
}

// text is a field of the event.
func (e event) text(name protoreflect.Name) string { return wiretable.At(e.body, name).String() }

// history are the events of a job set of the queue "q".
func (c *client) history(set string) []event {
	c.t.Helper()
	return c.read(Fields{"queue": "q", "id": set})
}

// read are the events that a request for them answers.
func (c *client) read(request Fields) []event {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var all []event
	for _, m := range c.open(ctx, "api.Event/GetJobSetEvents", request).rest() {
		all = append(all, eventOf(m))
	}
	return all
}

// kinds are the kinds of the events of a job, or of all if it is empty.
func kinds(events []event, job string) string {
	var names []string
	for _, e := range events {
		if job == "" || e.text("job_id") == job {
			names = append(names, e.kind)
		}
	}
	return strings.Join(names, " ")
}

// tells fails unless the events of a job are these.
func (c *client) tells(set, job, want string) {
	c.t.Helper()
	if got := kinds(c.history(set), job); got != want {
		c.t.Errorf("the events are\n%s, want\n%s", got, want)
	}
}

// pod is a pod spec that is fine.
func pod() *corev1.PodSpec {
	amounts := corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi")}
	return &corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Image: "busybox", Args: []string{"true"}, Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
	}}}
}

// items are n jobs that are fine, as clients of all years write them.
func items(n int) []Fields {
	list := make([]Fields, n)
	for i := range list {
		list[i] = Fields{"pod_spec": pod(), "namespace": "default"}
	}
	return list
}

// preemptible is a job that others may displace.
func preemptible() Fields {
	spec := pod()
	spec.PriorityClassName = "armada-preemptible"
	return Fields{"pod_spec": spec}
}

// submit submits jobs to the queue "q" and returns their ids.
func (c *client) submit(set string, jobs ...Fields) []string {
	c.t.Helper()
	return idsOf(c.must("api.Submit/SubmitJobs", Fields{"queue": "q", "job_set_id": set, "job_request_items": jobs}))
}

// idsOf are the ids that the answer to a submit tells.
func idsOf(answer proto.Message) []string {
	var ids []string
	for _, item := range wiretable.List(answer, "job_response_items") {
		ids = append(ids, wiretable.At(item, "job_id").String())
	}
	return ids
}

// change makes something happen to a job, as the leader or an executor would, and
// tells whether it did.
func (w *world) change(job string, c lifecycle.Change) bool {
	w.t.Helper()
	c.Job = armada.JobID(job)
	if c.Kind.FromExecutor() || c.Kind == lifecycle.Expire {
		c.Executor = "e1"
		if c.Run == "" {
			full, err := w.store.Job(w.t.Context(), c.Job)
			ok(w.t, err)
			c.Run = armada.NewRunID(c.Job, full.Job.Attempts)
		}
		if c.Pod == (armada.Pod{}) {
			c.Pod = armada.Pod{Name: "armada-" + job + "-0", Namespace: "default", KubernetesID: "uid-" + job}
		}
	}
	results, err := w.store.Transition(w.t.Context(), store.Fence{}, []store.Unit{{c}})
	ok(w.t, err)
	return results[0].Verdict != lifecycle.Refused
}

// do makes these happen to a job, one after the other.
func (w *world) do(job string, list ...lifecycle.Change) {
	w.t.Helper()
	for _, c := range list {
		if !w.change(job, c) {
			w.t.Fatalf("%s of %s was refused", c.Kind, job)
		}
	}
}

// What happens to most jobs.
var (
	leased    = lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "default"}}
	pending   = lifecycle.Change{Kind: lifecycle.ReportPending}
	running   = lifecycle.Change{Kind: lifecycle.ReportRunning, Node: "n1"}
	succeeded = lifecycle.Change{Kind: lifecycle.ReportSucceeded, Node: "n1"}
	failed    = lifecycle.Change{Kind: lifecycle.ReportFailed, Node: "n1", End: armada.RunEnd{
		Reason: "it failed", Category: "user", Subcategory: "app", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 3, Reason: "Error", Message: "bye"}},
	}}
	stopped = lifecycle.Change{Kind: lifecycle.ReportStopped, Node: "n1"}
)

// ok fails the test at once on an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
