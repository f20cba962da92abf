package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/test/compat/wiretable"
)

// watch opens a stream that goes on.
func (c *client) watch(set string) *stream {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	c.t.Cleanup(cancel)
	return c.open(ctx, "api.Event/GetJobSetEvents", Fields{"queue": "q", "id": set, "watch": true})
}

// event is the next event, which must come.
func (s *stream) event() event {
	s.t.Helper()
	m, err := s.next()
	ok(s.t, err)
	return eventOf(m)
}

// Statement 7 of the compatibility notes.
func TestAWatchingStreamEndsWithUnavailableWhenTheServerStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit("set", items(1)...)
	quiet, old := w.watch("set"), w.of(wiretable.Year2020()).watch("set")
	waiting := w.watch("later")
	for _, s := range []*stream{quiet, old} {
		s.event()
		s.event()
	}
	_, err := waiting.grpc.Header()
	ok(t, err)
	go w.stop()
	for _, s := range []*stream{quiet, old, waiting} {
		if _, err := s.next(); status.Code(err) != codes.Unavailable {
			t.Errorf("a stream ended with %v", err)
		}
	}
}

// Statement 8 of the compatibility notes.
func TestAStreamThatDoesNotWatchEndsWithOKAfterTheLastEventThereWas(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		w.submit("set", items(700)...) // more than one read of the store
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		s := w.open(ctx, "api.Event/GetJobSetEvents", Fields{"queue": "q", "id": "set"})
		first := s.event()
		w.submit("set", items(1)...) // after the start
		if rest := s.rest(); first.kind != "submitted" || len(rest) != 1399 {
			t.Errorf("read %s and %d more events, want 1399", first.kind, len(rest))
		}
	})
}

// Statement 9 of the compatibility notes.
func TestEverySubmittedEventCarriesTheWholeJob(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		two := items(2)
		two[1] = Fields{"pod_specs": []any{pod()}, "namespace": "lab"}
		ids := w.submit("set", two...)
		found := 0
		for _, e := range w.history("set") {
			if e.kind != "submitted" {
				continue
			}
			job := wiretable.At(e.body, "job").Message().Interface()
			spec := podOf(t, wiretable.At(job, "pod_spec").Bytes())
			if id := wiretable.At(job, "id").String(); id != ids[found] || id != e.text("job_id") ||
				wiretable.At(job, "queue").String() != "q" || wiretable.At(job, "job_set_id").String() != "set" ||
				wiretable.At(job, "namespace").String() != []string{"default", "lab"}[found] ||
				len(spec.Containers) != 1 || spec.Containers[0].Image != "busybox" || wiretable.Has(job, "pod_specs") {
				t.Errorf("the job is %v", job)
			}
			found++
		}
		if found != 2 {
			t.Errorf("%d of 2 jobs were submitted", found)
		}
	})
}

// Statement 10 of the compatibility notes.
func TestTheFirstEventsOfEachJobAreSubmittedAndQueued(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		w.submit("set", items(3)...)
		if got, want := kinds(w.history("set"), ""), strings.TrimSpace(strings.Repeat("submitted queued ", 3)); got != want {
			t.Errorf("the events are %s, want %s", got, want)
		}
	})
}

// A replay never begins inside the life of a job: clients of 2020 fall over the
// job that they have not seen submitted.
func TestAReplayLeavesOutJobsWhoseBeginningIsNotKept(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		gone := w.submit("set", items(2)...)
		w.do(gone[0], leased, pending)
		stays := w.submit("set", items(1)...)[0]
		w.do(stays, leased, pending, running)
		w.do(gone[0], running, succeeded)
		w.must("api.Submit/CancelJobs", Fields{"job_id": gone[1]})
		next := w.submit("set", items(1)...)[0]
		whole := w.history("set")

		forgotten := store.Forgotten{More: true}
		for forgotten.More {
			done, err := w.store.Prune(t.Context(), store.Keep{Since: time.Now().Add(time.Hour)}, 100)
			ok(t, err)
			done.Jobs, done.Events = done.Jobs+forgotten.Jobs, done.Events+forgotten.Events
			forgotten = done
		}
		if forgotten.Jobs != len(gone) || forgotten.Events == 0 {
			t.Fatalf("forgotten are %+v", forgotten)
		}
		w.do(stays, succeeded)
		w.do(next, leased, pending, running, succeeded)
		events := w.history("set")
		for _, id := range gone {
			if got := kinds(events, id); got != "" {
				t.Errorf("of a job that is forgotten is told %s", got)
			}
		}
		for _, id := range []string{stays, next} {
			if got := kinds(events, id); got != begun+" succeeded" {
				t.Errorf("of a job that is kept is told %s", got)
			}
		}
		// Who has seen the beginning goes on to the end.
		for i, e := range whole {
			if e.text("job_id") == gone[0] && e.kind == "running" {
				rest := w.read(Fields{"queue": "q", "id": "set", "from_message_id": whole[i-1].id})
				if got := kinds(rest, gone[0]); got != "running succeeded" {
					t.Errorf("who goes on is told %s", got)
				}
			}
		}
	})
}

