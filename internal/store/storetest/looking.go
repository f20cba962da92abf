package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var looking = []scenario{
	{"any conditions together find exactly the jobs that meet them", conditionsFind},
	{"jobs are sorted by any column, and pages of them continue", sortedPages},
	{"jobs are counted and grouped as if they were looked at one by one", groupsAreRight},
	{"counts stay true through lives, retention and the deletion of queues", countsStayTrue},
	{"job sets are listed with their jobs, those used first latest first", jobSetsAreListed},
	{"an annotation is indexed from when it is named, and older jobs are found too", annotationsIndexedLater},
	{"a query that means nothing is invalid", meaninglessQueries},
	{"a search that takes too long says how far it came", searchesAreBounded},
}

// indexed are stores that index the annotation "run".
func indexed(c *Config) { c.IndexedAnnotations = []string{"run"} }

// variety submits jobs that differ in everything, and brings them into all states.
func (w *world) variety() []store.FullJob {
	w.t.Helper()
	var ids []armada.JobID
	for i := range 15 {
		s := submission([]string{"a", "b"}[i%2], armada.JobSet(fmt.Sprintf("set-%d%%_", i%5)), 4)
		small := requirements(0)
		small.PriorityClass, small.Resources = "batch", armada.Resources{500, 1 << 30, 0, int64(i % 2)}
		shape := small.Shape(w.config.Resources)
		s.Shapes[shape] = small
		for j := range s.Jobs {
			job := &s.Jobs[j]
			job.Job.Owner, job.Job.Priority = []string{"alice", "bob", "bo"}[(i+j)%3], uint32(j)
			job.Details.Namespace = []string{"space", "lab"}[(i/2)%2]
			job.Details.Annotations = map[string]string{"run": fmt.Sprintf("r%d", i/3), "note": strings.Repeat("é", 100) + fmt.Sprint(j)}
			if j == 3 {
				delete(job.Details.Annotations, "run")
				job.Job.Shape = shape
			}
			ids = append(ids, job.Job.ID)
		}
		_, err := w.Submit(w.ctx, s)
		w.ok(err)
		w.clock.Advance(time.Second)
	}
	for i, id := range ids {
		w.clock.Advance(time.Millisecond)
		on := lifecycle.Change{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: []armada.ExecutorID{"e1", "e2"}[i%2], Node: fmt.Sprintf("n%d", i%4), Pool: "p"}}
		switch i % 7 {
		case 1:
			w.must(on)
		case 2:
			w.finish(id)
		case 3:
			w.must(on)
			back := report(lifecycle.ReportReturned, id, 1)
			back.Executor = on.Lease.Executor
			w.must(back)
		case 4:
			w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "carol", Reason: "enough"})
		case 5:
			w.must(lifecycle.Change{Kind: lifecycle.Reject, Job: id, Reason: "too large"})
		}
	}
	all, err := w.JobsByID(w.ctx, ids)
	w.ok(err)
	return all
}

// columns are columns and values that some of the variety has.
func (w *world) columns() map[store.Column][]string {
	of := func(f store.Field) store.Column { return store.Column{Field: f} }
	return map[store.Column][]string{
		of(store.FieldQueue): {"a", "b", "c"}, of(store.FieldJobSet): {"set-1%_", "set-", "set-3"}, of(store.FieldOwner): {"alice", "bo", "nobody"},
		of(store.FieldNamespace): {"lab", "spa"}, of(store.FieldPriorityClass): {"batch", "d"}, of(store.FieldExecutor): {"e1", "e"},
		of(store.FieldNode): {"n1", "n"}, of(store.FieldPool): {"p"}, of(store.FieldCancelUser): {"carol"}, of(store.FieldCancelReason): {"enough", "no"},
		of(store.FieldReason): {"too large", "too"}, {Field: store.FieldAnnotation, Key: "run"}: {"r1", "r", "r3"},
		{Field: store.FieldAnnotation, Key: "note"}: {strings.Repeat("é", 100) + "1", "é"}, {Field: store.FieldAnnotation, Key: "none"}: {"x"},
	}
}

