package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"

	"armada/pkg/api/lookout"
)

// Command is one to run in a container of a running job.
type Command struct {
	Job string
	// Run is the attempt; empty means the newest.
	Run string
	// Container is one of the pod; empty means the first.
	Container string
	// Args are the program and its arguments; no shell reads them.
	Args []string
	// Terminal gives the command a terminal, which is of that size at first. All of
	// its output is then one stream.
	Terminal *TerminalSize
}

// TerminalSize is how large a terminal is, in characters.
type TerminalSize struct{ Width, Height int }

// Streams connect a command with whoever runs it.
type Streams struct {
	// Stdin is the command's input; nil for none. It is read ahead of the command by
	// what is on its way. A Read that is under way when the command ends is not waited
	// for.
	Stdin          io.Reader
	Stdout, Stderr io.Writer // nil for nobody reads it
	// Resize are later sizes of the terminal; nil when there are none.
	Resize <-chan TerminalSize
}

// inputPiece is the most of the input that one message has.
const inputPiece = 32 << 10

// Exec runs a command in a container of a running job and returns its exit code
// when it has ended and all its output was written. When ctx ends, or the output
// cannot be written, the command is ended. It is run at most once: a call that fails
// is not repeated. FAILED_PRECONDITION when the job does not run, or its executor
// runs no commands; PERMISSION_DENIED without the right to exec, which owners of
// queues do not have by themselves.
func (c *Client) Exec(ctx context.Context, command Command, streams Streams) (exitCode int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := c.Lookout.Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("run a command in the job %q: %w", command.Job, err)
	}
	start := &lookout.ExecStart{JobId: command.Job, RunId: command.Run, Container: command.Container, Args: command.Args, Input: streams.Stdin != nil}
	if command.Terminal != nil {
		start.Terminal = size(*command.Terminal)
	}
	speaker := &speaker{call: call}
	// What sending fails with, receiving tells better.
	_ = speaker.say(&lookout.ExecRequest{Message: &lookout.ExecRequest_Start{Start: start}})
	if streams.Stdin != nil {
		go speaker.pass(streams.Stdin, cancel)
	}
	if streams.Resize != nil {
		go func() {
			for {
				select {
				case s, more := <-streams.Resize:
					if !more || speaker.say(&lookout.ExecRequest{Message: &lookout.ExecRequest_Resize{Resize: size(s)}}) != nil {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	code, err := listen(call, streams)
	if err == nil {
		return code, nil
	}
	cancel() // lets go of who speaks
	if wrong := speaker.why(); wrong != nil {
		err = wrong
	}
	return 0, fmt.Errorf("run a command in the job %q: %w", command.Job, err)
}

func size(s TerminalSize) *lookout.TerminalSize {
	return &lookout.TerminalSize{Width: uint32(max(s.Width, 0)), Height: uint32(max(s.Height, 0))}
}

// listen writes what a command writes, until its exit code comes.
func listen(call grpc.BidiStreamingClient[lookout.ExecRequest, lookout.ExecResponse], streams Streams) (int, error) {
	stdout, stderr := streams.Stdout, streams.Stderr
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	code, ended := 0, false
	for {
		answer, err := call.Recv()
		if errors.Is(err, io.EOF) && ended {
			return code, nil
		}
		if errors.Is(err, io.EOF) {
			return 0, errors.New("the server did not say how the command ended")
		}
		if err != nil {
			return 0, err
		}
		switch m := answer.GetMessage().(type) {
		case *lookout.ExecResponse_Stdout:
			_, err = stdout.Write(m.Stdout)
		case *lookout.ExecResponse_Stderr:
			_, err = stderr.Write(m.Stderr)
		case *lookout.ExecResponse_ExitCode:
			code, ended = int(m.ExitCode), true
		}
		if err != nil {
			return 0, fmt.Errorf("write what the command writes: %w", err)
		}
	}
}

// speaker says things to a command, one at a time.
type speaker struct {
	call grpc.BidiStreamingClient[lookout.ExecRequest, lookout.ExecResponse]

	mu    sync.Mutex
	wrong error // what reading the input failed with
}

func (s *speaker) say(r *lookout.ExecRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.call.Send(r)
}

// pass brings the input to the command. Input that cannot be read ends it: a command
// that takes the first half of something for all of it may do harm.
func (s *speaker) pass(from io.Reader, end func()) {
	for {
		// A message that was sent may still be looked at: the next piece is another one.
		piece := make([]byte, inputPiece)
		n, err := from.Read(piece)
		if n > 0 && s.say(&lookout.ExecRequest{Message: &lookout.ExecRequest_Input{Input: piece[:n]}}) != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			_ = s.say(&lookout.ExecRequest{Message: &lookout.ExecRequest_InputEnded{InputEnded: true}})
			return
		}
		if err != nil {
			s.mu.Lock()
			s.wrong = fmt.Errorf("read the input of the command: %w", err)
			s.mu.Unlock()
			end()
			return
		}
	}
}

func (s *speaker) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}
