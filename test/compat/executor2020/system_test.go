package executor2020

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada/internal/app"
	"armada/internal/settings"
	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	ourcorev1 "armada/pkg/api/k8s/core/v1"
)

// system is a whole installation with an executor of ours, called ours-1, and
// connections of programs of 2020 to its servers.
type system struct {
	caller
	t *testing.T
}

// onEachForm runs a test on armada up, with SQLite, and on two replicas of the
// server with an executor and PostgreSQL.
func onEachForm(t *testing.T, test func(t *testing.T, s *system)) {
	t.Helper()
	t.Parallel()
	config := app.DefaultConfig()
	config.Server.GRPCAddr, config.Server.HTTPAddr, config.Telemetry.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", ""
	config.Executor.ID, config.Executor.Simulate, config.Executor.SimulatedRuntime = "ours", "1x1:cpu=4,memory=64Gi", 100*time.Millisecond
	t.Run("armada up", func(t *testing.T) {
		t.Parallel()
		config := config
		config.DataDir = t.TempDir()
		test(t, open(t, begin(t, app.RoleUp, config)))
	})
	t.Run("two replicas", func(t *testing.T) {
		t.Parallel()
		config := config
		config.Store.Database = settings.NewSecret(pgtest.Start(t).URL("postgres"))
		var addresses []string
		for _, name := range []string{"a", "b"} {
			config.Replica.Name = name
			addresses = append(addresses, begin(t, app.RoleServer, config))
		}
		config.DataDir, config.Executor.Servers, config.Store.Database = t.TempDir(), addresses, settings.Secret{}
		begin(t, app.RoleExecutor, config)
		test(t, open(t, addresses...))
	})
}

// begin begins one process's worth of the system, which ends with the test, and
// returns its address.
func begin(t *testing.T, roles app.Roles, config app.Config) string {
	t.Helper()
	s, err := app.Open(t.Context(), config, roles, "test", slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	ok(t, err)
	failed := s.Start(context.Background())
	t.Cleanup(func() {
		hurry, cancel := context.WithCancel(context.Background())
		cancel()
		ok(t, s.Stop(context.Background(), hurry))
		ok(t, s.Close())
		select {
		case err := <-failed:
			t.Errorf("a part failed: %v", err)
		default:
		}
	})
	if roles == app.RoleExecutor {
		return ""
	}
	return s.GRPCAddr()
}

// inTurn makes each call by another connection.
type inTurn struct {
	conns []*grpc.ClientConn
	next  atomic.Int64
}

func (i *inTurn) conn() *grpc.ClientConn { return i.conns[int(i.next.Add(1))%len(i.conns)] }

// Invoke makes a call with one answer.
func (i *inTurn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return i.conn().Invoke(ctx, method, args, reply, opts...)
}

// NewStream makes a call with a stream.
func (i *inTurn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return i.conn().NewStream(ctx, desc, method, opts...)
}

func open(t *testing.T, addresses ...string) *system {
	t.Helper()
	turns := &inTurn{}
	for _, address := range addresses {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		ok(t, err)
		t.Cleanup(func() { ok(t, conn.Close()) })
		turns.conns = append(turns.conns, conn)
	}
	s := &system{caller{turns}, t}
	ok(t, s.call(t.Context(), "/api.Submit/CreateQueue", "Queue", map[string]any{"name": "q", "priority_factor": 1}, "Empty", nil))
	return s
}

// old begins a cluster with an executor of 2020, whose seconds take 20 ms, and
// waits until its nodes are known. The function ends the executor, and its pods
// stay.
func (s *system) old(c *cluster) (stop func()) {
	s.t.Helper()
	x := &executor{caller: s.caller, id: c.name, cluster: c, scale: 20 * time.Millisecond, log: s.t.Logf}
	ok(s.t, x.poll(s.t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { x.run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		ended.Wait()
	})
	s.t.Cleanup(stop)
	return stop
}

// podOf asks for so many cores.
func podOf(cores int64) corev1.PodSpec {
	amounts := corev1.ResourceList{"cpu": *resource.NewQuantity(cores, resource.DecimalSI), "memory": resource.MustParse("1Gi")}
	return corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Image: "x", Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts.DeepCopy()},
	}}}
}

