package executor2026

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada/internal/app"
	"armada/internal/settings"
	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
	"armada/test/compat/wiretable"
)

// patience is how long a test waits for what must happen; it bounds failures
// and is no measure of speed.
const patience = time.Minute

// system is a whole server with an executor of our own, in one process.
type system struct {
	*testing.T
	conn *grpc.ClientConn
}

// onEachForm runs a test with a server on each form of the store. The pool of its
// own executor has one node of four cores.
func onEachForm(t *testing.T, test func(s *system)) {
	t.Parallel()
	for _, form := range []string{"SQLite", "PostgreSQL"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			config := app.DefaultConfig()
			if form == "PostgreSQL" {
				config.Store.Database = settings.NewSecret(pgtest.Start(t).URL("postgres"))
			}
			test(start(t, config))
		})
	}
}

func start(t *testing.T, config app.Config) *system {
	t.Helper()
	config.DataDir, config.Telemetry.MetricsAddr = shortDir(t), ""
	config.Server.GRPCAddr, config.Server.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	config.Executor.ID, config.Executor.Simulate, config.Executor.SimulatedRuntime = "own", "1x1:cpu=4,memory=64Gi", 20*time.Millisecond
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	running, err := app.Open(t.Context(), config, app.RoleServer|app.RoleExecutor, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	failed := running.Start(t.Context())
	t.Cleanup(func() {
		hurry, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(running.Stop(context.Background(), hurry), running.Close()); err != nil {
			t.Errorf("stopping the server: %v", err)
		}
		select {
		case err := <-failed:
			t.Errorf("the server failed: %v", err)
		default:
		}
	})
	conn, err := grpc.NewClient(running.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &system{T: t, conn: conn}
	s.call("/api.Submit/CreateQueue", "google.protobuf.Empty", table.Make("api.Queue", wiretable.Fields{"name": "q", "priority_factor": 1}))
	return s
}

// shortDir is a folder whose path is short enough for a socket in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *system) call(method string, answers protoreflect.FullName, request proto.Message) proto.Message {
	s.Helper()
	answer := table.New(answers)
	if err := s.conn.Invoke(s.Context(), method, request, answer, grpc.UseCompressor(gzip.Name), grpc.WaitForReady(true)); err != nil {
		s.Fatalf("%s: %v", method, err)
	}
	return answer
}

// item is a job of one core: on a node of the executor of 2026, if one is named,
// where it runs for a time, if one is given.
func item(node, class, runtime string) wiretable.Fields {
	amounts := corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Mi"), "ephemeral-storage": resource.MustParse("0")}
	spec := &corev1.PodSpec{PriorityClassName: class, Containers: []corev1.Container{
		{Name: "main", Image: "none", Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts}},
	}}
	if node != "" {
		spec.NodeSelector = map[string]string{hostLabel: "host-of-" + node}
	}
	annotations := map[string]string{}
	if runtime != "" {
		annotations["runtime"] = runtime
	}
	return wiretable.Fields{"namespace": "space", "annotations": annotations, "pod_spec": spec}
}

// submit returns the ids of jobs, that each are of the job set.
func (s *system) submit(set string, items ...wiretable.Fields) []string {
	s.Helper()
	answer := s.call("/api.Submit/SubmitJobs", "api.JobSubmitResponse", table.Make("api.JobSubmitRequest", wiretable.Fields{
		"queue": "q", "job_set_id": set, "job_request_items": items,
	}))
	var ids []string
	for _, each := range wiretable.List(answer, "job_response_items") {
		ids = append(ids, wiretable.At(each, "job_id").String())
	}
	return ids
}

// history is what the events of a job set tell: the kinds of each job's, and the
// executor that had it last.
func (s *system) history(set string) (kinds, on map[string]string) {
	s.Helper()
	kinds, on = map[string]string{}, map[string]string{}
	stream, err := s.conn.NewStream(s.Context(), &grpc.StreamDesc{ServerStreams: true}, "/api.Event/GetJobSetEvents")
	if err != nil {
		s.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(table.Make("api.JobSetRequest", wiretable.Fields{"queue": "q", "id": set})), stream.CloseSend()); err != nil {
		s.Fatal(err)
	}
	for {
		m := table.New("api.EventStreamMessage")
		err := stream.RecvMsg(m)
		if errors.Is(err, io.EOF) {
			return kinds, on
		}
		if err != nil {
			s.Fatal(err)
		}
		event := wiretable.At(m, "message").Message().Interface()
		kind := wiretable.Kind(event, "events")
		job := wiretable.At(event, kind, "job_id").String()
		kinds[job] = strings.TrimSpace(kinds[job] + " " + string(kind))
		if kind == "leased" {
			on[job] = wiretable.At(event, kind, "cluster_id").String()
		}
	}
}

