//go:build linux

package process

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
)

// drainLimit is how much is still read of what a command has left in a pipe or
// in its terminal when it ends; neither holds more. It matters where a process
// that got away from the command goes on printing there.
const drainLimit = 1 << 20

// errOver ends what an Exec has going when it returns.
var errOver = errors.New("the command is over")

// Exec runs a command beside a container of a living run: in its folder, with
// its environment, and within its memory limit. Its process group ends with its
// first process; what leaves the group ends with the container or with the run.
// When ctx ends, a stream fails or this process dies, the group is killed.
func (r *Runtime) Exec(ctx context.Context, run armada.RunID, c runs.Command, s runs.Streams) (int32, error) {
	code, err := r.exec(ctx, run, &c, &s)
	if err != nil {
		return 0, fmt.Errorf("run a command in run %s: %w", run, err)
	}
	return code, nil
}

func (r *Runtime) exec(ctx context.Context, run armada.RunID, c *runs.Command, s *runs.Streams) (int32, error) {
	if err := c.Check(); err != nil {
		return 0, err
	}
	if err := r.canCommand(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errOver)
	p := &plumbing{cancel: cancel}
	theirs, err := p.lay(c, s)
	defer p.close()
	var conn *net.UnixConn
	if err == nil {
		conn, err = r.layout.order(request{Exec: &execRequest{
			Run: run, Container: c.Container, Args: c.Args, Terminal: c.Terminal != nil,
		}}, theirs)
	}
	closeAll(theirs) // so that only the command's processes hold them
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	hangUp := context.AfterFunc(ctx, func() {
		_ = conn.Close()
		p.close()
	})
	defer hangUp()
	p.run(ctx, s)

	var rep reply
	if err := json.NewDecoder(conn).Decode(&rep); err != nil {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return 0, fmt.Errorf("the supervisor has gone, and what it ran is killed: %w", err)
	}
	if err := rep.err(); err != nil {
		return 0, err
	}
	if rep.ExitCode == nil {
		return 0, errors.New("the supervisor did not say how the command ended")
	}
	if rep.Text != "" {
		return *rep.ExitCode, complain(c, s, rep.Text)
	}
	if err := p.drain(ctx); err != nil {
		return 0, err
	}
	return *rep.ExitCode, nil
}

// complain tells the reader of a command why it could not begin.
func complain(c *runs.Command, s *runs.Streams, text string) error {
	to, end := s.Stderr, "\n"
	if c.Terminal != nil {
		to, end = s.Stdout, "\r\n"
	}
	if to == nil {
		return nil
	}
	_, err := io.WriteString(to, "armada: "+text+end)
	return err
}

