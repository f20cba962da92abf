package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var retryTests = []scenario{
	{"a retry policy reads as it was put", policyReadsAsPut},
	{"only an existing retry policy is updated", onlyExistingPolicyIsUpdated},
	{"a deleted retry policy is taken off every queue", deletedPolicy},
	{"an attempt is repeated as the queue's policies say", attemptIsRepeated},
	{"a queue that names no policy has the default one", defaultPolicy},
	{"no policy gives more attempts than the installation allows", mostRetries},
	{"what a job has learned is kept", lessonsAreKept},
	{"a policy counts from when it is put, on every replica", policyCountsEverywhere},
}

// fullPolicy has every field set; it repeats what ends with the exit code 3.
func fullPolicy(name string) armada.RetryPolicy {
	return armada.RetryPolicy{Name: name, Limit: 2, Default: armada.RetryFail, Rules: []armada.RetryRule{
		{Action: armada.RetryFail, Category: "user", Subcategory: "bug"},
		{Action: armada.RetryAgain, ExitCodes: []int32{3}, AvoidNode: true, Memory: armada.MemoryGrowth{Factor: 1.5}},
		{Action: armada.RetryAgain, Conditions: armada.RetryConditions(), Message: `^\"ü`, Memory: armada.MemoryGrowth{Extra: 1 << 30}},
	}}
}

func (w *world) policy(name string) armada.RetryPolicy {
	w.t.Helper()
	p, err := w.RetryPolicy(w.ctx, name)
	w.ok(err)
	return p
}

func policyReadsAsPut(t *testing.T, form Form) {
	w := open(t, form)
	want := []armada.RetryPolicy{fullPolicy("a"), {Name: "b", Default: armada.RetryAgain}}
	w.ok(w.PutRetryPolicy(w.ctx, armada.RetryPolicy{Name: "b", Limit: 9, Default: armada.RetryFail}))
	w.ok(w.PutRetryPolicy(w.ctx, fullPolicy("a")))
	w.ok(w.PutRetryPolicy(w.ctx, armada.RetryPolicy{Name: "b", Default: armada.RetryAgain}))
	for range 2 {
		all, err := w.RetryPolicies(w.ctx)
		w.ok(err)
		if diff := cmp.Diff(want, all); diff != "" {
			t.Error("the policies (-want +got):\n", diff)
		}
		if diff := cmp.Diff(want[0], w.policy("a")); diff != "" {
			t.Error("the policy (-put +read):\n", diff)
		}
		w.reopen()
	}
}

func onlyExistingPolicyIsUpdated(t *testing.T, form Form) {
	w := open(t, form)
	w.code(w.UpdateRetryPolicy(w.ctx, fullPolicy("p")), armada.CodeNotFound)
	_, err := w.RetryPolicy(w.ctx, "p")
	w.code(err, armada.CodeNotFound)
	w.ok(w.PutRetryPolicy(w.ctx, armada.RetryPolicy{Name: "p", Limit: 9}))
	w.ok(w.UpdateRetryPolicy(w.ctx, fullPolicy("p")))
	if diff := cmp.Diff(fullPolicy("p"), w.policy("p")); diff != "" {
		t.Error("the policy (-put +read):\n", diff)
	}
	w.ok(w.DeleteRetryPolicy(w.ctx, "p"))
	w.code(w.UpdateRetryPolicy(w.ctx, fullPolicy("p")), armada.CodeNotFound)
}

func deletedPolicy(t *testing.T, form Form) {
	w := open(t, form)
	w.ok(w.DeleteRetryPolicy(w.ctx, "nobody"))
	for _, name := range []string{"p", "pp"} {
		w.ok(w.PutRetryPolicy(w.ctx, fullPolicy(name)))
	}
	named := armada.Queue{
		Name: "named", PriorityFactor: 2.5, Labels: map[string]string{"p": "p", "ü": "\"p\""}, RetryPolicies: []string{"pp", "p", "other"},
		Limits: map[string]armada.ResourceFractions{"p": {Maximum: map[string]float64{"cpu": 1e-7}}},
	}
	labelled := armada.Queue{Name: "labelled", PriorityFactor: 1, Labels: map[string]string{"p": "p"}}
	w.ok(w.PutQueue(w.ctx, named))
	w.ok(w.PutQueue(w.ctx, labelled))
	at, err := w.End(w.ctx)
	w.ok(err)
	w.ok(w.DeleteRetryPolicy(w.ctx, "p"))
	_, err = w.RetryPolicy(w.ctx, "p")
	w.code(err, armada.CodeNotFound)
	named.RetryPolicies = []string{"pp", "other"}
	changes, _, err := w.Changes(w.ctx, at, 100)
	w.ok(err)
	if diff := cmp.Diff([]armada.Queue{named}, changes.Queues); diff != "" {
		t.Error("what the feed tells (-want +got):\n", diff)
	}
	w.reopen()
	for _, want := range []armada.Queue{named, labelled} {
		got, err := w.Queue(w.ctx, want.Name)
		w.ok(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("the queue (-want +got):\n", diff)
		}
	}
}

// fails leases a job and lets its run end with an exit code.
func (w *world) fails(id armada.JobID, code int32) armada.JobState {
	w.t.Helper()
	w.must(lease(id))
	c := report(lifecycle.ReportFailed, id, w.job(id).Attempts)
	c.End = armada.RunEnd{Reason: "it failed", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: code}}}
	r := w.change(c)
	if r.Verdict != lifecycle.Applied {
		w.t.Fatalf("the failure of job %s was not applied: %v %s", id, r.Verdict, r.Why)
	}
	state := w.job(id).State
	for _, d := range r.Retries {
		if again := state == armada.JobQueued; again != (d.Outcome == lifecycle.RetryGranted) || d.Policy == "" {
			w.t.Errorf("the job is %s, and it was decided %+v", state, d)
		}
	}
	if state == armada.JobQueued && len(r.Retries) != 1 {
		w.t.Errorf("the job is queued again, and the decisions are %+v", r.Retries)
	}
	return state
}