// until waits for a condition.
func (s *system) until(what string, holds func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			kinds, _ := s.history("set")
			s.Fatalf("never: %s; the events are %v", what, kinds)
		}
	}
}

// all waits until the events of all jobs of the set end with a kind.
func (s *system) all(ids []string, kind string) {
	s.Helper()
	s.until(fmt.Sprintf("%d jobs are %s", len(ids), kind), func() bool {
		kinds, _ := s.history("set")
		return !slices.ContainsFunc(ids, func(id string) bool { return !strings.HasSuffix(kinds[id], " "+kind) })
	})
}

// begin starts an executor of 2026, fifty times as fast as a real one; end stops it.
func (s *system) begin(c *Cluster) (e *Executor, end func()) {
	s.Helper()
	e = New("theirs", s.conn, c, Every(50))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	end = func() {
		cancel()
		<-done
		for _, wrong := range e.Wrong() {
			s.Error(wrong)
		}
	}
	s.Cleanup(func() { cancel(); <-done })
	return e, end
}

func TestAnExecutorOf2026RunsJobsToTheEndBesideOurOwnInOnePool(t *testing.T) {
	onEachForm(t, func(s *system) {
		cluster := NewCluster(4, "n1", "n2")
		e, end := s.begin(cluster)
		var items []wiretable.Fields
		for i := range 60 {
			items = append(items, item([]string{"", "n1", "n2"}[i%3], "armada-default", ""))
		}
		jobs := s.submit("set", items...)
		s.all(jobs, "succeeded")
		kinds, on := s.history("set")
		theirs := 0
		for i, id := range jobs {
			if i%3 != 0 && on[id] != "theirs" {
				s.Errorf("job %d ran on %q, whose node it did not ask for", i, on[id])
			}
			if on[id] != "theirs" {
				continue
			}
			theirs++
			if want := "submitted queued leased pending running succeeded"; kinds[id] != want {
				s.Errorf("the events of job %d are %q, want %q", i, kinds[id], want)
			}
		}
		if theirs == len(jobs) {
			s.Error("no job ran on our own executor, which was there first")
		}
		logs := errors.New("no log was read")
		if c, err := client.New(client.Config{ArmadaURL: s.conn.Target(), ForceNoTLS: true}); err == nil {
			logs = c.Logs(s.Context(), client.LogQuery{Job: jobs[1]}, func(*lookout.LogLine) error { return nil })
			_ = c.Close()
		}
		if status.Code(logs) != codes.FailedPrecondition || !strings.Contains(logs.Error(), `executor "theirs"`) ||
			!strings.Contains(logs.Error(), "kubectl logs --namespace space armada-"+jobs[1]+"-0") {
			s.Errorf("the log of a pod there: %v", logs)
		}
		// It forgets its runs only because it is told to.
		s.until("all runs are forgotten", func() bool { return e.Remembers() == 0 })
		end()
		if logs := cluster.Logs(); len(logs) != theirs {
			s.Errorf("of %d pods the logs of %d are kept", theirs, len(logs))
		}
		if cluster.Most() > 4 {
			s.Errorf("%d cores of a node were in use at a time, and it has 4", cluster.Most())
		}
	})
}

func TestAnExecutorOf2026ThatBeginsAnewLosesNothing(t *testing.T) {
	onEachForm(t, func(s *system) {
		cluster := NewCluster(4, "n1", "n2")
		_, end := s.begin(cluster)
		running := s.submit("set", item("n1", "armada-default", "1s"), item("n2", "armada-default", "1s"))
		s.all(running, "running")
		end()
		// These are leased, and the one that is gone has never heard of them.
		waiting := s.submit("set", item("n1", "armada-default", ""), item("n2", "armada-default", ""))
		s.all(waiting, "leased")
		_, end = s.begin(cluster)
		s.all(slices.Concat(running, waiting), "succeeded")
		end()
		kinds, _ := s.history("set")
		for _, id := range slices.Concat(running, waiting) {
			if want := "submitted queued leased pending running succeeded"; kinds[id] != want {
				s.Errorf("the events are %q, want %q", kinds[id], want)
			}
		}
	})
}