// conditions returns conditions of all kinds.
func (w *world) conditions(all []store.FullJob) []store.Condition {
	var list []store.Condition
	for column, values := range w.columns() {
		list = append(list, store.Condition{Column: column, Op: store.OpExists}, store.Condition{Column: column, Texts: values})
		for _, v := range values {
			for _, op := range []store.Op{store.OpEqual, store.OpPrefix, store.OpContains} {
				list = append(list, store.Condition{Column: column, Op: op, Texts: []string{v}})
			}
		}
	}
	middle := &all[len(all)/2]
	id := store.Column{Field: store.FieldJobID}
	list = append(list, store.Condition{Column: id, Texts: []string{string(middle.Job.ID), "nobody"}},
		store.Condition{Column: id, Op: store.OpPrefix, Texts: []string{string(middle.Job.ID)[:25]}})
	for _, column := range []store.Column{
		{Field: store.FieldPriority},
		{Field: store.FieldSubmitted},
		{Field: store.FieldTransitioned},
		{Field: store.FieldAttempts},
		{Field: store.FieldResource, Key: armada.CPU},
		{Field: store.FieldResource, Key: armada.NvidiaGPU},
	} {
		v := column.Of(middle, w.config.Resources).Number
		for _, op := range []store.Op{store.OpEqual, store.OpGreater, store.OpGreaterEqual, store.OpLess, store.OpLessEqual} {
			list = append(list, store.Condition{Column: column, Op: op, Numbers: []int64{v}})
		}
	}
	for _, states := range [][]armada.JobState{
		{armada.JobQueued}, {armada.JobLeased}, {armada.JobSucceeded}, {armada.JobQueued, armada.JobCancelled}, {armada.JobRejected, armada.JobLeased}, {armada.JobRunning},
	} {
		c := store.Condition{Column: store.Column{Field: store.FieldState}}
		for _, s := range states {
			c.Numbers = append(c.Numbers, int64(s))
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b store.Condition) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return list
}

// meeting are the jobs that meet conditions, by looking at each.
func (w *world) meeting(all []store.FullJob, q *store.Query) []store.FullJob {
	var met []store.FullJob
	for i := range all {
		fits := q.Queues == nil || slices.Contains(q.Queues, all[i].Job.Queue)
		for j := range q.Where {
			fits = fits && q.Where[j].Holds(q.Where[j].Column.Of(&all[i], w.config.Resources))
		}
		if fits {
			met = append(met, all[i])
		}
	}
	return met
}

// seeds makes what is random the same in every run.
func seeded() *rand.Rand { return rand.New(rand.NewPCG(7, 11)) }

func conditionsFind(t *testing.T, form Form) {
	w := open(t, form, indexed)
	all := w.variety()
	conditions := w.conditions(all)
	random := seeded()
	for i := range 2 * len(conditions) {
		q := store.Query{Where: []store.Condition{conditions[i%len(conditions)]}, Descending: i%2 == 0, Limit: 1 + random.IntN(40)}
		for i >= len(conditions) && len(q.Where) < 3 {
			q.Where = append(q.Where, conditions[random.IntN(len(conditions))])
		}
		if i%5 == 0 {
			q.Queues = [][]string{{}, {"a"}, {"b", "c"}}[random.IntN(3)]
		}
		want := jobIDs(w.meeting(all, &q))
		if q.Descending {
			slices.Reverse(want)
		}
		if diff := gocmp.Diff(want, w.list(q)); diff != "" {
			t.Fatalf("%v of queues %v (-want +got):\n%s", q.Where, q.Queues, diff)
		}
		counted, err := w.CountMatching(w.ctx, q, 1000)
		w.ok(err)
		if counted != (store.Counted{Jobs: int64(len(want))}) {
			t.Fatalf("%v of queues %v: counted %+v of %d", q.Where, q.Queues, counted, len(want))
		}
	}
}

func sortedPages(t *testing.T, form Form) {
	w := open(t, form, indexed)
	all := w.variety()
	columns := []store.Column{
		{Field: store.FieldPriority},
		{Field: store.FieldTransitioned},
		{Field: store.FieldState},
		{Field: store.FieldAttempts},
		{Field: store.FieldResource, Key: armada.CPU},
		{Field: store.FieldCategory},
	}
	for column := range w.columns() {
		columns = append(columns, column)
	}
	for _, column := range columns {
		want := slices.Clone(all)
		slices.SortStableFunc(want, func(a, b store.FullJob) int {
			x, y := column.Of(&a, w.config.Resources), column.Of(&b, w.config.Resources)
			return cmp.Or(cmp.Compare(x.Number, y.Number), cmp.Compare(x.Text, y.Text))
		})
		ids := jobIDs(want)
		if diff := gocmp.Diff(ids, w.list(store.Query{Order: column, Limit: 23})); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", column, diff)
		}
		slices.Reverse(ids)
		if diff := gocmp.Diff(ids, w.list(store.Query{Order: column, Descending: true, Limit: 60})); diff != "" {
			t.Errorf("by %s, largest first (-want +got):\n%s", column, diff)
		}
	}
	page, err := w.List(w.ctx, store.Query{Order: columns[0], Limit: 5})
	w.ok(err)
	_, err = w.List(w.ctx, store.Query{Order: columns[1], Limit: 5, After: page.Next})
	w.code(err, armada.CodeInvalid)
}

