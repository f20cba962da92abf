package runs

import (
	"context"
	"errors"
	"io"

	"armada"
)

// ErrNotRunning is answered to a command for a container that does not run: not
// yet, or not any more.
var ErrNotRunning = errors.New("the container does not run")

// Execer runs commands beside those of a pod.
type Execer interface {
	// Exec runs a command in a container of a run and returns its exit code when
	// it has ended and all that it printed was written. The command sees what the
	// container's own processes see, and counts to what the run may use. When ctx
	// ends, or a stream fails, the call returns; the command is then killed where
	// the form can do so, and has lost its input and output where not.
	// ErrUnknownRun when the run is not known, ErrNotRunning when its container
	// does not run; any other error says why the command could not be run. A
	// program that a container does not have is no error: its exit code is 127, or
	// 126 when it may not be run, with the reason on stderr, as shells have it.
	Exec(ctx context.Context, run armada.RunID, c Command, s Streams) (exitCode int32, err error)
}

// Command says what to run in which container.
type Command struct {
	Container string   // empty: the first of the pod's containers
	Args      []string // the program and its arguments; no shell reads them
	// Terminal gives the command a terminal, of that size at first. All of its
	// output is then one stream.
	Terminal *TerminalSize
}

// Check refuses a command that names no program.
func (c *Command) Check() error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return errors.New("args: must begin with a program")
	}
	return nil
}

// TerminalSize is how large a terminal is, in characters.
type TerminalSize struct{ Width, Height uint16 }

// Streams connect a command with whoever gave it.
type Streams struct {
	Stdin  io.Reader           // nil: there is no input; its end is the end of the command's
	Stdout io.Writer           // nil: nobody reads it
	Stderr io.Writer           // the same; not written to with a terminal
	Resize <-chan TerminalSize // later sizes of the terminal; nil: there are none
}
