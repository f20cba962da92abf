package leader

import (
	"slices"
	"testing"

	"armada"
	"armada/internal/scheduling"
)

func TestExplanationsTellTheMostHopefulReasonFirst(t *testing.T) {
	t.Parallel()
	var x Explanations
	job := aJob("j1")
	job.State = armada.JobQueued
	if r := x.Reasons(job); r != nil || x.Leading() {
		t.Errorf("a replica that does not lead explains: %v", r)
	}
	x.publish(nil)
	if r := x.Reasons(job); len(r) != 1 || r[0].Code != armada.ReasonNoExecutor {
		t.Errorf("without pools the reasons are %v", r)
	}
	waits := func(code armada.ReasonCode) []scheduling.Waiting {
		return []scheduling.Waiting{{Queue: "physics", Shape: twoCores}, {Queue: "physics", Shape: oneCore, Reason: armada.Reason{Code: code}}}
	}
	x.publish([]*pool{
		{name: "cpu", waiting: waits(armada.ReasonTooLarge)},
		{name: "gpu", waiting: waits(armada.ReasonInsufficient)},
		{name: "new"},
	})
	var told []string
	for _, r := range x.Reasons(job) {
		told = append(told, r.Pool+": "+r.String())
	}
	want := []string{"new: not considered yet", "gpu: no node has enough free resources", "cpu: no node is large enough"}
	if !slices.Equal(told, want) {
		t.Errorf("reasons are %q, want %q", told, want)
	}
	job.State = armada.JobRunning
	if r := x.Reasons(job); r != nil {
		t.Errorf("a running job waits: %v", r)
	}
	if w, known := x.Waiting("gpu"); !known || len(w) != 2 {
		t.Errorf("pool gpu: %v, %v", w, known)
	}
	if _, known := x.Waiting("none"); known {
		t.Error("an unknown pool is known")
	}
	x.clear()
	if x.Leading() {
		t.Error("cleared, and still leading")
	}
}

func TestAMemberOfAnIncompleteGangIsToldAboutItsGang(t *testing.T) {
	t.Parallel()
	var x Explanations
	incomplete := armada.Reason{Code: armada.ReasonGangIncomplete, Have: 1, Want: 2}
	x.publish([]*pool{{name: "cpu", waiting: []scheduling.Waiting{
		{Queue: "physics", Shape: oneCore, JobSet: "set", Gang: "g", Reason: incomplete},
		{Queue: "physics", Shape: oneCore, Reason: armada.Reason{Code: armada.ReasonInsufficient}},
	}}})
	for _, c := range []struct {
		gang, set string
		want      armada.ReasonCode
	}{
		{"g", "set", armada.ReasonGangIncomplete},
		{"g", "another set", armada.ReasonInsufficient},
		{"h", "set", armada.ReasonInsufficient},
		{"", "set", armada.ReasonInsufficient},
	} {
		job := aJob("j1")
		job.State, job.JobSet = armada.JobQueued, armada.JobSet(c.set)
		job.Gang = armada.Gang{ID: c.gang, Cardinality: 2}
		if r := x.Reasons(job); len(r) != 1 || r[0].Code != c.want {
			t.Errorf("gang %q of %q waits because of %v, want code %d", c.gang, c.set, r, c.want)
		}
	}
}
