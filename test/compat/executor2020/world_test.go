package executor2020

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
	"armada/internal/leader"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/scheduling"
	"armada/internal/server/executors2020"
	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/internal/telemetry"
	"armada/pkg/api"
)

// world is a store, a leader and a server of executors of 2020, in virtual time.
type world struct {
	caller

	t    *testing.T
	kept *sqlite.Store
	log  *slog.Logger
	jobs int
	use  *telemetry.ClusterUse // what executors say of their clusters

	// broken is the call of the server to its store that fails; empty for none.
	broken atomic.Value
	// before is called before each of the server's transitions, if there is one.
	before atomic.Pointer[func()]
}

// inWorld runs a test in a world with a queue "q".
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "armada.db"), Retries: store.Retries{Most: 3}})
		ok(t, err)
		w := &world{t: t, kept: kept, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
		ok(t, kept.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}))
		t.Cleanup(func() { ok(t, kept.Close()) })
		w.serve()
		w.lead()
		test(t, w)
	})
}

// pause lets virtual time pass.
func pause(d time.Duration) { time.Sleep(d) }

// lead runs a leader to the end of the test.
func (w *world) lead() {
	w.t.Helper()
	config := executors2020.DefaultConfig()
	l, err := leader.New(leader.Config{
		Expiry: leader.Expiry{Original2020: leader.Timeouts{ClosedAfter: config.ClosedAfter, GivenUp: config.GivenUp()}},
		Scheduling: scheduling.Config{
			Resources: armada.DefaultResourceTable(), Classes: podspec.DefaultConfig().PriorityClasses,
			FairnessMultipliers: [armada.MaxResources]int64{1000, 1000, 1000, 1000},
		},
	}, leader.Parts{Store: w.kept, Replica: store.Replica{Name: "a"}, Log: w.log})
	ok(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var led sync.WaitGroup
	led.Go(func() { l.Run(ctx) })
	w.t.Cleanup(func() {
		cancel()
		led.Wait()
	})
}

// disturbed is the store as the server sees it.
type disturbed struct {
	*sqlite.Store
	world *world
}

var errBroken = &armada.Error{Code: armada.CodeUnavailable, Message: "the store is not there"}

// fails is the error of a call, if it is to fail.
func (d disturbed) fails(call string) error {
	if d.world.broken.Load() == any(call) {
		return errBroken
	}
	return nil
}

// Executor is that of the store, if that is there.
func (d disturbed) Executor(ctx context.Context, id armada.ExecutorID) (armada.Executor, error) {
	if err := d.fails("Executor"); err != nil {
		return armada.Executor{}, err
	}
	return d.Store.Executor(ctx, id)
}

// JobsByID is that of the store, if that is there.
func (d disturbed) JobsByID(ctx context.Context, ids []armada.JobID) ([]store.FullJob, error) {
	if err := d.fails("JobsByID"); err != nil {
		return nil, err
	}
	return d.Store.JobsByID(ctx, ids)
}

// RunsOf is that of the store, if that is there.
func (d disturbed) RunsOf(ctx context.Context, id armada.ExecutorID) ([]store.JobAndRun, error) {
	if d.fails("RunsOf") != nil {
		return nil, errors.New("it fails for a reason without a code")
	}
	return d.Store.RunsOf(ctx, id)
}

// Hold is that of the store, if that is there.
func (d disturbed) Hold(ctx context.Context, duration time.Duration) error {
	if err := d.fails("Hold"); err != nil {
		return err
	}
	return d.Store.Hold(ctx, duration)
}

// Transition is that of the store, if that is there; a test may be faster than it.
func (d disturbed) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	if err := d.fails("Transition"); err != nil {
		return nil, err
	}
	if first := d.world.before.Swap(nil); first != nil {
		(*first)()
	}
	return d.Store.Transition(ctx, fence, units)
}

// events are the calls about events that executors of 2020 make.
type events struct {
	api.UnimplementedEventServer

	service *executors2020.Service
}

