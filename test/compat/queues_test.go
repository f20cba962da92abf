package compat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"armada/internal/app"
	"armada/internal/store/postgres/pgtest"
	"armada/test/compat/wiretable"
)

// onBothServices runs a test with each of the services that have the methods of
// queues.
func onBothServices(t *testing.T, test func(t *testing.T, w *world, service string)) {
	t.Helper()
	onEachForm(t, func(t *testing.T, w *world) {
		for _, service := range []string{"api.Submit", "api.QueueService"} {
			test(t, w, service)
		}
	})
}

// Statement 19 of the compatibility notes.
func TestCreatingAQueueAgainReplacesIt(t *testing.T) {
	t.Parallel()
	onBothServices(t, func(t *testing.T, w *world, service string) {
		w.must(service+"/CreateQueue", Fields{"name": "x", "priority_factor": 2.0, "labels": map[string]string{"a": "b"}, "cordoned": true})
		w.must(service+"/CreateQueue", Fields{"name": "x", "priority_factor": 3.0})
		got := w.must(service+"/GetQueue", Fields{"name": "x"})
		if wiretable.At(got, "priority_factor").Float() != 3 || wiretable.Has(got, "labels") || wiretable.Has(got, "cordoned") {
			t.Errorf("%s: the queue is %v", service, got)
		}
		old := w.of(wiretable.Year2020())
		old.must("api.Submit/CreateQueue", Fields{"name": "x", "priority_factor": 4.0, "user_owners": []string{"ada"}})
		if got := w.must(service+"/GetQueue", Fields{"name": "x"}); wiretable.At(got, "priority_factor").Float() != 4 {
			t.Errorf("%s: the queue that a client of 2020 replaced is %v", service, got)
		}
	})
}

// Owners of 2020 are permissions today; both kinds of limits are taken, and those
// of 2020 are no obstacle.
func TestTheOwnersOf2020MayDoEverythingWithTheirQueue(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		w.of(wiretable.Year2020()).must("api.Submit/CreateQueue", Fields{
			"name": "x", "priority_factor": 1.0, "user_owners": []string{"ada"}, "group_owners": []string{"science"},
			"resource_limits": map[string]any{"cpu": 0.5},
		})
		got := w.must("api.Submit/GetQueue", Fields{"name": "x"})
		subjects := map[string]string{}
		for _, p := range wiretable.List(got, "permissions") {
			for _, s := range wiretable.List(p, "subjects") {
				subjects[wiretable.At(s, "kind").String()+" "+wiretable.At(s, "name").String()] = strings.Join(wiretable.Strings(p, "verbs"), " ")
			}
		}
		const all = "submit cancel preempt reprioritize watch"
		if want := map[string]string{"User ada": all, "Group science": all}; !maps.Equal(subjects, want) {
			t.Errorf("the permissions are %q, want %q", subjects, want)
		}
		if wiretable.Has(got, "user_owners") || wiretable.Has(got, "group_owners") {
			t.Errorf("the owners are told twice: %v", got)
		}
	})
}

// Statement 20 of the compatibility notes.
func TestAnUpdatedQueueIsExactlyWhatWasSet(t *testing.T) {
	t.Parallel()
	onBothServices(t, func(t *testing.T, w *world, service string) {
		w.must(service+"/CreateQueue", Fields{"name": "x", "priority_factor": 2.0, "labels": map[string]string{"a": "b"}, "cordoned": true})
		w.must(service+"/UpdateQueue", Fields{"name": "x", "priority_factor": 3.0})
		got, want := w.must(service+"/GetQueue", Fields{"name": "x"}), w.table.Make("api.Queue", Fields{"name": "x", "priority_factor": 3.0})
		if !proto.Equal(got, want) {
			t.Errorf("%s: the queue is %v, want %v", service, got, want)
		}
	})
}

// Statement 21 of the compatibility notes.
func TestAListOfQueuesEndsWithItsMarkerAndThenOK(t *testing.T) {
	t.Parallel()
	onBothServices(t, func(t *testing.T, w *world, service string) {
		list := func() string {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var names []string
			for _, m := range w.open(ctx, service+"/GetQueues", Fields{}).rest() {
				if wiretable.Kind(m, "event") == "queue" {
					names = append(names, wiretable.At(m, "queue", "name").String())
				} else {
					names = append(names, "<"+string(wiretable.Kind(m, "event"))+">")
				}
			}
			return strings.Join(names, " ")
		}
		w.must(service+"/CreateQueue", Fields{"name": "q"})
		w.must(service+"/CreateQueue", Fields{"name": "b"})
		if got := list(); got != "b q <end>" {
			t.Errorf("%s: listed are %s", service, got)
		}
		w.must(service+"/DeleteQueue", Fields{"name": "q"})
		w.must(service+"/DeleteQueue", Fields{"name": "b"})
		if got := list(); got != "<end>" {
			t.Errorf("%s: without queues, listed are %s", service, got)
		}
	})
}

