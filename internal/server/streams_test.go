package server_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/lifecycle"
	"armada/pkg/api"
)

func TestAWatchingStreamEndsWithUnavailableWhenTheServerStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.submitted("set", items(1))
	stream, err := w.event.GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: "q", Id: "set", Watch: true})
	ok(t, err)
	for range 2 {
		_, err := stream.Recv()
		ok(t, err)
	}
	go w.stop()
	_, err = stream.Recv()
	wantCode(t, err, codes.Unavailable)
}

func TestAStreamThatDoesNotWatchEndsAfterTheLastEventThereWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.submitted("set", items(700)) // more than one read
	messages := w.events("set")
	if len(messages) != 1400 {
		t.Errorf("read %d events, want 1400", len(messages))
	}
	seen := map[string]bool{}
	for _, m := range messages {
		if m.GetId() == "" || seen[m.GetId()] {
			t.Fatalf("the id %q is empty or was there before", m.GetId())
		}
		seen[m.GetId()] = true
	}
}

func TestASubmittedEventCarriesTheJobWithItsSpec(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(2)
	list[1].Namespace, list[1].ClientId, list[1].Priority = "lab", "c1", 7
	list[1].Labels, list[1].Annotations = map[string]string{"l": "{JobId}"}, map[string]string{"a": "{{JobId}}"}
	ids := w.submitted("set", list)
	for i, m := range []*api.EventStreamMessage{w.events("set")[0], w.events("set")[2]} {
		event := m.GetMessage().GetSubmitted()
		job := event.GetJob()
		spec := job.GetPodSpec()
		if job.GetId() != ids[i] || event.GetJobId() != ids[i] || job.GetQueue() != "q" || job.GetJobSetId() != "set" || job.GetOwner() != "anonymous" ||
			spec.GetContainers()[0].GetImage() != "busybox" || len(job.GetPodSpecs()) != 0 {
			t.Errorf("the job is %v", job)
		}
		if spec.GetPriorityClassName() != "armada-default" {
			t.Errorf("the spec has no defaults: %v", spec)
		}
		if want := []string{"default", "lab"}[i]; job.GetNamespace() != want {
			t.Errorf("the namespace is %q, want %q", job.GetNamespace(), want)
		}
		if i == 1 && (job.GetClientId() != "c1" || job.GetPriority() != 7 || job.GetLabels()["l"] != ids[1] || job.GetAnnotations()["a"] != "{JobId}") {
			t.Errorf("the job is %v", job)
		}
	}
}

func TestEveryJobBeginsWithSubmittedAndQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ids := w.submitted("set", items(3))
	messages := w.events("set")
	if got, want := kindsOf(messages, ""), strings.TrimSpace(strings.Repeat("submitted queued ", 3)); got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	for _, id := range ids {
		if got := kindsOf(messages, id); got != "submitted queued" {
			t.Errorf("the events of %s are %s", id, got)
		}
	}
}

func TestTheTimeOfAJobsEventsNeverGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for i, shift := range []time.Duration{-10 * time.Second, 10 * time.Second} {
		set := []string{"behind", "ahead"}[i]
		id := w.submitted(set, items(1))[0]
		w.change(id, lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "default"}})
		for _, kind := range []lifecycle.ChangeKind{lifecycle.ReportPending, lifecycle.ReportRunning, lifecycle.ReportSucceeded} {
			w.change(id, lifecycle.Change{Kind: kind, At: time.Now().Add(shift)})
		}
		var last time.Time
		for _, m := range w.events(set) {
			name, event := inside(m)
			created := createdOf(event)
			if created.Before(last) || created.After(time.Now()) {
				t.Errorf("%s: %s was created %s, after an event of %s", set, name, created, last)
			}
			last = created
		}
	}
}

// createdOf is when an event happened.
func createdOf(event proto.Message) time.Time {
	if e, ok := event.(interface{ GetCreated() *timestamppb.Timestamp }); ok && e.GetCreated() != nil {
		return e.GetCreated().AsTime()
	}
	return time.Time{}
}

