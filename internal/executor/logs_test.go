package executor

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/runs"
	"armada/pkg/api/executorapi"
)

// oneLine is a runtime whose logs have one line.
type oneLine struct{ runs.Runtime }

func (oneLine) Logs(_ context.Context, _ armada.RunID, _ runs.LogQuery, visit func(runs.LogLine) error) error {
	return visit(runs.LogLine{Text: []byte("hello")})
}

// logCall is a call that answers when it is told to.
type logCall struct {
	grpc.ClientStreamingClient[executorapi.LogChunk, emptypb.Empty]
	ctx    context.Context // of the call, for the test to look at
	sent   []*executorapi.LogChunk
	answer chan struct{}
}

func (c *logCall) Send(chunk *executorapi.LogChunk) error { c.sent = append(c.sent, chunk); return nil }
func (c *logCall) CloseSend() error                       { return nil }

func (c *logCall) RecvMsg(any) error {
	select {
	case <-c.answer:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// logClient opens that call.
type logClient struct {
	executorapi.ExecutorAgentClient
	call *logCall
}

func (c logClient) SendLogs(ctx context.Context, _ ...grpc.CallOption) (grpc.ClientStreamingClient[executorapi.LogChunk, emptypb.Empty], error) {
	c.call.ctx = ctx
	return c.call, nil
}

func TestALogIsNotCutOffBeforeTheServerHasReadIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		call := &logCall{answer: make(chan struct{})}
		agent := &Agent{server: logClient{call: call}, runtime: oneLine{}, log: slog.New(slog.DiscardHandler)}
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			agent.sendLogs(t.Context(), &executorapi.LogsOrder{RequestId: "r", RunId: "run"})
		}()
		synctest.Wait()
		if len(call.sent) != 1 || !call.sent[0].GetDone() || string(call.sent[0].GetLines()[0].GetText()) != "hello" {
			t.Errorf("sent %v", call.sent)
		}
		if call.ctx.Err() != nil {
			t.Error("the call was cancelled although the server had not answered")
		}
		close(call.answer)
		<-returned
	})
}
