package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var executorTests = []scenario{
	{"a new session voids the older one and keeps settings", sessions},
	{"an acknowledgement renews the lease and is written at most every third of it", acknowledgements},
	{"acknowledgements of other sessions are fenced", acknowledgementsAreFenced},
	{"nodes read as they were put, and equal ones write nothing", nodesAreKept},
	{"nodes keep their amounts when resources change places", nodesByName},
	{"executors are listed by id", executorsAreListed},
	{"settings of unknown executors are not found", unknownExecutors},
	{"an executor with runs is not deleted", executorWithRuns},
	{"a deleted executor may come back anew", executorComesBack},
	{"a closed node is unschedulable until it is opened", closedNodes},
	{"runs of an executor are those that it should hold", runsOf},
	{"orders hold all that is needed to start runs", ordersAreComplete},
}

const testLease = 30 * time.Second

func (w *world) session(id armada.ExecutorID, session armada.SessionID) {
	w.t.Helper()
	w.ok(w.OpenSession(w.ctx, armada.Executor{ID: id, Session: session, Lease: testLease, Replica: "r", ReplicaAddr: "addr:1"}))
}

// nodes makes n nodes with everything set.
func nodes(n int) []armada.Node {
	list := make([]armada.Node, n)
	for i := range list {
		list[i] = armada.Node{
			Name: fmt.Sprintf("node-%d", i), Executor: "east", Pool: "default", Type: "big",
			Labels: map[string]string{"zone": "z", "rack": fmt.Sprint(i)}, Taints: []armada.Taint{{Key: "k", Value: "v", Effect: armada.NoSchedule}},
			Allocatable: armada.Resources{8000, 1 << 34, 0, 2}, Unschedulable: i%2 == 1,
			Others: []armada.PriorityUsage{{Priority: -5, Used: armada.Resources{100, 1}}, {Priority: 7, Used: armada.Resources{0, 9}}},
		}
	}
	return list
}

func (w *world) executor(id armada.ExecutorID) store.ExecutorNodes {
	w.t.Helper()
	all, err := w.Executors(w.ctx)
	w.ok(err)
	for _, e := range all {
		if e.Executor.ID == id {
			return e
		}
	}
	w.t.Fatalf("executor %s is not known", id)
	return store.ExecutorNodes{}
}

func sessions(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	w.ok(w.PutNodes(w.ctx, "east", "s1", nodes(1)))
	w.ok(w.CordonExecutor(w.ctx, "east", true, "repair"))
	w.clock.Advance(time.Second)
	w.session("east", "s2")
	want := armada.Executor{
		ID: "east", Session: "s2", Lease: testLease, Acknowledged: w.clock.Now(), Replica: "r", ReplicaAddr: "addr:1", Cordoned: true, CordonReason: "repair",
	}
	if diff := cmp.Diff(want, w.executor("east").Executor); diff != "" {
		t.Error("the executor (-want +got):\n", diff)
	}
	w.code(w.PutNodes(w.ctx, "east", "s1", nodes(2)), armada.CodeFenced)
	w.ok(w.PutNodes(w.ctx, "east", "s2", nodes(3)))
	w.reopen()
	alone, err := w.Executor(w.ctx, "east")
	w.ok(err)
	if diff := cmp.Diff(want, alone); diff != "" {
		t.Error("the executor alone (-want +got):\n", diff)
	}
	if e := w.executor("east"); e.Executor.Session != "s2" || len(e.Nodes) != 3 {
		t.Errorf("after a restart: %+v", e)
	}
	w.ok(w.CordonExecutor(w.ctx, "east", false, ""))
	if e := w.executor("east"); e.Executor.Cordoned {
		t.Errorf("uncordoned: %+v", e.Executor)
	}
}

func acknowledgements(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	opened := w.clock.Now()
	for _, step := range []struct {
		after  time.Duration
		left   time.Duration
		record time.Time
	}{
		{time.Second, testLease - time.Second, opened},
		{8 * time.Second, testLease - 9*time.Second, opened},
		{time.Second, testLease, opened.Add(10 * time.Second)},
		{9 * time.Second, testLease - 9*time.Second, opened.Add(10 * time.Second)},
		{5 * time.Minute, testLease, opened.Add(5*time.Minute + 19*time.Second)},
	} {
		w.clock.Advance(step.after)
		left, err := w.Acknowledge(w.ctx, "east", "s1")
		w.ok(err)
		if got := w.executor("east").Executor.Acknowledged; left != step.left || !got.Equal(step.record) {
			t.Errorf("%v later: %v left by the record of %v, want %v by that of %v", step.after, left, got, step.left, step.record)
		}
	}
}