// life makes every kind of event happen in a job set.
func (w *world) life(set string) {
	w.t.Helper()
	ids := w.submitted(set, items(4))
	w.start(ids[0])
	w.change(ids[0], lifecycle.Change{Kind: lifecycle.ReportIngress, Addresses: map[int32]string{80: "h:1"}})
	w.change(ids[0], lifecycle.Change{Kind: lifecycle.ReportUsage, Usage: &armada.Usage{Max: map[string]string{"cpu": "1"}}})
	w.change(ids[0], lifecycle.Change{Kind: lifecycle.ReportSucceeded})
	w.start(ids[1])
	w.change(ids[1], lifecycle.Change{Kind: lifecycle.ReportReturned, Attempted: true, End: armada.RunEnd{Reason: "no room"}})
	w.change(ids[2], lifecycle.Change{Kind: lifecycle.Reject, Reason: "too large"})
	w.start(ids[3])
	w.change(ids[3], lifecycle.Change{Kind: lifecycle.Expire, Run: armada.NewRunID(armada.JobID(ids[3]), 1)})
	_, err := w.submit.ReprioritizeJobs(w.t.Context(), &api.JobReprioritizeRequest{Queue: "q", JobSetId: set, NewPriority: 3})
	ok(w.t, err)
}

func TestEveryMessageHasAnIDAnEventAndATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.life("set")
	for _, m := range w.events("set") {
		name, event := inside(m)
		a, isEvent := event.(about)
		if m.GetId() == "" || !isEvent || a.GetJobId() == "" || a.GetQueue() != "q" || a.GetJobSetId() != "set" || createdOf(event).IsZero() {
			t.Errorf("%s is incomplete: %v", name, m)
		}
	}
}

func TestAPreemptedJobFailsForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", []*api.JobSubmitRequestItem{{PodSpec: pod(preemptible)}})[0]
	w.start(id)
	answer, err := w.submit.PreemptJobs(t.Context(), &api.JobPreemptRequest{Queue: "q", JobSetId: "set", JobIds: []string{id, "other"}, Reason: "for a test"})
	ok(t, err)
	if got := answer.GetPreemptionResults(); len(got) != 2 || got[id] != "" || got["other"] == "" {
		t.Errorf("the results are %v", got)
	}
	w.change(id, lifecycle.Change{Kind: lifecycle.ReportStopped})
	messages := w.events("set")
	if got, want := kindsOf(messages, id), "submitted queued leased pending running preempting preempted failed"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	if messages[len(messages)-1].GetMessage().GetFailed().GetRetryable() {
		t.Error("the failure says that the job is tried again")
	}
}

func TestCancellingAQueuedJobGivesFourEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for set, cancel := range map[string]func(string){
		"by id": func(id string) {
			_, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{JobId: id, Reason: "enough"})
			ok(t, err)
		},
		"by set": func(string) {
			_, err := w.submit.CancelJobSet(t.Context(), &api.JobSetCancelRequest{Queue: "q", JobSetId: "by set", Reason: "enough"})
			ok(t, err)
		},
	} {
		id := w.submitted(set, items(1))[0]
		cancel(id)
		messages := w.events(set)
		if got, want := kindsOf(messages, ""), "submitted queued cancelling cancelled"; got != want {
			t.Errorf("%s: the events are %s, want %s", set, got, want)
		}
		last := messages[len(messages)-1].GetMessage().GetCancelled()
		if last.GetReason() != "enough" || last.GetRequestor() != "anonymous" {
			t.Errorf("%s: the last event is %v", set, last)
		}
	}
}

func TestCancellingARunningJobIsAWishUntilItsRunEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))[0]
	w.start(id)
	for range 2 {
		answer, err := w.submit.CancelJobs(t.Context(), &api.JobCancelRequest{JobIds: []string{id}, Queue: "q", JobSetId: "set"})
		ok(t, err)
		if got := answer.GetCancelledIds(); len(got) != 1 || got[0] != id {
			t.Errorf("cancelled %v, want %s", got, id)
		}
	}
	if got, want := kindsOf(w.events("set"), id), "submitted queued leased pending running cancelling"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	w.change(id, lifecycle.Change{Kind: lifecycle.ReportStopped})
	if got, want := kindsOf(w.events("set"), id), "submitted queued leased pending running cancelling cancelled"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
}

func TestThereIsOneTerminalEventUnderRepeatedAndLateReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))[0]
	w.start(id)
	w.change(id, lifecycle.Change{Kind: lifecycle.ReportRunning})
	for range 2 {
		w.change(id, lifecycle.Change{Kind: lifecycle.ReportFailed, End: armada.RunEnd{Reason: "exit 3", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 3}}}})
	}
	w.change(id, lifecycle.Change{Kind: lifecycle.ReportPending})
	messages := w.events("set")
	if got, want := kindsOf(messages, id), "submitted queued leased pending running failed"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	failed := messages[len(messages)-1].GetMessage().GetFailed()
	if failed.GetExitCodes()["main"] != 3 || failed.GetContainerStatuses()[0].GetExitCode() != 3 || failed.GetClusterId() != "e1" {
		t.Errorf("the failure is %v", failed)
	}
}

