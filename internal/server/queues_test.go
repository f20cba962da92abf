package server_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"armada/internal/lifecycle"
	"armada/pkg/api"
)

func TestCreatingAQueueTwiceReplacesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, q := range []*api.Queue{{Name: "x", PriorityFactor: 2, Labels: map[string]string{"a": "b"}}, {Name: "x", PriorityFactor: 3}} {
		_, err := w.submit.CreateQueue(t.Context(), q)
		ok(t, err)
	}
	got, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "x"})
	ok(t, err)
	if got.GetPriorityFactor() != 3 || len(got.GetLabels()) != 0 {
		t.Errorf("the queue is %v", got)
	}
}

func TestAQueueWithoutOwnersBelongsToWhoeverCreatesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	got, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
	ok(t, err)
	want := &api.Queue{Name: "q", PriorityFactor: 1, Permissions: []*api.Queue_Permissions{{
		Subjects: []*api.Queue_Permissions_Subject{{Kind: "User", Name: "anonymous"}}, Verbs: []string{"submit", "cancel", "preempt", "reprioritize", "watch"},
	}}}
	if !proto.Equal(got, want) {
		t.Errorf("the queue is %v, want %v", got, want)
	}
}

func TestAnUpdatedQueueIsExactlyWhatWasSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	want := &api.Queue{Name: "q", PriorityFactor: 4}
	_, err := w.submit.UpdateQueue(t.Context(), want)
	ok(t, err)
	for _, get := range []func() (*api.Queue, error){
		func() (*api.Queue, error) { return w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"}) },
		func() (*api.Queue, error) { return w.queue.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"}) },
	} {
		got, err := get()
		ok(t, err)
		if !proto.Equal(got, want) {
			t.Errorf("the queue is %v, want %v", got, want)
		}
	}
}

func TestUpdatingAnUnknownQueueIsNotFoundOverGRPC(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.UpdateQueue(t.Context(), &api.Queue{Name: "x", PriorityFactor: 1})
	wantCode(t, err, codes.NotFound)
	_, err = w.queue.GetQueue(t.Context(), &api.QueueGetRequest{Name: "x"})
	wantCode(t, err, codes.NotFound)
}

func TestAQueueWithoutPriorityFactorHasTheFactorOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "x"})
	ok(t, err)
	got, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "x"})
	ok(t, err)
	if got.GetPriorityFactor() != 1 {
		t.Errorf("the factor is %v", got.GetPriorityFactor())
	}
}

func TestALimitThatWouldHoldNobodyBackIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	half := map[string]float64{"cpu": 0.5}
	limits := map[string]*api.PriorityClassResourceLimits{
		"armada-default": {MaximumResourceFraction: half, MaximumResourceFractionByPool: map[string]*api.PriorityClassPoolResourceLimits{"gpu": {MaximumResourceFraction: half}}},
	}
	_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "good", ResourceLimitsByPriorityClassName: limits})
	ok(t, err)
	odd := map[string]float64{"cpu": -1, "wine": 0.5}
	limits["armada-standard"] = &api.PriorityClassResourceLimits{MaximumResourceFraction: half}
	limits["armada-preemptible"] = &api.PriorityClassResourceLimits{
		MaximumResourceFraction: odd, MaximumResourceFractionByPool: map[string]*api.PriorityClassPoolResourceLimits{"gpu": {MaximumResourceFraction: odd}},
	}
	_, err = w.submit.UpdateQueue(t.Context(), &api.Queue{Name: "good", ResourceLimitsByPriorityClassName: limits, ResourceLimits: odd})
	const of = "resource_limits_by_priority_class_name"
	wantPaths(t, err, of+"[armada-standard]", of+"[armada-preemptible].maximum_resource_fraction[cpu]", of+"[armada-preemptible].maximum_resource_fraction[wine]",
		of+"[armada-preemptible].maximum_resource_fraction_by_pool[gpu].maximum_resource_fraction[cpu]",
		of+"[armada-preemptible].maximum_resource_fraction_by_pool[gpu].maximum_resource_fraction[wine]", "resource_limits[cpu]")
	if err != nil && !strings.Contains(err.Error(), `"armada-standard" is no priority class`) {
		t.Errorf("the error does not say why: %v", err)
	}
	// Clients of 2020 name what their clusters may have.
	_, err = w.submit.CreateQueue(t.Context(), &api.Queue{Name: "old", ResourceLimits: map[string]float64{"wine": 0.5}})
	ok(t, err)
}

func TestEverythingWrongWithAQueueIsListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.CreateQueue(t.Context(), &api.Queue{
		Name: "not a label", PriorityFactor: 0.5, Labels: map[string]string{"": "x"}, RetryPolicies: []string{"r"},
		Permissions: []*api.Queue_Permissions{{Subjects: []*api.Queue_Permissions_Subject{{Kind: "Robot"}}, Verbs: []string{"fly"}}},
	})
	wantCode(t, err, codes.InvalidArgument)
	wantPaths(t, err, "name", "priority_factor", "permissions[0].subjects[0].kind", "permissions[0].subjects[0].name", "permissions[0].verbs[0]", "labels[]", "retry_policies[0]")
}