func TestJobsOfAnExecutorOf2026AreCancelledAndPreempted(t *testing.T) {
	onEachForm(t, func(s *system) {
		cluster := NewCluster(4, "n1")
		_, end := s.begin(cluster)
		running := s.submit("set", item("n1", "armada-preemptible", "1h"), item("n1", "armada-preemptible", "1h"), item("n1", "armada-preemptible", "1h"), item("n1", "armada-preemptible", "1h"))
		s.all(running, "running")
		next := s.submit("set", item("n1", "armada-default", "1h"), item("n1", "armada-default", ""))

		cancelled := s.call("/api.Submit/CancelJobs", "api.CancellationResult", table.Make("api.JobCancelRequest", wiretable.Fields{
			"queue": "q", "job_set_id": "set", "job_ids": running[:1],
		}))
		if got := wiretable.Strings(cancelled, "cancelled_ids"); !slices.Equal(got, running[:1]) {
			s.Errorf("cancelled were %v", got)
		}
		s.all(running[:1], "cancelled")
		s.all(next[:1], "running") // in its place

		s.call("/api.Submit/PreemptJobs", "api.PreemptionResult", table.Make("api.JobPreemptRequest", wiretable.Fields{
			"queue": "q", "job_set_id": "set", "job_ids": running[1:2], "reason": "needed",
		}))
		s.all(running[1:2], "failed")
		s.all(next[1:], "succeeded")
		kinds, _ := s.history("set")
		for id, want := range map[string]string{
			running[0]: "submitted queued leased pending running cancelling cancelled",
			running[1]: "submitted queued leased pending running preempting preempted failed",
			running[2]: "submitted queued leased pending running",
		} {
			if kinds[id] != want {
				s.Errorf("the events are %q, want %q", kinds[id], want)
			}
		}
		end()
		if cluster.Most() > 4 {
			s.Errorf("%d cores of a node were in use at a time, and it has 4", cluster.Most())
		}
	})
}

func TestStatement3ALargeListOfReportsIsTaken(t *testing.T) {
	t.Parallel()
	s := start(t, app.DefaultConfig())
	s.until("the executor was heard", func() bool {
		_, err := Ask(s.Context(), s.conn, wiretable.Fields{"executor_id": "theirs", "nodes": []wiretable.Fields{NewCluster(4).describe("n1", nil)}})
		return err == nil
	})
	var events []wiretable.Fields
	for i := range 100 {
		events = append(events, told("jobRunTerminatedDebugInfo", fmt.Sprintf("01job%021d-1", i), wiretable.Fields{"debugMessage": strings.Repeat(string(rune('a'+i%26)), 100<<10)}))
	}
	if err := Report(s.Context(), s.conn, sequence(events...)); err != nil {
		s.Errorf("10 MiB of reports were answered with %v", err)
	}
	request := wiretable.Fields{"executor_id": "theirs"}
	var nodes []wiretable.Fields
	for i := range 5000 {
		n := NewCluster(4).describe(fmt.Sprintf("n%d", i), nil)
		n["labels"] = map[string]string{hostLabel: fmt.Sprintf("host-of-n%d", i), "long": strings.Repeat("x", 1500)}
		nodes = append(nodes, n)
	}
	if request["nodes"] = nodes; proto.Size(table.Make("executorapi.LeaseRequest", request)) < 8<<20 {
		s.Fatal("the request is not large")
	}
	if _, err := Ask(s.Context(), s.conn, request); err != nil {
		s.Errorf("a request with 5,000 nodes was answered with %v", err)
	}
}

func TestStatement5AReportThatIsNotUTF8DoesNotFailTheOthers(t *testing.T) {
	t.Parallel()
	s := start(t, app.DefaultConfig())
	var run []string
	job := s.submit("set", item("n1", "armada-default", ""))[0]
	s.until("the job is leased", func() bool {
		answer, err := Ask(s.Context(), s.conn, wiretable.Fields{
			"executor_id": "theirs", "pool": "cut \xff", "max_jobs_to_lease": 1, "nodes": []wiretable.Fields{NewCluster(4).describe("n1", nil)},
		})
		if err != nil {
			s.Fatal(err)
		}
		run = answer.Runs()
		return len(run) == 1
	})
	err := Report(s.Context(), s.conn, sequence(
		told("jobRunTerminatedDebugInfo", "01job999999999999999999999-1", wiretable.Fields{"debugMessage": "cut \xe2\x82"}),
		phase("jobRunRunning", "theirs", run[0]),
		failure(run[0], wiretable.Fields{"podError": wiretable.Fields{"message": "said \xff\xfe at last", "objectMeta": meta("theirs", run[0])}}),
	))
	if err != nil {
		s.Fatal(err)
	}
	kinds, _ := s.history("set")
	if want := "submitted queued leased running failed"; kinds[job] != want {
		s.Errorf("the events are %q, want %q", kinds[job], want)
	}
	errs := s.call("/api.Jobs/GetJobErrors", "api.JobErrorsResponse", table.Make("api.JobErrorsRequest", wiretable.Fields{"job_ids": []string{job}}))
	if text := wiretable.Texts(errs, "job_errors")[job]; text != "said \uFFFD at last" {
		s.Errorf("the job failed with %q", text)
	}
}