// submit submits jobs of one core as a client of 2020 does: without a namespace.
// They run on nodes with the labels.
func (s *system) submit(set string, n int, labels map[string]string) []string {
	s.t.Helper()
	spec := podOf(1)
	raw, err := spec.Marshal()
	ok(s.t, err)
	var answer struct {
		Items []struct {
			ID    string `json:"job_id"`
			Error string `json:"error"`
		} `json:"job_response_items"`
	}
	ok(s.t, s.call(s.t.Context(), "/api.Submit/SubmitJobs", "JobSubmitRequest", map[string]any{
		"queue": "q", "job_set_id": set, "job_request_items": slices.Repeat([]any{map[string]any{"pod_spec": raw, "required_node_labels": labels}}, n),
	}, "JobSubmitResponse", &answer))
	var ids []string
	for _, item := range answer.Items {
		if item.Error != "" || item.ID == "" {
			s.t.Fatalf("a job was not taken: %q", item.Error)
		}
		ids = append(ids, item.ID)
	}
	return ids
}

// ended tells of streams in which so many jobs have ended.
func ended(n int) func([]told) bool {
	return func(all []told) bool {
		ends := 0
		for _, e := range all {
			if e.Kind == "succeeded" || e.Kind == "failed" || e.Kind == "cancelled" {
				ends++
			}
		}
		return ends >= n
	}
}

// reached tells of streams in which so many jobs have come so far.
func reached(kind string, n int) func([]told) bool {
	return func(all []told) bool {
		seen := 0
		for _, e := range all {
			if e.Kind == kind {
				seen++
			}
		}
		return seen >= n
	}
}

// kinds are the kinds of a job's events, joined.
func kinds(all []told, id string) string {
	var got []string
	for _, e := range all {
		if e.JobID == id {
			got = append(got, e.Kind)
		}
	}
	return strings.Join(got, " ")
}

// until waits for a condition.
func (s *system) until(what string, condition func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func TestExecutorsOfBothYearsRunTheJobsOfOnePool(t *testing.T) {
	onEachForm(t, func(t *testing.T, s *system) {
		cluster := newCluster("old", 2, 4, 100*time.Millisecond)
		stop := s.old(cluster)
		jobs := s.submit("set", 60, nil)
		s.watch(t, "q", "set", reached("succeeded", 10))
		stop() // it is started anew, and reports every pod again
		s.old(cluster)
		all := s.watch(t, "q", "set", ended(len(jobs)))
		ran := map[string]int{}
		for _, id := range jobs {
			if got := kinds(all, id); got != "submitted queued leased pending running succeeded" {
				t.Errorf("job %s is told %q", id, got)
			}
			for _, e := range all {
				if e.JobID == id && e.Kind == "succeeded" {
					ran[e.Cluster]++
				}
			}
		}
		if len(ran) != 2 || ran["old"] == 0 || ran["ours-1"] == 0 {
			t.Errorf("the jobs ran on %v, want both clusters", ran)
		}
		cluster.mu.Lock()
		defer cluster.mu.Unlock()
		if len(cluster.broken) > 0 || cluster.made != ran["old"] {
			t.Errorf("the cluster made %d pods for %d jobs; %v", cluster.made, ran["old"], cluster.broken)
		}
		if len(cluster.killed) > 0 {
			t.Errorf("pods were killed: %v", cluster.killed)
		}
	})
}

func TestACancelReachesAnExecutorOf2020(t *testing.T) {
	onEachForm(t, func(t *testing.T, s *system) {
		cluster := newCluster("old", 1, 4, time.Hour)
		s.old(cluster)
		jobs := s.submit("long", 2, map[string]string{"cluster": "old"})
		s.watch(t, "q", "long", reached("running", 2))
		var answer struct {
			IDs []string `json:"cancelled_ids"`
		}
		ok(t, s.call(t.Context(), "/api.Submit/CancelJobs", "JobCancelRequest", map[string]any{"job_id": jobs[0]}, "CancellationResult", &answer))
		if !slices.Equal(answer.IDs, jobs[:1]) {
			t.Errorf("cancelled are %v", answer.IDs)
		}
		all := s.watch(t, "q", "long", ended(1))
		if got := kinds(all, jobs[0]); got != "submitted queued leased pending running cancelling cancelled" {
			t.Errorf("it is told %q", got)
		}
		s.until("its pod is removed", func() bool {
			cluster.mu.Lock()
			defer cluster.mu.Unlock()
			return slices.Equal(cluster.killed, jobs[:1])
		})
		if !cluster.has(jobs[1], running) {
			t.Error("the other job's pod does not run")
		}
	})
}

func TestAJobThatFailsOnAnExecutorOf2020TellsItsExitCode(t *testing.T) {
	onEachForm(t, func(t *testing.T, s *system) {
		cluster := newCluster("old", 1, 4, 500*time.Millisecond)
		s.old(cluster)
		id := s.submit("bad", 1, map[string]string{"cluster": "old"})[0]
		cluster.mu.Lock()
		cluster.fails[id] = 7
		cluster.mu.Unlock()
		all := s.watch(t, "q", "bad", ended(1))
		last := all[len(all)-1]
		if last.Kind != "failed" || last.ExitCodes["main"] != 7 || last.Cluster != "old" || !strings.HasPrefix(last.Node, "old-node-") || last.Reason != "it was to fail" {
			t.Errorf("its end is %+v", last)
		}
		_, err := binoculars.NewBinocularsClient(s.conn).Logs(t.Context(), &binoculars.LogRequest{JobId: id})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), `executor "old"`) ||
			!strings.Contains(err.Error(), "kubectl logs --namespace default armada-"+id) {
			t.Errorf("its log: %v", err)
		}
		if all[0].Job == nil || all[0].Job.Namespace != "default" || len(all[0].Job.PodSpec) == 0 {
			t.Errorf("the submitted job is %+v", all[0].Job)
		}
	})
}

