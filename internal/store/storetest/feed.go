package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var feedTests = []scenario{
	{"Load tells the whole state", loadTellsAll},
	{"Load tells more jobs than fit in a piece", loadTellsMany},
	{"Changes continue where Load began", changesContinue},
	{"Changes tell ends of jobs", changesTellEnds},
	{"Changes in small pieces tell everything", changesInPieces},
	{"ChangedRuns tell what has a run and is not queued", changedRuns},
	{"Changes tell queues and executors that come and go", changesTellQueuesAndExecutors},
	{"a position may be used again", positionsRepeat},
	{"a position that nobody gave is invalid", badPosition},
	{"the feed's end has nothing after it", feedEnd},
	{"listeners are woken by what Changes tells", listenersAreWoken},
}

// mirror is what a reader of the feed knows.
type mirror struct {
	jobs      map[armada.JobID]store.JobAndRun // active ones
	ended     map[armada.JobID]armada.JobState
	queues    map[string]armada.Queue
	executors map[armada.ExecutorID]store.ExecutorNodes
	shapes    map[armada.ShapeID]*armada.Requirements
}

func newMirror() *mirror {
	return &mirror{
		jobs: map[armada.JobID]store.JobAndRun{}, ended: map[armada.JobID]armada.JobState{}, queues: map[string]armada.Queue{},
		executors: map[armada.ExecutorID]store.ExecutorNodes{}, shapes: map[armada.ShapeID]*armada.Requirements{},
	}
}

// apply takes a piece in, newer versions only, and fails when a shape is not
// known by then.
func (m *mirror) apply(t *testing.T, c store.Changes) {
	t.Helper()
	for id, q := range c.Shapes {
		m.shapes[id] = q
	}
	for _, q := range c.Queues {
		m.queues[q.Name] = q
	}
	for _, name := range c.Gone {
		delete(m.queues, name)
	}
	for _, e := range c.Executors {
		m.executors[e.Executor.ID] = e
		if e.Deleted {
			delete(m.executors, e.Executor.ID)
		}
	}
	for _, j := range c.Jobs {
		if have, known := m.jobs[j.Job.ID]; known && have.Job.Version > j.Job.Version {
			continue
		}
		if j.Job.State.Terminal() {
			delete(m.jobs, j.Job.ID)
			m.ended[j.Job.ID] = j.Job.State
			continue
		}
		if _, over := m.ended[j.Job.ID]; over {
			continue
		}
		if m.shapes[j.Job.Shape] == nil {
			t.Errorf("job %s comes before its shape", j.Job.ID)
		}
		m.jobs[j.Job.ID] = j
	}
}

