package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var transitions = []scenario{
	{"state, run and events change together", stateAndEventTogether},
	{"a unit happens wholly or not at all", unitsAreWhole},
	{"changes of one job within a unit build on each other", oneJobTwiceInAUnit},
	{"units do not depend on each other", unitsAreIndependent},
	{"a repeat is answered and does nothing", repeatsDoNothing},
	{"the loser of a race is refused", losersAreRefused},
	{"of many leases of one job one is taken", leaseRace},
	{"changes of unknown jobs are refused", unknownJobs},
	{"earlier attempts are remembered", earlierAttempts},
	{"versions grow by one per transition", versionsGrow},
	{"a job's time never goes back", timeNeverGoesBack},
	{"too many changes in one call are invalid", tooManyChanges},
	{"what helps to find out why a run ended is kept and tells nobody", debugOfARun},
	{"a call whose context has ended does nothing", endedContext},
}

func stateAndEventTogether(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	at := w.clock.Now()
	w.clock.Advance(time.Second)
	w.must(lease(id))
	w.must(report(lifecycle.ReportPending, id, 1))
	w.clock.Advance(time.Second)
	w.must(report(lifecycle.ReportRunning, id, 1))
	fail := report(lifecycle.ReportFailed, id, 1)
	fail.End = armada.RunEnd{
		Cause: armada.CauseOutOfMemory, Reason: "too large", Category: "user", Debug: "long",
		Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 137, Cause: armada.CauseOutOfMemory, Reason: "OOMKilled", Message: "m"}},
	}
	w.must(fail)
	full, err := w.Job(w.ctx, id)
	w.ok(err)
	if full.Job.State != armada.JobFailed || full.Job.Version != 5 || full.Job.Attempts != 1 || full.Job.Reason != "too large" {
		t.Errorf("the job: %+v", full.Job)
	}
	want := []armada.Run{{
		ID: armada.NewRunID(id, 1), Job: id, Attempt: 1, Executor: "east", Node: "node-1", Pool: "default",
		State: armada.RunFailed, Version: 4, Pod: fail.Pod, End: fail.End,
		Leased: at.Add(time.Second), Pending: at.Add(time.Second), Started: at.Add(2 * time.Second), Finished: at.Add(2 * time.Second),
	}}
	if diff := cmp.Diff(want, full.Runs); diff != "" {
		t.Error("runs (-want +got):\n", diff)
	}
	events := w.events("a", "set")
	if diff := cmp.Diff([]armada.EventKind{
		armada.EventSubmitted, armada.EventQueued, armada.EventLeased, armada.EventPending, armada.EventRunning, armada.EventFailed,
	}, kinds(events, id)); diff != "" {
		t.Error("events (-want +got):\n", diff)
	}
	wantEvent := armada.Event{
		Number: 6, Kind: armada.EventFailed, Job: id, Created: at.Add(2 * time.Second), Run: armada.NewRunID(id, 1), Executor: "east",
		Pool: "default", Node: "node-1", Pod: fail.Pod, Reason: "too large", End: &fail.End,
	}
	if diff := cmp.Diff(wantEvent, events[5]); diff != "" {
		t.Error("the last event (-want +got):\n", diff)
	}
}