// Statement 5, of executors of 2020.
func TestAReasonThatIsNoTextFailsNoOtherEventOfItsList(t *testing.T) {
	onEachForm(t, func(t *testing.T, s *system) {
		r := offer("east", 2)
		r.Nodes[0].Labels = map[string]string{"cluster": "east"}
		_, err := s.lease(t.Context(), r)
		ok(t, err)
		ids := s.submit("bad", 2, map[string]string{"cluster": "east"})
		leased := map[string]bool{}
		s.until("both jobs are leased", func() bool {
			jobs, err := s.lease(t.Context(), r)
			ok(t, err)
			for _, j := range jobs {
				leased[j.ID] = true
			}
			return len(leased) == 2
		})
		var events []event
		for _, id := range ids {
			events = append(events, event{JobID: id, Cluster: "east", Created: time.Now(), Reason: "cut at "})
		}
		ok(t, s.reportBroken(t.Context(), events...))
		for _, e := range s.watch(t, "q", "bad", ended(2)) {
			if e.Kind == "failed" && e.Reason != "cut at \uFFFD" {
				t.Errorf("job %s failed since %q", e.JobID, e.Reason)
			}
		}
	})
}

// Statement 53, as clients of 2026 submit such jobs.
func TestJobsWithServicesGangsAndIngressesGoToOurExecutors(t *testing.T) {
	onEachForm(t, func(t *testing.T, s *system) {
		cluster := newCluster("old", 4, 16, 50*time.Millisecond)
		s.old(cluster)
		spec := podOf(1)
		raw, err := spec.Marshal()
		ok(t, err)
		pod := &ourcorev1.PodSpec{}
		ok(t, unmarshal(raw, pod))
		request := &api.JobSubmitRequest{Queue: "q", JobSetId: "more"}
		for i := range 12 {
			item := &api.JobSubmitRequestItem{PodSpec: pod, Namespace: "default"}
			switch i % 3 {
			case 0:
				item.Services = []*api.ServiceConfig{{Ports: []uint32{80}}}
			case 1:
				item.Ingress = []*api.IngressConfig{{Ports: []uint32{80}}}
			case 2:
				item.Annotations = map[string]string{"armadaproject.io/gangId": strconv.Itoa(i / 6), "armadaproject.io/gangCardinality": "2"}
			}
			request.JobRequestItems = append(request.JobRequestItems, item)
		}
		_, err = api.NewSubmitClient(s.conn).SubmitJobs(t.Context(), request)
		ok(t, err)
		for _, e := range s.watch(t, "q", "more", ended(12)) {
			if e.Cluster == "old" {
				t.Errorf("%s of job %s is told of the cluster of 2020", e.Kind, e.JobID)
			}
			if e.Kind == "failed" {
				t.Errorf("job %s failed: %s", e.JobID, e.Reason)
			}
		}
	})
}

// Statement 64.
func TestTheInfoOfAQueueCountsWhatWaitsAndWhatDoesNot(t *testing.T) {
	onEachForm(t, func(t *testing.T, s *system) {
		cluster := newCluster("old", 1, 2, time.Hour)
		s.old(cluster)
		s.submit("long", 3, map[string]string{"cluster": "old"})
		s.watch(t, "q", "long", reached("running", 2))
		type info struct {
			Name string `json:"name"`
			Sets []struct {
				Name   string `json:"name"`
				Queued int    `json:"queued_jobs"`
				Leased int    `json:"leased_jobs"`
			} `json:"active_job_sets"`
		}
		for name, want := range map[string]string{"q": "{q [{long 1 2}]}", "never": "{never []}"} {
			var got info
			ok(t, s.call(t.Context(), "/api.Submit/GetQueueInfo", "QueueInfoRequest", map[string]any{"name": name}, "QueueInfo", &got))
			if text := fmt.Sprint(got); text != want {
				t.Errorf("the info of %s is %s, want %s", name, text, want)
			}
		}
	})
}
