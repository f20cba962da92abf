package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
)

func TestABareJobIDCancelsAndIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))[0]
	for range 2 {
		answer, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{JobId: id})
		ok(t, err)
		if got := answer.GetCancelledIds(); !slices.Equal(got, []string{id}) {
			t.Errorf("cancelled %v, want %s", got, id)
		}
	}
}

func TestOnlyJobsOfTheQueueAndJobSetGivenAreCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	here, there := w.submitted("here", items(1))[0], w.submitted("there", items(1))[0]
	answer, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{JobIds: []string{here, there, "never", here}, Queue: "q", JobSetId: "here"})
	ok(t, err)
	if got := answer.GetCancelledIds(); !slices.Equal(got, []string{here}) {
		t.Errorf("cancelled %v, want %s", got, here)
	}
	if got := w.job(there).Job.State; got != armada.JobQueued {
		t.Errorf("the other job is %s", got)
	}
}

func TestCancellingByJobSetAnswersTheRealIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ids := w.submitted("set", items(3))
	for _, want := range [][]string{ids, nil} {
		answer, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{Queue: "q", JobSetId: "set"})
		ok(t, err)
		if got := answer.GetCancelledIds(); !slices.Equal(got, want) {
			t.Errorf("cancelled %v, want %v", got, want)
		}
	}
	_, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{Queue: "never", JobSetId: "set"})
	wantCode(t, err, codes.NotFound)
}

func TestACancelNeedsAnIDOrAJobSetAndAShortReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{Reason: strings.Repeat("x", 1025)})
	wantCode(t, err, codes.InvalidArgument)
	wantPaths(t, err, "queue", "job_set_id", "reason")
	_, err = w.submit.CancelJobSet(t.Context(), &api.JobSetCancelRequest{Filter: &api.JobSetFilter{States: []api.JobState{api.JobState_QUEUED, api.JobState_FAILED}}})
	wantPaths(t, err, "queue", "job_set_id", "filter.states[1]")
}

func TestACancelledJobSetLosesTheJobsInTheStatesGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, c := range []struct {
		states []api.JobState
		want   []bool // cancelled: the queued, the leased, the running job
	}{
		{nil, []bool{true, true, true}},
		{[]api.JobState{api.JobState_QUEUED}, []bool{true, false, false}},
		{[]api.JobState{api.JobState_PENDING}, []bool{false, true, false}},
		{[]api.JobState{api.JobState_PENDING, api.JobState_RUNNING}, []bool{false, true, true}},
	} {
		set := "set " + strings.Join(strings.Fields(stateNames(c.states)), "-")
		ids := w.submitted(set, items(3))
		w.change(ids[1], lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "default"}})
		w.start(ids[2])
		_, err := w.submit.CancelJobSet(t.Context(), &api.JobSetCancelRequest{Queue: "q", JobSetId: set, Filter: &api.JobSetFilter{States: c.states}})
		ok(t, err)
		for i, id := range ids {
			job := w.job(id).Job
			if got := job.State == armada.JobCancelled || job.Wish.Kind == armada.WishCancel; got != c.want[i] {
				t.Errorf("%s: job %d is %s with wish %d", set, i, job.State, job.Wish.Kind)
			}
		}
	}
}

func stateNames(states []api.JobState) string {
	var names []string
	for _, s := range states {
		names = append(names, s.String())
	}
	return strings.Join(names, " ")
}

func TestCancellingAJobSetThatIsOverIsFine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, set := range []string{"never", "over"} {
		if set == "over" {
			id := w.submitted(set, items(1))[0]
			w.start(id)
			w.change(id, lifecycle.Change{Kind: lifecycle.ReportSucceeded})
		}
		_, err := w.submit.CancelJobSet(t.Context(), &api.JobSetCancelRequest{Queue: "q", JobSetId: set})
		ok(t, err)
	}
	if got := kindsOf(w.events("over"), ""); strings.Contains(got, "cancel") {
		t.Errorf("the events are %s", got)
	}
}

func TestReprioritisingAJobSetAnswersEveryActiveJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ids := w.submitted("set", items(3))
	w.start(ids[1])
	w.change(ids[2], lifecycle.Change{Kind: lifecycle.Cancel})
	answer, err := w.submit.ReprioritizeJobs(t.Context(), &api.JobReprioritizeRequest{Queue: "q", JobSetId: "set", NewPriority: 4.6})
	ok(t, err)
	results := answer.GetReprioritizationResults()
	if len(results) != 2 || results[ids[0]] != "" || results[ids[1]] != "" {
		t.Errorf("the results are %v", results)
	}
	messages := w.events("set")
	for _, id := range ids[:2] {
		if got := kindsOf(messages, id); strings.Count(got, "reprioritized") != 1 || w.job(id).Job.Priority != 5 {
			t.Errorf("the events of %s are %s", id, got)
		}
	}
}

