package executor2026

import (
	"slices"
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/server/executors"
	"armada/test/compat/wiretable"
)

// The statements are those about executors of 2026 in the contract with the
// original's clients; each test says in its name what it is about.

func TestStatements35And36TheServerEndsTheStreamAfterTheEndMarkerAndSendsNothingMore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.leased("east")
		answer := w.polls("east") // Ask fails when anything follows the end marker
		if len(answer.Leases) != 1 || answer.Closing > 100*time.Millisecond {
			w.Errorf("%d leases, and the stream was closed %s after the end marker", len(answer.Leases), answer.Closing)
		}
	})
}

func TestStatement37LeasesComeAgainUntilTheyAreReportedAndNoneWhereNoneIsAskedFor(t *testing.T) {
	inWorld(t, func(w *world) {
		_, first := w.leased("east")
		_, second := w.leased("east")
		_, third := w.leased("east")
		ask := func(most int, runs ...string) *Answer {
			return w.asks(wiretable.Fields{
				"executor_id": "east", "max_jobs_to_lease": most, "unassigned_job_run_ids": runs, "nodes": []wiretable.Fields{node("n1", nil)},
			})
		}
		w.has("where none is asked for", ask(0).Runs())
		w.has("where two are asked for, the oldest", ask(2).Runs(), first, second)
		w.has("at first", ask(100).Runs(), first, second, third)
		w.has("again", ask(100).Runs(), first, second, third)
		w.has("when one is reported", ask(100, first).Runs(), second, third)
		onNode := w.asks(wiretable.Fields{
			"executor_id": "east", "max_jobs_to_lease": 100, "unassigned_job_run_ids": []string{first},
			"nodes": []wiretable.Fields{node("n1", map[string]any{second: 2, third: 1})},
		})
		w.has("when all are reported, some on a node", onNode.Runs())
		w.has("of these none is to stop", onNode.Cancels)
		w.has("after a restart that forgot one", ask(100, first, third).Runs(), second)
	})
}

func TestStatement38RunsThatAreUnknownOverOrOthersAreCancelledUntilTheyAreGone(t *testing.T) {
	inWorld(t, func(w *world) {
		_, others := w.leased("west")
		id, cancelled := w.leased("east")
		w.polls("east")
		w.reports(phase("jobRunRunning", "east", cancelled))
		w.polls("east", cancelled)
		w.cancel(id)
		unknown, strange := string(armada.NewRunID("01job999999999999999999999", 1)), "not an id of ours"
		for range 3 {
			w.has("cancelled", w.polls("east", others, cancelled, unknown, strange).Cancels, others, cancelled, unknown, strange)
			pause(5 * time.Second)
		}
		w.is(id, armada.JobRunning)
		w.has("when they are gone", w.polls("east").Cancels)
		w.is(id, armada.JobCancelled)
		w.tells(id, "leased running cancelling cancelled")
		w.has("if one comes back", w.polls("east", cancelled).Cancels, cancelled)
	})
}

func TestStatement39ARunThatEndedByItsOwnReportIsForgottenALittleLater(t *testing.T) {
	inWorld(t, func(w *world) {
		_, succeeded := w.leased("east")
		_, failed := w.leased("east")
		_, returned := w.leased("east")
		runs := []string{succeeded, failed, returned}
		w.polls("east", runs...)
		w.reports(
			phase("jobRunSucceeded", "east", succeeded),
			failure(failed, wiretable.Fields{"podError": wiretable.Fields{"message": "exit 3", "objectMeta": meta("east", failed)}}),
			failure(returned, wiretable.Fields{"podLeaseReturned": wiretable.Fields{"message": "no room", "objectMeta": meta("east", returned)}}),
		)
		for range 2 {
			w.has("in the first seconds", w.polls("east", runs...).Cancels)
			pause(5 * time.Second)
		}
		for range 2 {
			w.has("later, until it is forgotten", w.polls("east", runs...).Cancels, succeeded, failed, returned)
			pause(5 * time.Second)
		}
		w.has("when two are forgotten", w.polls("east", failed).Cancels, failed)
	})
}

func TestAnotherReplicaWaitsByItselfBeforeARunIsForgotten(t *testing.T) {
	inWorld(t, func(w *world) {
		_, run := w.leased("east")
		w.polls("east", run)
		w.reports(phase("jobRunSucceeded", "east", run))
		w.polls("east", run)
		pause(time.Minute)
		w.conn = w.serve(executors.DefaultConfig())
		w.has("at once", w.polls("east", run).Cancels)
		pause(10 * time.Second)
		w.has("later", w.polls("east", run).Cancels, run)
	})
}

