package executor2020

import (
	"strings"
	"testing"
	"time"

	"armada"
)

// Statement 57.
func TestAJobThatIsDoneWithWaitsForItsOutcome(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		told, silent := w.submit(wanted{}), w.submit(wanted{})
		w.polls(offer("east", 8), told, silent)
		w.says("east", told, "pending", event{KubernetesID: "uid"})
		ok(t, w.done(t.Context(), told, silent))
		pause(14 * time.Minute)
		w.polls(offer("west", 8))
		w.is(told, armada.JobPending)
		w.says("east", told, "failed", event{KubernetesID: "uid", Reason: "stuck for ever"})
		if why := w.is(told, armada.JobFailed).Job.Reason; why != "stuck for ever" {
			t.Errorf("it failed since %q", why)
		}
		pause(3 * time.Minute)
		if why := w.is(silent, armada.JobFailed).Job.Reason; !strings.Contains(why, "has not told how it ended") {
			t.Errorf("it failed since %q", why)
		}
	})
}

// Statement 58.
func TestWhatIsSaidOfUnknownJobsIsAccepted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		queued := w.submit(wanted{cores: 64})
		w.polls(offer("east", 8))
		for _, id := range []string{"never", "", queued} {
			ok(t, w.done(t.Context(), id))
			ok(t, w.giveBack(t.Context(), "east", id))
			for _, kind := range []string{"pending", "running", "failed", "succeeded", "lease_returned", "unable_to_schedule", "terminated", "utilisation", "leased"} {
				ok(t, w.report(t.Context(), kind, event{JobID: id, Cluster: "east", Created: time.Now()}))
			}
			ok(t, w.report(t.Context(), "cancelled", event{JobID: id, Created: time.Now()}))
		}
		ok(t, w.reportAll(t.Context()))
		ok(t, w.usage(t.Context(), usageReport{ClusterID: "east"}))
		if events := w.history(queued); len(events) > 1 { // it is rejected: no node is so large
			t.Errorf("it is told %v", events)
		}
	})
}

// Statements 12 and 58: kinds that users do not know, or that the server tells by itself, about a
// job that the executor has.
func TestKindsWithoutAMeaningTellNothingOfAJob(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		for _, kind := range []string{
			"submitted", "queued", "leased", "lease_returned", "lease_expired", "unable_to_schedule", "terminated", "reprioritized", "cancelling", "cancelled",
		} {
			e := event{JobID: id, JobSet: "set", Queue: "q", Created: time.Now()}
			switch kind {
			case "leased", "lease_returned", "unable_to_schedule", "terminated":
				e.Cluster = "east"
			}
			ok(t, w.report(t.Context(), kind, e))
		}
		w.tells(id, leased, begun, runs)
		w.is(id, armada.JobRunning)
		w.keeps("east", []string{id}, id)
	})
}

// Statement 59.
func TestTheEndOfAFormerAttemptElsewhereChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid-1")
		pause(17 * time.Minute)
		w.polls(offer("west", 8), id)
		w.runs("west", id, "uid-2")
		for _, kind := range []string{"failed", "succeeded", "lease_returned"} {
			w.says("east", id, kind, event{KubernetesID: ""})
		}
		ok(t, w.giveBack(t.Context(), "east", id))
		w.is(id, armada.JobRunning)
		w.tells(id, leased, begun, runs, expired, leased, begun, runs)
		w.keeps("west", []string{id}, id)
	})
}

func TestTheEndOfAFormerAttemptOnTheSameClusterChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid-1")
		pause(17 * time.Minute)
		w.polls(offer("east", 8))
		w.keeps("east", nil) // its pod is not there any more
		pause(time.Minute)
		w.polls(offer("east", 8), id)
		w.says("east", id, "failed", event{KubernetesID: "uid-1", Reason: "late"})
		w.is(id, armada.JobLeased)
		w.runs("east", id, "uid-2")
		w.says("east", id, "failed", event{KubernetesID: "uid-1", Reason: "late"})
		w.is(id, armada.JobRunning)
	})
}

