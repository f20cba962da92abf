package executor2026

import (
	"testing"
	"time"

	"armada"
	"armada/test/compat/wiretable"
)

func TestStatement43AReturnedLeaseQueuesTheJobAlthoughTheErrorIsTerminal(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		back := func(run string) wiretable.Fields {
			return failure(run, wiretable.Fields{"podLeaseReturned": wiretable.Fields{
				"message": "no such image", "run_attempted": true, "debugMessage": "events", "objectMeta": meta("east", run),
			}})
		}
		w.reports(back(run))
		w.reports(back(run))
		w.is(id, armada.JobQueued)
		w.tells(id, "leased lease_returned")
		if e := w.events(id)[1]; e.Reason != "no such image" || !e.Attempted || e.Retryable {
			w.Errorf("the event is %+v", e)
		}
		if end := w.full(id).Runs[0].End; end.Debug != "events" {
			w.Errorf("the run ended with %+v", end)
		}
		for range 3 { // four in all
			w.polls("east")
			w.reports(back(w.lease(id, "east")))
		}
		w.is(id, armada.JobFailed)
		if end := w.full(id).Runs[3].End; end.Subcategory != armada.SubcategoryMaxRuns {
			w.Errorf("the last run ended with %+v", end)
		}
	})
}

func TestStatement44AWholeLifeInOneListIsToldOnceHoweverOftenItComes(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		for range 2 {
			w.reports(phase("jobRunAssigned", "east", run), phase("jobRunRunning", "east", run), phase("jobRunSucceeded", "east", run))
		}
		w.tells(id, "leased pending running succeeded")
		for _, e := range w.events(id)[1:] {
			if e.Executor != "east" || e.Pod.Name != "armada-"+string(id)+"-0" || e.Pod.Namespace != "space" || e.Pod.KubernetesID != "uid-"+run {
				w.Errorf("%s is told of %+v on %q", e.Kind, e.Pod, e.Executor)
			}
		}
		if e := w.events(id)[3]; e.Node != "n1" {
			w.Errorf("succeeded is told of node %q", e.Node)
		}
	})
}

func TestStatement45RunningNeedNotFollowAssignedAndAssignedAfterItTellsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		w.reports(phase("jobRunRunning", "east", run), phase("jobRunAssigned", "east", run))
		w.reports(phase("jobRunAssigned", "east", run))
		w.tells(id, "leased running")
		w.reports(phase("jobRunSucceeded", "east", run), phase("jobRunRunning", "east", run), phase("jobRunAssigned", "east", run))
		w.tells(id, "leased running succeeded")
	})
}

func TestStatement46ReportsOfUnknownRunsAndEmptyListsAreOK(t *testing.T) {
	inWorld(t, func(w *world) {
		w.ok(Report(w.Context(), w.conn))
		w.ok(Report(w.Context(), w.conn, sequence()))
		_, others := w.leased("west")
		id, run := w.leased("east")
		ended, over := w.leased("east")
		w.polls("east", run, over)
		w.polls("west", others)
		w.reports(phase("jobRunSucceeded", "east", over))
		unknown := string(armada.NewRunID("01job999999999999999999999", 1))
		w.reports(
			phase("jobRunRunning", "east", unknown), phase("jobRunRunning", "nobody", unknown), phase("jobRunRunning", "east", "strange"),
			phase("jobRunSucceeded", "east", others),          // not its own
			phase("jobRunSucceeded", "east", string(id)+"-2"), // not yet
			failure(over, wiretable.Fields{"podError": wiretable.Fields{"message": "late", "objectMeta": meta("east", over)}}),
			wiretable.Fields{"created": time.Now()},
			wiretable.Fields{"jobRunPreempted": wiretable.Fields{"preempted_job_id": string(id), "preempted_run_id": run}}, told("jobRunCancelled", unknown, nil),
			phase("jobRunRunning", "east", run),
		)
		w.tells(id, "leased running")
		w.tells(ended, "leased succeeded")
		w.is(armada.JobID(others[:26]), armada.JobLeased)
	})
}

func TestStatement49WhatHelpsToFindOutIsKeptAndTellsNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		w.reports(phase("jobRunRunning", "east", run))
		w.cancel(id)
		w.polls("east", run)
		w.reports(told("jobRunTerminatedDebugInfo", run, wiretable.Fields{"debugMessage": `{"node": "n1"}`}))
		w.polls("east")
		w.tells(id, "leased running cancelling cancelled")
		if end := w.full(id).Runs[0].End; end.Debug != `{"node": "n1"}` {
			w.Errorf("the run ended with %+v", end)
		}
	})
}