// listed reads a stream of queues to its end.
func listed(t *testing.T, stream grpc.ServerStreamingClient[api.StreamingQueueMessage], err error) []string {
	t.Helper()
	ok(t, err)
	var names []string
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return names
		}
		ok(t, err)
		if m.GetEnd() != nil {
			names = append(names, "<end>")
		} else {
			names = append(names, m.GetQueue().GetName())
		}
	}
}

func TestListsOfQueuesEndWithTheirMarker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	want := func(got []string, want ...string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("listed %v, want %v", got, want)
			return
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("listed %v, want %v", got, want)
			}
		}
	}
	both := func(num uint32, names ...string) {
		t.Helper()
		one, err := w.submit.GetQueues(t.Context(), &api.StreamingQueueGetRequest{Num: num})
		want(listed(t, one, err), names...)
		other, err := w.queue.GetQueues(t.Context(), &api.StreamingQueueGetRequest{Num: num})
		want(listed(t, other, err), names...)
	}
	both(0, "q", "<end>")
	for _, name := range []string{"b", "a"} {
		_, err := w.queue.CreateQueue(t.Context(), &api.Queue{Name: name, PriorityFactor: 1})
		ok(t, err)
	}
	both(0, "a", "b", "q", "<end>")
	both(2, "a", "b", "<end>")
	for _, name := range []string{"a", "b", "q"} {
		_, err := w.queue.DeleteQueue(t.Context(), &api.QueueDeleteRequest{Name: name})
		ok(t, err)
	}
	both(0, "<end>")
}

func TestAQueueCanBeDeletedRightAfterItsJobSetWasCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))[0]
	w.start(id)
	_, err := w.submit.DeleteQueue(t.Context(), &api.QueueDeleteRequest{Name: "q"})
	wantCode(t, err, codes.FailedPrecondition)
	_, err = w.submit.CancelJobSet(t.Context(), &api.JobSetCancelRequest{Queue: "q", JobSetId: "set"})
	ok(t, err)
	_, err = w.submit.DeleteQueue(t.Context(), &api.QueueDeleteRequest{Name: "q"})
	ok(t, err)
	_, err = w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
	wantCode(t, err, codes.NotFound)
}

func TestDeletingAQueueThatIsNotThereIsFine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.DeleteQueue(t.Context(), &api.QueueDeleteRequest{Name: "never"})
	ok(t, err)
}

func TestBatchesAnswerOnlyTheQueuesThatFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := &api.QueueList{Queues: []*api.Queue{{Name: "a", PriorityFactor: 1}, {Name: "b", PriorityFactor: 2}}}
	created, err := w.submit.CreateQueues(t.Context(), list)
	ok(t, err)
	updated, err := w.queue.UpdateQueues(t.Context(), list)
	ok(t, err)
	if len(created.GetFailedQueues()) != 0 || len(updated.GetFailedQueues()) != 0 {
		t.Errorf("failed: %v and %v", created, updated)
	}
	list.Queues = append(list.Queues, &api.Queue{Name: "never", PriorityFactor: 1}, &api.Queue{Name: "a", PriorityFactor: -1})
	updated, err = w.submit.UpdateQueues(t.Context(), list)
	ok(t, err)
	if got := updated.GetFailedQueues(); len(got) != 2 || got[0].GetQueue().GetName() != "never" || got[0].GetError() == "" || got[1].GetQueue().GetName() != "a" {
		t.Errorf("failed: %v", got)
	}
}

func TestACordonedQueueIsCordonedUntilItIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, step := range []struct {
		cordoned bool
		call     func() error
	}{
		{true, func() error {
			_, err := w.queue.CordonQueue(t.Context(), &api.QueueCordonRequest{Name: "q"})
			return err
		}},
		{false, func() error {
			_, err := w.queue.UncordonQueue(t.Context(), &api.QueueUncordonRequest{Name: "q"})
			return err
		}},
	} {
		ok(t, step.call())
		got, err := w.queue.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
		ok(t, err)
		if got.GetCordoned() != step.cordoned || len(got.GetPermissions()) != 1 {
			t.Errorf("the queue is %v", got)
		}
	}
	_, err := w.queue.CordonQueue(t.Context(), &api.QueueCordonRequest{Name: "never"})
	wantCode(t, err, codes.NotFound)
	_, err = w.queue.CordonQueue(t.Context(), &api.QueueCordonRequest{})
	wantCode(t, err, codes.InvalidArgument)
}

func TestQueueInfoCountsQueuedAndStartedJobsByJobSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	a := w.submitted("a", items(3))
	w.submitted("b", items(1))
	w.start(a[0])
	w.change(a[1], lifecycle.Change{Kind: lifecycle.Cancel})
	got, err := w.submit.GetQueueInfo(t.Context(), &api.QueueInfoRequest{Name: "q"})
	ok(t, err)
	want := &api.QueueInfo{Name: "q", ActiveJobSets: []*api.JobSetInfo{{Name: "a", QueuedJobs: 1, LeasedJobs: 1}, {Name: "b", QueuedJobs: 1}}}
	if !proto.Equal(got, want) {
		t.Errorf("the queue has %v, want %v", got, want)
	}
	got, err = w.submit.GetQueueInfo(t.Context(), &api.QueueInfoRequest{Name: "never"})
	ok(t, err)
	if len(got.GetActiveJobSets()) != 0 {
		t.Errorf("a queue that does not exist has %v", got)
	}
}
