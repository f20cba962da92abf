package simulated

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"armada"
	"armada/internal/runs"
)

// Exit codes of commands that end by themselves in an odd way.
const (
	exitNoProgram   = 127
	exitWrongUse    = 2
	exitInterrupted = 130
)

// The keys that a played terminal knows.
const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEnd       = 0x04 // Ctrl-D
)

// programs are what the container of a simulated pod has. They are played, too:
//
//	echo WORD...      prints the words, and warn does so on stderr
//	cat               prints its input
//	yes WORD          prints the word in lines, without end
//	dots NUMBER       prints so many dots
//	sleep DURATION    does nothing for that long, such as 1.5s
//	sizes [NUMBER]    prints the size of its terminal, and later ones, so many in all or until its input ends
//	exit CODE         ends with that code
//
// The argument ";" stands between commands that follow each other, up to the first
// that does not end with 0. A terminal prints \r\n, knows Ctrl-C and Ctrl-D and echoes
// nothing.
var programs = map[string]func(*command) (int32, error){
	"echo":  func(c *command) (int32, error) { return 0, c.print(c.Stdout, strings.Join(c.args, " ")) },
	"warn":  func(c *command) (int32, error) { return 0, c.print(c.Stderr, strings.Join(c.args, " ")) },
	"cat":   (*command).cat,
	"yes":   (*command).yes,
	"dots":  (*command).dots,
	"sleep": (*command).sleep,
	"sizes": (*command).sizes,
	"exit":  (*command).exit,
}

// command is one that is played.
type command struct {
	runs.Streams
	ctx      context.Context //nolint:containedctx // a command lives as long as its context
	args     []string        // behind the program's name
	terminal *runs.TerminalSize
}

// Exec plays a command; see programs. Every name of a container will do.
func (r *Runtime) Exec(ctx context.Context, run armada.RunID, c runs.Command, s runs.Streams) (int32, error) {
	r.mu.Lock()
	p, known := r.pods[run]
	running := known && p.status.Phase == runs.Running
	r.mu.Unlock()
	switch {
	case !known:
		return 0, fmt.Errorf("run a command in run %s: %w", run, runs.ErrUnknownRun)
	case !running:
		return 0, fmt.Errorf("run a command in run %s: %w", run, runs.ErrNotRunning)
	}
	if err := c.Check(); err != nil {
		return 0, err
	}
	s.Stdout, s.Stderr = cmp.Or[io.Writer](s.Stdout, io.Discard), cmp.Or[io.Writer](s.Stderr, io.Discard)
	if c.Terminal != nil {
		s.Stderr = s.Stdout
	}
	if s.Stdin == nil {
		s.Stdin = strings.NewReader("")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.ledger.Over(run):
			cancel(errKilled)
		case <-r.quit:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	input, feed := io.Pipe()
	defer input.Close()
	go pump(feed, s.Stdin, cancel)
	s.Stdin = input
	type end struct {
		code int32
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := play(&command{Streams: s, ctx: ctx, terminal: c.Terminal}, c.Args)
		ended <- end{code, err}
	}()
	// A program that waits for input which does not come, or for somebody to read
	// what it prints, is left to wait: its streams end with the call.
	select {
	case e := <-ended:
		if errors.Is(e.err, errInterrupted) {
			return exitInterrupted, nil
		}
		return e.code, e.err
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), errKilled) {
			return exitKilled, nil
		}
		return 0, context.Cause(ctx)
	}
}

// pump moves input to a command, and ends it when that fails. It is not waited for:
// who gives input may never give any more.
func pump(to *io.PipeWriter, from io.Reader, end context.CancelCauseFunc) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		end(fmt.Errorf("the input of the command failed: %w", err))
	}
	_ = to.Close()
}