// canCommand waits for a supervisor and tells why it cannot run commands.
func (r *Runtime) canCommand(ctx context.Context) error {
	for {
		r.mu.Lock()
		s, changed, closed := r.session, r.changed, r.closed
		r.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case s != nil && s.hello.Commands:
			return nil
		case s != nil:
			return errors.New("the living supervisor is of an older armada, which runs no commands: stop armada and start it again when no run lives")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// order makes a request on a connection of its own, with handles beside it.
func (l layout) order(req request, handles []int) (*net.UnixConn, error) {
	conn, err := l.dial()
	if err != nil {
		return nil, fmt.Errorf("reach the supervisor: %w", err)
	}
	text, err := json.Marshal(req)
	if err == nil {
		// The first byte takes the handles along; a long line may need several
		// writes.
		_, _, err = conn.WriteMsgUnix(text[:1], unix.UnixRights(handles...), nil)
	}
	if err == nil {
		_, err = conn.Write(text[1:])
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the supervisor: %w", err), conn.Close())
	}
	return conn, nil
}

// plumbing is our side of what a command reads and writes.
type plumbing struct {
	cancel   context.CancelCauseFunc
	input    *os.File // nil: there is none
	terminal *os.File // with a terminal; then it is the input too
	outlets  []*outlet
	flowing  sync.WaitGroup // the outlets
}

// lay makes the pipes or the terminal, and answers the command's ends, which are
// the caller's to close, also with an error.
func (p *plumbing) lay(c *runs.Command, s *runs.Streams) (theirs []int, err error) {
	if c.Terminal != nil {
		ours, their, err := openTerminal(*c.Terminal)
		if err != nil {
			return nil, err
		}
		p.terminal = ours
		if s.Stdin != nil {
			p.input = ours
		}
		p.outlets = append(p.outlets, &outlet{from: ours, to: s.Stdout})
		return []int{their}, nil
	}
	if s.Stdin == nil {
		null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		theirs = append(theirs, null)
	} else {
		ours, their, err := pipe(false)
		if err != nil {
			return nil, err
		}
		p.input, theirs = ours, append(theirs, their)
	}
	for _, to := range []io.Writer{s.Stdout, s.Stderr} {
		ours, their, err := pipe(true)
		if err != nil {
			return theirs, err
		}
		p.outlets, theirs = append(p.outlets, &outlet{from: ours, to: to}), append(theirs, their)
	}
	return theirs, nil
}

// run lets everything flow until ctx ends.
func (p *plumbing) run(ctx context.Context, s *runs.Streams) {
	for _, o := range p.outlets {
		p.flowing.Go(func() {
			if err := o.flow(ctx); err != nil {
				p.cancel(err)
			}
		})
	}
	// Neither is waited for: who gives input may never give any more.
	if p.input != nil {
		go p.feed(ctx, s.Stdin)
	}
	if p.terminal != nil && s.Resize != nil {
		go p.resize(ctx, s.Resize)
	}
}

// feed moves input to the command until its end, or until the command reads no
// more.
func (p *plumbing) feed(ctx context.Context, from io.Reader) {
	buffer := make([]byte, 32<<10)
	last := byte('\n')
	for ctx.Err() == nil {
		n, err := from.Read(buffer)
		if n > 0 {
			last = buffer[n-1]
			if _, err := p.input.Write(buffer[:n]); err != nil {
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			p.endInput(last)
			return
		case err != nil:
			p.cancel(fmt.Errorf("the input of the command failed: %w", err))
			return
		}
	}
}

// endInput tells the command that its input is over. A terminal does so by a
// character, while it has lines: one behind a line's beginning only gives out
// what was typed so far.
func (p *plumbing) endInput(last byte) {
	if p.terminal == nil {
		_ = p.input.Close()
		return
	}
	var end []byte
	raw, err := p.terminal.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) {
			if t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil && t.Lflag&unix.ICANON != 0 {
				end = append(end, t.Cc[unix.VEOF])
			}
		})
	}
	if last != '\n' && last != '\r' {
		end = append(end, end...)
	}
	_, _ = p.terminal.Write(end)
}

func (p *plumbing) resize(ctx context.Context, sizes <-chan runs.TerminalSize) {
	raw, err := p.terminal.SyscallConn()
	for err == nil {
		select {
		case size, more := <-sizes:
			if !more {
				return
			}
			err = raw.Control(func(fd uintptr) { _ = resize(int(fd), size) })
		case <-ctx.Done():
			return
		}
	}
}

// drain waits until all that a command printed before it ended was written.
func (p *plumbing) drain(ctx context.Context) error {
	dry := make(chan struct{})
	go func() {
		p.flowing.Wait()
		close(dry)
	}()
	for _, o := range p.outlets {
		o.end()
	}
	select {
	case <-dry:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// close closes our ends; it may be called again.
func (p *plumbing) close() {
	if p.input != nil {
		_ = p.input.Close()
	}
	for _, o := range p.outlets {
		_ = o.from.Close()
	}
}

// outlet is where a command prints to.
type outlet struct {
	from *os.File
	to   io.Writer // nil: nobody reads it

	mu    sync.Mutex
	ended bool // the command; what it printed is all there
}

// flow moves what is printed until nobody can print any more, or until all is
// moved that an ended command has left. The error is the reader's.
func (o *outlet) flow(ctx context.Context) error {
	to := cmp.Or[io.Writer](o.to, io.Discard)
	buffer := make([]byte, 32<<10)
	for left := drainLimit; left > 0; {
		ended := o.wait()
		n, err := o.from.Read(buffer)
		if n > 0 && ctx.Err() == nil {
			if _, err := to.Write(buffer[:n]); err != nil {
				return fmt.Errorf("the output of the command could not be written: %w", err)
			}
		}
		if ended {
			left -= n
		}
		if err != nil && (ended || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return nil // also when a terminal's last process is gone, which is an I/O error
		}
	}
	return nil
}

// wait tells whether the command has ended; the next read then waits for no
// more than patience, and otherwise until it does.
func (o *outlet) wait() (ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		_ = o.from.SetReadDeadline(time.Now().Add(drainPatience))
	}
	return o.ended
}

// end notes that the command has ended, and wakes up who reads.
func (o *outlet) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	_ = o.from.SetReadDeadline(time.Unix(1, 0))
}