func TestAFailureTellsCauseCategoryAndContainers(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		w.reports(failure(run, wiretable.Fields{
			"failure_category": "user", "failure_subcategory": "memory",
			"podError": wiretable.Fields{
				"message": "too large", "node_name": "n1", "kubernetes_reason": 2, "debugMessage": "pod events", "objectMeta": meta("east", run),
				"containerErrors": []wiretable.Fields{
					{"exit_code": 137, "message": "m", "reason": "OOMKilled", "kubernetes_reason": 2, "objectMeta": wiretable.Fields{"name": "main"}},
				},
			},
		}))
		w.tells(id, "leased failed")
		e := w.events(id)[1]
		if e.Reason != "too large" || e.Node != "n1" || e.Retryable || e.End == nil {
			w.Fatalf("the event is %+v", e)
		}
		if c := e.End.Containers; e.End.Cause != armada.CauseOutOfMemory || e.End.Category != "user" || e.End.Subcategory != "memory" ||
			len(c) != 1 || c[0].Name != "main" || c[0].ExitCode != 137 || c[0].Reason != "OOMKilled" {
			w.Errorf("the end is %+v", e.End)
		}
	})
}

func TestFailuresThatSayLittleAreFailuresAllTheSame(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, e := range []wiretable.Fields{
			{}, // no reason that is known
			{"executorError": wiretable.Fields{}},
			{"failure_category": "internal", "failure_subcategory": "pod-missing", "podError": wiretable.Fields{"objectMeta": wiretable.Fields{"executor_id": "east"}}},
		} {
			id, run := w.leased("east")
			w.polls("east", run)
			w.reports(failure(run, e))
			w.tells(id, "leased failed")
		}
		id, run := w.leased("east")
		w.polls("east", run)
		w.reports(told("jobRunErrors", run, nil)) // not even an error
		w.tells(id, "leased failed")
	})
}

func TestIngressesAndUsageAreTold(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		w.reports(
			phase("jobRunRunning", "east", run),
			told("standaloneIngressInfo", run, wiretable.Fields{
				"objectMeta": meta("east", run), "ingress_addresses": map[int32]any{8080: "main.example:80"}, "node_name": "n1", "pod_name": "p", "pod_namespace": "space",
			}),
			told("resourceUtilisation", run, wiretable.Fields{
				"resource_info":            wiretable.Fields{"objectMeta": meta("east", run), "podInfo": wiretable.Fields{"node_name": "n1"}},
				"max_resources_for_period": map[string]any{"cpu": quantity("500m")}, "total_cumulative_usage": map[string]any{"cpu": quantity("7")},
			}),
		)
		w.tells(id, "leased running ingress_info utilisation")
		events := w.events(id)
		if events[2].Addresses[8080] != "main.example:80" || events[3].Usage.Max["cpu"] != "500m" || events[3].Usage.Cumulative["cpu"] != "7" {
			w.Errorf("told are %+v and %+v", events[2], events[3])
		}
	})
}

func TestTimesOfAnExecutorWhoseClockIsWrongNeverGoBackNorAhead(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		pause(time.Minute)
		for i, kind := range []string{"jobRunAssigned", "jobRunRunning", "jobRunSucceeded"} {
			e := phase(kind, "east", run)
			e["created"] = time.Now().Add([]time.Duration{-time.Hour, time.Hour, -10 * time.Second}[i])
			w.reports(e)
		}
		last := time.Time{}
		for _, e := range w.events(id) {
			if e.Created.Before(last) || e.Created.After(time.Now()) {
				w.Errorf("%s is dated %s, after one of %s, and it is %s", e.Kind, e.Created, last, time.Now())
			}
			last = e.Created
		}
		w.tells(id, "leased pending running succeeded")
	})
}

func TestOneListMayTellOfSeveralJobSetsAndExecutors(t *testing.T) {
	inWorld(t, func(w *world) {
		first, one := w.leased("east")
		second, other := w.leased("west")
		w.polls("east", one)
		w.polls("west", other)
		w.ok(Report(w.Context(), w.conn,
			sequence(phase("jobRunRunning", "east", one)),
			wiretable.Fields{"queue": "another", "job_set_name": "than they are in", "events": []wiretable.Fields{
				phase("jobRunRunning", "west", other), phase("jobRunSucceeded", "east", one),
			}},
		))
		w.tells(first, "leased running succeeded")
		w.tells(second, "leased running")
	})
}
