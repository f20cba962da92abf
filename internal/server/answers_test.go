package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// crowded is a store with a job set of many active jobs, to all of which happens
// what is asked for.
type crowded struct {
	store.Store
	jobs int
}

func (c crowded) ActiveJobs(context.Context, store.JobSetKey, []armada.JobState) ([]armada.JobID, error) {
	ids := make([]armada.JobID, c.jobs)
	for i := range ids {
		ids[i] = armada.JobID(fmt.Sprintf("01kaz5w%019d", i))
	}
	return ids, nil
}

func (crowded) Transition(_ context.Context, _ store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	results := make([]store.UnitResult, len(units))
	for i := range results {
		results[i] = store.UnitResult{Verdict: lifecycle.Applied}
		if i == 0 {
			results[i] = store.UnitResult{Verdict: lifecycle.Refused, Why: "it has just ended"}
		}
	}
	return results, nil
}

// What was done must not look like a failure because the list of it is long.
func TestAnswersAboutManyJobsAreWhatClientsTake(t *testing.T) {
	t.Parallel()
	const jobs, taken = 300_000, 4 << 20 // what gRPC takes where nothing else is said
	w := newWorld(t, options{wrapStore: func(s store.Store) store.Store { return crowded{s, jobs} }})
	cancelled, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{Queue: "q", JobSetId: "set"})
	ok(t, err)
	if n, size := len(cancelled.GetCancelledIds()), proto.Size(cancelled); n < 100_000 || n > jobs-jobs/1000 || size > taken {
		t.Errorf("%d ids in %d bytes", n, size)
	}
	moved, err := w.submit.ReprioritizeJobs(t.Context(), &api.JobReprioritizeRequest{Queue: "q", JobSetId: "set", NewPriority: 1})
	ok(t, err)
	refused := 0
	for _, why := range moved.GetReprioritizationResults() {
		if why != "" {
			refused++
		}
	}
	if n, size := len(moved.GetReprioritizationResults()), proto.Size(moved); n < 80_000 || refused != jobs/1000 || size > taken {
		t.Errorf("%d results in %d bytes, %d of %d that were refused", n, size, refused, jobs/1000)
	}
}

func TestDetailsThatNoClientWouldTakeAreRefusedWithANumberThatFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	large := pod(func(p *corev1.PodSpec) { p.Containers[0].Args = []string{strings.Repeat("x", 60_000)} })
	list := make([]*api.JobSubmitRequestItem, 100)
	for i := range list {
		list[i] = &api.JobSubmitRequestItem{PodSpecs: []*corev1.PodSpec{large}}
	}
	ids := w.submitted("set", list)
	_, err := w.jobs.GetJobDetails(t.Context(), &api.JobDetailsRequest{JobIds: ids, ExpandJobSpec: true})
	wantCode(t, err, codes.InvalidArgument)
	wantPaths(t, err, "job_ids")
	var most int
	_, advice, _ := strings.Cut(err.Error(), "ask for ")
	_, err = fmt.Sscanf(advice, "at most %d at once", &most)
	ok(t, err)
	answer, err := w.jobs.GetJobDetails(t.Context(), &api.JobDetailsRequest{JobIds: ids[:most], ExpandJobSpec: true})
	if err != nil || len(answer.GetJobDetails()) != most || most < 50 {
		t.Errorf("of %d jobs, the details are %d: %v", most, len(answer.GetJobDetails()), err)
	}
}
