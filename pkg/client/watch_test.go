package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/pkg/api"
)

func queued(job string) *api.EventMessage {
	return &api.EventMessage{Events: &api.EventMessage_Queued{Queued: &api.JobQueuedEvent{JobId: job, Created: timestamppb.New(time.Unix(1, 0))}}}
}

// numbered serves the events 1, 2, 3 … after the one asked for, and ends the
// stream as told after so many.
func numbered(each int, end func(n int) error) func(int, *api.JobSetRequest, func(string, *api.EventMessage)) error {
	return func(n int, r *api.JobSetRequest, send func(string, *api.EventMessage)) error {
		last, _ := strconv.Atoi(r.GetFromMessageId())
		for i := last + 1; i <= last+each; i++ {
			send(strconv.Itoa(i), queued(fmt.Sprint("job ", i)))
		}
		return end(n)
	}
}

func TestAStreamThatBreaksInAnyWayLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	breaks := []error{
		errUnavailable, nil, status.Error(codes.Internal, "oh"), status.Error(codes.Unknown, "what"),
		status.Error(codes.ResourceExhausted, "much"), status.Error(codes.DeadlineExceeded, "late"),
		status.Error(codes.Canceled, "by the server"), status.Error(codes.Aborted, "no"),
	}
	f := &fake{onStream: numbered(3, func(n int) error { return breaks[n%len(breaks)] })}
	interrupted := 0
	stream := Stream{Queue: "q", JobSet: "s", From: "5", Interrupted: func(error, time.Duration) { interrupted++ }}
	next := 6
	err := connect(t, f, Config{}).Watch(t.Context(), stream, func(m *api.EventStreamMessage) error {
		if m.GetId() != strconv.Itoa(next) {
			t.Errorf("after %d came %s", next-1, m.GetId())
		}
		if next++; next > 60 {
			return ErrStop
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if interrupted < len(breaks) {
		t.Errorf("told of %d interruptions", interrupted)
	}
	for _, r := range f.streams {
		if !r.GetWatch() || r.GetQueue() != "q" || r.GetId() != "s" {
			t.Errorf("asked for %v", r)
		}
	}
}

func TestAnEventThatWasSeenIsNotShownAgain(t *testing.T) {
	t.Parallel()
	f := &fake{onStream: func(_ int, r *api.JobSetRequest, send func(string, *api.EventMessage)) error {
		if from := r.GetFromMessageId(); from != "" {
			send(from, queued("again")) // a server that takes the place as inclusive
		}
		send(r.GetFromMessageId()+"x", queued("new"))
		return errUnavailable
	}}
	var ids []string
	err := connect(t, f, Config{}).Watch(t.Context(), Stream{Queue: "q", JobSet: "s"}, func(m *api.EventStreamMessage) error {
		if ids = append(ids, m.GetId()); len(ids) == 3 {
			return ErrStop
		}
		return nil
	})
	if err != nil || !slices.Equal(ids, []string{"x", "xx", "xxx"}) {
		t.Errorf("%q, %v", ids, err)
	}
}

func TestErrorsThatRepeatingDoesNotCureEndAWatch(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.Unimplemented} {
		f := &fake{onStream: numbered(1, func(int) error { return status.Error(code, "for good") })}
		err := connect(t, f, Config{}).Watch(t.Context(), Stream{Queue: "q", JobSet: "s"}, func(*api.EventStreamMessage) error { return nil })
		if status.Code(err) != code || len(f.streams) != 1 {
			t.Errorf("%s: %v after %d attempts", code, err, len(f.streams))
		}
	}
}

func TestAWatchEndsWithItsContextAndWithItsVisitor(t *testing.T) {
	t.Parallel()
	f := &fake{onStream: numbered(1, func(int) error { return errUnavailable })}
	c := connect(t, f, Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	err := c.Watch(ctx, Stream{Queue: "q", JobSet: "s"}, func(*api.EventStreamMessage) error { cancel(enough); return nil })
	if !errors.Is(err, enough) {
		t.Errorf("with its context: %v", err)
	}
	err = c.Watch(t.Context(), Stream{Queue: "q", JobSet: "s"}, func(*api.EventStreamMessage) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("with its visitor: %v", err)
	}
}

func TestHistoryEndsWithTheLastEventOverAnyInterruption(t *testing.T) {
	t.Parallel()
	f := &fake{onStream: numbered(2, func(n int) error {
		if n < 3 {
			return errUnavailable
		}
		return nil
	})}
	n := 0
	err := connect(t, f, Config{}).History(t.Context(), Stream{Queue: "q", JobSet: "s"}, func(*api.EventStreamMessage) error { n++; return nil })
	if err != nil || n != 6 {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestProgressFollowsTheEventsOfEachJob(t *testing.T) {
	t.Parallel()
	failed := func(retryable bool) *api.EventMessage {
		return &api.EventMessage{Events: &api.EventMessage_Failed{Failed: &api.JobFailedEvent{JobId: "a", Retryable: retryable}}}
	}
	running := &api.EventMessage{Events: &api.EventMessage_Running{Running: &api.JobRunningEvent{JobId: "a"}}}
	usage := &api.EventMessage{Events: &api.EventMessage_Utilisation{Utilisation: &api.JobUtilisationEvent{JobId: "c"}}}
	cancelled := &api.EventMessage{Events: &api.EventMessage_Cancelled{Cancelled: &api.JobCancelledEvent{JobId: "b"}}}
	preempted := &api.EventMessage{Events: &api.EventMessage_Preempted{Preempted: &api.JobPreemptedEvent{JobId: "a"}}}
	var p Progress
	for i, step := range []struct {
		event *api.EventMessage
		job   string
		state armada.JobState
		done  bool
	}{
		{&api.EventMessage{}, "", 0, false},
		{usage, "c", 0, false},
		{queued("a"), "a", armada.JobQueued, false},
		{queued("b"), "b", armada.JobQueued, false},
		{running, "a", armada.JobRunning, false},
		{failed(true), "a", armada.JobQueued, false},
		{running, "a", armada.JobRunning, false},
		{cancelled, "b", armada.JobCancelled, false},
		{preempted, "a", armada.JobRunning, false},
		{failed(false), "a", armada.JobFailed, true},
		{running, "a", armada.JobFailed, true},
	} {
		p.Apply(step.event)
		if p.State(step.job) != step.state || p.Done() != step.done {
			t.Errorf("after step %d the job %s is %s, done is %t", i, step.job, p.State(step.job), p.Done())
		}
	}
	if p.Jobs() != 2 || p.Count(armada.JobFailed) != 1 || p.Count(armada.JobCancelled) != 1 || p.Count(armada.JobRunning) != 0 {
		t.Errorf("%+v", p)
	}
}
