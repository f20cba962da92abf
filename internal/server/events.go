package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/auth"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
)

// eventService is api.Event: the streams of events that users watch.
//
// A stream holds a cursor and nothing else: it reads a piece from the store,
// sends it, and waits for the store's signal when there is no more. A watcher
// that takes its messages slowly is slow by itself.
type eventService struct {
	api.UnimplementedEventServer

	auth      *auth.Authorizer
	store     store.Store
	submitted *submitted
	stopping  <-chan struct{} // closed when the server stops
	health    *health
	reports   Executors2020 // what executors of 2020 tell; may be nil
	now       func() time.Time
}

// eventsPerRead is how many events are read at once.
const eventsPerRead = 500

// openMark is a header that tells the gateway that a stream is open, so that it
// can answer before there is an event.
const openMark = "armada-stream-open"

// GetJobSetEvents sends the events of a job set after the one that the caller
// has seen. With watch it goes on until the caller leaves, and never ends with
// OK; without, it ends after the last event that there was at the beginning.
func (s *eventService) GetJobSetEvents(r *api.JobSetRequest, stream grpc.ServerStreamingServer[api.EventStreamMessage]) error {
	var wrong violations
	if r.GetId() == "" {
		wrong.add("id", "must not be empty: it names the job set")
	}
	return s.send(&reading{
		key:     store.JobSetKey{Queue: r.GetQueue(), JobSet: armada.JobSet(unslash(stream.Context(), r.GetId()))},
		from:    r.GetFromMessageId(),
		watch:   r.GetWatch(),
		demand:  r.GetErrorIfMissing(),
		service: s,
	}, wrong, stream)
}

// Watch is GetJobSetEvents as clients between the years called it.
func (s *eventService) Watch(r *api.WatchRequest, stream grpc.ServerStreamingServer[api.EventStreamMessage]) error {
	var wrong violations
	if r.GetJobSetId() == "" {
		wrong.add("job_set_id", "must not be empty")
	}
	return s.send(&reading{
		key:     store.JobSetKey{Queue: r.GetQueue(), JobSet: armada.JobSet(r.GetJobSetId())},
		from:    r.GetFromId(),
		watch:   true,
		demand:  true,
		service: s,
	}, wrong, stream)
}

// Health tells whether the server takes calls.
func (s *eventService) Health(context.Context, *emptypb.Empty) (*api.HealthCheckResponse, error) {
	return s.health.answer(), nil
}

// Report takes an event of an executor of 2020.
func (s *eventService) Report(ctx context.Context, m *api.EventMessage) (*emptypb.Empty, error) {
	if s.reports == nil {
		return s.UnimplementedEventServer.Report(ctx, m)
	}
	return s.reports.Report(ctx, m)
}

// ReportMultiple takes events of an executor of 2020.
func (s *eventService) ReportMultiple(ctx context.Context, list *api.EventList) (*emptypb.Empty, error) {
	if s.reports == nil {
		return s.UnimplementedEventServer.ReportMultiple(ctx, list)
	}
	return s.reports.ReportMultiple(ctx, list)
}

// reading is one stream.
type reading struct {
	key     store.JobSetKey
	from    string // the id of the last event that was seen
	watch   bool
	demand  bool // that the job set exists
	service *eventService
	permit  *permit

	after store.Cursor // sent so far
	until store.Cursor // the end, without watch
	begun begun        // nil when the first event there was came first
}

// begun are the jobs of a stream whose beginning was sent and whose end was not.
// The first events of a job set may not be kept any more, and with them the
// beginnings of jobs that are forgotten: the rest of such jobs is left out, since
// watchers fall over a job that they have not seen submitted.
type begun map[armada.JobID]bool

// hides tells whether an event, the next one of the stream, is of a job whose
// beginning was not sent.
func (b begun) hides(e *armada.Event) bool {
	if e.Kind == armada.EventSubmitted {
		b[e.Job] = true
	}
	told := b[e.Job]
	if e.Kind == armada.EventSucceeded || e.Kind == armada.EventCancelled || e.Kind == armada.EventFailed && !e.Retryable {
		delete(b, e.Job)
	}
	return !told
}