// Report is that of the service.
func (e events) Report(ctx context.Context, m *api.EventMessage) (*emptypb.Empty, error) {
	return e.service.Report(ctx, m)
}

// ReportMultiple is that of the service.
func (e events) ReportMultiple(ctx context.Context, l *api.EventList) (*emptypb.Empty, error) {
	return e.service.ReportMultiple(ctx, l)
}

// serve serves executors of 2020 to the end of the test.
func (w *world) serve() {
	w.t.Helper()
	config := executors2020.DefaultConfig()
	w.use = telemetry.NewClusterUse(armada.DefaultResourceTable(), config.ClosedAfter)
	config.DefaultClass, config.Pools = "armada-default", map[armada.ExecutorID]string{"gpus": "gpu"}
	service, err := executors2020.New(config, executors2020.Parts{
		Table: armada.DefaultResourceTable(), Store: disturbed{w.kept, w}, Authorize: func(context.Context, armada.ExecutorID) error { return nil },
		Use: w.use.Put, Log: w.log,
	})
	ok(w.t, err)
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.UnaryInterceptor(coded))
	api.RegisterAggregatedQueueServer(server, service)
	api.RegisterUsageServer(server, service)
	api.RegisterEventServer(server, events{service: service})
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///armada", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	ok(w.t, err)
	w.caller = caller{conn}
	w.t.Cleanup(func() {
		ok(w.t, conn.Close())
		server.Stop()
		served.Wait()
	})
}

// coded gives errors the codes that internal/server gives them.
func coded(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	answer, err := handle(ctx, request)
	var known *armada.Error
	if !errors.As(err, &known) {
		return answer, err
	}
	code, listed := map[armada.ErrorCode]codes.Code{
		armada.CodeInvalid: codes.InvalidArgument, armada.CodePrecondition: codes.FailedPrecondition, armada.CodeFenced: codes.FailedPrecondition,
		armada.CodeUnavailable: codes.Unavailable,
	}[known.Code]
	if !listed {
		code = codes.Internal
	}
	return nil, status.Error(code, err.Error())
}

// wanted is what a job is submitted with.
type wanted struct {
	cores       int64 // 1 when 0
	class       string
	moreThanPod bool
	services    []armada.ServiceRequest
	bytes       int // how long the pod's command is
	node        string
	storage     string // ephemeral-storage that it asks for
}

// submit takes a job in.
func (w *world) submit(want wanted) string {
	w.t.Helper()
	w.jobs++
	id := armada.JobID(fmt.Sprintf("01job%021d", w.jobs))
	cores := max(want.cores, 1)
	amounts := corev1.ResourceList{"cpu": *resource.NewQuantity(cores, resource.DecimalSI), "memory": resource.MustParse("1Gi")}
	requirements := &armada.Requirements{
		PriorityClass: "armada-default", Resources: armada.Resources{1000 * cores, 1 << 30}, MoreThanPod: want.moreThanPod,
	}
	if want.storage != "" {
		q := resource.MustParse(want.storage)
		amounts["ephemeral-storage"], requirements.Resources[2] = q, q.Value()
	}
	spec := corev1.PodSpec{
		PriorityClassName: want.class, RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{
			Name: "main", Image: "x", Command: []string{strings.Repeat("x", want.bytes)},
			Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts.DeepCopy()},
		}},
	}
	if want.node != "" {
		spec.NodeSelector = map[string]string{"zone": want.node}
		requirements.NodeSelector = []armada.Label{{Key: "zone", Value: want.node}}
	}
	raw, err := spec.Marshal()
	ok(w.t, err)
	shape, template := requirements.Shape(armada.DefaultResourceTable()), armada.TemplateID(fmt.Sprintf("template-%d", w.jobs))
	_, err = w.kept.Submit(w.t.Context(), store.Submission{
		Queue: "q", JobSet: "set",
		Templates: map[armada.TemplateID][]byte{template: raw},
		Shapes:    map[armada.ShapeID]*armada.Requirements{shape: requirements},
		Jobs: []store.NewJob{{
			Job:     armada.Job{ID: id, Owner: "ann", Template: template, Shape: shape},
			Details: armada.JobDetails{Namespace: "space", Labels: map[string]string{"mine": "yes"}, Annotations: map[string]string{"note": "short"}, Services: want.services},
		}},
	})
	ok(w.t, err)
	return string(id)
}