func (m *mirror) load(t *testing.T, s store.Store) store.Position {
	t.Helper()
	at, err := s.Load(t.Context(), func(c store.Changes) error {
		m.apply(t, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// follow reads until there is nothing more.
func (m *mirror) follow(t *testing.T, s store.Store, at store.Position, limit int) store.Position {
	t.Helper()
	for {
		c, next, err := s.Changes(t.Context(), at, limit)
		if err != nil {
			t.Fatal(err)
		}
		if string(next) == string(at) {
			return at
		}
		m.apply(t, c)
		at = next
	}
}

// same fails unless the mirror equals what a fresh Load tells.
func (m *mirror) same(t *testing.T, s store.Store) {
	t.Helper()
	fresh := newMirror()
	fresh.load(t, s)
	for what, pair := range map[string][2]any{
		"jobs": {fresh.jobs, m.jobs}, "queues": {fresh.queues, m.queues}, "executors": {fresh.executors, m.executors},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-state +told by the feed):\n%s", what, diff)
		}
	}
}

func changedRuns(t *testing.T, form Form) {
	w := open(t, form)
	at, err := w.End(w.ctx)
	w.ok(err)
	ids := w.submit("a", "x", 5)
	w.must(lease(ids[1]))
	w.must(lease(ids[4]))
	w.finish(ids[3])
	w.session("east", "s1")
	told := map[armada.JobID]bool{}
	for pieces := 0; ; pieces++ {
		jobs, next, err := w.ChangedRuns(w.ctx, at, 2)
		w.ok(err)
		if string(next) == string(at) {
			break
		}
		if at = next; pieces > 100 {
			t.Fatal("the feed has no end")
		}
		for _, j := range jobs {
			told[j.Job.ID] = true
			if diff := cmp.Diff(w.job(j.Job.ID), j.Job); diff != "" {
				t.Errorf("job %s (-state +told):\n%s", j.Job.ID, diff)
			}
			if run, _ := j.Job.Run(); j.Run == nil || j.Run.ID != run {
				t.Errorf("job %s comes with run %v", j.Job.ID, j.Run)
			}
		}
	}
	want := map[armada.JobID]bool{ids[1]: true, ids[3]: true, ids[4]: true}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("jobs (-want +told):\n%s", diff)
	}
}

func loadTellsAll(t *testing.T, form Form) {
	w := open(t, form)
	ids := append(w.submit("a", "x", 2), w.submit("b", "y", 2)...)
	other := submission("a", "x", 1)
	large := requirements(8)
	shape := large.Shape(w.config.Resources)
	other.Shapes = map[armada.ShapeID]*armada.Requirements{shape: large}
	other.Jobs[0].Job.Shape = shape
	_, err := w.Submit(w.ctx, other)
	w.ok(err)
	w.must(lease(ids[0]))
	w.finish(ids[1])
	w.session("east", "s1")
	m := newMirror()
	m.load(t, w.Store)
	if len(m.jobs) != 4 || len(m.queues) != 2 || len(m.executors) != 1 || len(m.shapes) != 2 {
		t.Errorf("loaded %d jobs, %d queues, %d executors, %d shapes", len(m.jobs), len(m.queues), len(m.executors), len(m.shapes))
	}
	if diff := cmp.Diff(large, m.shapes[shape]); diff != "" {
		t.Error("requirements (-want +got):\n", diff)
	}
	if run := m.jobs[ids[0]].Run; run == nil || run.ID != armada.NewRunID(ids[0], 1) || run.Node != "node-1" {
		t.Errorf("the leased job's run: %+v", run)
	}
	if m.jobs[ids[2]].Run != nil {
		t.Error("a queued job has a run")
	}
	if diff := cmp.Diff(w.job(ids[0]), m.jobs[ids[0]].Job); diff != "" {
		t.Error("the job (-read +loaded):\n", diff)
	}
}

func loadTellsMany(t *testing.T, form Form) {
	w := open(t, form)
	want := 0
	for i := range 5 {
		w.submit("a", armada.JobSet(rune('a'+i)), 900)
		want += 900
	}
	m := newMirror()
	m.load(t, w.Store)
	if len(m.jobs) != want {
		t.Errorf("loaded %d jobs of %d", len(m.jobs), want)
	}
}

func changesContinue(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	m := newMirror()
	var during []armada.JobID
	at, err := w.Load(w.ctx, func(c store.Changes) error {
		m.apply(t, c)
		if during == nil { // something happens while the state is read
			during = w.submit("b", "set", 1)
			w.must(lease(ids[0]))
		}
		return nil
	})
	w.ok(err)
	w.finish(ids[1])
	at = m.follow(t, w.Store, at, 100)
	m.same(t, w.Store)
	if _, known := m.jobs[during[0]]; !known {
		t.Error("a job submitted during Load is missing")
	}
	c, next, err := w.Changes(w.ctx, at, 100)
	w.ok(err)
	if string(next) != string(at) || len(c.Jobs) > 0 {
		t.Errorf("there is more at the end: %+v", c)
	}
}

func changesTellEnds(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	m := newMirror()
	at := m.load(t, w.Store)
	w.finish(ids[0])
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[1]})
	m.follow(t, w.Store, at, 100)
	want := map[armada.JobID]armada.JobState{ids[0]: armada.JobSucceeded, ids[1]: armada.JobCancelled}
	if diff := cmp.Diff(want, m.ended); diff != "" {
		t.Error("ended (-want +got):\n", diff)
	}
	if len(m.jobs) != 0 {
		t.Errorf("still active: %v", m.jobs)
	}
}