func unitsAreWhole(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 3)
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[2], By: "bob"})
	before := w.events("a", "set")
	results, err := w.Transition(w.ctx, store.Fence{}, []store.Unit{{lease(ids[0]), lease(ids[1]), lease(ids[2])}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Refused || results[0].Why == "" || len(results[0].Jobs) != 0 {
		t.Errorf("result: %+v", results[0])
	}
	for _, id := range ids[:2] {
		if job := w.job(id); job.State != armada.JobQueued || job.Version != 1 {
			t.Errorf("a job of a refused gang: %+v", job)
		}
	}
	if diff := cmp.Diff(before, w.events("a", "set")); diff != "" {
		t.Error("a refused unit wrote events:\n", diff)
	}
	results, err = w.Transition(w.ctx, store.Fence{}, []store.Unit{{lease(ids[0]), lease(ids[1])}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Applied || len(results[0].Jobs) != 2 || results[0].Jobs[1].State != armada.JobLeased {
		t.Errorf("result: %+v", results[0])
	}
}

func oneJobTwiceInAUnit(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	results, err := w.Transition(w.ctx, store.Fence{}, []store.Unit{{lease(id), report(lifecycle.ReportRunning, id, 1)}})
	w.ok(err)
	if results[0].Verdict != lifecycle.Applied || results[0].Jobs[0].State != armada.JobRunning || results[0].Jobs[1].Version != 3 {
		t.Errorf("result: %+v", results[0])
	}
	results, err = w.Transition(w.ctx, store.Fence{}, []store.Unit{{report(lifecycle.ReportSucceeded, id, 1), lease(id)}})
	w.ok(err)
	if job := w.job(id); results[0].Verdict != lifecycle.Refused || job.State != armada.JobRunning {
		t.Errorf("result: %+v, the job is %v", results[0], job.State)
	}
}

func unitsAreIndependent(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 2)
	results, err := w.Transition(w.ctx, store.Fence{}, []store.Unit{{lease(ids[0])}, {lease(ids[0])}, {lease(ids[1])}})
	w.ok(err)
	var got []lifecycle.Verdict
	for _, r := range results {
		got = append(got, r.Verdict)
	}
	if diff := cmp.Diff([]lifecycle.Verdict{lifecycle.Applied, lifecycle.Refused, lifecycle.Applied}, got); diff != "" {
		t.Error("verdicts (-want +got):\n", diff)
	}
}

func repeatsDoNothing(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	w.must(lease(id))
	w.must(report(lifecycle.ReportSucceeded, id, 1))
	before, events := w.job(id), w.events("a", "set")
	result := w.change(report(lifecycle.ReportSucceeded, id, 1))
	if result.Verdict != lifecycle.Already || len(result.Jobs) != 1 {
		t.Errorf("result: %+v", result)
	}
	if diff := cmp.Diff(before, w.job(id)); diff != "" {
		t.Error("the job changed:\n", diff)
	}
	if diff := cmp.Diff(events, w.events("a", "set")); diff != "" {
		t.Error("the events changed:\n", diff)
	}
}

func losersAreRefused(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	w.must(lease(id))
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "bob", Reason: "enough"})
	if wish := w.job(id).Wish; wish.Kind != armada.WishCancel || wish.By != "bob" || wish.Why != "enough" {
		t.Errorf("wish: %+v", wish)
	}
	w.must(report(lifecycle.ReportSucceeded, id, 1)) // a success beats the cancel
	if r := w.change(report(lifecycle.ReportFailed, id, 1)); r.Verdict == lifecycle.Applied {
		t.Error("a second end was applied")
	}
	stranger := report(lifecycle.ReportRunning, id, 1)
	stranger.Executor = "west"
	if r := w.change(stranger); r.Verdict != lifecycle.Refused {
		t.Errorf("another executor's report: %+v", r)
	}
	if job := w.job(id); job.State != armada.JobSucceeded {
		t.Errorf("the job is %v", job.State)
	}
}

func leaseRace(t *testing.T, form Form) {
	w := open(t, form)
	other := w.replica()
	ids := w.submit("a", "set", 10)
	var mu sync.Mutex
	applied := map[armada.JobID]int{}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			where := w.Store
			if i%2 == 1 {
				where = other
			}
			for _, id := range ids {
				results, err := where.Transition(w.ctx, store.Fence{}, []store.Unit{{lease(id)}})
				if err != nil {
					t.Error(err)
					return
				}
				if results[0].Verdict == lifecycle.Applied {
					mu.Lock()
					applied[id]++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if job := w.job(id); applied[id] != 1 || job.Attempts != 1 || job.Version != 2 {
			t.Errorf("job %s was leased %d times: %+v", id, applied[id], job)
		}
	}
}

func unknownJobs(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	results, err := w.Transition(w.ctx, store.Fence{}, []store.Unit{{lease(id), lease("nobody")}, {lease("nobody")}})
	w.ok(err)
	for _, r := range results {
		if r.Verdict != lifecycle.Refused {
			t.Errorf("result: %+v", r)
		}
	}
	if w.job(id).State != armada.JobQueued {
		t.Error("the known job of the unit was leased")
	}
}

func earlierAttempts(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	for attempt := range 3 {
		w.must(lease(id))
		back := report(lifecycle.ReportReturned, id, attempt+1)
		back.End.Reason = "no room"
		w.must(back)
	}
	w.must(lease(id))
	w.reopen()
	full, err := w.Job(w.ctx, id)
	w.ok(err)
	var states []armada.RunState
	for i, run := range full.Runs {
		states = append(states, run.State)
		if run.Attempt != i+1 || run.ID != armada.NewRunID(id, i+1) {
			t.Errorf("run %d: %+v", i, run)
		}
	}
	want := []armada.RunState{armada.RunReturned, armada.RunReturned, armada.RunReturned, armada.RunLeased}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error("states (-want +got):\n", diff)
	}
	if full.Runs[1].End.Reason != "no room" {
		t.Errorf("the second run's end: %+v", full.Runs[1].End)
	}
}