func (s *eventService) send(r *reading, wrong violations, stream grpc.ServerStreamingServer[api.EventStreamMessage]) error {
	ctx := stream.Context()
	if r.key.Queue == "" {
		wrong.add("queue", "must not be empty")
	}
	if err := wrong.err("there is nothing to watch"); err != nil {
		return err
	}
	var err error
	r.permit, err = permitted(ctx, s.now, func(ctx context.Context) error {
		_, err := s.auth.Authorize(ctx, armada.VerbWatch, r.key.Queue)
		return err
	})
	if err != nil {
		return err
	}
	// An id of another form was made by another server: the stream begins anew,
	// because watchers repeat what fails for ever.
	r.after, _ = wire.Cursor(strings.TrimSpace(r.from))

	signal, stop := s.store.Watch(r.key) // before the first read, to miss nothing
	defer stop()
	exists, err := r.open(ctx)
	if err != nil {
		return err
	}
	if err := stream.SendHeader(metadata.Pairs(openMark, "1")); err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	if !exists && !r.watch {
		return nil
	}
	for {
		done, err := r.drain(ctx, stream)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopping:
			return errStopping
		case <-signal:
		}
	}
}

// errStopping ends streams that would go on: the caller connects again, to
// another replica or to the next life of this one.
var errStopping = &armada.Error{Code: armada.CodeUnavailable, Message: "the server stops; connect again"}

// open finds out whether the job set exists, as far as the caller wants to
// know, and where a stream that does not watch ends.
func (r *reading) open(ctx context.Context) (bool, error) {
	last, err := r.service.store.LastEvent(ctx, r.key)
	if err == nil {
		r.until = last
		return true, nil
	}
	if armada.CodeOf(err) != armada.CodeNotFound {
		return false, fmt.Errorf("look for the last event of the job set: %w", err)
	}
	if r.demand {
		return false, &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("there is no job set %q in the queue %q", clip(string(r.key.JobSet), 100), clip(r.key.Queue, 100))}
	}
	if r.watch {
		return false, nil // the queue, too, may come later
	}
	if _, err := r.service.store.Queue(ctx, r.key.Queue); armada.CodeOf(err) == armada.CodeNotFound {
		return false, noQueue(ctx, r.service.auth, r.service.store, r.key.Queue)
	} else if err != nil {
		return false, fmt.Errorf("look up the queue: %w", err)
	}
	return false, nil
}

// drain sends what there is, and tells whether the stream is over.
func (r *reading) drain(ctx context.Context, stream grpc.ServerStreamingServer[api.EventStreamMessage]) (bool, error) {
	for {
		events, next, err := r.service.store.ReadEvents(ctx, r.key, r.after, eventsPerRead)
		switch armada.CodeOf(err) {
		case armada.CodeOutOfRange:
			// Seen by the caller once and not kept any more, or never written
			// here: it gets all that there is.
			if r.after == (store.Cursor{}) {
				return true, fmt.Errorf("read from the first event: %w", err)
			}
			r.after = store.Cursor{}
			continue
		case armada.CodeNotFound:
			return !r.watch, nil
		default:
			if err != nil {
				return true, fmt.Errorf("read events: %w", err)
			}
		}
		if len(events) == 0 {
			return !r.watch, nil
		}
		if err := r.permit.holds(ctx); err != nil {
			return true, err
		}
		if done, err := r.sendAll(ctx, events, next, stream); done || err != nil {
			return done, err
		}
		select {
		case <-r.service.stopping:
			if r.watch {
				return true, errStopping
			}
		default:
		}
		if len(events) < eventsPerRead { // whatever came meanwhile is signalled
			return !r.watch, nil
		}
	}
}

// sendAll sends a piece, which lies in one incarnation, and tells whether the
// stream is over.
func (r *reading) sendAll(ctx context.Context, events []armada.Event, next store.Cursor, stream grpc.ServerStreamingServer[api.EventStreamMessage]) (bool, error) {
	jobs, err := r.service.submitted.jobs(ctx, r.key, events)
	if err != nil {
		return true, err
	}
	if r.after.Incarnation != next.Incarnation { // it begins here
		if r.begun = nil; events[0].Number > 1 {
			r.begun = begun{}
		}
	}
	for i := range events {
		e := &events[i]
		r.after = store.Cursor{Incarnation: next.Incarnation, Number: e.Number}
		hidden := r.begun != nil && r.begun.hides(e)
		if message := wire.Event(r.key, e, jobs[e.Job]); message != nil && !hidden {
			if err := stream.Send(&api.EventStreamMessage{Id: wire.CursorID(r.after), Message: message}); err != nil {
				return true, fmt.Errorf("send an event: %w", err)
			}
		}
		if !r.watch && r.after.Incarnation == r.until.Incarnation && r.after.Number >= r.until.Number {
			return true, nil
		}
	}
	return false, nil
}
