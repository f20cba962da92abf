package compat

import (
	"testing"

	"armada"
	"armada/internal/lifecycle"
	"armada/test/compat/wiretable"
)

// scenario is what may happen to a job, and what its watchers see of it.
type scenario struct {
	name string
	play func(w *world, set, id string)
	want string           // the kinds of the job's events, in order
	last func(event) bool // whether the last event tells what it has to; nil for any
}

// begun are the events of a job that came as far as running.
const begun = "submitted queued leased pending running"

// happens are changes, one after the other.
func happens(list ...lifecycle.Change) func(w *world, set, id string) {
	return func(w *world, _, id string) { w.do(id, list...) }
}

// What may happen to jobs, besides what happens to most.
var (
	rejected  = lifecycle.Change{Kind: lifecycle.Reject, Reason: "too large"}
	displaced = lifecycle.Change{Kind: lifecycle.Preempt, Reason: "the place was needed"}
	returned  = lifecycle.Change{Kind: lifecycle.ReportReturned, Attempted: true, End: armada.RunEnd{Reason: "no room"}}
	counted   = lifecycle.Change{Kind: lifecycle.ReportReturned, MaxAttempts: 2, End: armada.RunEnd{Reason: "no room"}}
	lost      = lifecycle.Change{Kind: lifecycle.Expire}
	reachable = lifecycle.Change{Kind: lifecycle.ReportIngress, Addresses: map[int32]string{80: "h:1"}}
	using     = lifecycle.Change{Kind: lifecycle.ReportUsage, Usage: &armada.Usage{Max: map[string]string{"cpu": "1"}}}
)

// scenarios are those that users of the original know.
var scenarios = []scenario{
	{
		name: "success", play: happens(leased, pending, running, succeeded), want: begun + " succeeded",
		last: func(e event) bool {
			return e.text("cluster_id") == "e1" && e.text("node_name") == "n1" && e.text("pod_name") != "" && e.text("kubernetes_id") != ""
		},
	},
	{
		name: "success with an address and usage", play: happens(leased, pending, running, reachable, using, succeeded),
		want: begun + " ingress_info utilisation succeeded",
	},
	{
		name: "running is reported before pending",
		play: func(w *world, _, id string) {
			w.do(id, leased, running)
			w.change(id, pending)
			w.do(id, succeeded)
		},
		want: "submitted queued leased running succeeded",
	},
	{
		name: "a container fails", play: happens(leased, pending, running, failed), want: begun + " failed",
		last: func(e event) bool {
			return e.text("reason") == "it failed" && e.text("failure_category") == "user" && e.text("failure_subcategory") == "app"
		},
	},
	{
		name: "rejected", play: happens(rejected), want: "submitted queued failed",
		last: func(e event) bool {
			const causeRejected = 4
			return wiretable.At(e.body, "cause").Enum() == causeRejected && e.text("reason") == "too large"
		},
	},
	{name: "cancelled by id while queued", play: cancelByID, want: "submitted queued cancelling cancelled", last: asked},
	{
		name: "cancelled by id while running",
		play: func(w *world, set, id string) {
			w.do(id, leased, pending, running)
			cancelByID(w, set, id)
			w.do(id, stopped)
		},
		want: begun + " cancelling cancelled", last: asked,
	},
	{
		name: "cancelled by job set while pending",
		play: func(w *world, set, id string) {
			w.do(id, leased, pending)
			w.must("api.Submit/CancelJobSet", Fields{"queue": "q", "job_set_id": set, "reason": "enough"})
			w.do(id, stopped)
		},
		want: "submitted queued leased pending cancelling cancelled", last: asked,
	},
	{
		name: "it succeeds before it is stopped",
		play: func(w *world, set, id string) {
			w.do(id, leased, pending, running)
			cancelByID(w, set, id)
			w.do(id, succeeded)
		},
		want: begun + " cancelling succeeded",
	},
	{
		name: "reprioritised by id",
		play: func(w *world, set, id string) {
			w.must("api.Submit/ReprioritizeJobs", Fields{"queue": "q", "job_set_id": set, "job_ids": []string{id}, "new_priority": 7.0})
		},
		want: "submitted queued reprioritizing reprioritized",
		last: func(e event) bool {
			return wiretable.At(e.body, "new_priority").Float() == 7 && e.text("requestor") == "anonymous"
		},
	},
	{
		name: "reprioritised by job set while leased",
		play: func(w *world, set, id string) {
			w.do(id, leased)
			w.must("api.Submit/ReprioritizeJobs", Fields{"queue": "q", "job_set_id": set, "new_priority": 7.0})
		},
		want: "submitted queued leased reprioritizing reprioritized",
	},
	{
		name: "preempted by a user",
		play: func(w *world, set, id string) {
			w.do(id, leased, pending, running)
			w.must("api.Submit/PreemptJobs", Fields{"queue": "q", "job_set_id": set, "job_ids": []string{id}, "reason": "enough"})
			w.do(id, stopped)
		},
		want: begun + " preempting preempted failed", last: final,
	},
	{
		name: "preempted by the scheduler", play: happens(leased, pending, running, displaced, stopped),
		want: begun + " preempted failed", last: final,
	},
	{
		name: "a lease is returned and the job runs again", play: happens(leased, pending, returned, leased, pending, running, succeeded),
		want: "submitted queued leased pending lease_returned leased pending running succeeded",
	},
	{
		name: "attempts are exhausted", play: happens(leased, counted, leased, counted),
		want: "submitted queued leased lease_returned leased lease_returned failed", last: final,
	},
	{name: "the executor is lost", play: happens(leased, pending, running, lost), want: begun + " lease_expired failed", last: final},
	{
		name: "a policy tries again",
		play: func(w *world, _, id string) {
			w.must("api.Submit/UpdateQueue", Fields{"name": "q", "priority_factor": 1.0, "retry_policies": []string{"again"}})
			w.do(id, leased, pending, running, failed, leased, pending, running, succeeded)
			w.must("api.Submit/UpdateQueue", Fields{"name": "q", "priority_factor": 1.0})
		},
		want: begun + " failed leased pending running succeeded",
	},
}

func TestTheEventsOfEachScenarioHaveTheirOrder(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		const fail, retry = 1, 2
		w.must("api.RetryPolicyService/CreateRetryPolicy", Fields{
			"name": "again", "retry_limit": 3, "default_action": fail, "rules": []Fields{{"action": retry, "on_category": "user"}},
		})
		for _, s := range scenarios {
			id := w.submit(s.name, preemptible())[0]
			s.play(w, s.name, id)
			events := w.history(s.name)
			if got := kinds(events, id); got != s.want {
				t.Errorf("%s: the events are\n%s, want\n%s", s.name, got, s.want)
			} else if last := events[len(events)-1]; s.last != nil && !s.last(last) {
				t.Errorf("%s: the last event is %s %v", s.name, last.kind, last.body)
			}
		}
	})
}

func cancelByID(w *world, set, id string) {
	w.must("api.Submit/CancelJobs", Fields{"queue": "q", "job_set_id": set, "job_ids": []string{id}, "reason": "enough"})
}

// asked tells who asked for it and why.
func asked(e event) bool { return e.text("requestor") == "anonymous" && e.text("reason") == "enough" }

// final is a failure that no other attempt follows.
func final(e event) bool { return !wiretable.At(e.body, "retryable").Bool() && e.text("reason") != "" }