// groupsOf groups jobs by a column, by looking at each.
func (w *world) groupsOf(jobs []store.FullJob, by store.Column) map[string]store.StateCounts {
	groups := map[string]store.StateCounts{}
	for i := range jobs {
		v := by.Of(&jobs[i], w.config.Resources)
		name := v.Text
		if by.Field == store.FieldState {
			name = armada.JobState(v.Number).String()
		} else if by.Numeric() {
			name = fmt.Sprint(v.Number)
		}
		counts := groups[name]
		counts[jobs[i].Job.State]++
		groups[name] = counts
	}
	return groups
}

// sameGroups fails the test unless the groups are right.
func (w *world) sameGroups(all []store.FullJob, q store.Query, by store.Column, times bool) {
	w.t.Helper()
	got, err := w.Group(w.ctx, q, by, times)
	w.ok(err)
	groups := map[string]store.StateCounts{}
	for i, g := range got.Groups {
		groups[g.Value] = g.Jobs
		if i > 0 && g.Jobs.Total() > got.Groups[i-1].Jobs.Total() {
			w.t.Errorf("by %s: group %q comes late", by, g.Value)
		}
		if times == g.Submitted.Mean.IsZero() || g.Submitted.Earliest.After(g.Submitted.Mean) || g.Transitioned.Mean.After(g.Transitioned.Latest) {
			w.t.Errorf("by %s: the times of %q are %v and %v", by, g.Value, g.Submitted, g.Transitioned)
		}
	}
	if diff := gocmp.Diff(w.groupsOf(w.meeting(all, &q), by), groups); diff != "" || !got.Searched.IsZero() || got.Others != 0 {
		w.t.Errorf("%v by %s, %d others (-want +got):\n%s", q.Where, by, got.Others, diff)
	}
}

func groupsAreRight(t *testing.T, form Form) {
	w := open(t, form, indexed)
	all := w.variety()
	queries := []store.Query{
		{},
		{Queues: []string{"b"}},
		{Where: []store.Condition{{Column: store.Column{Field: store.FieldQueue}, Texts: []string{"a"}}}},
		{Where: []store.Condition{{Column: store.Column{Field: store.FieldJobSet}, Op: store.OpContains, Texts: []string{"-1"}}}},
		{Where: []store.Condition{{Column: store.Column{Field: store.FieldState}, Numbers: []int64{int64(armada.JobQueued), int64(armada.JobLeased)}}}},
		{Where: []store.Condition{{Column: store.Column{Field: store.FieldOwner}, Texts: []string{"bob"}}}},
	}
	columns := []store.Column{{Field: store.FieldState}, {Field: store.FieldPriority}, {Field: store.FieldAttempts}}
	for column := range w.columns() {
		if column.Groupable() {
			columns = append(columns, column)
		}
	}
	for i, q := range queries {
		for _, by := range columns {
			w.sameGroups(all, q, by, i%2 == 1)
		}
	}
	few, err := w.Group(w.ctx, store.Query{Limit: 1}, store.Column{Field: store.FieldQueue}, false)
	w.ok(err)
	if len(few.Groups) != 1 || few.Groups[0].Jobs.Total()+few.Others != int64(len(all)) {
		t.Errorf("one group of two: %+v", few)
	}
}