func TestStatement47TheRoomOfACancelledRunIsUsedWhileItIsReported(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east")
		w.reports(phase("jobRunRunning", "east", run))
		w.polls("east", run)
		w.cancel(id)
		for range 100 { // of five seconds: longer than any time-out but that of silence
			w.polls("east", run)
			pause(5 * time.Second)
		}
		if held, err := w.store.RunsOf(w.Context(), "east"); err != nil || len(held) != 1 || string(held[0].Run.ID) != run {
			w.Errorf("the executor's runs are %v, %v: its room is free although the pod is there", held, err)
		}
		w.polls("east")
		if held, err := w.store.RunsOf(w.Context(), "east"); err != nil || len(held) != 0 {
			w.Errorf("the executor's runs are %v, %v: the pod is gone and its room is not free", held, err)
		}
	})
}

func TestStatement48NoNewRunOfAJobGoesWhereAnOldOneIsStillReported(t *testing.T) {
	inWorld(t, func(w *world) {
		id, old := w.leased("east")
		w.polls("east", old)
		w.reports(failure(old, wiretable.Fields{"podLeaseReturned": wiretable.Fields{"message": "no room", "run_attempted": true, "objectMeta": meta("east", old)}}))
		next := w.lease(id, "east")
		for range 4 {
			w.has("while the old one is reported", w.polls("east", old).Runs())
			pause(5 * time.Second)
		}
		w.has("when it is not", w.polls("east").Runs(), next)
	})
}

func TestARunWaitsUntilThoseWhosePlaceItTakesAreGone(t *testing.T) {
	inWorld(t, func(w *world) {
		id, victim := w.leased("east")
		w.polls("east", victim)
		w.reports(phase("jobRunRunning", "east", victim))
		w.change(lifecycle.Change{Kind: lifecycle.Preempt, Job: id, Reason: "make room"})
		taker := w.lease(w.submit(job{}), "east", armada.RunID(victim))
		for range 3 {
			answer := w.polls("east", victim)
			w.has("leases while the victim's pod is there", answer.Runs())
			w.has("cancels", answer.Cancels, victim)
			pause(5 * time.Second)
		}
		w.has("leases when it is gone", w.polls("east").Runs(), taker)
		w.tells(id, "leased running preempted failed")
	})
}

func TestARunThatIsCancelledBeforeItsPodEndsAsSoonAsItIsNotReported(t *testing.T) {
	inWorld(t, func(w *world) {
		never, _ := w.leased("east")
		w.cancel(never)
		w.has("leases", w.polls("east").Runs())
		w.is(never, armada.JobCancelled)
		accepted, run := w.leased("east")
		w.polls("east")
		w.cancel(accepted)
		w.has("cancels", w.polls("east", run).Cancels, run)
		w.is(accepted, armada.JobLeased)
		w.polls("east")
		w.tells(accepted, "leased cancelling cancelled")
	})
}

func TestASuccessBeforeThePodIsGoneBeatsTheCancel(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		w.cancel(id)
		w.reports(phase("jobRunSucceeded", "east", run))
		w.polls("east")
		w.tells(id, "leased cancelling succeeded")
	})
}

func TestARunThatHadBegunAndIsMissingForATimeHasEndedSomehow(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		w.reports(phase("jobRunRunning", "east", run))
		poll := func(times int, runs ...string) {
			for range times {
				w.polls("east", runs...)
				pause(5 * time.Second)
			}
		}
		poll(11)
		w.is(id, armada.JobRunning)
		poll(1, run) // it was only not found yet
		poll(12)
		w.is(id, armada.JobRunning)
		poll(1)
		w.tells(id, "leased running failed")
		if end := w.full(id).Runs[0].End; end.Subcategory != armada.SubcategoryOutcomeUnknown {
			w.Errorf("the run ended with %+v", end)
		}
		w.has("should it come back", w.polls("east", run).Cancels, run)
	})
}

func TestALeaseOnANodeThatIsGoneIsReturned(t *testing.T) {
	inWorld(t, func(w *world) {
		id, _ := w.leased("east")
		answer := w.asks(wiretable.Fields{"executor_id": "east", "max_jobs_to_lease": 100, "nodes": []wiretable.Fields{node("n2", nil)}})
		w.has("leases", answer.Runs())
		w.is(id, armada.JobQueued)
		w.tells(id, "leased lease_returned")
		if full := w.full(id); full.Job.Lessons.Returns() != 0 {
			w.Errorf("the job has learned %v, and it is not to blame", full.Job.Lessons)
		}
	})
}