func TestReprioritisingByIDAnswersEveryIDAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ids := w.submitted("set", items(2))
	w.change(ids[1], lifecycle.Change{Kind: lifecycle.Cancel})
	answer, err := w.submit.ReprioritizeJobs(t.Context(), &api.JobReprioritizeRequest{JobIds: []string{ids[0], ids[1], "never"}, NewPriority: 4})
	ok(t, err)
	results := answer.GetReprioritizationResults()
	if len(results) != 3 || results[ids[0]] != "" || !strings.Contains(results[ids[1]], "cancelled") || results["never"] == "" {
		t.Errorf("the results are %v", results)
	}
}

func TestLargeCancelsGoInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.submitted("set", items(2500))
	answer, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{Queue: "q", JobSetId: "set"})
	ok(t, err)
	if got := len(answer.GetCancelledIds()); got != 2500 {
		t.Errorf("cancelled %d", got)
	}
}

// failing is a store whose later transitions find it gone.
type failing struct {
	store.Store
	left int
}

func (f *failing) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	if f.left--; f.left < 0 {
		return nil, &armada.Error{Code: armada.CodeUnavailable, Message: "the database is away"}
	}
	return f.Store.Transition(ctx, fence, units)
}

// Statement 6 of the compatibility notes.
func TestNoCallThatCommittedSomethingAnswersUnavailable(t *testing.T) {
	t.Parallel()
	for left, want := range map[int]codes.Code{0: codes.Unavailable, 1: codes.Aborted} {
		w := newWorld(t, options{wrapStore: func(s store.Store) store.Store { return &failing{Store: s, left: left} }})
		w.submitted("set", items(1500))
		_, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{Queue: "q", JobSetId: "set"})
		wantCode(t, err, want)
		if want == codes.Aborted && !strings.Contains(err.Error(), "1000 of 1500") {
			t.Errorf("the error does not say how far it came: %v", err)
		}
	}
}

func TestNamesWithTheCharacterNULAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.CancelJobSet(t.Context(), &api.JobSetCancelRequest{Queue: "q\x00", JobSetId: "s\x00"})
	wantPaths(t, err, "queue", "job_set_id")
	_, err = w.history(&api.JobSetRequest{Queue: "q", Id: "s\x00"})
	wantCode(t, err, codes.InvalidArgument)
	_, err = w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "s\x00", JobRequestItems: items(1)})
	wantPaths(t, err, "job_set_id")
	_, err = w.jobs.GetJobStatus(t.Context(), &api.JobStatusRequest{JobIds: []string{"a", "\x00"}})
	wantPaths(t, err, "job_ids[1]")
	list := items(2)
	list[1].Annotations = map[string]string{"note": "\x00"}
	list[1].PodSpecs[0].Containers[0].Args = []string{"\x00"} // a matter of the spec
	_, err = w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "s", JobRequestItems: list})
	wantPaths(t, err, "job_request_items[1].annotations[note]")
	if answer, body := w.call(http.MethodPost, "/v1/job/cancel", `{"jobId":"x","reason":"\u0000"}`); answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, "reason: must not contain the character NUL") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

func TestAJobWhoseClassIsNotPreemptibleKeepsItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))[0]
	w.start(id)
	answer, err := w.submit.PreemptJobs(t.Context(), &api.JobPreemptRequest{JobIds: []string{id}})
	ok(t, err)
	if got, want := answer.GetPreemptionResults()[id], "its priority class armada-default is not preemptible: it can be cancelled"; got != want {
		t.Errorf("the result is %q, want %q", got, want)
	}
	if got, want := kindsOf(w.events("set"), id), "submitted queued leased pending running"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
}

func TestJobsOfAQueueThatDoesNotExistAreNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))
	for name, call := range map[string]func(ids []string) error{
		"cancel": func(ids []string) error {
			_, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{Queue: "nope", JobSetId: "set", JobIds: ids})
			return err
		},
		"preempt": func(ids []string) error {
			_, err := w.submit.PreemptJobs(t.Context(), &api.JobPreemptRequest{Queue: "nope", JobSetId: "set", JobIds: ids})
			return err
		},
		"reprioritise": func(ids []string) error {
			_, err := w.submit.ReprioritizeJobs(t.Context(), &api.JobReprioritizeRequest{Queue: "nope", JobSetId: "set", JobIds: ids})
			return err
		},
	} {
		for _, ids := range [][]string{nil, id} {
			err := call(ids)
			wantCode(t, err, codes.NotFound)
			if err != nil && !strings.Contains(err.Error(), `could not find queue "nope"`) {
				t.Errorf("%s of %d jobs: %v", name, len(ids), err)
			}
		}
	}
}
