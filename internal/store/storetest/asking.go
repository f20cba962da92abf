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

var asking = []scenario{
	{"jobs are read by id in the order asked for", jobsByID},
	{"a query finds exactly the jobs that match", queriesFind},
	{"pages continue in both directions without repeating or missing a job", pagesContinue},
	{"a page is bounded", pagesAreBounded},
	{"a continuation that nobody gave is invalid", badContinuation},
	{"active jobs are counted by queue, job set and state", activeAreCounted},
	{"active jobs of a job set are listed in order", activeAreListed},
	{"jobs that are leased and requeued are found by their state", statesAreFound},
}

func idsOf(s store.Submission) []armada.JobID {
	ids := make([]armada.JobID, len(s.Jobs))
	for i := range s.Jobs {
		ids[i] = s.Jobs[i].Job.ID
	}
	return ids
}

func jobsByID(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 3)
	asked := []armada.JobID{ids[2], "nobody", ids[0]}
	jobs, err := w.JobsByID(w.ctx, asked)
	w.ok(err)
	if diff := cmp.Diff([]armada.JobID{ids[2], ids[0]}, jobIDs(jobs)); diff != "" {
		t.Error("jobs (-want +got):\n", diff)
	}
	_, err = w.Job(w.ctx, "nobody")
	w.code(err, armada.CodeNotFound)
}

func jobIDs(jobs []store.FullJob) []armada.JobID {
	var ids []armada.JobID
	for _, j := range jobs {
		ids = append(ids, j.Job.ID)
	}
	return ids
}

// list reads all pages of a query.
func (w *world) list(q store.Query) []armada.JobID {
	w.t.Helper()
	var ids []armada.JobID
	for {
		page, err := w.List(w.ctx, q)
		w.ok(err)
		ids = append(ids, jobIDs(page.Jobs)...)
		if page.Next == "" {
			return ids
		}
		q.After = page.Next
	}
}

