package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/auth"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
)

// Commander runs commands in the containers of runs.
type Commander interface {
	// RunCommand runs a command at an executor, with its input and output on the
	// stream, and returns when the exit code was sent. It ends with the context.
	// Unavailable when the executor cannot be reached, or not any more.
	RunCommand(ctx context.Context, executor armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error
}

// Bounds of what callers send.
const (
	maxArgsBytes  = 64 << 10
	maxInputBytes = 1 << 20
)

// Exec runs a command in a container of a running job, at whichever executor has
// it. Every call is audited, with what became of it.
func (s *lookoutService) Exec(call grpc.BidiStreamingServer[lookout.ExecRequest, lookout.ExecResponse]) error {
	ctx := call.Context()
	first, err := call.Recv()
	if errors.Is(err, io.EOF) {
		return violations{{Path: "start", Message: "must be the first message"}}.err("no command was run")
	}
	if err != nil {
		return err
	}
	start := first.GetStart()
	note(ctx,
		slog.String("job", clip(start.GetJobId(), 100)), slog.String("run", clip(start.GetRunId(), 100)), slog.String("container", clip(start.GetContainer(), 100)),
		slog.Any("command", clipped(start.GetArgs())), slog.Bool("terminal", start.GetTerminal() != nil),
	)
	if err := checkExec(start); err != nil {
		return err
	}
	full, err := s.find(ctx, armada.VerbExec, start.GetJobId())
	if err != nil {
		note(ctx, slog.Bool("granted", false))
		return err
	}
	note(ctx, slog.Bool("granted", true), slog.String("queue", full.Job.Queue))
	run, err := s.runningRun(ctx, &full, start)
	if err != nil {
		return err
	}
	if s.commands == nil {
		return &armada.Error{Code: armada.CodeUnavailable, Message: "no executor can be reached from here"}
	}
	may, err := permitted(ctx, s.now, func(ctx context.Context) error {
		_, err := s.auth.Authorize(ctx, armada.VerbExec, full.Job.Queue)
		return err
	})
	if err != nil {
		return err
	}
	e := wire.ReadExecStart(start)
	e.Run = run.ID
	if p, known := auth.From(ctx); known {
		e.User = p.Name
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conversation := &conversation{call: call, may: may, input: start.GetInput(), terminal: start.GetTerminal() != nil}
	go conversation.guard(ctx, s.stopping, cancel)
	err = s.commands.RunCommand(ctx, run.Executor, e, conversation)
	if code, ended := conversation.exitCode(); ended {
		note(ctx, slog.Int("exit_code", int(code)))
	}
	return err
}

// maxAuditedCommand bounds what of a command is written down, in bytes.
const maxAuditedCommand = 4 << 10

// clipped are the arguments of a command as far as they are written down.
func clipped(args []string) []string {
	var some []string
	for left := maxAuditedCommand; len(args) > 0 && left > 0; args = args[1:] {
		some = append(some, clip(args[0], left))
		left -= len(args[0]) + 1
	}
	if len(args) > 0 {
		some = append(some, fmt.Sprintf("… and %d more", len(args)))
	}
	return some
}

// checkExec refuses a command that makes no sense.
func checkExec(start *lookout.ExecStart) error {
	var wrong violations
	if start == nil {
		wrong.add("start", "must be the first message")
		return wrong.err("no command was run")
	}
	if len(start.GetArgs()) == 0 || start.GetArgs()[0] == "" {
		wrong.add("start.args", "must begin with the program to run")
	}
	size := 0
	for _, arg := range start.GetArgs() {
		size += len(arg) + 1
	}
	if size > maxArgsBytes {
		wrong.add("start.args", fmt.Sprintf("have %d bytes in all, must have at most %d", size, maxArgsBytes))
	}
	if start.GetTerminal() != nil {
		checkSize("start.terminal", start.GetTerminal(), &wrong)
	}
	return wrong.err("no command was run")
}

func checkSize(path string, size *lookout.TerminalSize, wrong *violations) {
	const most = 1<<16 - 1
	if w, h := size.GetWidth(), size.GetHeight(); w < 1 || w > most || h < 1 || h > most {
		wrong.add(path, fmt.Sprintf("is %d x %d, both must be from 1 to %d", w, h, most))
	}
}

// runningRun returns the run that a command is for, unless it is known that it
// cannot run there. Whether the container runs, only its executor knows.
func (s *lookoutService) runningRun(ctx context.Context, full *store.FullJob, start *lookout.ExecStart) (*armada.Run, error) {
	const nothing = "no command can be run"
	if err := s.hasContainer(ctx, full, start.GetContainer(), nothing); err != nil {
		return nil, err
	}
	run, err := runOf(full, armada.RunID(start.GetRunId()), nothing)
	if err != nil {
		return nil, err
	}
	switch {
	case run.State.Terminal():
		return nil, &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("the run %s of the job has ended (%s): %s", run.ID, run.State, nothing)}
	case run.State == armada.RunLeased:
		return nil, &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("the run %s of the job has not begun yet (%s): %s", run.ID, run.State, nothing)}
	}
	return run, nil
}

// conversation is what is said in a call, both ways, as long as its caller may.
type conversation struct {
	call     grpc.BidiStreamingServer[lookout.ExecRequest, lookout.ExecResponse]
	input    bool // was announced
	terminal bool

	mu    sync.Mutex
	may   *permit
	code  int32
	ended bool
}

// Recv returns what is said to the command next.
func (c *conversation) Recv() (*lookout.ExecRequest, error) {
	r, err := c.call.Recv()
	if err != nil {
		return nil, err
	}
	if err := c.holds(c.call.Context()); err != nil {
		return nil, err
	}
	var wrong violations
	switch m := r.GetMessage().(type) {
	case *lookout.ExecRequest_Start:
		wrong.add("start", "must be the first message and no other")
	case *lookout.ExecRequest_Input:
		if !c.input {
			wrong.add("input", "there must be none unless start.input says so")
		}
		if len(m.Input) > maxInputBytes {
			wrong.add("input", fmt.Sprintf("has %d bytes, must have at most %d in a message", len(m.Input), maxInputBytes))
		}
	case *lookout.ExecRequest_Resize:
		if !c.terminal {
			wrong.add("resize", "there must be none unless start.terminal is there")
		}
		checkSize("resize", m.Resize, &wrong)
	}
	return r, wrong.err("the command was ended")
}

// Send tells what becomes of the command.
func (c *conversation) Send(answer *lookout.ExecResponse) error {
	if err := c.holds(c.call.Context()); err != nil {
		return err
	}
	if m, is := answer.GetMessage().(*lookout.ExecResponse_ExitCode); is {
		c.mu.Lock()
		c.code, c.ended = m.ExitCode, true
		c.mu.Unlock()
	}
	return c.call.Send(answer)
}

func (c *conversation) holds(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.may.holds(ctx)
}

func (c *conversation) renew(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.may.renew(ctx)
}

func (c *conversation) exitCode() (int32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.code, c.ended
}

// guard ends the command when the server stops, and when its caller may not any
// more: a command may go on for long without a word.
func (c *conversation) guard(ctx context.Context, stopping <-chan struct{}, end context.CancelCauseFunc) {
	tick := time.NewTicker(permitLasts)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-stopping:
			end(errStopping)
			return
		case <-tick.C:
			if err := c.renew(ctx); err != nil {
				end(err)
				return
			}
		}
	}
}
