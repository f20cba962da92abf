package executors

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/runs"
	"armada/pkg/api/executorapi"
)

// logOrder is an order for a log that waits for its answer.
type logOrder struct {
	chunks chan *executorapi.LogChunk // not buffered: the reader sets the pace
	done   chan struct{}              // closed when nobody listens any more
	broken chan error                 // holds one: the answer ended before the log did
}

// Holds tells whether this replica holds the executor's stream.
func (s *Service) Holds(id armada.ExecutorID) bool {
	_, here := s.streamOf(id)
	return here
}

// Logs calls visit with the lines of a run, as its executor keeps them. The
// executor's stream must be held by this replica.
func (s *Service) Logs(ctx context.Context, id armada.ExecutorID, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	st, here := s.streamOf(id)
	if !here {
		return disconnected(id)
	}
	request := ulid.Make().String()
	o := &logOrder{chunks: make(chan *executorapi.LogChunk), done: make(chan struct{}), broken: make(chan error, 1)}
	s.mu.Lock()
	s.orders[request] = o
	s.mu.Unlock()
	defer func() {
		close(o.done)
		s.mu.Lock()
		delete(s.orders, request)
		s.mu.Unlock()
	}()
	order := &executorapi.LogsOrder{RequestId: request, RunId: string(run), Container: q.Container, TailLines: q.Tail, Follow: q.Follow, Previous: q.Previous}
	if !q.Since.IsZero() {
		order.Since = timestamppb.New(q.Since)
	}
	if err := st.order(ctx, &executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_Logs{Logs: order}}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-st.ended:
			return disconnected(id)
		case err := <-o.broken:
			return &armada.Error{Code: armada.CodeUnavailable, Message: fmt.Sprintf("the log broke off at executor %q: %v", id, err)}
		case chunk := <-o.chunks:
			if done, err := visitChunk(chunk, visit); done || err != nil {
				return err
			}
		}
	}
}

func disconnected(id armada.ExecutorID) error {
	return &armada.Error{Code: armada.CodeUnavailable, Message: fmt.Sprintf("executor %q, which keeps the log, is not connected", id)}
}

// visitChunk passes a chunk's lines on, and tells whether it was the last.
func visitChunk(chunk *executorapi.LogChunk, visit func(runs.LogLine) error) (done bool, err error) {
	for _, line := range chunk.GetLines() {
		l := runs.LogLine{Container: line.GetContainer(), Stderr: line.GetStream() == executorapi.LogLine_STDERR, Text: line.GetText()}
		if line.GetTimestamp() != nil {
			l.Time = line.GetTimestamp().AsTime()
		}
		if err := visit(l); err != nil {
			return false, err
		}
	}
	if chunk.GetError() != "" {
		return true, &armada.Error{Code: armada.CodeNotFound, Message: chunk.GetError()}
	}
	return chunk.GetDone(), nil
}

// SendLogs takes the answer to an order and hands it to who waits for it.
func (s *Service) SendLogs(call grpc.ClientStreamingServer[executorapi.LogChunk, emptypb.Empty]) error {
	if err := s.authorize(call.Context(), ""); err != nil {
		return err
	}
	var order *logOrder
	for {
		chunk, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return call.SendAndClose(&emptypb.Empty{})
		}
		if err != nil {
			if order != nil {
				select {
				case order.broken <- err:
				default:
				}
			}
			return err
		}
		s.mu.Lock()
		order = s.orders[chunk.GetRequestId()]
		s.mu.Unlock()
		if order == nil {
			return errNobodyWaits
		}
		select {
		case order.chunks <- chunk:
		case <-order.done:
			return errNobodyWaits
		case <-call.Context().Done():
			return context.Cause(call.Context())
		}
	}
}

var errNobodyWaits = status.Error(codes.Canceled, "nobody waits for this log any more")