// queriesFind compares every query with a filter over all jobs.
func queriesFind(t *testing.T, form Form) {
	w := open(t, form)
	start := w.clock.Now()
	for i := range 12 {
		queue, set := []string{"a", "b"}[i%2], armada.JobSet(fmt.Sprintf("run%d-%%_x", i%3))
		s := submission(queue, set, 3)
		s.Jobs[1].Job.Owner = "bob"
		s.Jobs[2].Details.Namespace = "elsewhere"
		s.Jobs[0].Details.Annotations = map[string]string{"k": "w", "more": "yes"}
		_, err := w.Submit(w.ctx, s)
		w.ok(err)
		w.must(lease(s.Jobs[0].Job.ID))
		w.finish(s.Jobs[1].Job.ID)
		w.clock.Advance(time.Minute)
	}
	all, err := w.JobsByID(w.ctx, w.list(store.Query{}))
	w.ok(err)
	if len(all) != 36 {
		t.Fatalf("%d jobs", len(all))
	}
	active := []armada.JobState{armada.JobQueued, armada.JobLeased}
	queries := map[string]store.Query{
		"queue":                  {Queue: "a"},
		"unknown queue":          {Queue: "c"},
		"job set":                {JobSet: "run1-%_x"},
		"job set of queue":       {Queue: "b", JobSet: "run1-%_x"},
		"prefix":                 {JobSetPrefix: "run1-%"},
		"prefix of queue":        {Queue: "a", JobSetPrefix: "run"},
		"prefix without a match": {JobSetPrefix: "runner"},
		"owner":                  {Owner: "bob"},
		"namespace":              {Queue: "a", Namespace: "elsewhere"},
		"annotations":            {Annotations: map[string]string{"k": "w", "more": "yes"}},
		"wrong annotation":       {Annotations: map[string]string{"k": "w", "more": "no"}},
		"states":                 {States: []armada.JobState{armada.JobSucceeded, armada.JobLeased}},
		"active":                 {States: active},
		"active of queue":        {Queue: "b", States: active},
		"active of job set":      {Queue: "a", JobSet: "run0-%_x", States: active},
		"ended of queue":         {Queue: "b", States: []armada.JobState{armada.JobSucceeded}},
		"since":                  {SubmittedAfter: start.Add(3 * time.Minute)},
		"until":                  {SubmittedBefore: start.Add(3 * time.Minute)},
		"between":                {Queue: "a", SubmittedAfter: start.Add(2 * time.Minute), SubmittedBefore: start.Add(7*time.Minute + time.Second)},
		"after the last":         {SubmittedAfter: start.Add(time.Hour)},
		"before the first":       {SubmittedBefore: start},
		"ids":                    {IDs: []armada.JobID{all[7].Job.ID, "nobody", all[3].Job.ID, all[3].Job.ID}},
		"ids and queue":          {Queue: "a", IDs: jobIDs(all[5:9])},
		"no ids":                 {IDs: []armada.JobID{}},
	}
	for name, q := range queries {
		var want []armada.JobID
		for i := range all {
			if matches(&q, &all[i]) {
				want = append(want, all[i].Job.ID)
			}
		}
		if diff := cmp.Diff(want, w.list(q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		q.Descending, q.Limit = true, 2
		slices.Reverse(want)
		if diff := cmp.Diff(want, w.list(q)); diff != "" {
			t.Errorf("%s, latest first (-want +got):\n%s", name, diff)
		}
	}
}

// matches is what a query means.
func matches(q *store.Query, full *store.FullJob) bool {
	job := &full.Job
	for k, v := range q.Annotations {
		if full.Details.Annotations[k] != v {
			return false
		}
	}
	set := string(job.JobSet)
	return (q.Queue == "" || job.Queue == q.Queue) && (q.JobSet == "" || set == q.JobSet) &&
		set >= q.JobSetPrefix && set[:min(len(set), len(q.JobSetPrefix))] == q.JobSetPrefix &&
		(q.Owner == "" || job.Owner == q.Owner) && (q.Namespace == "" || full.Details.Namespace == q.Namespace) &&
		(q.States == nil || slices.Contains(q.States, job.State)) && (q.IDs == nil || slices.Contains(q.IDs, job.ID)) &&
		(q.SubmittedAfter.IsZero() || !job.Submitted.Before(q.SubmittedAfter)) &&
		(q.SubmittedBefore.IsZero() || job.Submitted.Before(q.SubmittedBefore))
}

func pagesContinue(t *testing.T, form Form) {
	w := open(t, form)
	var all []armada.JobID
	for i := range 7 {
		all = append(all, w.submit("a", armada.JobSet(fmt.Sprintf("set-%d", i%3)), 5)...)
	}
	for _, limit := range []int{1, 4, 35, 100} {
		if diff := cmp.Diff(all, w.list(store.Query{Limit: limit, JobSetPrefix: "set-"})); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	// Jobs that come while a reader pages from the latest are not its matter.
	page, err := w.List(w.ctx, store.Query{Descending: true, Limit: 10})
	w.ok(err)
	w.submit("a", "set-1", 5)
	rest := w.list(store.Query{Descending: true, Limit: 10, After: page.Next})
	got := append(jobIDs(page.Jobs), rest...)
	slices.Reverse(got)
	if diff := cmp.Diff(all, got); diff != "" {
		t.Error("latest first (-want +got):\n", diff)
	}
}

func pagesAreBounded(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", store.MaxPage+100)
	for limit, want := range map[int]int{0: 100, 5 * store.MaxPage: store.MaxPage, 7: 7} {
		page, err := w.List(w.ctx, store.Query{Limit: limit})
		w.ok(err)
		if len(page.Jobs) > want || page.Next == "" { // it may be short where the time was up
			t.Errorf("limit %d: %d jobs, next %q", limit, len(page.Jobs), page.Next)
		}
	}
	if got := w.list(store.Query{Limit: 5 * store.MaxPage}); len(got) != len(ids) {
		t.Errorf("all pages together hold %d jobs of %d", len(got), len(ids))
	}
}

func badContinuation(t *testing.T, form Form) {
	w := open(t, form)
	_, err := w.List(w.ctx, store.Query{After: "nonsense"})
	w.code(err, armada.CodeInvalid)
}

func activeAreCounted(t *testing.T, form Form) {
	w := open(t, form)
	x, y := w.submit("a", "x", 3), w.submit("a", "y", 2)
	w.submit("b", "x", 1)
	w.must(lease(x[0]))
	w.finish(y[0])
	count := func(queue string) []store.JobSetCount {
		counts, err := w.Count(w.ctx, queue)
		w.ok(err)
		return counts
	}
	want := []store.JobSetCount{
		{Queue: "a", JobSet: "x", State: armada.JobQueued, Jobs: 2},
		{Queue: "a", JobSet: "x", State: armada.JobLeased, Jobs: 1},
		{Queue: "a", JobSet: "y", State: armada.JobQueued, Jobs: 1},
		{Queue: "b", JobSet: "x", State: armada.JobQueued, Jobs: 1},
	}
	if diff := cmp.Diff(want[:3], count("a")); diff != "" {
		t.Error("counts of a (-want +got):\n", diff)
	}
	if diff := cmp.Diff(want, count("")); diff != "" {
		t.Error("all counts (-want +got):\n", diff)
	}
	if got := count("nobody"); len(got) != 0 {
		t.Errorf("counts of nobody: %v", got)
	}
}

func activeAreListed(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 4)
	w.submit("a", "other", 1)
	w.submit("b", "set", 1)
	w.must(lease(ids[1]))
	w.finish(ids[2])
	key := store.JobSetKey{Queue: "a", JobSet: "set"}
	for _, c := range []struct {
		states []armada.JobState
		want   []armada.JobID
	}{
		{nil, []armada.JobID{ids[0], ids[1], ids[3]}},
		{[]armada.JobState{armada.JobQueued}, []armada.JobID{ids[0], ids[3]}},
		{[]armada.JobState{armada.JobRunning, armada.JobLeased}, []armada.JobID{ids[1]}},
		{[]armada.JobState{armada.JobSucceeded}, nil},
	} {
		got, err := w.ActiveJobs(w.ctx, key, c.states)
		w.ok(err)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("states %v (-want +got):\n%s", c.states, diff)
		}
	}
}

func statesAreFound(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	find := func(state armada.JobState) bool {
		return len(w.list(store.Query{States: []armada.JobState{state}})) == 1
	}
	w.must(lease(id))
	if find(armada.JobQueued) || !find(armada.JobLeased) {
		t.Error("after the lease")
	}
	w.must(report(lifecycle.ReportReturned, id, 1))
	if !find(armada.JobQueued) || find(armada.JobLeased) {
		t.Error("after the return")
	}
}