func changesInPieces(t *testing.T, form Form) {
	w := open(t, form)
	for _, limit := range []int{1, 3, 7} {
		m := newMirror()
		at := m.load(t, w.Store)
		ids := w.submit("a", "set", 20)
		for _, id := range ids[:5] {
			w.must(lease(id))
		}
		w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "a", PriorityFactor: float64(limit)}))
		m.follow(t, w.Store, at, limit)
		m.same(t, w.Store)
	}
}

func changesTellQueuesAndExecutors(t *testing.T, form Form) {
	w := open(t, form)
	m := newMirror()
	at := m.load(t, w.Store)
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "c", PriorityFactor: 3}))
	w.session("east", "s1")
	w.ok(w.PutNodes(w.ctx, "east", "s1", nodes(2)))
	at = m.follow(t, w.Store, at, 10)
	m.same(t, w.Store)
	if len(m.executors["east"].Nodes) != 2 || m.queues["c"].PriorityFactor != 3 {
		t.Errorf("executors %v, queues %v", m.executors, m.queues)
	}
	w.ok(w.CordonExecutor(w.ctx, "east", true, "repair"))
	at = m.follow(t, w.Store, at, 10)
	if !m.executors["east"].Executor.Cordoned {
		t.Error("the cordon was not told")
	}
	w.ok(w.DeleteQueue(w.ctx, "c"))
	w.ok(w.DeleteExecutor(w.ctx, "east"))
	m.follow(t, w.Store, at, 10)
	m.same(t, w.Store)
	if len(m.executors) != 0 || len(m.queues) != 2 {
		t.Errorf("executors %v, queues %v", m.executors, m.queues)
	}
}

func positionsRepeat(t *testing.T, form Form) {
	w := open(t, form)
	at := newMirror().load(t, w.Store)
	w.submit("a", "set", 3)
	for range 2 {
		m := newMirror()
		m.follow(t, w.Store, at, 2)
		if len(m.jobs) != 3 {
			t.Errorf("%d jobs were told", len(m.jobs))
		}
		w.reopen()
	}
}

func badPosition(t *testing.T, form Form) {
	w := open(t, form)
	_, _, err := w.Changes(w.ctx, store.Position("nonsense that nobody gave"), 1)
	w.code(err, armada.CodeInvalid)
}

func feedEnd(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "set", 3)
	at, err := w.End(w.ctx)
	w.ok(err)
	c, _, err := w.Changes(w.ctx, at, 10)
	w.ok(err)
	if len(c.Jobs)+len(c.Queues) > 0 {
		t.Errorf("after the end: %+v", c)
	}
	id := w.submit("a", "set", 1)[0]
	m := newMirror()
	m.follow(t, w.Store, at, 10)
	if _, known := m.jobs[id]; !known || len(m.jobs) != 1 {
		t.Errorf("after the end: %v", m.jobs)
	}
}

func listenersAreWoken(t *testing.T, form Form) {
	w := open(t, form)
	wake := w.Wake()
	told(t, wake, "the leader, of the queues,")
	signal, stop := w.Subscribe()
	gone, stopGone := w.Subscribe()
	stopGone()
	id := w.submit("a", "set", 1)[0]
	told(t, wake, "the leader")
	told(t, signal, "a listener")
	quiet(t, gone, "a listener that stopped")
	w.must(lease(id))
	told(t, signal, "a listener, again,")
	stop()
}
