package executor

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/runs"
	"armada/pkg/api/executorapi"
)

// linesPerChunk bounds how many lines wait for company before they are sent;
// following a log, each line goes at once.
const linesPerChunk = 256

// sendLogs answers an order for a run's log. The server ends the call when
// nobody listens any more.
func (a *Agent) sendLogs(ctx context.Context, o *executorapi.LogsOrder) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := a.server.SendLogs(ctx)
	if err != nil {
		a.log.Warn("a log could not be sent", "run", o.GetRunId(), "error", err)
		return
	}
	answered := make(chan struct{})
	go func() { // the server's word ends the reading
		defer close(answered)
		_ = call.RecvMsg(new(emptypb.Empty))
		cancel()
	}()
	sender := logSender{call: call, request: o.GetRequestId(), most: linesPerChunk}
	if o.GetFollow() {
		sender.most = 1
	}
	query := runs.LogQuery{Container: o.GetContainer(), Tail: o.GetTailLines(), Follow: o.GetFollow(), Previous: o.GetPrevious()}
	if o.GetSince() != nil {
		query.Since = o.GetSince().AsTime()
	}
	err = a.runtime.Logs(ctx, armada.RunID(o.GetRunId()), query, sender.line)
	if ctx.Err() != nil {
		return // the log has not ended: the agent stops, or nobody listens
	}
	if err := sender.end(err); err != nil {
		if ctx.Err() == nil && !errors.Is(err, io.EOF) {
			a.log.Warn("a log could not be sent", "run", o.GetRunId(), "error", err)
		}
		return
	}
	// To leave now would cancel the call, and what the server has not read of it
	// would be lost.
	<-answered
}

// logSender gathers lines into chunks.
type logSender struct {
	call    grpc.ClientStreamingClient[executorapi.LogChunk, emptypb.Empty]
	request string
	most    int
	bytes   int
	lines   []*executorapi.LogLine
}

// maxChunkBytes keeps a chunk far below the message limit of gRPC.
const maxChunkBytes = 1 << 20

func (s *logSender) line(l runs.LogLine) error {
	line := &executorapi.LogLine{Container: l.Container, Stream: executorapi.LogLine_STDOUT, Text: l.Text}
	if !l.Time.IsZero() {
		line.Timestamp = timestamppb.New(l.Time)
	}
	if l.Stderr {
		line.Stream = executorapi.LogLine_STDERR
	}
	s.lines = append(s.lines, line)
	s.bytes += len(l.Text)
	if len(s.lines) < s.most && s.bytes < maxChunkBytes {
		return nil
	}
	return s.flush(&executorapi.LogChunk{})
}

func (s *logSender) flush(chunk *executorapi.LogChunk) error {
	chunk.RequestId, chunk.Lines = s.request, s.lines
	s.lines, s.bytes = nil, 0
	return s.call.Send(chunk)
}

// end sends what is left and how the reading ended.
func (s *logSender) end(err error) error {
	last := &executorapi.LogChunk{Done: err == nil}
	switch {
	case errors.Is(err, runs.ErrUnknownRun):
		last.Error = "the executor keeps no log of this run: logs go with their jobs, and the oldest when all together are too large"
	case err != nil:
		last.Error = err.Error()
	}
	if err := s.flush(last); err != nil {
		return err
	}
	return s.call.CloseSend()
}