// Statement 11 of the compatibility notes.
func TestTheTimesOfAJobsEventsNeverGoBack(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		for set, shift := range map[string]time.Duration{"behind": -10 * time.Second, "ahead": 10 * time.Second} {
			id := w.submit(set, items(1)...)[0]
			w.do(id, leased)
			for _, c := range []lifecycle.Change{pending, running, using, succeeded} {
				c.At = time.Now().Add(shift)
				w.do(id, c)
			}
			var last time.Time
			for _, e := range w.history(set) {
				created := wiretable.Time(e.body, "created")
				if created.IsZero() || created.Before(last) || created.After(time.Now().Add(time.Second)) {
					t.Errorf("%s: %s happened %s, after an event of %s", set, e.kind, created, last)
				}
				last = created
			}
		}
	})
}

// Statement 12 of the compatibility notes. That reports of kinds that only 2020 has make no message is with
// the executors of that year.
func TestEveryMessageHasAnIDAndAnEventThatIsKnown(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		w.everything("set")
		seen := map[string]bool{}
		for _, e := range w.history("set") {
			if e.body == nil || e.id == "" || e.text("job_id") == "" || e.text("queue") != "q" || e.text("job_set_id") != "set" || wiretable.Time(e.body, "created").IsZero() {
				t.Errorf("%s %q is incomplete: %v", e.kind, e.id, e.body)
			}
			seen[e.kind] = true
		}
		known := wiretable.Year2026().Message("api.EventMessage").Fields()
		for i := range known.Len() {
			if kind := string(known.Get(i).Name()); !seen[kind] {
				t.Errorf("there was no %s: the test must make every kind happen", kind)
			}
		}
	})
}

// everything makes each kind of event happen in a job set.
func (w *world) everything(set string) {
	w.t.Helper()
	jobs := items(6)
	jobs[4] = preemptible()
	ids := w.submit(set, jobs...)
	w.do(ids[0], leased, pending, running,
		reachable, using, succeeded)
	w.do(ids[1], leased, pending, returned)
	w.do(ids[2], rejected)
	w.do(ids[3], leased, pending, lost)
	w.must("api.Submit/ReprioritizeJobs", Fields{"queue": "q", "job_set_id": set, "job_ids": []string{ids[1]}, "new_priority": 3.0})
	w.do(ids[4], leased, pending, running)
	w.must("api.Submit/PreemptJobs", Fields{"queue": "q", "job_set_id": set, "job_ids": []string{ids[4]}})
	w.do(ids[4], stopped)
	w.must("api.Submit/CancelJobs", Fields{"job_id": ids[5]})
}

// Statement 13 of the compatibility notes.
func TestAPreemptedJobFailsForGoodAndIsNotCancelled(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		for _, set := range []string{"by a user", "by the scheduler"} {
			id := w.submit(set, preemptible())[0]
			w.do(id, leased, pending, running)
			want := "submitted queued leased pending running preempted failed"
			if set == "by a user" {
				w.must("api.Submit/PreemptJobs", Fields{"queue": "q", "job_set_id": set, "job_ids": []string{id}, "reason": "for a test"})
				want = "submitted queued leased pending running preempting preempted failed"
			} else {
				w.do(id, displaced)
			}
			w.do(id, stopped)
			w.tells(set, id, want)
			events := w.history(set)
			if last := events[len(events)-1]; wiretable.At(last.body, "retryable").Bool() {
				t.Errorf("%s: it may run again: %v", set, last.body)
			}
		}
	})
}

// Statement 14 of the compatibility notes.
func TestCancellingAQueuedJobGivesExactlyFourEvents(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		for set, cancel := range map[string]func(id string){
			"by id":             func(id string) { w.must("api.Submit/CancelJobs", Fields{"job_id": id}) },
			"by set":            func(string) { w.must("api.Submit/CancelJobSet", Fields{"queue": "q", "job_set_id": "by set"}) },
			"by set of clients": func(string) { w.must("api.Submit/CancelJobs", Fields{"queue": "q", "job_set_id": "by set of clients"}) },
		} {
			id := w.submit(set, items(1)...)[0]
			cancel(id)
			w.tells(set, id, "submitted queued cancelling cancelled")
			cancel(id)
			w.tells(set, id, "submitted queued cancelling cancelled")
		}
	})
}

