package sessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
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

	"armada"
	"armada/internal/executor"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/runs"
	"armada/internal/runs/simulated"
	"armada/internal/server/executors"
	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/pkg/api/executorapi"
)

// theLease is the lease of every session here.
const theLease = 2 * time.Minute

// world is a store, and a server of executors that can be stopped and started.
type world struct {
	t     *testing.T
	store *sqlite.Store
	file  string // of the store
	log   *slog.Logger

	mu       sync.Mutex
	listener *bufconn.Listener // nil while there is no server
	service  *executors.Service
	stop     func()
	jobs     int

	// unavailable makes every report be answered with UNAVAILABLE.
	unavailable atomic.Bool
	// lostAnswers makes reports be done but answered with UNAVAILABLE.
	lostAnswers atomic.Bool
}

// inWorld runs a test in virtual time, in a world with a queue "q".
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "armada.db")
		kept, err := sqlite.Open(t.Context(), sqlite.Config{Path: file})
		ok(t, err)
		w := &world{t: t, store: kept, file: file, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))}
		ok(t, kept.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}))
		w.serve()
		t.Cleanup(func() {
			w.unserve()
			ok(t, w.store.Close())
		})
		test(t, w)
	})
}

// pause lets virtual time pass.
func pause(d time.Duration) { time.Sleep(d) }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve starts a server.
func (w *world) serve() {
	w.t.Helper()
	config := executors.DefaultConfig()
	config.Lease = theLease
	config.Away = map[string][]armada.Toleration{"gpu": {{Key: "gpu", Exists: true, Effect: armada.NoSchedule}}}
	service, err := executors.New(config, armada.DefaultResourceTable(), podspec.DefaultConfig().PriorityClasses, w.store,
		func(context.Context, armada.ExecutorID) error { return nil }, w.log)
	ok(w.t, err)
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(w.disturb, codedUnary), grpc.ChainStreamInterceptor(codedStream))
	executorapi.RegisterExecutorApiServer(server, service)
	executorapi.RegisterExecutorAgentServer(server, service)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = service.Run(ctx) })
	done.Go(func() { _ = server.Serve(listener) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener, w.service = listener, service
	w.stop = func() {
		cancel()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			server.GracefulStop()
		}()
		select {
		case <-stopped:
		case <-time.After(5 * time.Second):
			server.Stop()
			<-stopped
		}
		done.Wait()
	}
}

// unserve stops the server, if there is one.
func (w *world) unserve() {
	w.mu.Lock()
	stop := w.stop
	w.listener, w.stop = nil, nil
	w.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (w *world) at() *bufconn.Listener {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.listener
}

// disturb answers reports as the world says.
func (w *world) disturb(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if w.unavailable.Load() {
		return nil, status.Error(codes.Unavailable, "come back later")
	}
	answer, err := handle(ctx, request)
	if w.lostAnswers.Load() {
		return nil, status.Error(codes.Unavailable, "the answer got lost")
	}
	return answer, err
}

// coded gives errors the codes that internal/server gives them.
func coded(err error) error {
	var known *armada.Error
	if !errors.As(err, &known) {
		return err
	}
	code, listed := map[armada.ErrorCode]codes.Code{
		armada.CodeInvalid: codes.InvalidArgument, armada.CodeNotFound: codes.NotFound, armada.CodeFenced: codes.FailedPrecondition,
		armada.CodeUnavailable: codes.Unavailable,
	}[known.Code]
	if !listed {
		code = codes.Internal
	}
	return status.Error(code, err.Error())
}

func codedUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	answer, err := handle(ctx, request)
	return answer, coded(err)
}

func codedStream(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return coded(handle(service, stream))
}

// cluster is an agent with its runtime and its link to the server.
type cluster struct {
	w       *world
	agent   *executor.Agent
	runtime runs.Runtime
	link    *link
	client  *grpc.ClientConn
	stop    func() // ends the agent, not the runtime; may be called twice
}

// options change what a cluster is made of.
type options struct {
	config func(*executor.Config)
	wrap   func(runs.Runtime) runs.Runtime
	// runtime is one that is there already.
	runtime runs.Runtime
	cores   int64 // of each node; 1,000 when 0
}

// cluster starts an agent with three nodes, and lets it open its session.
func (w *world) cluster(id armada.ExecutorID, o options) *cluster {
	w.t.Helper()
	c := w.open(id, o)
	synctest.Wait()
	return c
}