func countsStayTrue(t *testing.T, form Form) {
	w := open(t, form, indexed)
	w.variety()
	check := func(when string) {
		t.Helper()
		all, err := w.JobsByID(w.ctx, w.list(store.Query{}))
		w.ok(err)
		for _, field := range []store.Field{store.FieldState, store.FieldQueue, store.FieldJobSet} {
			w.sameGroups(all, store.Query{}, store.Column{Field: field}, false)
		}
		if t.Failed() {
			t.Fatal(when)
		}
	}
	check("after lives")
	queued := w.list(store.Query{States: []armada.JobState{armada.JobQueued}})
	for _, id := range queued[:3] {
		w.finish(id)
	}
	w.must(lifecycle.Change{Kind: lifecycle.Reprioritise, Job: queued[4], Priority: 99})
	check("after more of them")
	w.prune(w.clock.Now().Add(-20*time.Millisecond), 7)
	check("after retention of some")
	w.prune(w.clock.Now().Add(time.Hour), 1000)
	check("after retention of all")
	w.reopen()
	check("in its next life")
	for _, id := range w.list(store.Query{Queue: "a"}) {
		w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "carol"})
	}
	w.ok(w.DeleteQueue(w.ctx, "a"))
	check("after the deletion of a queue")
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "a", PriorityFactor: 1}))
	w.submit("a", "set-1%_", 2)
	check("in a queue that was made again")
}