func attemptIsRepeated(t *testing.T, form Form) {
	w := open(t, form)
	w.ok(w.PutRetryPolicy(w.ctx, fullPolicy("threes")))
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "a", PriorityFactor: 1, RetryPolicies: []string{"missing", "threes"}}))
	ids := w.submit("a", "set", 2)
	other := w.submit("b", "set", 1)[0]
	for _, step := range []struct {
		id   armada.JobID
		code int32
		want armada.JobState
	}{
		{ids[0], 3, armada.JobQueued},
		{ids[1], 4, armada.JobFailed},
		{other, 3, armada.JobFailed},
		{ids[0], 3, armada.JobQueued},
		{ids[0], 3, armada.JobFailed},
	} {
		if got := w.fails(step.id, step.code); got != step.want {
			t.Fatalf("after exit code %d of attempt %d the job is %s, want %s", step.code, w.job(step.id).Attempts, got, step.want)
		}
	}
	var retryable []bool
	for _, e := range w.events("a", "set") {
		if e.Job == ids[0] && e.Kind == armada.EventFailed {
			retryable = append(retryable, e.Retryable)
		}
	}
	if diff := cmp.Diff([]bool{true, true, false}, retryable); diff != "" {
		t.Error("failed events that say that another attempt follows (-want +got):\n", diff)
	}
	full, err := w.Job(w.ctx, ids[0])
	w.ok(err)
	if len(full.Runs) != 3 || full.Runs[0].State != armada.RunFailed || full.Runs[0].End.Containers[0].ExitCode != 3 {
		t.Errorf("the attempts: %+v", full.Runs)
	}
}

func defaultPolicy(t *testing.T, form Form) {
	w := open(t, form, func(c *Config) { c.Retries.Default = "threes" })
	w.ok(w.PutRetryPolicy(w.ctx, armada.RetryPolicy{Name: "never", Limit: 5, Default: armada.RetryFail}))
	w.ok(w.PutQueue(w.ctx, armada.Queue{Name: "b", PriorityFactor: 1, RetryPolicies: []string{"never"}}))
	before := w.submit("a", "set", 1)[0]
	if got := w.fails(before, 3); got != armada.JobFailed {
		t.Errorf("there is no such policy and the job is %s", got)
	}
	w.ok(w.PutRetryPolicy(w.ctx, fullPolicy("threes")))
	if got := w.fails(w.submit("a", "set", 1)[0], 3); got != armada.JobQueued {
		t.Errorf("the default policy repeats it and the job is %s", got)
	}
	if got := w.fails(w.submit("b", "set", 1)[0], 3); got != armada.JobFailed {
		t.Errorf("the queue's own policy does not repeat it and the job is %s", got)
	}
}

func mostRetries(t *testing.T, form Form) {
	w := open(t, form, func(c *Config) { c.Retries = store.Retries{Most: 1, Default: "threes"} })
	w.ok(w.PutRetryPolicy(w.ctx, fullPolicy("threes")))
	id := w.submit("a", "set", 1)[0]
	for _, want := range []armada.JobState{armada.JobQueued, armada.JobFailed} {
		if got := w.fails(id, 3); got != want {
			t.Errorf("after attempt %d the job is %s, want %s", w.job(id).Attempts, got, want)
		}
	}
}

func lessonsAreKept(t *testing.T, form Form) {
	w := open(t, form, func(c *Config) { c.Retries.Default = "threes" })
	w.ok(w.PutRetryPolicy(w.ctx, fullPolicy("threes")))
	id := w.submit("a", "set", 1)[0]
	w.must(lease(id))
	back := report(lifecycle.ReportReturned, id, 1)
	back.MaxAttempts, back.Node = 4, "node-0"
	w.must(back)
	w.fails(id, 3)
	want := &armada.Lessons{Returned: 1, Retried: 1, Avoid: []string{"node-0", "node-1"}, Memory: armada.MemoryGrowth{Factor: 1.5}}
	w.reopen()
	if diff := cmp.Diff(want, w.job(id).Lessons); diff != "" {
		t.Error("lessons (-want +got):\n", diff)
	}
	m := newMirror()
	m.load(t, w.Store)
	if diff := cmp.Diff(want, m.jobs[id].Job.Lessons); diff != "" {
		t.Error("lessons that the leader loads (-want +got):\n", diff)
	}
	w.must(lease(id))
	orders, err := w.Orders(w.ctx, []armada.RunID{armada.NewRunID(id, 3)})
	w.ok(err)
	if len(orders) != 1 || !cmp.Equal(orders[0].Job.Lessons, want) {
		t.Errorf("the order to start the third attempt: %+v", orders)
	}
}

func policyCountsEverywhere(t *testing.T, form Form) {
	w := open(t, form)
	other := w.replica()
	ids := w.submit("a", "set", 3)
	w.fails(ids[0], 3) // so that this one has looked
	w.ok(other.PutRetryPolicy(w.ctx, fullPolicy("p")))
	w.ok(other.PutQueue(w.ctx, armada.Queue{Name: "a", PriorityFactor: 1, RetryPolicies: []string{"p"}}))
	if got := w.fails(ids[1], 3); got != armada.JobQueued {
		t.Errorf("another replica put a policy and the job is %s", got)
	}
	w.ok(other.DeleteRetryPolicy(w.ctx, "p"))
	if got := w.fails(ids[2], 3); got != armada.JobFailed {
		t.Errorf("another replica deleted the policy and the job is %s", got)
	}
}