// Statement 22 of the compatibility notes.
func TestAQueueIsThereForAnotherReplicaAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one := newWorldOn(t, openPostgres(t, url))
	other := newWorldOn(t, openPostgres(t, url))
	for i := range 20 {
		name := fmt.Sprintf("new-%d", i)
		// The other has just learnt that the queue is not there.
		submit := Fields{"queue": name, "job_set_id": "set", "job_request_items": items(1)}
		other.refused(codes.NotFound, "api.Submit/SubmitJobs", submit)
		one.must("api.Submit/CreateQueue", Fields{"name": name, "priority_factor": 1.0})
		other.must("api.Submit/SubmitJobs", submit)
	}
}

// Statement 23 of the compatibility notes.
func TestAQueueCanBeDeletedRightAfterItsJobsWereCancelled(t *testing.T) {
	t.Parallel()
	onBothServices(t, func(t *testing.T, w *world, service string) {
		w.must(service+"/CreateQueue", Fields{"name": "x", "priority_factor": 1.0})
		ids := idsOf(w.must("api.Submit/SubmitJobs", Fields{"queue": "x", "job_set_id": "set", "job_request_items": items(2)}))
		w.do(ids[0], leased, pending, running)
		w.refused(codes.FailedPrecondition, service+"/DeleteQueue", Fields{"name": "x"})
		w.must("api.Submit/CancelJobSet", Fields{"queue": "x", "job_set_id": "set"})
		w.must(service+"/DeleteQueue", Fields{"name": "x"})
		w.refused(codes.NotFound, service+"/GetQueue", Fields{"name": "x"})
	})
}

// Statement 24 of the compatibility notes.
func TestDeletingAQueueThatIsNotThereIsFine(t *testing.T) {
	t.Parallel()
	onBothServices(t, func(t *testing.T, w *world, service string) {
		w.must(service+"/DeleteQueue", Fields{"name": "never"})
		w.of(wiretable.Year2020()).must("api.Submit/DeleteQueue", Fields{"name": "never"})
	})
}

// Statement 25 of the compatibility notes.
func TestAQueueIsActiveInItsPoolWhenItsJobIsSeenToRun(t *testing.T) {
	t.Parallel()
	c := newClient(t, startUp(t, func(c *app.Config) { c.Executor.SimulatedRuntime = time.Hour }), wiretable.Year2026())
	c.must("api.Submit/CreateQueue", Fields{"name": "q", "priority_factor": 1.0})
	c.must("api.Submit/CreateQueue", Fields{"name": "idle", "priority_factor": 1.0})
	for i := range 5 {
		set := fmt.Sprintf("set-%d", i)
		c.submit(set, items(1)...)
		s := c.watch(set)
		for s.event().kind != "running" {
		}
		pools := wiretable.At(c.must("api.Jobs/GetActiveQueues", Fields{}), "active_queues_by_pool").Map()
		here := pools.Get(protoreflect.ValueOfString("default").MapKey())
		if pools.Len() != 1 || !here.IsValid() {
			t.Fatalf("%d pools are active", pools.Len())
		}
		if got := wiretable.Strings(here.Message().Interface(), "queues"); !slices.Equal(got, []string{"q"}) {
			t.Errorf("active are %q", got)
		}
		c.must("api.Submit/CancelJobSet", Fields{"queue": "q", "job_set_id": set})
	}
}

// Statement 26 of the compatibility notes.
func TestQueuesInBatchesNameOnlyThoseThatFailed(t *testing.T) {
	t.Parallel()
	onBothServices(t, func(t *testing.T, w *world, service string) {
		good := []Fields{{"name": "a", "priority_factor": 1.0}, {"name": "b", "priority_factor": 2.0}}
		bad := Fields{"name": "c d", "priority_factor": 1.0}
		for _, method := range []string{"CreateQueues", "UpdateQueues"} {
			answer := w.must(service+"/"+method, Fields{"queues": good})
			if got := failures(answer); len(got) != 0 {
				t.Errorf("%s/%s: failed are %q", service, method, got)
			}
			answer = w.must(service+"/"+method, Fields{"queues": slices.Concat(good, []Fields{bad})})
			if got := failures(answer); len(got) != 1 || !strings.HasPrefix(got[0], "c d: ") {
				t.Errorf("%s/%s: failed are %q", service, method, got)
			}
		}
	})
}

// failures are the queues that failed, and why.
func failures(answer proto.Message) []string {
	var all []string
	for _, m := range wiretable.List(answer, "failed_queues") {
		all = append(all, wiretable.At(m, "queue", "name").String()+": "+wiretable.At(m, "error").String())
	}
	return all
}
