package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/runs"
	"armada/pkg/api/executorapi"
)

// exec answers an order to run a command. The server ends the call when nobody
// waits for the command any more, and that ends the command.
func (a *Agent) exec(ctx context.Context, o *executorapi.ExecOrder) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := a.server.Exec(ctx)
	if err == nil {
		err = call.Send(&executorapi.ExecOutput{RequestId: o.GetRequestId()})
	}
	if err != nil {
		a.log.Warn("an order to run a command could not be answered", "run", o.GetRunId(), "error", err)
		return
	}
	c := &command{call: call, resize: make(chan runs.TerminalSize, 1)}
	c.input, c.feed = io.Pipe()
	heard := make(chan struct{})
	go func() { // the server's word ends the command
		defer close(heard)
		defer cancel()
		c.hear()
	}()
	defer func() {
		cancel()
		<-heard
	}()
	go c.ask(ctx, cancel)
	code, err := a.execute(ctx, c, o)
	_ = c.input.Close() // what comes now is for nobody
	if ctx.Err() != nil {
		return // the agent stops, or nobody waits
	}
	if err := c.end(code, err); err != nil {
		if ctx.Err() == nil && !errors.Is(err, io.EOF) {
			a.log.Warn("the end of a command could not be told", "run", o.GetRunId(), "error", err)
		}
		return
	}
	// To leave now would cancel the call, and what the server has not read of it
	// would be lost.
	<-heard
}

// execute runs the command of an order, if it may be run now.
func (a *Agent) execute(ctx context.Context, c *command, o *executorapi.ExecOrder) (exitCode int32, err error) {
	if !a.config.Exec {
		return 0, fmt.Errorf("executor %q runs no commands: executor.exec is false in its configuration", a.config.ID)
	}
	select {
	case a.execs <- struct{}{}:
		defer func() { <-a.execs }()
	default:
		return 0, fmt.Errorf("executor %q: %w (executor.maxExecs: %d); try again later", a.config.ID, errBusy, cap(a.execs))
	}
	log := a.log.With("run", o.GetRunId(), "container", o.GetContainer(), "user", o.GetUser())
	log.Info("a command begins", "args", len(o.GetArgs()))
	began := time.Now()
	what := runs.Command{Container: o.GetContainer(), Args: o.GetArgs()}
	streams := runs.Streams{Stdout: outputWriter{c, false}, Stderr: outputWriter{c, true}}
	if t := o.GetTerminal(); t != nil {
		what.Terminal = &runs.TerminalSize{Width: uint16(t.GetWidth()), Height: uint16(t.GetHeight())}
		streams.Resize = c.resize
	}
	if o.GetInput() {
		streams.Stdin = c.input
	}
	exitCode, err = a.runtime.Exec(ctx, armada.RunID(o.GetRunId()), what, streams)
	log.Info("a command has ended", "exit_code", exitCode, "after", time.Since(began), "error", err)
	return exitCode, err
}

// errBusy is answered when as many commands run as may.
var errBusy = errors.New("as many commands run as may at a time")

// command is a command and the call that answers its order.
type command struct {
	call   grpc.BidiStreamingClient[executorapi.ExecOutput, executorapi.ExecInput]
	input  *io.PipeReader // the command's, which is not read ahead
	feed   *io.PipeWriter
	resize chan runs.TerminalSize // holds the latest size that was not seen yet

	mu    sync.Mutex // of sending
	ended bool       // nothing may be sent any more
}

// hear takes what is for the command until the server ends the call.
func (c *command) hear() {
	for {
		said, err := c.call.Recv()
		if err != nil {
			_ = c.feed.CloseWithError(errLeft)
			return
		}
		switch m := said.GetMessage().(type) {
		case *executorapi.ExecInput_Input:
			_, _ = c.feed.Write(m.Input) // fails when the command has ended
		case *executorapi.ExecInput_InputEnded:
			_ = c.feed.Close()
		case *executorapi.ExecInput_Resize:
			c.resized(runs.TerminalSize{Width: uint16(m.Resize.GetWidth()), Height: uint16(m.Resize.GetHeight())})
		}
	}
}

// askInterval is how soon it is noticed that nobody waits for a command that reads
// no input.
const askInterval = time.Second

// ask sends the server nothing, now and then, which fails when it has ended the
// call. Input that the command does not read keeps hear from noticing that.
func (c *command) ask(ctx context.Context, leave func()) {
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !c.mu.TryLock() {
				continue // who sends notices by itself
			}
			over, err := c.ended, error(nil)
			if !over {
				err = c.call.Send(&executorapi.ExecOutput{})
			}
			c.mu.Unlock()
			if err != nil {
				leave()
			}
			if over || err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// errLeft ends the input of a command that nobody waits for.
var errLeft = errors.New("nobody waits for the command any more")

// resized puts a size in the place of one that was not seen yet.
func (c *command) resized(size runs.TerminalSize) {
	select {
	case <-c.resize:
	default:
	}
	c.resize <- size // there is room: nobody else puts any
}

// send sends an output, unless the end was told.
func (c *command) send(o *executorapi.ExecOutput) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errLeft
	}
	return c.call.Send(o)
}

// end tells how the command ended.
func (c *command) end(code int32, err error) error {
	last := &executorapi.ExecOutput{Message: &executorapi.ExecOutput_ExitCode{ExitCode: code}}
	if err != nil {
		last.Message = &executorapi.ExecOutput_Failure{Failure: execFailure(err)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if err := c.call.Send(last); err != nil {
		return err
	}
	return c.call.CloseSend()
}

func execFailure(err error) *executorapi.ExecFailure {
	f := &executorapi.ExecFailure{Reason: err.Error()}
	switch {
	case errors.Is(err, errBusy):
		f.Kind = executorapi.ExecFailure_KIND_BUSY
	case errors.Is(err, runs.ErrUnknownRun), errors.Is(err, runs.ErrNotRunning):
		f.Reason = "the container does not run at its executor: it has not begun yet, or has ended"
	}
	return f
}

// maxOutputBytes keeps a message small, so that what is on its way is little.
const maxOutputBytes = 32 << 10

// outputWriter sends what a command writes. It waits when nobody reads.
type outputWriter struct {
	*command
	stderr bool
}

// Write sends bytes in messages of a bounded size.
func (w outputWriter) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		piece := p[done:min(len(p), done+maxOutputBytes)]
		output := &executorapi.ExecOutput{Message: &executorapi.ExecOutput_Stdout{Stdout: piece}}
		if w.stderr {
			output.Message = &executorapi.ExecOutput_Stderr{Stderr: piece}
		}
		if err := w.send(output); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return len(p), nil
}