func TestTheLastOneToUseAnIDWins(t *testing.T) {
	inWorld(t, func(w *world) {
		_, run := w.leased("east")
		w.polls("east", run)
		first, err := w.store.Executor(w.Context(), "east")
		w.ok(err)
		w.ok(w.store.OpenSession(w.Context(), armada.Executor{ID: "east", Kind: armada.ExecutorNative, Session: "ours", Lease: time.Minute}))
		w.reports(phase("jobRunRunning", "east", run))
		if j := w.full(armada.JobID(run[:26])).Job; j.State != armada.JobLeased {
			w.Errorf("the job is %s: a report was taken although another kind of executor has the id", j.State)
		}
		w.polls("east", run)
		last, err := w.store.Executor(w.Context(), "east")
		w.ok(err)
		if first.Kind != armada.Executor2026 || last.Kind != armada.Executor2026 || last.Session == first.Session || last.Session == "ours" {
			w.Errorf("the executor was %+v and is %+v", first, last)
		}
		w.reports(phase("jobRunRunning", "east", run))
		w.tells(armada.JobID(run[:26]), "leased running")
	})
}

func TestTheSessionStaysUntilTheExecutorIsSilentForLong(t *testing.T) {
	inWorld(t, func(w *world) {
		session := func() armada.SessionID {
			e, err := w.store.Executor(w.Context(), "east")
			w.ok(err)
			return e.Session
		}
		w.polls("east")
		first := session()
		for range 100 {
			pause(5 * time.Second)
			w.polls("east")
		}
		if session() != first {
			w.Error("it got another session although it was never silent")
		}
		pause(time.Hour)
		w.polls("east")
		if session() == first {
			w.Error("its session is the one that was silent: its runs may be given up under it")
		}
	})
}

func TestOddNodesDoNotFailTheCall(t *testing.T) {
	inWorld(t, func(w *world) {
		odd := node("n1", nil)
		odd["pool"] = "default-reserved"
		odd["total_resources"] = map[string]any{"cpu": quantity("1e1"), "memory": quantity("16Gi"), "example.com/unknown": quantity("3"), "pods": quantity("110")}
		odd["available_resources"] = map[string]any{"cpu": quantity("-3")}
		odd["non_armada_allocated_resources"] = map[int32]any{
			2000001000: wiretable.Fields{"resources": map[string]any{"cpu": quantity("100m"), "pods": quantity("2")}},
		}
		unnamed, plain := node("", nil), node("n2", nil)
		w.asks(wiretable.Fields{
			"executor_id": "east", "pool": "default", "resources": map[string]any{"cpu": quantity("-3")}, "nodes": []wiretable.Fields{odd, unnamed, plain},
		})
		all, err := w.store.Executors(w.Context())
		w.ok(err)
		nodes := all[0].Nodes
		if len(nodes) != 2 {
			w.Fatalf("the nodes are %+v", nodes)
		}
		i := slices.IndexFunc(nodes, func(n armada.Node) bool { return n.Name == "n1" })
		if n := nodes[i]; n.Pool != "default-reserved" || n.Allocatable[0] != 10_000 || n.Allocatable[1] != 16<<30 ||
			len(n.Others) != 1 || n.Others[0].Priority != 2000001000 || n.Others[0].Used[0] != 100 {
			w.Errorf("the odd node is %+v", n)
		}
		if n := nodes[1-i]; n.Pool != "default" || n.Allocatable[0] != 8000 {
			w.Errorf("the plain node is %+v", n)
		}
	})
}

func TestNothingIsStartedInARestoredStoreWhileUnknownRunsAreReported(t *testing.T) {
	inWorld(t, func(w *world) {
		_, run := w.leased("east")
		w.polls("east")
		w.ok(w.store.Restored(w.Context(), time.Minute))
		unknown := string(armada.NewRunID("01job999999999999999999999", 1))
		for range 20 { // of five seconds: beyond the first hold
			w.has("while an unknown run is reported", w.polls("east", unknown).Runs())
			pause(5 * time.Second)
		}
		pause(30 * time.Second)
		w.has("when it is gone", w.polls("east").Runs(), run)
	})
}

func TestARequestOfAnIDThatIsNoneIsRefusedWithTheField(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, id := range []string{"", "no/slash"} {
			_, err := Ask(w.Context(), w.conn, wiretable.Fields{"executor_id": id})
			if err == nil || !strings.Contains(err.Error(), "executor_id") {
				w.Errorf("%q was answered with %v", id, err)
			}
		}
	})
}