func acknowledgementsAreFenced(t *testing.T, form Form) {
	w := open(t, form)
	_, err := w.Acknowledge(w.ctx, "east", "s1")
	w.code(err, armada.CodeFenced)
	w.session("east", "s1")
	w.session("east", "s2")
	_, err = w.Acknowledge(w.ctx, "east", "s1")
	w.code(err, armada.CodeFenced)
	left, err := w.Acknowledge(w.ctx, "east", "s2")
	w.ok(err)
	if left != testLease {
		t.Errorf("%v left", left)
	}
}

func nodesAreKept(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	want := nodes(50)
	w.ok(w.PutNodes(w.ctx, "east", "s1", want))
	if diff := cmp.Diff(want, w.executor("east").Nodes); diff != "" {
		t.Error("nodes (-put +read):\n", diff)
	}
	end, err := w.End(w.ctx)
	w.ok(err)
	w.ok(w.PutNodes(w.ctx, "east", "s1", nodes(50)))
	after, err := w.End(w.ctx)
	w.ok(err)
	if string(end) != string(after) {
		t.Error("equal nodes were told as a change")
	}
	want[7].Unschedulable = !want[7].Unschedulable
	w.ok(w.PutNodes(w.ctx, "east", "s1", want))
	if diff := cmp.Diff(want, w.executor("east").Nodes); diff != "" {
		t.Error("changed nodes (-put +read):\n", diff)
	}
	w.ok(w.PutNodes(w.ctx, "east", "s1", nil))
	if got := w.executor("east").Nodes; len(got) != 0 {
		t.Errorf("no nodes: %v", got)
	}
}

func nodesByName(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	w.ok(w.PutNodes(w.ctx, "east", "s1", nodes(1)))
	s := submission("a", "set", 1)
	_, err := w.Submit(w.ctx, s)
	w.ok(err)
	table, err := armada.NewResourceTable([]armada.Resource{{Name: armada.Memory}, {Name: "fpga"}, {Name: armada.CPU, Milli: true}})
	w.ok(err)
	w.config.Resources = table
	w.reopen()
	if got, want := w.executor("east").Nodes[0].Allocatable, (armada.Resources{1 << 34, 0, 8000}); got != want {
		t.Errorf("allocatable: %v, want %v", got, want)
	}
	q, err := w.Requirements(w.ctx, s.Jobs[0].Job.Shape)
	w.ok(err)
	if want := (armada.Resources{1 << 30, 0, 1000}); q.Resources != want {
		t.Errorf("requirements: %v, want %v", q.Resources, want)
	}
}

func executorsAreListed(t *testing.T, form Form) {
	w := open(t, form)
	for _, id := range []armada.ExecutorID{"c", "a", "b"} {
		w.session(id, "s")
	}
	all, err := w.Executors(w.ctx)
	w.ok(err)
	if !slices.IsSortedFunc(all, func(a, b store.ExecutorNodes) int { return int(a.Executor.ID[0]) - int(b.Executor.ID[0]) }) || len(all) != 3 {
		t.Errorf("executors: %v", all)
	}
}

func unknownExecutors(t *testing.T, form Form) {
	w := open(t, form)
	w.code(w.CordonExecutor(w.ctx, "nobody", true, ""), armada.CodeNotFound)
	w.code(w.PutNodes(w.ctx, "nobody", "s", nil), armada.CodeFenced)
	w.ok(w.DeleteExecutor(w.ctx, "nobody"))
	_, err := w.Executor(w.ctx, "nobody")
	w.code(err, armada.CodeNotFound)
	runs, err := w.RunsOf(w.ctx, "nobody")
	w.ok(err)
	if len(runs) != 0 {
		t.Errorf("runs: %v", runs)
	}
}

func executorWithRuns(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	id := w.submit("a", "set", 1)[0]
	w.must(lease(id))
	w.code(w.DeleteExecutor(w.ctx, "east"), armada.CodePrecondition)
	w.must(report(lifecycle.ReportSucceeded, id, 1))
	w.ok(w.DeleteExecutor(w.ctx, "east"))
	_, err := w.Acknowledge(w.ctx, "east", "s1")
	w.code(err, armada.CodeFenced)
}

func executorComesBack(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	w.ok(w.PutNodes(w.ctx, "east", "s1", nodes(2)))
	w.ok(w.CordonExecutor(w.ctx, "east", true, "old"))
	w.ok(w.CordonNode(w.ctx, "east", nodes(1)[0].Name, true))
	w.ok(w.DeleteExecutor(w.ctx, "east"))
	w.session("east", "s2")
	if e := w.executor("east"); len(e.Nodes) != 0 || e.Executor.Cordoned || e.Deleted {
		t.Errorf("it came back with its past: %+v", e)
	}
	w.ok(w.PutNodes(w.ctx, "east", "s2", nodes(2)))
	if e := w.executor("east"); len(e.Nodes) != 2 || e.Nodes[0].Unschedulable {
		t.Errorf("its nodes: %+v", e)
	}
}