// Statement 15 of the compatibility notes.
func TestAJobEndsOnceHoweverItIsReported(t *testing.T) {
	t.Parallel()
	reports := []lifecycle.Change{
		pending, running, succeeded, failed, stopped,
		{Kind: lifecycle.ReportReturned, Attempted: true, End: armada.RunEnd{Reason: "back"}},
		{Kind: lifecycle.ReportUnknown},
	}
	onEachForm(t, func(t *testing.T, w *world) {
		// Each report first, and then all of them again, and once more.
		for first := range reports {
			set := fmt.Sprintf("set-%d", first)
			id := w.submit(set, items(1)...)[0]
			w.do(id, leased)
			run := armada.NewRunID(armada.JobID(id), 1)
			for range 3 {
				for _, c := range slices.Concat(reports[first:], reports[:first]) {
					c.Run = run
					w.change(id, c)
				}
			}
			ends := 0
			for _, e := range w.history(set) {
				switch {
				case e.kind == "succeeded", e.kind == "cancelled", e.kind == "failed" && !wiretable.At(e.body, "retryable").Bool():
					ends++
				case ends > 0:
					t.Errorf("%s: %s after the end", set, e.kind)
				}
			}
			if state := w.state(id); ends > 1 || ends == 0 && state != "QUEUED" {
				t.Errorf("%s: ended %d times and is %s: %s", set, ends, state, kinds(w.history(set), id))
			}
		}
	})
}

// Statement 16 of the compatibility notes.
func TestAJobSetThatDoesNotExistYetIsWaitedForUnlessItMust(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, queue := range []string{"q", "later"} {
			must := w.open(ctx, "api.Event/GetJobSetEvents", Fields{"queue": queue, "id": "new", "watch": true, "errorIfMissing": true})
			if _, err := must.next(); status.Code(err) != codes.NotFound {
				t.Errorf("queue %s: a job set that must be there answers %v", queue, err)
			}
			may := w.open(ctx, "api.Event/GetJobSetEvents", Fields{"queue": queue, "id": "new", "watch": true})
			_, err := may.grpc.Header() // the stream is open
			ok(t, err)
			w.must("api.Submit/CreateQueue", Fields{"name": queue, "priority_factor": 1.0})
			w.must("api.Submit/SubmitJobs", Fields{"queue": queue, "job_set_id": "new", "job_request_items": items(1)})
			if first, second := may.event(), may.event(); first.kind != "submitted" || second.kind != "queued" {
				t.Errorf("queue %s: the first events are %s and %s", queue, first.kind, second.kind)
			}
		}
	})
}

// Statement 17 of the compatibility notes.
func TestAStreamGoesOnAfterTheMessageThatWasSeen(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		w.submit("set", items(3)...)
		all := w.history("set")
		for i, e := range all {
			rest := w.read(Fields{"queue": "q", "id": "set", "from_message_id": e.id})
			if len(rest) != len(all)-i-1 || len(rest) > 0 && rest[0].id != all[i+1].id {
				t.Errorf("after message %d of %d come %d", i+1, len(all), len(rest))
			}
		}
		// Ids of the original's servers, and what is none: everything, once.
		for _, id := range []string{"1603273948012-0", "1755684000000:12:3:1", "nonsense", "0", "-", ":::", "9223372036854775807-9223372036854775807"} {
			if got := w.read(Fields{"queue": "q", "id": "set", "from_message_id": id}); len(got) != len(all) || got[0].id != all[0].id {
				t.Errorf("after %q come %d messages, want all %d", id, len(got), len(all))
			}
		}
	})
}

// The Watch of 2026 is deprecated and still called.
func TestTheDeprecatedWatchIsAStreamThatGoesOn(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := w.open(ctx, "api.Event/Watch", Fields{"queue": "q", "job_set_id": "set"}).next(); status.Code(err) != codes.NotFound {
			t.Errorf("a job set that is not there answers %v", err)
		}
		id := w.submit("set", items(1)...)[0]
		s := w.open(ctx, "api.Event/Watch", Fields{"queue": "q", "job_set_id": "set"})
		first, second := s.event(), s.event()
		w.do(id, leased)
		third := s.event()
		if first.kind != "submitted" || second.kind != "queued" || third.kind != "leased" {
			t.Errorf("it sends %s, %s, %s", first.kind, second.kind, third.kind)
		}
		later := w.open(ctx, "api.Event/Watch", Fields{"queue": "q", "job_set_id": "set", "from_id": second.id})
		if e := later.event(); e.id != third.id {
			t.Errorf("after %s comes %s, want %s", second.id, e.id, third.id)
		}
	})
}

// Statement 18 of the compatibility notes.
func TestAFailureTellsOfTheContainersInTheFormOfBothYears(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		id := w.submit("set", items(1)...)[0]
		w.do(id, leased, pending, running, failed)
		events := w.history("set")
		last := events[len(events)-1]
		codesOf := wiretable.At(last.body, "exit_codes").Map()
		statuses := wiretable.List(last.body, "container_statuses")
		if last.kind != "failed" || codesOf.Len() != 1 || len(statuses) != 1 || wiretable.At(statuses[0], "name").String() != "main" ||
			wiretable.At(statuses[0], "exitCode").Int() != 3 || last.text("cluster_id") != "e1" || last.text("failure_category") != "user" {
			t.Errorf("it is %s %v", last.kind, last.body)
		}
		old := w.of(wiretable.Year2020()).history("set")
		if got := wiretable.At(old[len(old)-1].body, "exit_codes").Map().Len(); got != 1 {
			t.Errorf("a client of 2020 sees %d exit codes", got)
		}
	})
}
