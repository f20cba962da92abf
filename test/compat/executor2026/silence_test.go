package executor2026

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/leader"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/scheduling"
	"armada/internal/server/executors"
	"armada/internal/store"
	"armada/test/compat/wiretable"
)

// lead starts a leader with the usual patience.
func (w *world) lead() {
	w.Helper()
	config := leader.Config{Scheduling: scheduling.Config{Resources: resources(), Classes: podspec.DefaultConfig().PriorityClasses}}
	for i := range config.Scheduling.Resources.Len() {
		config.Scheduling.FairnessMultipliers[i] = 1000
	}
	l, err := leader.New(config, leader.Parts{Store: w.store, Replica: store.Replica{Name: "a"}, Log: w.log})
	w.ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	w.Cleanup(func() {
		cancel()
		<-done
	})
}

// begins polls for an executor until it is given a run, and reports that it runs.
func (w *world) begins(executor string) (run string) {
	w.Helper()
	for range 100 {
		if answer := w.polls(executor); len(answer.Leases) > 0 {
			run = answer.Runs()[0]
			w.polls(executor, run)
			w.reports(phase("jobRunRunning", executor, run))
			return run
		}
		pause(5 * time.Second)
	}
	w.Fatalf("%s is given nothing", executor)
	return ""
}

func TestTheRunsOfASilentExecutorAreGivenUpAfterAnHour(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lead()
		id := w.submit(job{})
		w.begins("east")
		pause(5 * time.Minute)
		late := w.submit(job{})
		pause(54 * time.Minute)
		w.is(id, armada.JobRunning)
		w.is(late, armada.JobQueued) // it is closed long since
		pause(2 * time.Minute)
		w.tells(id, "leased running lease_expired failed")
		if end := w.full(id).Runs[0].End; end.Subcategory != armada.SubcategoryLeaseExpired {
			w.Errorf("the run ended with %+v", end)
		}
		w.is(late, armada.JobQueued)
		if run := w.begins("east"); run != string(late)+"-1" {
			w.Errorf("when it is back it is given %s", run)
		}
	})
}

func TestAJobOfASilentExecutorRunsElsewhereWhereAPolicySaysSo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.ok(w.store.PutRetryPolicy(w.Context(), armada.RetryPolicy{Name: "again", Limit: 1, Default: armada.RetryAgain}))
		w.ok(w.store.PutQueue(w.Context(), armada.Queue{Name: "q", PriorityFactor: 1, RetryPolicies: []string{"again"}}))
		w.lead()
		id := w.submit(job{})
		first := w.begins("east")
		pause(61 * time.Minute)
		w.is(id, armada.JobQueued)
		second := w.begins("west")
		if second != string(id)+"-2" {
			w.Errorf("west is given %s", second)
		}
		for range 2 {
			w.has("east, which is back, is told", w.polls("east", first).Cancels, first)
			pause(5 * time.Second)
		}
		w.reports(phase("jobRunSucceeded", "east", first)) // too late
		w.is(id, armada.JobRunning)
		w.reports(phase("jobRunSucceeded", "west", second))
		w.tells(id, "leased running lease_expired failed leased running succeeded")
	})
}

func TestItDoesNotMatterWhichReplicaARequestOrAReportReaches(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.conn, w.serve(executors.DefaultConfig())
		at := func(replica int) { w.conn = []*grpc.ClientConn{a, b}[replica] }
		id, run := w.leased("east")
		cancelled, other := w.leased("east")
		w.has("leases at a", w.polls("east").Runs(), run, other)
		at(1)
		w.has("leases at b", w.polls("east", run).Runs(), other)
		w.reports(phase("jobRunRunning", "east", run))
		at(0)
		w.polls("east", run, other)
		w.reports(phase("jobRunSucceeded", "east", run))
		w.cancel(cancelled)
		for i := range 8 { // each replica counts for itself
			at(i % 2)
			answer := w.polls("east", run, other)
			if i < 2 {
				w.has("cancels", answer.Cancels, other)
			}
			if i > 5 {
				w.has("cancels later", answer.Cancels, other, run)
			}
			pause(5 * time.Second)
		}
		at(1)
		w.polls("east")
		w.tells(id, "leased running succeeded")
		w.tells(cancelled, "leased cancelling cancelled")
	})
}

func TestANewerRequestEndsAnOlderOneOfTheSameExecutor(t *testing.T) {
	inWorld(t, func(w *world) {
		id, run := w.leased("east")
		w.polls("east", run)
		w.reports(phase("jobRunRunning", "east", run))
		w.change(lifecycle.Change{Kind: lifecycle.Cancel, Job: id, By: "ann"})
		// Many at once, all with the run: however they overtake each other, nobody
		// concludes that it is gone, and the last one is answered.
		results := make(chan error, 20)
		for range cap(results) {
			go func() {
				_, err := Ask(w.Context(), w.conn, wiretable.Fields{
					"executor_id": "east", "unassigned_job_run_ids": []string{run}, "nodes": []wiretable.Fields{node("n1", nil)},
				})
				results <- err
			}()
		}
		answered := 0
		for range cap(results) {
			if err := <-results; err == nil {
				answered++
			}
		}
		if answered == 0 {
			w.Error("not one of the requests was answered")
		}
		w.is(id, armada.JobRunning)
	})
}