func closedNodes(t *testing.T, form Form) {
	w := open(t, form)
	w.code(w.CordonNode(w.ctx, "east", "n", true), armada.CodeNotFound)
	w.session("east", "s1")
	w.session("west", "s1")
	for _, name := range []string{"", "two\nlines"} {
		w.code(w.CordonNode(w.ctx, "east", name, true), armada.CodeInvalid)
	}
	list := nodes(3)
	list[0].Unschedulable, list[1].Unschedulable, list[2].Unschedulable = false, false, true // says the executor
	w.ok(w.CordonNode(w.ctx, "east", list[0].Name, true))
	w.ok(w.CordonNode(w.ctx, "east", list[1].Name, true))
	w.ok(w.CordonNode(w.ctx, "east", list[1].Name, true)) // again
	for _, id := range []armada.ExecutorID{"east", "west"} {
		w.ok(w.PutNodes(w.ctx, id, "s1", list))
	}
	closed := func(id armada.ExecutorID) (got [3]bool) {
		for i, n := range w.executor(id).Nodes {
			got[i] = n.Unschedulable
		}
		return got
	}
	for _, again := range []func(){func() {}, w.reopen, func() {
		w.session("east", "s2")
		w.ok(w.PutNodes(w.ctx, "east", "s2", list))
	}} {
		again()
		if got := closed("east"); got != [3]bool{true, true, true} {
			t.Errorf("closed in east: %v", got)
		}
		if got := closed("west"); got != [3]bool{false, false, true} {
			t.Errorf("closed in west: %v", got)
		}
	}
	m := newMirror()
	at := m.load(t, w.Store)
	for _, n := range list[1:] {
		w.ok(w.CordonNode(w.ctx, "east", n.Name, false))
	}
	if got := closed("east"); got != [3]bool{true, false, true} {
		t.Errorf("closed in east afterwards: %v", got)
	}
	m.follow(t, w.Store, at, 10)
	m.same(t, w.Store)
	if told := m.executors["east"].Nodes; !told[0].Unschedulable || told[1].Unschedulable {
		t.Errorf("told of east: %+v", told)
	}
}

func runsOf(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 5)
	for _, id := range ids[:4] {
		w.must(lease(id))
	}
	w.must(report(lifecycle.ReportRunning, ids[1], 1))
	w.must(report(lifecycle.ReportSucceeded, ids[2], 1))
	w.must(report(lifecycle.ReportReturned, ids[3], 1))
	west := lease(ids[4])
	west.Lease.Executor = "west"
	w.must(west)
	check := func() {
		t.Helper()
		runs, err := w.RunsOf(w.ctx, "east")
		w.ok(err)
		var got []armada.RunID
		for _, r := range runs {
			got = append(got, r.Run.ID)
			if r.Job.ID != r.Run.Job {
				t.Errorf("run %s comes with job %s", r.Run.ID, r.Job.ID)
			}
		}
		if diff := cmp.Diff([]armada.RunID{armada.NewRunID(ids[0], 1), armada.NewRunID(ids[1], 1)}, got); diff != "" {
			t.Error("runs (-want +got):\n", diff)
		}
	}
	check()
	w.reopen()
	check()
}

func ordersAreComplete(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 3)
	for _, id := range ids {
		w.must(lease(id))
	}
	w.must(report(lifecycle.ReportSucceeded, ids[1], 1))
	w.must(report(lifecycle.ReportReturned, ids[2], 1))
	w.must(lease(ids[2]))
	orders, err := w.Orders(w.ctx, []armada.RunID{
		armada.NewRunID(ids[2], 2), armada.NewRunID(ids[0], 1), armada.NewRunID(ids[1], 1), armada.NewRunID(ids[2], 1), "nonsense", "nobody-1",
	})
	w.ok(err)
	if len(orders) != 2 {
		t.Fatalf("orders: %+v", orders)
	}
	for _, o := range orders {
		full, err := w.Job(w.ctx, o.Job.ID)
		w.ok(err)
		want := store.Order{Job: full.Job, Run: full.Runs[len(full.Runs)-1], Details: full.Details, Template: []byte("a pod spec")}
		if diff := cmp.Diff(want, o); diff != "" {
			t.Error("order (-want +got):\n", diff)
		}
	}
}