// open starts an agent with three nodes.
func (w *world) open(id armada.ExecutorID, o options) *cluster {
	w.t.Helper()
	c := &cluster{w: w, runtime: o.runtime, link: w.newLink()}
	if c.runtime == nil {
		simulation, err := simulated.New(simulated.Config{Nodes: []simulated.Group{
			{Name: string(id), Count: 3, Allocatable: armada.Resources{1000 * cmp.Or(o.cores, 1000), 4 << 40}},
		}})
		ok(w.t, err)
		w.t.Cleanup(func() { _ = simulation.Close() })
		c.runtime = simulation
		if o.wrap != nil {
			c.runtime = o.wrap(simulation)
		}
	}
	var err error
	c.client, err = grpc.NewClient("passthrough:///armada", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(c.link.Dial))
	ok(w.t, err)
	config := executor.DefaultConfig()
	config.ID = id
	if o.config != nil {
		o.config(&config)
	}
	c.agent, err = executor.New(config, armada.DefaultResourceTable(), c.client, c.runtime, w.log.With("agent", id))
	ok(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.agent.Run(ctx)
	}()
	c.stop = func() {
		cancel()
		<-done
		_ = c.client.Close()
	}
	w.t.Cleanup(c.stop)
	return c
}

// life is what a job is submitted with.
type life struct {
	runtime   string // how long its pod runs; an hour when empty
	pending   string // how long its pod is pending
	stopDelay string
	print     string
	exit      int   // its exit code
	cores     int64 // that it asks for; 1 when 0
}

// submit takes a job in.
func (w *world) submit(l life) armada.JobID {
	w.t.Helper()
	w.jobs++
	id := armada.JobID(fmt.Sprintf("01job%021d", w.jobs))
	annotations := map[string]string{simulated.AnnotationRuntime: "1h"}
	for key, value := range map[string]string{
		simulated.AnnotationRuntime: l.runtime, simulated.AnnotationPendingDelay: l.pending,
		simulated.AnnotationStopDelay: l.stopDelay, simulated.AnnotationLog: l.print, simulated.AnnotationExitCode: strconv.Itoa(l.exit),
	} {
		if value != "" {
			annotations[key] = value
		}
	}
	requirements := &armada.Requirements{PriorityClass: "armada-default", Resources: armada.Resources{1000 * max(l.cores, 1), 1 << 30}}
	shape := requirements.Shape(armada.DefaultResourceTable())
	_, err := w.store.Submit(w.t.Context(), store.Submission{
		Queue: "q", JobSet: "set",
		Templates: map[armada.TemplateID][]byte{"template": {}},
		Shapes:    map[armada.ShapeID]*armada.Requirements{shape: requirements},
		Jobs: []store.NewJob{{
			Job:     armada.Job{ID: id, Owner: "ann", Template: "template", Shape: shape},
			Details: armada.JobDetails{Namespace: "default", Annotations: annotations},
		}},
	})
	ok(w.t, err)
	return id
}

// lease is what the leader would decide.
func (w *world) lease(id armada.JobID, on armada.ExecutorID, after ...armada.RunID) {
	w.t.Helper()
	w.change(lifecycle.Change{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{
		Executor: on, Node: string(on) + "-1", Pool: armada.DefaultPool, After: after,
	}})
}

func (w *world) change(changes ...lifecycle.Change) {
	w.t.Helper()
	results, err := w.store.Transition(w.t.Context(), store.Fence{}, []store.Unit{changes})
	ok(w.t, err)
	if results[0].Verdict == lifecycle.Refused {
		w.t.Fatalf("%s was refused: %s", changes[0].Kind, results[0].Why)
	}
}

// job returns a job with its runs.
func (w *world) job(id armada.JobID) store.FullJob {
	w.t.Helper()
	job, err := w.store.Job(w.t.Context(), id)
	ok(w.t, err)
	return job
}

// becomes waits until a job is in a state.
func (w *world) becomes(id armada.JobID, state armada.JobState) store.FullJob {
	w.t.Helper()
	w.until(fmt.Sprintf("job %s is %s", id, state), func() bool { return w.job(id).Job.State == state })
	return w.job(id)
}

// until waits for a condition, for at most an hour of virtual time, and looks the
// less often the longer it waits.
func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	for begun := time.Now(); !condition(); pause(10*time.Millisecond + min(time.Second, time.Since(begun)/10)) {
		if time.Since(begun) > time.Hour {
			w.t.Fatalf("not within an hour: %s", what)
		}
	}
}

// kinds are the kinds of a job's events after submitted and queued. It fails
// when the numbers of the job set's events are not 1, 2, 3 …
func (w *world) kinds(id armada.JobID) string {
	w.t.Helper()
	events, _, err := w.store.ReadEvents(w.t.Context(), store.JobSetKey{Queue: "q", JobSet: "set"}, store.Cursor{}, 1_000_000)
	ok(w.t, err)
	text := ""
	for i, e := range events {
		if e.Number != int64(i)+1 {
			w.t.Fatalf("event %d has number %d", i+1, e.Number)
		}
		if e.Job == id && e.Kind != armada.EventSubmitted {
			text += " " + strings.ReplaceAll(e.Kind.String(), " ", "_")
		}
	}
	return text[1:]
}

// tells fails unless the job's events are these.
func (w *world) tells(id armada.JobID, want string) {
	w.t.Helper()
	if got := w.kinds(id); got != want {
		w.t.Errorf("the job's events are %q, want %q", got, want)
	}
}