func versionsGrow(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	steps := []lifecycle.Change{
		{Kind: lifecycle.Reprioritise, Job: id, Priority: 9, By: "bob"},
		lease(id), report(lifecycle.ReportPending, id, 1), report(lifecycle.ReportRunning, id, 1), report(lifecycle.ReportSucceeded, id, 1),
	}
	for i, c := range steps {
		w.must(c)
		if got := w.job(id).Version; got != int64(i)+2 {
			t.Errorf("after %s the version is %d", c.Kind, got)
		}
	}
	if got := w.job(id).Priority; got != 9 {
		t.Errorf("the priority is %d", got)
	}
}

func timeNeverGoesBack(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	w.clock.Advance(-time.Hour)
	w.must(lease(id))
	old := report(lifecycle.ReportRunning, id, 1)
	old.At = w.clock.Now().Add(-time.Hour)
	w.must(old)
	early := report(lifecycle.ReportSucceeded, id, 1)
	early.At = w.clock.Now().Add(5 * time.Hour).Add(time.Nanosecond)
	w.must(early)
	if wrong := whole(w.events("a", "set")); wrong != "" {
		t.Error(wrong)
	}
	w.reopen()
	w.submit("a", "set", 1)
	if wrong := whole(w.events("a", "set")); wrong != "" {
		t.Error(wrong)
	}
}

func tooManyChanges(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	units := make([]store.Unit, store.MaxTransition+1)
	for i := range units {
		units[i] = store.Unit{lease(id)}
	}
	_, err := w.Transition(w.ctx, store.Fence{}, units)
	w.code(err, armada.CodeInvalid)
	if w.job(id).State != armada.JobQueued {
		t.Error("something was done")
	}
}

func debugOfARun(t *testing.T, form Form) {
	w := open(t, form)
	id := w.submit("a", "set", 1)[0]
	w.must(lease(id))
	before, events := w.job(id), w.events("a", "set")
	tell := func(attempt int, text string) lifecycle.Verdict {
		c := report(lifecycle.ReportDebug, id, attempt)
		c.End.Debug = text
		return w.change(c).Verdict
	}
	for _, c := range []struct {
		attempt int
		want    lifecycle.Verdict
	}{{1, lifecycle.Applied}, {1, lifecycle.Already}, {2, lifecycle.Refused}} {
		if v := tell(c.attempt, "seen"); v != c.want {
			t.Errorf("told of attempt %d: %v, want %v", c.attempt, v, c.want)
		}
	}
	if diff := cmp.Diff(before, w.job(id)); diff != "" {
		t.Error("the job (-before +after):\n", diff)
	}
	if diff := cmp.Diff(events, w.events("a", "set")); diff != "" {
		t.Error("the events (-before +after):\n", diff)
	}
	w.must(report(lifecycle.ReportFailed, id, 1))
	if end := w.fullJob(id).Runs[0].End; end.Debug != "seen" {
		t.Errorf("the end of the run: %+v", end)
	}
	if v := tell(1, "too late"); v != lifecycle.Refused {
		t.Errorf("told after the job's end: %v", v)
	}
}
