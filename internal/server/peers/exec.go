package peers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
	peersapi "armada/pkg/api/peers"
)

// RunCommand runs a command in a container of a run, through whichever replica
// holds the executor's stream, with its input and output on the stream, and
// returns when the exit code was sent. It ends with the context. Unavailable when
// the executor or its replica cannot be reached, or not any more; Precondition when
// it is one that runs no commands.
func (p *Peers) RunCommand(ctx context.Context, id armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error {
	if p.parts.Executors.Holds(id) {
		return p.parts.Executors.RunCommand(ctx, id, e, stream)
	}
	x, err := p.holder(ctx, id, "has the container")
	if err != nil {
		return err
	}
	if x.Kind != armada.ExecutorNative {
		return &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("no command can be run through the server, since executor %q is one of the original", id)}
	}
	conn, err := p.dial(x.ReplicaAddr)
	if err != nil {
		return unavailable("executor %q is connected to replica %q, whose address %q cannot be used: %v", id, x.Replica, x.ReplicaAddr, err)
	}
	defer func() { _ = conn.Close() }()
	err = converse(ctx, conn, id, e, stream)
	if status.Code(err) == codes.Unavailable {
		return unavailable("executor %q is connected to replica %q (%s), and the command cannot be run from there, or not any more: %s", id, x.Replica, x.ReplicaAddr, status.Convert(err).Message())
	}
	return err
}

// converse has another replica run a command. Either way may stand still for as long
// as somebody does not read; both end with the call.
func converse(ctx context.Context, conn *grpc.ClientConn, id armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := peersapi.NewPeersClient(conn).Exec(ctx)
	if err != nil {
		return err
	}
	start := &peersapi.ExecRequest{Executor: string(id), User: e.User, Message: wire.ExecStart(e)}
	if err := call.Send(start); err != nil && !errors.Is(err, io.EOF) { // at io.EOF receiving tells why
		return err
	}
	ended := make(chan error, 2)
	go func() {
		for {
			said, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				_ = call.CloseSend()
				return
			}
			if err != nil {
				ended <- err
				return
			}
			if call.Send(&peersapi.ExecRequest{Message: said}) != nil {
				return // receiving tells why
			}
		}
	}()
	go func() {
		for {
			answer, err := call.Recv()
			if errors.Is(err, io.EOF) {
				ended <- nil
				return
			}
			if err == nil {
				err = stream.Send(answer)
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Exec runs a command at an executor whose stream is held here.
func (a *answers) Exec(call grpc.BidiStreamingServer[peersapi.ExecRequest, lookout.ExecResponse]) error {
	first, err := call.Recv()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	id := armada.ExecutorID(first.GetExecutor())
	if !a.parts.Executors.Holds(id) {
		return notConnected(id, "has the container")
	}
	e := wire.ReadExecStart(first.GetMessage().GetStart())
	e.User = first.GetUser()
	return a.parts.Executors.RunCommand(call.Context(), id, e, listener{call})
}

// listener is the replica that asks, as whoever gave the command.
type listener struct {
	call grpc.BidiStreamingServer[peersapi.ExecRequest, lookout.ExecResponse]
}

// Recv returns what comes next.
func (l listener) Recv() (*lookout.ExecRequest, error) {
	r, err := l.call.Recv()
	return r.GetMessage(), err
}

// Send sends an answer.
func (l listener) Send(answer *lookout.ExecResponse) error { return l.call.Send(answer) }