func TestWatchingAJobSetThatDoesNotExistYetWaitsUnlessItMust(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, queue := range []string{"q", "later"} {
		_, err := w.history(&api.JobSetRequest{Queue: queue, Id: "new", Watch: true, ErrorIfMissing: true})
		wantCode(t, err, codes.NotFound)
		stream, err := w.event.GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: queue, Id: "new", Watch: true})
		ok(t, err)
		_, err = stream.Header() // the stream is open
		ok(t, err)
		_, err = w.submit.CreateQueue(t.Context(), &api.Queue{Name: queue, PriorityFactor: 1})
		ok(t, err)
		_, err = w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: queue, JobSetId: "new", JobRequestItems: items(1)})
		ok(t, err)
		m, err := stream.Recv()
		ok(t, err)
		if name, _ := inside(m); name != "submitted" {
			t.Errorf("the first event is %s", name)
		}
	}
}

func TestReadingAJobSetThatDoesNotExist(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	messages, err := w.history(&api.JobSetRequest{Queue: "q", Id: "never"})
	if err != nil || len(messages) != 0 {
		t.Errorf("a job set that does not exist answers %v, %v", messages, err)
	}
	_, err = w.history(&api.JobSetRequest{Queue: "q", Id: "never", ErrorIfMissing: true})
	wantCode(t, err, codes.NotFound)
	_, err = w.history(&api.JobSetRequest{Queue: "never", Id: "never"})
	wantCode(t, err, codes.NotFound)
	_, err = w.history(&api.JobSetRequest{})
	wantCode(t, err, codes.InvalidArgument)
}

func TestAStreamResumesAfterTheMessageThatWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.submitted("set", items(3))
	all := w.events("set")
	for i, m := range all {
		rest, err := w.history(&api.JobSetRequest{Queue: "q", Id: "set", FromMessageId: m.GetId()})
		ok(t, err)
		if len(rest) != len(all)-i-1 || len(rest) > 0 && rest[0].GetId() != all[i+1].GetId() {
			t.Errorf("after message %d of %d come %d", i+1, len(all), len(rest))
		}
	}
}

func TestIDsOfOtherServersReplayFromTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.submitted("set", items(1))
	for _, id := range []string{"1603273948012-0", "1603273948012:0:0:1", "nonsense", "7-99", "1-99"} {
		messages, err := w.history(&api.JobSetRequest{Queue: "q", Id: "set", FromMessageId: id})
		ok(t, err)
		if got := kindsOf(messages, ""); got != "submitted queued" {
			t.Errorf("from %s the events are %s", id, got)
		}
	}
}

func TestWatchGoesOnWithWhatHappens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	id := w.submitted("set", items(1))[0]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := w.event.Watch(ctx, &api.WatchRequest{Queue: "q", JobSetId: "set"})
	ok(t, err)
	go func() {
		w.start(id)
		w.change(id, lifecycle.Change{Kind: lifecycle.ReportSucceeded})
	}()
	var names []string
	for range 6 {
		m, err := stream.Recv()
		ok(t, err)
		name, _ := inside(m)
		names = append(names, name)
	}
	if got, want := strings.Join(names, " "), "submitted queued leased pending running succeeded"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	cancel()
	if _, err := stream.Recv(); err == nil || err == io.EOF { //nolint:errorlint // gRPC's very value
		t.Errorf("a stream that was left ends with %v", err)
	}
}

// FuzzAStreamBeginsAfterAnyID resumes a stream after what somebody says is the id
// of a message: whatever it is, the events after it come, or all.
func FuzzAStreamBeginsAfterAnyID(f *testing.F) {
	w := newWorld(f, options{})
	w.submitted("set", items(2))
	all := w.events("set")
	for _, m := range all {
		f.Add(m.GetId())
	}
	for _, id := range []string{"", " ", "0", "-", "1-", "-1", "1-0", "1-5", "01-1", "9223372036854775807-9223372036854775807", "1603273948012-0", "1755684000000:12:3:1", "ä-1"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		id = strings.ReplaceAll(strings.ToValidUTF8(id, "?"), "\x00", "?") // others are no text
		want := all
		for i, m := range all {
			if m.GetId() == strings.TrimSpace(id) {
				want = all[i+1:]
			}
		}
		stream, err := w.event.GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: "q", Id: "set", FromMessageId: id})
		ok(t, err)
		for _, m := range want {
			got, err := stream.Recv()
			if err != nil || got.GetId() != m.GetId() {
				t.Fatalf("after %q comes %v, %v, want %s", id, got, err, m.GetId())
			}
		}
		if got, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after %q and all the rest comes %v, %v", id, got, err)
		}
	})
}