// play plays commands one after the other.
func play(c *command, args []string) (int32, error) {
	for len(args) > 0 {
		one, rest := args, []string(nil)
		if i := slices.Index(args, ";"); i >= 0 {
			one, rest = args[:i], args[i+1:]
		}
		args = rest
		if len(one) == 0 {
			continue
		}
		program, has := programs[one[0]]
		if !has {
			return exitNoProgram, c.print(c.Stderr, one[0]+": there is no such program")
		}
		c.args = one[1:]
		if code, err := program(c); err != nil || code != 0 {
			return code, err
		}
	}
	return 0, nil
}

var (
	errKilled      = errors.New("the pod has ended")
	errInterrupted = errors.New("Ctrl-C was pressed")
)

func (c *command) print(to io.Writer, text string) error {
	end := "\n"
	if c.terminal != nil {
		end = "\r\n"
	}
	_, err := io.WriteString(to, text+end)
	return err
}

// read calls visit with the input, piece by piece, until its end.
func (c *command) read(visit func([]byte) error) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := c.Stdin.Read(buffer)
		got := buffer[:n]
		if c.terminal != nil {
			for i, key := range got {
				switch key {
				case keyInterrupt:
					return errInterrupted
				case keyEnd:
					return visit(got[:i])
				}
			}
		}
		if len(got) > 0 {
			if err := visit(got); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *command) cat() (int32, error) {
	return 0, c.read(func(p []byte) error {
		_, err := c.Stdout.Write(p)
		return err
	})
}

func (c *command) yes() (int32, error) {
	out := bufio.NewWriterSize(c.Stdout, 32<<10)
	for c.ctx.Err() == nil {
		if err := c.print(out, strings.Join(c.args, " ")); err != nil {
			return 0, err
		}
	}
	return 0, context.Cause(c.ctx)
}

func (c *command) dots() (int32, error) {
	left, err := strconv.Atoi(strings.Join(c.args, " "))
	if err != nil || left < 0 {
		return exitWrongUse, c.print(c.Stderr, "dots: there must be how many")
	}
	for piece := bytes.Repeat([]byte("."), 32<<10); left > 0; left -= len(piece) {
		piece = piece[:min(left, len(piece))]
		if _, err := c.Stdout.Write(piece); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (c *command) sleep() (int32, error) {
	d, err := time.ParseDuration(strings.Join(c.args, " "))
	if err != nil {
		return exitWrongUse, c.print(c.Stderr, "sleep: "+err.Error())
	}
	interrupted := make(chan struct{})
	if c.terminal != nil { // only a terminal reads what its command does not
		go func() {
			if errors.Is(c.read(func([]byte) error { return nil }), errInterrupted) {
				close(interrupted)
			}
		}()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, nil
	case <-interrupted:
		return 0, errInterrupted
	case <-c.ctx.Done():
		return 0, context.Cause(c.ctx)
	}
}

func (c *command) sizes() (int32, error) {
	if c.terminal == nil {
		return 1, c.print(c.Stderr, "sizes: there is no terminal")
	}
	left, err := 0, error(nil)
	if len(c.args) > 0 {
		if left, err = strconv.Atoi(strings.Join(c.args, " ")); err != nil || left < 1 {
			return exitWrongUse, c.print(c.Stderr, "sizes: there must be how many, or nothing")
		}
	}
	ended := make(chan error, 1)
	if left == 0 {
		go func() { ended <- c.read(func([]byte) error { return nil }) }()
	}
	for size := *c.terminal; ; {
		if err := c.print(c.Stdout, fmt.Sprintf("%dx%d", size.Width, size.Height)); err != nil {
			return 0, err
		}
		if left--; left == 0 {
			return 0, nil
		}
		select {
		case size = <-c.Resize:
		case err := <-ended:
			return 0, err
		case <-c.ctx.Done():
			return 0, context.Cause(c.ctx)
		}
	}
}

func (c *command) exit() (int32, error) {
	code, err := strconv.ParseUint(strings.Join(c.args, " "), 10, 8)
	if err != nil {
		return exitWrongUse, c.print(c.Stderr, "exit: the code must be from 0 to 255")
	}
	return int32(code), nil
}
