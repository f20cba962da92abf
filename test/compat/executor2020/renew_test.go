package executor2020

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
)

// Statement 54.
func TestARenewalNamesWhatMayStay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, c, d := w.submit(wanted{}), w.submit(wanted{}), w.submit(wanted{}), w.submit(wanted{})
		w.polls(offer("east", 8), a, b, c, d)
		for _, id := range []string{a, b, c, d} {
			w.runs("east", id, "uid-"+id)
		}
		w.says("east", b, "succeeded", event{KubernetesID: "uid-" + b})
		w.says("east", c, "failed", event{KubernetesID: "uid-" + c, Reason: "exit", ExitCodes: map[string]int32{"main": 3}})
		w.cancel(d)
		w.is(d, armada.JobRunning)
		w.keeps("east", []string{a, b, c, d, "never"}, a, b, c)
		w.tells(d, leased, begun, runs, wished, gone) // nobody will tell of its end
		if end := w.is(c, armada.JobFailed).Runs[0].End; end.Reason != "exit" || len(end.Containers) != 1 || end.Containers[0].ExitCode != 3 {
			t.Errorf("it ended so: %+v", end)
		}
		w.says("east", d, "failed", event{KubernetesID: "uid-" + d, Reason: "killed"})
		w.tells(d, leased, begun, runs, wished, gone)
		ok(t, w.done(t.Context(), b, c))
		w.keeps("east", []string{a}, a)
	})
}

func TestACancelledJobThatWasNotHandedOutNeverIs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.polls(offer("east", 8))
		id := w.submit(wanted{})
		pause(time.Second) // leased and not handed out
		w.is(id, armada.JobLeased)
		w.cancel(id)
		w.polls(offer("east", 8))
		w.tells(id, leased, wished, gone)
	})
}

func TestACancelledJobWhosePodHasVanishedIsCancelled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		w.cancel(id)
		for range 5 {
			pause(15 * time.Second)
			w.keeps("east", nil)
		}
		w.tells(id, leased, begun, runs, wished, gone)
	})
}

// Statement 55.
func TestWhoCannotTellWhatMayStayIsUnavailable(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		unavailable := func(cluster string) {
			t.Helper()
			// One of them is known, and to be marked; the other is another's or nobody's.
			if kept, err := w.renew(t.Context(), cluster, id, "never"); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v stay, %v; want UNAVAILABLE", cluster, kept, err)
			}
		}
		for _, call := range []string{"Executor", "RunsOf", "JobsByID", "Hold", "Transition"} {
			w.broken.Store(call)
			unavailable("east")
		}
		w.broken.Store("")
		unavailable("nobody-knows-it")
		w.keeps("east", []string{id}, id)
		// The id is another executor's now.
		ok(t, w.kept.OpenSession(t.Context(), armada.Executor{ID: "east", Session: "ours", Lease: time.Minute}))
		unavailable("east")
		if _, err := w.lease(t.Context(), offer("east", 8)); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "ClusterId") {
			t.Errorf("asking for jobs: %v, want FAILED_PRECONDITION that names the field", err)
		}
	})
}

// Statement 56.
func TestAnExpiredJobThatStillWaitsIsGivenBackToWhoHasIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		waits, elsewhere := w.submit(wanted{node: "east", cores: 2}), w.submit(wanted{})
		r := offer("east", 8)
		r.Nodes[0].Labels = map[string]string{"zone": "east"}
		w.polls(r, waits, elsewhere)
		w.runs("east", waits, "uid-1")
		w.runs("east", elsewhere, "uid-2")
		pause(17 * time.Minute) // it is cut off
		w.is(waits, armada.JobQueued)
		w.is(elsewhere, armada.JobQueued)
		w.polls(offer("west", 8), elsewhere)
		w.runs("west", elsewhere, "uid-3")
		w.keeps("east", []string{waits, elsewhere}, waits)
		w.tells(waits, leased, begun, runs, expired, leased, begun, runs)
		w.says("east", waits, "succeeded", event{KubernetesID: "uid-1"})
		w.is(waits, armada.JobSucceeded)
		w.says("east", elsewhere, "failed", event{KubernetesID: "uid-2", Reason: "killed"})
		w.is(elsewhere, armada.JobRunning)
	})
}

func TestAnExpiredJobThatIsLeasedHereAgainAndNotHandedOutIsKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		pause(17 * time.Minute)
		w.polls(offer("east", 8)) // the node has room, the job is leased there again
		w.is(id, armada.JobLeased)
		w.keeps("east", []string{id}, id)
		pause(5 * time.Minute)
		w.polls(offer("east", 8)) // and is never handed out, since it is there
		w.says("east", id, "succeeded", event{KubernetesID: "uid"})
		w.is(id, armada.JobSucceeded)
	})
}

func TestACancelThatComesBetweenIsSeenByTheSameRenewal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		first := func() { w.cancel(id) }
		w.before.Store(&first)
		w.keeps("east", []string{id})
		w.tells(id, leased, begun, runs, wished, gone)
	})
}

func TestAJobThatIsNamedAgainIsNotDoneWith(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		w.keeps("east", []string{id}, id)
		ok(t, w.done(t.Context(), id)) // said by another, who had it before
		pause(15 * time.Second)
		w.keeps("east", []string{id}, id)
		pause(17 * time.Minute)
		w.tells(id, leased, begun, runs, expired)
	})
}

// An attempt that a retry policy gives to a job finds the pod of the one before.
func TestThePodOfAnAttemptThatFailedMakesWayForTheNext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ok(t, w.kept.PutRetryPolicy(t.Context(), armada.RetryPolicy{Name: "again", Limit: 2, Default: armada.RetryAgain}))
		ok(t, w.kept.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1, RetryPolicies: []string{"again"}}))
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid-1")
		w.says("east", id, "failed", event{KubernetesID: "uid-1", Reason: "exit"})
		w.polls(offer("east", 8)) // the job waits for the pod to go
		w.tells(id, leased, begun, runs, failure, leased)
		w.keeps("east", []string{id}) // which this answer sees to
		ok(t, w.done(t.Context(), id))
		for range 7 {
			w.polls(offer("east", 8))
			pause(5 * time.Second)
		}
		pause(10 * time.Second)
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid-2")
		w.keeps("east", []string{id}, id)
		w.says("east", id, "succeeded", event{KubernetesID: "uid-2"})
		w.tells(id, leased, begun, runs, failure, leased, begun, runs, success)
	})
}