// offer is a poll of a cluster with one node of so many cores, all of them free.
func offer(cluster string, cores int) leaseRequest {
	amounts := of(map[string]string{"cpu": fmt.Sprint(cores), "memory": "256Gi", "ephemeral-storage": "1Ti"})
	return leaseRequest{ClusterID: cluster, Resources: amounts, Nodes: []node{{Name: cluster + "-1", Allocatable: amounts, Available: amounts}}}
}

// polls polls and wants just these jobs.
func (w *world) polls(r leaseRequest, want ...string) []job {
	w.t.Helper()
	jobs, err := w.lease(w.t.Context(), r)
	ok(w.t, err)
	var got []string
	for _, j := range jobs {
		got = append(got, j.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.t.Fatalf("%s is given %v, want %v", r.ClusterID, got, want)
	}
	return jobs
}

// keeps renews the leases of jobs and wants just these to stay.
func (w *world) keeps(cluster string, named []string, want ...string) {
	w.t.Helper()
	got, err := w.renew(w.t.Context(), cluster, named...)
	ok(w.t, err)
	if !slices.Equal(got, want) {
		w.t.Fatalf("of %v stay %v, want %v", named, got, want)
	}
}

// says reports an event of a cluster.
func (w *world) says(cluster, id, kind string, e event) {
	w.t.Helper()
	e.JobID, e.JobSet, e.Queue, e.Cluster, e.Created = id, "set", "q", cluster, time.Now()
	ok(w.t, w.report(w.t.Context(), kind, e))
}

// runs brings a job to where its pod runs.
func (w *world) runs(cluster, id, uid string) {
	w.t.Helper()
	w.says(cluster, id, "pending", event{KubernetesID: uid})
	w.says(cluster, id, "running", event{KubernetesID: uid, Node: cluster + "-1"})
}

func (w *world) cancel(id string) {
	w.t.Helper()
	w.change(lifecycle.Change{Kind: lifecycle.Cancel, Job: armada.JobID(id), By: "ann"})
}

func (w *world) change(changes ...lifecycle.Change) {
	w.t.Helper()
	results, err := w.kept.Transition(w.t.Context(), store.Fence{}, []store.Unit{changes})
	ok(w.t, err)
	if results[0].Verdict == lifecycle.Refused {
		w.t.Fatalf("%s was refused: %s", changes[0].Kind, results[0].Why)
	}
}

// is fails unless the job is in the state now.
func (w *world) is(id string, state armada.JobState) store.FullJob {
	w.t.Helper()
	full, err := w.kept.Job(w.t.Context(), armada.JobID(id))
	ok(w.t, err)
	if full.Job.State != state {
		w.t.Fatalf("job %s is %s, want %s", id, full.Job.State, state)
	}
	return full
}

// history are the events of a job after submitted and queued.
func (w *world) history(id string) []armada.Event {
	w.t.Helper()
	all, _, err := w.kept.ReadEvents(w.t.Context(), store.JobSetKey{Queue: "q", JobSet: "set"}, store.Cursor{}, 1_000_000)
	ok(w.t, err)
	return slices.DeleteFunc(all, func(e armada.Event) bool {
		return string(e.Job) != id || e.Kind == armada.EventSubmitted || e.Kind == armada.EventQueued
	})
}

// tells fails unless the job's events are these, after submitted and queued.
func (w *world) tells(id string, want ...armada.EventKind) {
	w.t.Helper()
	var got []armada.EventKind
	for _, e := range w.history(id) {
		got = append(got, e.Kind)
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("the events of job %s are %v, want %v", id, got, want)
	}
}
