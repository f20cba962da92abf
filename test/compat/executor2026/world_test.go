package executor2026

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/server/executors"
	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/pkg/api/executorapi"
	"armada/test/compat/wiretable"
)

// TestMain uses the store once before there is a bubble of virtual time: what
// its packers share among all stores must not belong to the first bubble.
func TestMain(m *testing.M) {
	if err := warmUp(); err != nil {
		fmt.Fprintln(os.Stderr, "using a store:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func warmUp() error {
	dir, err := os.MkdirTemp("", "executor2026")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	kept, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "armada.db"), Resources: resources()})
	if err != nil {
		return err
	}
	defer kept.Close()
	if err := kept.OpenSession(ctx, armada.Executor{ID: "east", Session: "1"}); err != nil {
		return err
	}
	if err := kept.PutNodes(ctx, "east", "1", []armada.Node{{Name: "n"}}); err != nil {
		return err
	}
	_, err = kept.Executors(ctx)
	return err
}

// resources are the usual ones and one that no node has.
func resources() armada.ResourceTable {
	usual := armada.DefaultResourceTable()
	all := make([]armada.Resource, 0, usual.Len()+1)
	for i := range usual.Len() {
		all = append(all, usual.At(i))
	}
	table, err := armada.NewResourceTable(append(all, armada.Resource{Name: "licence", Floating: true}))
	if err != nil {
		panic(err)
	}
	return table
}

// world is a store with a queue "q", and a server of executors on it, in virtual
// time.
type world struct {
	testing.TB
	store *sqlite.Store
	conn  *grpc.ClientConn
	log   *slog.Logger
	jobs  int
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	inWorldWith(t, func(*executors.Config) {}, test)
}

func inWorldWith(t *testing.T, change func(*executors.Config), test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "armada.db"), Resources: resources(), Retries: store.Retries{Most: 5}})
		w := &world{TB: t, store: kept, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))}
		w.ok(err)
		t.Cleanup(func() { w.ok(kept.Close()) })
		w.ok(kept.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}))
		config := executors.DefaultConfig()
		change(&config)
		w.conn = w.serve(config)
		test(w)
	})
}

// serve starts a server of executors, a replica, and connects to it.
func (w *world) serve(config executors.Config) *grpc.ClientConn {
	w.Helper()
	service, err := executors.New(config, resources(), podspec.DefaultConfig().PriorityClasses, w.store,
		func(context.Context, armada.ExecutorID) error { return nil }, w.log)
	w.ok(err)
	listener, server := bufconn.Listen(1<<20), grpc.NewServer()
	executorapi.RegisterExecutorApiServer(server, service)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = service.Run(ctx) })
	done.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///armada", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	w.ok(err)
	w.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		cancel()
		done.Wait()
	})
	return conn
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// pause lets virtual time pass.
func pause(d time.Duration) { time.Sleep(d) }

// job is what a job is submitted with.
type job struct {
	spec    corev1.PodSpec
	details armada.JobDetails
	gang    armada.Gang
	class   string
}

// pod is a small pod spec.
func pod() corev1.PodSpec {
	amounts := corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi")}
	return corev1.PodSpec{
		PriorityClassName: "armada-default",
		Containers:        []corev1.Container{{Name: "main", Image: "busybox", Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts}}},
	}
}

// submit takes a job in, a small one unless more is said.
func (w *world) submit(j job) armada.JobID {
	w.Helper()
	return w.submitMany(j, 1)[0]
}

// submitMany takes jobs in that are alike.
func (w *world) submitMany(j job, n int) []armada.JobID {
	w.Helper()
	if len(j.spec.Containers) == 0 {
		j.spec = pod()
	}
	if j.class == "" {
		j.class = "armada-default"
	}
	if j.details.Namespace == "" {
		j.details.Namespace = "space"
	}
	template, err := j.spec.Marshal()
	w.ok(err)
	requirements := &armada.Requirements{PriorityClass: j.class, Resources: armada.Resources{1000, 1 << 30}}
	shape, name := requirements.Shape(resources()), podspec.TemplateID(template)
	submission := store.Submission{
		Queue: "q", JobSet: "set",
		Templates: map[armada.TemplateID][]byte{name: template}, Shapes: map[armada.ShapeID]*armada.Requirements{shape: requirements},
	}
	ids := make([]armada.JobID, n)
	for i := range ids {
		w.jobs++
		ids[i] = armada.JobID(fmt.Sprintf("01job%021d", w.jobs))
		submission.Jobs = append(submission.Jobs, store.NewJob{
			Job:     armada.Job{ID: ids[i], Owner: "ann", Groups: []string{"staff"}, Template: name, Shape: shape, Gang: j.gang},
			Details: j.details,
		})
	}
	_, err = w.store.Submit(w.Context(), submission)
	w.ok(err)
	return ids
}

// change makes one change, which must not be refused.
func (w *world) change(c lifecycle.Change) {
	w.Helper()
	results, err := w.store.Transition(w.Context(), store.Fence{}, []store.Unit{{c}})
	w.ok(err)
	if results[0].Verdict == lifecycle.Refused {
		w.Fatalf("%s was refused: %s", c.Kind, results[0].Why)
	}
}

