package executors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
)

type execCall = grpc.BidiStreamingServer[executorapi.ExecOutput, executorapi.ExecInput]

// execOrder is an order to run a command. Nothing in it is buffered: who reads
// sets the pace, on both ways.
type execOrder struct {
	executor armada.ExecutorID
	taken    chan execCall // receives the executor's call
	outputs  chan *executorapi.ExecOutput
	broken   chan error    // holds one: the executor's call ended before the command did
	done     chan struct{} // closed when nobody waits for the command any more
}

// protocolOfExec is the first protocol of executors that know orders to run
// commands.
const protocolOfExec = 2

// execPatience is how long an executor may take to answer an order at all. Its
// stream says that it is alive; that its calls are let in, nothing says.
const execPatience = 30 * time.Second

// RunCommand runs a command at an executor whose stream this replica holds, with its
// input and output on the stream, and returns when the exit code was sent.
// Whether whoever gave it may, others have found out. It ends with the context.
func (s *Service) RunCommand(ctx context.Context, id armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error {
	st, here := s.streamOf(id)
	if !here {
		return noExecutor(id)
	}
	if st.protocol < protocolOfExec {
		return &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("executor %q is of a version that runs no commands: bring it up to date", id)}
	}
	request := ulid.Make().String()
	o := &execOrder{
		executor: id, taken: make(chan execCall), outputs: make(chan *executorapi.ExecOutput),
		broken: make(chan error, 1), done: make(chan struct{}),
	}
	s.mu.Lock()
	s.execs[request] = o
	s.mu.Unlock()
	defer func() {
		close(o.done)
		s.mu.Lock()
		delete(s.execs, request)
		s.mu.Unlock()
	}()
	order := &executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_Exec{Exec: wire.ExecOrder(request, e)}}
	if err := st.order(ctx, order); err != nil {
		return err
	}
	call, err := o.await(ctx, st)
	if err != nil {
		return err
	}
	// Either way may stand still for as long as somebody does not read. What ends
	// the command is heard all the same; both then end with their calls.
	ended := make(chan error, 2)
	go func() {
		if err := o.pass(stream, call); err != nil {
			ended <- err
		}
	}()
	go func() { ended <- o.tell(stream) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-st.ended:
		return brokeOff(id, "it is not connected any more")
	case err := <-o.broken:
		return brokeOff(id, err.Error())
	}
}

// await waits for the executor's call.
func (o *execOrder) await(ctx context.Context, st *stream) (execCall, error) {
	timer := time.NewTimer(execPatience)
	defer timer.Stop()
	select {
	case call := <-o.taken:
		return call, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-st.ended:
		return nil, noExecutor(o.executor)
	case <-timer.C:
		return nil, &armada.Error{Code: armada.CodeUnavailable, Message: fmt.Sprintf("executor %q has not taken up the command within %s; its log may say why", o.executor, execPatience)}
	}
}

// pass brings what is said to the command to its executor. That nothing more
// will be said is the end of the input.
func (o *execOrder) pass(stream wire.ExecStream, call execCall) error {
	for {
		said, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			_ = call.Send(&executorapi.ExecInput{Message: &executorapi.ExecInput_InputEnded{InputEnded: true}})
			return nil
		case err != nil:
			return err
		}
		if heard := wire.ExecInput(said); heard != nil && call.Send(heard) != nil {
			return nil // the other way tells how it ended
		}
	}
}

// tell brings what becomes of the command to whoever gave it.
func (o *execOrder) tell(stream wire.ExecStream) error {
	for {
		select {
		case <-o.done:
			return nil
		case output := <-o.outputs:
			answer, last, err := wire.ExecResponse(output)
			if err != nil {
				return err
			}
			if answer != nil {
				if err := stream.Send(answer); err != nil {
					return err
				}
			}
			if last {
				return nil
			}
		}
	}
}

func noExecutor(id armada.ExecutorID) error {
	return &armada.Error{Code: armada.CodeUnavailable, Message: fmt.Sprintf("executor %q, which has the container, is not connected", id)}
}

func brokeOff(id armada.ExecutorID, why string) error {
	return &armada.Error{Code: armada.CodeUnavailable, Message: fmt.Sprintf("the command broke off at executor %q: %s", id, why)}
}

// Exec takes the answer to an order to run a command. It lasts as long as somebody
// waits for the command: its end tells the executor that nobody does.
func (s *Service) Exec(call execCall) error {
	if err := s.authorize(call.Context(), ""); err != nil {
		return err
	}
	first, err := call.Recv()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	o := s.execs[first.GetRequestId()]
	s.mu.Unlock()
	if o == nil {
		return errNobodyExecs
	}
	if err := s.authorize(call.Context(), o.executor); err != nil {
		return err
	}
	select {
	case o.taken <- call:
	case <-o.done:
		return errNobodyExecs
	case <-call.Context().Done():
		return context.Cause(call.Context())
	}
	taken := make(chan error, 1)
	go func() { taken <- o.take(call) }()
	select {
	case <-o.done: // a silent command is still listened to; that ends with the call
		return errNobodyExecs
	case err := <-taken:
		if err == nil {
			<-o.done // soon: what was taken last is being sent
		}
		return err
	}
}

// take hands on what becomes of the command, until its end.
func (o *execOrder) take(call execCall) error {
	for last := false; !last; {
		output, err := call.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("it did not say how the command ended")
			}
			o.broken <- err // holds one, and an order is taken once
			return err
		}
		last = output.GetFailure() != nil
		if _, is := output.GetMessage().(*executorapi.ExecOutput_ExitCode); is {
			last = true
		}
		select {
		case o.outputs <- output:
		case <-o.done:
			return errNobodyExecs
		case <-call.Context().Done():
			o.broken <- context.Cause(call.Context())
			return context.Cause(call.Context())
		}
	}
	return nil
}

var errNobodyExecs = status.Error(codes.Canceled, "nobody waits for this command any more")
