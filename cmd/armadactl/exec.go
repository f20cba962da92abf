package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc/codes"

	"armada/pkg/client"
)

func (c *cli) execCommand() *cobra.Command {
	var command client.Command
	var input, terminal bool
	cmd := &cobra.Command{
		Use:   "exec ID [flags] -- PROGRAM [ARGUMENT]...",
		Short: "Run a command in a container of a running job",
		Long: `Run a command in a container of a running job, wherever that runs. What stands behind -- is the program
and its arguments; no shell reads them, unless the program is one. With -i it reads the standard input, with
-t it has a terminal: -it is for a shell, in which every key, Ctrl-C too, goes to the command. Without -it
Ctrl-C ends the command, where what runs the pod can do that.

That takes the right to exec on the queue, which its owners do not have by themselves, and an executor
whose configuration has executor.exec: true. Here -c is the container, as people know it; choose a context
by --context.

It ends with the exit code of the command. An error of its own begins with "armadactl: " on the standard
error and has a code of armadactl help exit-codes.`,
		Example: `  armadactl exec 01jd0000000000000000000000 -- ps aux
  armadactl exec -it 01jd0000000000000000000000 -- sh
  armadactl exec -i -c main 01jd0000000000000000000000 -- tar x -C /data < some.tar`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case dash < 0 || dash == len(args):
				return &usageError{"missing: the command, behind --, as in: armadactl exec ID -- ls -l"}
			default:
				return arguments("ID")(cmd, args[:dash])
			}
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			command.Job, command.Args = args[0], args[1:]
			code := 0
			err := c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) (err error) {
				code, err = c.exec(ctx, server, command, input, terminal)
				return err
			})
			if err != nil {
				return advise(err, codes.FailedPrecondition, "See what is known of the job: armadactl describe job %s", command.Job)
			}
			if code != exitOK {
				return &commandError{code}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&command.Container, "container", "c", "", "container of the pod (default the first)")
	flags.StringVar(&command.Run, "run", "", "run of the job, by its id in describe job (default the newest)")
	flags.BoolVarP(&input, "stdin", "i", false, "pass the standard input on to the command")
	flags.BoolVarP(&terminal, "tty", "t", false, "give the command a terminal like this one")
	// In place of the flag of all commands, whose -c is the container's here.
	flags.StringVar(&c.context, "context", "", "context of the config file to use (default its currentContext)")
	register(cmd, "context", c.suggestContexts)
	c.completeArguments(cmd, jobArgument)
	return cmd
}

// commandError is the exit code of a command, which is nobody's error here.
type commandError struct{ code int }

func (e *commandError) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", e.code)
}

// exec runs a command with what is to be connected with it.
func (c *cli) exec(ctx context.Context, server *client.Client, command client.Command, input, terminal bool) (int, error) {
	streams := client.Streams{Stdout: c.out, Stderr: c.errors}
	if input {
		streams.Stdin = c.in
	}
	if terminal {
		screen, err := openScreen(ctx, c.in, input)
		if err != nil {
			return 0, err
		}
		defer screen.restore()
		command.Terminal, streams.Resize = &screen.size, screen.sizes
	}
	return server.Exec(ctx, command, streams)
}

// screen is the terminal that this program runs in.
type screen struct {
	size  client.TerminalSize
	sizes <-chan client.TerminalSize // later ones
	// restore makes the terminal what it was. It may be called again.
	restore func()
}

// openScreen gives a command the terminal that a reader is, until the context ends.
// With the keys, each of them goes to the command as it is: none has a meaning here.
func openScreen(ctx context.Context, in io.Reader, keys bool) (*screen, error) {
	file, is := in.(*os.File)
	if !is || !term.IsTerminal(int(file.Fd())) {
		return nil, &usageError{"-t needs a terminal, and the standard input is none: leave it out"}
	}
	fd := int(file.Fd())
	ctx, leave := context.WithCancel(ctx)
	s := &screen{sizes: watchSize(ctx, fd), restore: leave}
	s.size = sizeOf(fd)
	if !keys {
		return s, nil
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		leave()
		return nil, fmt.Errorf("take the keys of the terminal: %w", err)
	}
	back := sync.OnceFunc(func() { _ = term.Restore(fd, before) })
	// The end of the context comes first where the command's end takes long.
	context.AfterFunc(ctx, back)
	guard(ctx, back)
	s.restore = func() {
		back()
		leave()
	}
	return s, nil
}

// sizeOf is the size of a terminal; that of a page where it does not say.
func sizeOf(fd int) client.TerminalSize {
	columns, rows, err := term.GetSize(fd)
	if err != nil {
		columns, rows = 0, 0
	}
	return client.TerminalSize{Width: cmp.Or(columns, 80), Height: cmp.Or(rows, 24)}
}
