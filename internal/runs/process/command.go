//go:build linux

package process

import (
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"armada/internal/podspec"
	"armada/internal/runs"
)

// A command reads and writes by handles that the client made: pipes, or a
// terminal. They come over the socket and go to the process, so the supervisor
// moves nothing of what flows there and waits for nobody who reads it.

// mostHandles is how many handles may come at once.
const mostHandles = 3

// intake reads from a client and gathers the handles that come beside the bytes.
type intake struct {
	conn    *net.UnixConn
	handles []int
}

func (in *intake) Read(p []byte) (int, error) {
	beside := make([]byte, unix.CmsgSpace(mostHandles*4))
	n, size, _, _, err := in.conn.ReadMsgUnix(p, beside)
	if err != nil {
		return max(n, 0), err // a reader may not answer less than nothing
	}
	messages, _ := unix.ParseSocketControlMessage(beside[:size])
	for i := range messages {
		handles, _ := unix.ParseUnixRights(&messages[i])
		in.handles = append(in.handles, handles...)
	}
	if len(in.handles) > mostHandles { // nothing took the earlier ones
		closeAll(in.handles)
		in.handles = nil
	}
	return n, err
}

// take hands out what has come; it is the caller's to close.
func (in *intake) take() []int {
	handles := in.handles
	in.handles = nil
	return handles
}

func closeAll(handles []int) {
	for _, h := range handles {
		_ = unix.Close(h)
	}
}

// command runs a command to its end, or kills it when its client hangs up.
func (s *supervisor) command(req *request, handles []int, hungUp <-chan struct{}) reply {
	rep := reply{ID: req.ID}
	r, in, c, failure, err := s.beginCommand(req.Exec, handles)
	closeAll(handles) // so that only the command's processes hold them
	switch {
	case err != nil:
		rep.fail(err)
		return rep
	case failure != nil:
		rep.ExitCode, rep.Text = &failure.code, failure.text
		return rep
	}
	select {
	case <-c.over:
	case <-hungUp:
		s.reaper.signal(c, syscall.SIGKILL)
		<-c.over
	}
	r.mu.Lock()
	delete(in.commands, c)
	r.mu.Unlock()
	code := c.exitCode()
	rep.ExitCode = &code
	return rep
}

func (s *supervisor) beginCommand(req *execRequest, handles []int) (*run, *instance, *child, *startError, error) {
	want := mostHandles
	if req.Terminal {
		want = 1
	}
	if len(handles) != want || len(req.Args) == 0 {
		return nil, nil, nil, nil, fmt.Errorf("the request has %d handles where a command wants %d, and %d args", len(handles), want, len(req.Args))
	}
	s.mu.Lock()
	r, over := s.live[req.Run], s.found[req.Run]
	s.mu.Unlock()
	if r == nil {
		if _, known := s.ledger.Get(req.Run); known || over {
			return nil, nil, nil, nil, runs.ErrNotRunning
		}
		return nil, nil, nil, nil, runs.ErrUnknownRun
	}
	in, c, failure, err := r.beginCommand(req, handles)
	return r, in, c, failure, err
}

// beginCommand begins a command beside a container: in its control groups and
// its folder, with its environment, and with the marks of the run.
func (r *run) beginCommand(req *execRequest, handles []int) (*instance, *child, *startError, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in, err := r.running(req.Container)
	if err != nil {
		return nil, nil, nil, err
	}
	env := r.environment(in.container)
	if req.Terminal && lookEnv(env, "TERM") == "" {
		env = append(env, "TERM=xterm")
	}
	dir, path, failure := r.find(in.container, req.Args[0], env)
	if failure != nil {
		return nil, nil, failure, nil
	}
	if req.Terminal {
		handles = []int{handles[0], handles[0], handles[0]}
	}
	var files []uintptr
	for _, h := range handles {
		files = append(files, uintptr(h))
	}
	cage := in.cage.beside()
	attr := &syscall.ProcAttr{
		Dir: dir, Env: env, Files: withLifeline(files, r.lifeline),
		Sys: &syscall.SysProcAttr{Setctty: req.Terminal},
	}
	c, err := r.sup.reaper.start(path, req.Args, attr, func(start func()) error {
		return cage.start(attr.Sys, start)
	})
	_ = cage.handle.Close()
	if err != nil {
		return nil, nil, cannotStart(req.Args[0], err), nil
	}
	in.commands[c] = true
	return in, c, nil, nil
}

// running finds a container that runs; empty is the first of the pod's that is
// no init container. The lock is held.
func (r *run) running(name string) (*instance, error) {
	named := func(c *podspec.Container) bool { return c.Name == name }
	if name == "" {
		named = func(c *podspec.Container) bool { return !c.Init }
	}
	var names []string
	for i := range r.containers {
		c := &r.containers[i]
		names = append(names, c.Name)
		if !named(c) {
			continue
		}
		for in := range r.live {
			if in.container == c && !in.closing {
				return in, nil
			}
		}
		if name == "" {
			return nil, runs.ErrNotRunning
		}
	}
	if len(names) > 0 && !slices.Contains(names, name) {
		return nil, fmt.Errorf("container: the pod has none named %q, but %q", name, names)
	}
	return nil, runs.ErrNotRunning
}

// endCommands waits for the end of a container and kills the commands beside it;
// none begins after that.
func (r *run) endCommands(in *instance) {
	<-in.child.over
	r.mu.Lock()
	in.closing = true
	var living []*child
	for c := range in.commands {
		living = append(living, c)
	}
	r.mu.Unlock()
	for _, c := range living {
		r.sup.reaper.signal(c, syscall.SIGKILL)
		<-c.over
	}
}

// openTerminal makes a terminal: our end of it, and the one for processes.
func openTerminal(size runs.TerminalSize) (ours *os.File, theirs int, err error) {
	our, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("open a terminal: %w", err)
	}
	ours = os.NewFile(uintptr(our), "terminal")
	number, err := unix.IoctlGetUint32(our, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(our, unix.TIOCSPTLCK, 0) // otherwise the other end cannot be opened
	}
	if err == nil {
		err = resize(our, size)
	}
	if err == nil {
		theirs, err = unix.Open(fmt.Sprintf("/dev/pts/%d", number), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		_ = ours.Close()
		return nil, 0, fmt.Errorf("open a terminal: %w", err)
	}
	return ours, theirs, nil
}

func resize(terminal int, size runs.TerminalSize) error {
	return unix.IoctlSetWinsize(terminal, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
}