// Statement 60.
func TestALeaseIsReturnedOnceWithItsReason(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		ok(t, w.giveBack(t.Context(), "east", id))
		w.is(id, armada.JobLeased) // until the reason is told
		w.says("east", id, "lease_returned", event{Reason: "the pod could not be made"})
		w.says("east", id, "lease_returned", event{Reason: "the pod could not be made"})
		ok(t, w.giveBack(t.Context(), "east", id)) // the run that follows was not handed out
		pause(time.Second)
		w.tells(id, leased, returned, leased)
		if why := w.history(id)[1].Reason; why != "the pod could not be made" {
			t.Errorf("it is returned since %q", why)
		}
	})
}

func TestALeaseThatIsReturnedWithoutAReasonIsReturnedAllTheSame(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		ok(t, w.giveBack(t.Context(), "east", id))
		pause(5 * time.Second)
		w.polls(offer("east", 8))
		w.tells(id, leased, returned, leased)
		w.polls(offer("west", 8))
		pause(time.Minute)
		w.polls(offer("east", 8), id)
		w.says("east", id, "lease_returned", event{Reason: "late"}) // of the attempt before
		w.tells(id, leased, returned, leased)
	})
}

// Statement 61.
func TestPhasesThatAreToldAgainChangeNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		for range 2 {
			w.runs("east", id, "uid")
		}
		w.says("east", id, "pending", event{KubernetesID: "uid"})
		for range 2 {
			w.says("east", id, "succeeded", event{KubernetesID: "uid"})
			w.says("east", id, "failed", event{KubernetesID: "uid"})
			w.runs("east", id, "uid")
		}
		w.tells(id, leased, begun, runs, success)
	})
}

// Statement 62.
func TestWhyAPodCannotBeginIsToldWithWhatFollows(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		back, bad := w.submit(wanted{}), w.submit(wanted{})
		w.polls(offer("east", 8), back, bad)
		for _, id := range []string{back, bad} {
			w.says("east", id, "pending", event{KubernetesID: "uid-" + id})
			w.says("east", id, "unable_to_schedule", event{KubernetesID: "uid-" + id, Reason: "no such image"})
		}
		ok(t, w.giveBack(t.Context(), "east", back))
		w.says("east", back, "lease_returned", event{Reason: "stuck"})
		ok(t, w.done(t.Context(), bad))
		w.says("east", bad, "failed", event{KubernetesID: "uid-" + bad, Reason: "given up"})
		for id, kind := range map[string]armada.EventKind{back: returned, bad: failure} {
			e := w.history(id)[2]
			if e.Kind != kind || !strings.Contains(e.Reason, "no such image") {
				t.Errorf("it is told %s since %q", e.Kind, e.Reason)
			}
		}
		w.is(bad, armada.JobFailed)
	})
}

// Statements 11 and 63.
func TestALeaseIsToldBeforeWhatTheExecutorSaysOfIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		for _, slow := range []time.Duration{10 * time.Second, -10 * time.Second, 0} { // how much its clock is behind
			e := event{JobID: id, Cluster: "east", Created: time.Now().Add(-slow), KubernetesID: "uid"}
			ok(t, w.report(t.Context(), map[time.Duration]string{10 * time.Second: "pending", -10 * time.Second: "running", 0: "succeeded"}[slow], e))
		}
		w.tells(id, leased, begun, runs, success)
		events := w.history(id)
		for i := 1; i < len(events); i++ {
			if events[i].Created.Before(events[i-1].Created) || events[i].Created.After(time.Now()) {
				t.Errorf("%s is of %s, after %s", events[i].Kind, events[i].Created, events[i-1].Created)
			}
		}
	})
}

func TestUsageOfAJobIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		w.says("east", id, "utilisation", event{KubernetesID: "uid", Max: of(map[string]string{"cpu": "300m"})})
		events := w.history(id)
		if last := events[len(events)-1]; last.Kind != armada.EventUtilisation || last.Usage.Max["cpu"] != "300m" {
			t.Errorf("it is told %+v", last)
		}
	})
}