// lease is what the leader would decide; it returns the run.
func (w *world) lease(id armada.JobID, on armada.ExecutorID, after ...armada.RunID) string {
	w.Helper()
	w.change(lifecycle.Change{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: on, Node: "n1", Pool: "default", After: after}})
	return string(armada.NewRunID(id, w.full(id).Job.Attempts))
}

// leased is a job with a run that an executor may start.
func (w *world) leased(on armada.ExecutorID) (id armada.JobID, run string) {
	w.Helper()
	id = w.submit(job{})
	return id, w.lease(id, on)
}

func (w *world) cancel(id armada.JobID) {
	w.Helper()
	w.change(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "ann", Reason: "not needed"})
}

func (w *world) full(id armada.JobID) store.FullJob {
	w.Helper()
	full, err := w.store.Job(w.Context(), id)
	w.ok(err)
	return full
}

// is fails unless the job is in a state.
func (w *world) is(id armada.JobID, state armada.JobState) {
	w.Helper()
	if j := w.full(id).Job; j.State != state {
		w.Errorf("job %s is %s (%s), want %s", id, j.State, j.Reason, state)
	}
}

// events are those of a job after submitted and queued.
func (w *world) events(id armada.JobID) []armada.Event {
	w.Helper()
	all, _, err := w.store.ReadEvents(w.Context(), store.JobSetKey{Queue: "q", JobSet: "set"}, store.Cursor{}, 1_000_000)
	w.ok(err)
	all = slices.DeleteFunc(all, func(e armada.Event) bool { return e.Job != id })
	return all[2:]
}

// tells fails unless the kinds of the job's events are these.
func (w *world) tells(id armada.JobID, want string) {
	w.Helper()
	var kinds []string
	for _, e := range w.events(id) {
		kinds = append(kinds, strings.ReplaceAll(e.Kind.String(), " ", "_"))
	}
	if got := strings.Join(kinds, " "); got != want {
		w.Errorf("the job's events are %q, want %q", got, want)
	}
}

// node is a node with a label that is not its name.
func node(name string, runs map[string]any) wiretable.Fields {
	return wiretable.Fields{
		"name": name, "labels": map[string]string{"kubernetes.io/hostname": "host-of-" + name, "zone": "a"}, "run_ids_by_state": runs,
		"total_resources": map[string]any{"cpu": quantity("8"), "memory": quantity("32Gi"), "pods": quantity("110")},
	}
}

func quantity(s string) *resource.Quantity { q := resource.MustParse(s); return &q }

// polls makes the request of an executor with a node n1 that remembers runs, all
// of them on no node.
func (w *world) polls(id string, runs ...string) *Answer {
	w.Helper()
	return w.asks(wiretable.Fields{
		"executor_id": id, "pool": "default", "max_jobs_to_lease": 100, "unassigned_job_run_ids": runs, "nodes": []wiretable.Fields{node("n1", nil)},
	})
}

func (w *world) asks(request wiretable.Fields) *Answer {
	w.Helper()
	answer, err := Ask(w.Context(), w.conn, request)
	w.ok(err)
	return answer
}

// sequence is some reports of one job set.
func sequence(events ...wiretable.Fields) wiretable.Fields {
	return wiretable.Fields{"queue": "q", "job_set_name": "set", "events": events}
}

func (w *world) reports(events ...wiretable.Fields) {
	w.Helper()
	w.ok(Report(w.Context(), w.conn, sequence(events...)))
}

// told is a report of a kind about a run, made now.
func told(kind, run string, fields wiretable.Fields) wiretable.Fields {
	jobID, _, _ := strings.Cut(run, "-")
	all := wiretable.Fields{"job_id": jobID, "run_id": run}
	for name, value := range fields {
		all[name] = value
	}
	return wiretable.Fields{"created": time.Now(), kind: all}
}

// meta is what an executor says of a pod.
func meta(executor, run string) wiretable.Fields {
	jobID, _, _ := strings.Cut(run, "-")
	return wiretable.Fields{"executor_id": executor, "namespace": "space", "name": "armada-" + jobID + "-0", "kubernetes_id": "uid-" + run}
}

// phase is a report that the pod of a run has come to a phase.
func phase(kind, executor, run string) wiretable.Fields {
	info := wiretable.Fields{"pod_number": 0}
	if kind != "jobRunAssigned" {
		info["node_name"] = "n1"
	}
	return told(kind, run, wiretable.Fields{"resourceInfos": []wiretable.Fields{{"objectMeta": meta(executor, run), "podInfo": info}}})
}

// failure is a report of an error.
func failure(run string, e wiretable.Fields) wiretable.Fields {
	e["terminal"] = true
	return told("jobRunErrors", run, wiretable.Fields{"errors": []wiretable.Fields{e}})
}

// specOf is the pod spec of a lease.
func (w *world) specOf(lease proto.Message) *corev1.PodSpec {
	w.Helper()
	if !wiretable.Has(lease, "job", "mainObject", "pod_spec", "pod_spec") {
		w.Fatal("the lease has no pod spec where executors look for it")
	}
	spec := &corev1.PodSpec{}
	w.ok(spec.Unmarshal(wiretable.At(lease, "job", "mainObject", "pod_spec", "pod_spec").Bytes()))
	return spec
}

// has fails unless a list of ids is exactly this one, in any order.
func (w *world) has(what string, got []string, want ...string) {
	w.Helper()
	got = slices.Clone(got)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}