func jobSetsAreListed(t *testing.T, form Form) {
	w := open(t, form)
	ended := w.submit("a", "x-1", 2)
	w.submit("b", "x-2", 1)
	w.submit("a", "y-1", 3)
	for _, id := range ended {
		w.finish(id)
	}
	list := func(q store.JobSetQuery) string {
		t.Helper()
		var names []string
		for {
			page, err := w.ListJobSets(w.ctx, q)
			w.ok(err)
			for _, s := range page.JobSets {
				names = append(names, fmt.Sprintf("%s/%s:%d", s.Queue, s.JobSet, s.Jobs.Total()))
			}
			if q.After = page.Next; q.After == "" {
				return strings.Join(names, " ")
			}
		}
	}
	for want, q := range map[string]store.JobSetQuery{
		"a/y-1:3 b/x-2:1 a/x-1:2": {Limit: 1},
		"a/y-1:3 a/x-1:2":         {Queue: "a"},
		"b/x-2:1 a/x-1:2":         {Prefix: "x-"},
		"a/y-1:3 a/x-1:2 ":        {Contains: "-1"},
		"a/y-1:3 b/x-2:1":         {ActiveOnly: true},
		"a/y-1:3":                 {ActiveOnly: true, Queues: []string{"a"}, Limit: 1},
		"b/x-2:1":                 {Queues: []string{"b"}},
		"":                        {Queue: "a", Queues: []string{"b"}},
	} {
		if got := list(q); got != strings.TrimSpace(want) {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
	}
	_, err := w.ListJobSets(w.ctx, store.JobSetQuery{After: "x"})
	w.code(err, armada.CodeInvalid)
}

func annotationsIndexedLater(t *testing.T, form Form) {
	w := open(t, form)
	submit := func(run string) armada.JobID {
		t.Helper()
		s := submission("a", "set", 1)
		s.Jobs[0].Details.Annotations = map[string]string{"run": run}
		_, err := w.Submit(w.ctx, s)
		w.ok(err)
		return s.Jobs[0].Job.ID
	}
	var want []armada.JobID
	for range 3 { // without an index, with it, and without it again
		want = append(want, submit("one"))
		submit("two")
		for _, op := range []store.Op{store.OpEqual, store.OpPrefix} {
			q := store.Query{Where: []store.Condition{{Column: store.Column{Field: store.FieldAnnotation, Key: "run"}, Op: op, Texts: []string{"one"}}}}
			if diff := gocmp.Diff(want, w.list(q)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if len(w.config.IndexedAnnotations) == 0 {
			indexed(&w.config)
		} else {
			w.config.IndexedAnnotations = nil
		}
		w.reopen()
	}
	for _, id := range w.list(store.Query{}) {
		w.finish(id)
	}
	w.clock.Advance(time.Hour)
	w.prune(w.clock.Now(), 1000)
	if left := w.list(store.Query{}); len(left) > 0 {
		t.Errorf("%v are kept", left)
	}
}

func meaninglessQueries(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "set", 1)
	for _, c := range []store.Condition{
		{},
		{Column: store.Column{Field: store.FieldState}, Op: store.OpGreater, Numbers: []int64{1}},
		{Column: store.Column{Field: store.FieldPriority}, Op: store.OpContains, Texts: []string{"1"}},
		{Column: store.Column{Field: store.FieldOwner}, Op: store.OpPrefix},
		{Column: store.Column{Field: store.FieldOwner}, Op: store.OpLess, Numbers: []int64{1}},
		{Column: store.Column{Field: store.FieldOwner}, Op: store.OpExists, Texts: []string{"x"}},
	} {
		_, err := w.List(w.ctx, store.Query{Where: []store.Condition{c}})
		w.code(err, armada.CodeInvalid)
	}
	_, err := w.Group(w.ctx, store.Query{}, store.Column{Field: store.FieldSubmitted}, false)
	w.code(err, armada.CodeInvalid)
	for _, field := range []store.Field{store.FieldJobID, store.FieldJobSet, store.FieldQueue, store.FieldOwner} { // what no database takes
		for _, op := range []store.Op{store.OpEqual, store.OpPrefix, store.OpContains} {
			page, err := w.List(w.ctx, store.Query{Where: []store.Condition{{Column: store.Column{Field: field}, Op: op, Texts: []string{"a\x00b"}}}})
			w.ok(err)
			if len(page.Jobs) > 0 {
				t.Errorf("%v %v finds %d jobs", field, op, len(page.Jobs))
			}
		}
	}
}

func searchesAreBounded(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 700)
	q := store.Query{
		Where:    []store.Condition{{Column: store.Column{Field: store.FieldAnnotation, Key: "k"}, Op: store.OpContains, Texts: []string{"nowhere"}}},
		Patience: time.Nanosecond, Descending: true,
	}
	page, err := w.List(w.ctx, q)
	w.ok(err)
	if len(page.Jobs) != 0 || page.Next == "" {
		t.Errorf("%d jobs, next %q", len(page.Jobs), page.Next)
	}
	counted, err := w.CountMatching(w.ctx, store.Query{Owner: "alice", Namespace: "space"}, 10)
	w.ok(err)
	if counted.Jobs != 10 || !counted.AtLeast {
		t.Errorf("of %d jobs were counted %+v", len(ids), counted)
	}
	q.Patience = time.Minute
	page, err = w.List(w.ctx, q)
	w.ok(err)
	if page.Next != "" || !page.Searched.IsZero() {
		t.Errorf("at the end: next %q, searched until %v", page.Next, page.Searched)
	}
	q.Where, q.Order, q.Limit = nil, store.Column{Field: store.FieldOwner}, 10
	page, err = w.List(w.ctx, q)
	w.ok(err)
	if len(page.Jobs) != 10 || page.Next == "" {
		t.Errorf("sorted: %d jobs, next %q", len(page.Jobs), page.Next)
	}
}
