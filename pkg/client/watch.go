package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/pkg/api"
)

// Stream is a place in the events of a job set, and how to read on from there.
type Stream struct {
	Queue  string
	JobSet string
	// From is the id of the last event that was seen; empty means the beginning.
	From string
	// MustExist makes a job set without any event an error, NOT_FOUND; otherwise
	// Watch waits for its first one.
	MustExist bool
	// Interrupted, if set, is told when the stream broke, why, and how long Watch
	// pauses before it connects again. It is called by the goroutine of Watch.
	Interrupted func(err error, pause time.Duration)
}

// ErrStop is what a visit function returns to end a stream without an error.
var ErrStop = errors.New("stop the stream")

// Watch calls visit with every event of a job set, in order, from the place
// that the stream names, and goes on until ctx ends or visit returns an error:
// nil then for [ErrStop], otherwise that error. When the connection breaks or
// the server ends the stream, Watch connects again and continues after the last
// event, with growing pauses while that fails; no event is lost or repeated.
//
// It returns what repeating does not cure: NOT_FOUND, PERMISSION_DENIED,
// UNAUTHENTICATED, INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE and
// UNIMPLEMENTED.
func (c *Client) Watch(ctx context.Context, s Stream, visit func(*api.EventStreamMessage) error) error {
	return c.read(ctx, s, true, visit)
}

// History calls visit with every event that there is already, as Watch does,
// and returns after the last one.
func (c *Client) History(ctx context.Context, s Stream, visit func(*api.EventStreamMessage) error) error {
	return c.read(ctx, s, false, visit)
}

// Await watches a job set until jobs of it have ended, and returns the state in
// which each of them did. Visit, if it is not nil, is called with every event as by
// Watch; an error of it ends the waiting too, and what has ended by then is returned
// with it.
//
// Jobs without an event after the stream's place are waited for without end, so the
// place should be one of before they were submitted; empty is.
func (c *Client) Await(ctx context.Context, s Stream, jobs []string, visit func(*api.EventStreamMessage) error) (map[string]armada.JobState, error) {
	ended := map[string]armada.JobState{}
	awaited := map[string]bool{}
	for _, id := range jobs {
		awaited[id] = true
	}
	if len(awaited) == 0 {
		return ended, nil
	}
	var progress Progress
	err := c.Watch(ctx, s, func(m *api.EventStreamMessage) error {
		if visit != nil {
			if err := visit(m); err != nil {
				return err
			}
		}
		progress.Apply(m.GetMessage())
		id := Head(m.GetMessage()).Job
		if state := progress.State(id); awaited[id] && state.Terminal() {
			ended[id] = state
		}
		if len(ended) == len(awaited) {
			return ErrStop
		}
		return nil
	})
	return ended, err
}

func (c *Client) read(ctx context.Context, s Stream, watch bool, visit func(*api.EventStreamMessage) error) error {
	reading := &reading{stream: s, watch: watch, visit: visit}
	for following := time.Duration(0); ; {
		last := s.From
		err := reading.once(ctx, c.Events)
		s.From = reading.stream.From
		var mine *visitError
		switch {
		case errors.As(err, &mine):
			if errors.Is(mine.error, ErrStop) {
				return nil
			}
			return mine.error
		case ctx.Err() != nil:
			return fmt.Errorf("watch the job set %q of the queue %q: %w", s.JobSet, s.Queue, context.Cause(ctx))
		case errors.Is(err, io.EOF) && !watch:
			return nil
		case final(err):
			return fmt.Errorf("watch the job set %q of the queue %q: %w", s.JobSet, s.Queue, err)
		}
		if s.From != last {
			following = 0 // it got on: begin with short pauses again
		}
		var pause time.Duration
		pause, following = c.pauses.next(following)
		if s.Interrupted != nil {
			s.Interrupted(err, pause)
		}
		if wait(ctx, pause) != nil {
			return fmt.Errorf("watch the job set %q of the queue %q: %w", s.JobSet, s.Queue, context.Cause(ctx))
		}
	}
}

// final tells of errors that another attempt would meet again.
func final(err error) bool {
	switch status.Code(err) {
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// reading is a stream over any number of connections; its place moves on.
type reading struct {
	stream Stream
	watch  bool
	visit  func(*api.EventStreamMessage) error
}

// visitError is the caller's own.
type visitError struct{ error }

// once reads until the stream ends; io.EOF when the server ended it with OK.
func (r *reading) once(ctx context.Context, events api.EventClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &r.stream
	stream, err := events.GetJobSetEvents(ctx, &api.JobSetRequest{
		Queue: s.Queue, Id: s.JobSet, FromMessageId: s.From, Watch: r.watch, ErrorIfMissing: s.MustExist,
	})
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		if id := message.GetId(); id != "" && id == s.From {
			continue // a server that includes the place it was asked to go on after
		}
		if err := r.visit(message); err != nil {
			return &visitError{err}
		}
		s.From = message.GetId()
	}
}
