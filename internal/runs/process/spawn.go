//go:build linux

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"armada/internal/podspec"
)

// lifelineFD is the number under which processes of a run have its lifeline: one
// that shells and their scripts do not use.
const lifelineFD = 99

// Exit codes of what could not be started, as shells give them.
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// startError says why a container was not started.
type startError struct {
	code int32
	text string
}

func (e *startError) Error() string { return e.text }

// instance is a container that was started.
type instance struct {
	container *podspec.Container
	child     *child
	cage      cage
	output    [2]*os.File // stdout and stderr, to read
	pumps     sync.WaitGroup
	commands  map[*child]bool // that live beside it; the run's lock guards it
	closing   bool            // it has ended: no more commands
	closed    sync.WaitGroup  // they have ended too
}

// spawn starts a container of a run; the lock is held.
func (r *run) spawn(c *podspec.Container) (*instance, *startError) {
	env := r.environment(c)
	dir, path, failure := r.find(c, c.Command[0], env)
	if failure != nil {
		return nil, failure
	}
	in := &instance{container: c, commands: make(map[*child]bool)}
	handles, err := in.open(r.lifeline)
	defer func() {
		for _, h := range handles[:min(len(handles), 3)] {
			_ = unix.Close(int(h))
		}
	}()
	if err != nil {
		return nil, &startError{exitCannotRun, fmt.Sprintf("start %q: %v", c.Command[0], err)}
	}
	r.spawned++
	in.cage = r.sup.cages.open(r.order.Run, r.spawned, c.Memory)
	attr := &syscall.ProcAttr{Dir: dir, Env: env, Files: handles, Sys: &syscall.SysProcAttr{}}
	in.child, err = r.sup.reaper.start(path, slices.Concat(c.Command, c.Args), attr, func(start func()) error {
		return in.cage.start(attr.Sys, start)
	})
	in.cage.handle.Close()
	if err != nil {
		in.closeOutput()
		r.sup.discard(in.cage)
		return nil, cannotStart(c.Command[0], err)
	}
	for i, from := range in.output {
		in.pumps.Go(func() { r.log.pump(from, c.Name, i == 1) })
	}
	in.closed.Go(func() { r.endCommands(in) })
	return in, nil
}

// find finds the folder that processes of a container begin in, and a program as
// it is found from there.
func (r *run) find(c *podspec.Container, program string, env []string) (dir, path string, failure *startError) {
	dir = r.folder.work()
	if c.WorkingDir != "" {
		dir = c.WorkingDir
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(r.folder.work(), dir)
		}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", "", &startError{exitCannotRun, fmt.Sprintf("the working folder %q is no folder of this machine", dir)}
	}
	path, failure = lookUp(program, dir, env)
	return dir, path, failure
}

// open makes what the process reads and writes: nothing, and a pipe for each
// stream. The first three handles are the caller's to close.
func (in *instance) open(lifeline *os.File) ([]uintptr, error) {
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	handles := []uintptr{uintptr(null)}
	for i := range in.output {
		ours, theirs, err := pipe(true)
		if err != nil {
			in.closeOutput()
			return handles, err
		}
		in.output[i] = ours
		handles = append(handles, uintptr(theirs))
	}
	return withLifeline(handles, lifeline), nil
}

// pipe makes a pipe between us and a process, which has a plain handle of its
// end, as programs expect it.
func pipe(theyWrite bool) (ours *os.File, theirs int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, 0, err
	}
	our, theirs := ends[0], ends[1]
	if !theyWrite {
		our, theirs = theirs, our
	}
	_ = unix.SetNonblock(our, true) // so that it waits in the poller and closing ends that
	return os.NewFile(uintptr(our), "pipe"), theirs, nil
}

// withLifeline adds the lifeline to the handles of a process.
func withLifeline(handles []uintptr, lifeline *os.File) []uintptr {
	for len(handles) < lifelineFD {
		handles = append(handles, ^uintptr(0))
	}
	return append(handles, lifeline.Fd())
}

func (in *instance) closeOutput() {
	for _, f := range in.output {
		if f != nil {
			_ = f.Close()
		}
	}
}

// drain waits for the rest of the output. A process that we could not find may
// hold a pipe open; it is not waited for longer than patience.
func (in *instance) drain(patience time.Duration) {
	late := time.AfterFunc(patience, in.closeOutput)
	in.pumps.Wait()
	late.Stop()
	in.closeOutput()
}

// cannotStart turns the kernel's answer into an exit code and a reason.
func cannotStart(command string, err error) *startError {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &startError{exitNotFound, fmt.Sprintf("%q: its interpreter was not found", command)}
	case errors.Is(err, syscall.ENOEXEC):
		return &startError{exitCannotRun, fmt.Sprintf("%q is no program for this machine, nor a script that names its interpreter", command)}
	default:
		return &startError{exitCannotRun, fmt.Sprintf("%q cannot be run: %v", command, err)}
	}
}

// lookUp finds a command as a shell does: along PATH unless it has a slash.
func lookUp(command, dir string, env []string) (string, *startError) {
	if strings.Contains(command, "/") {
		path := command
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		switch info, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return "", &startError{exitNotFound, fmt.Sprintf("command %q was not found on this machine", command)}
		case err != nil:
			return "", &startError{exitCannotRun, fmt.Sprintf("command %q cannot be run: %v", command, err)}
		case info.IsDir():
			return "", &startError{exitCannotRun, fmt.Sprintf("command %q is a folder", command)}
		}
		return path, nil
	}
	blocked := false
	for _, at := range filepath.SplitList(lookEnv(env, "PATH")) {
		path := filepath.Join(at, command)
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		info, err := os.Stat(path)
		if command == "" || err != nil || info.IsDir() {
			continue
		}
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
		blocked = true
	}
	if blocked {
		return "", &startError{exitCannotRun, fmt.Sprintf("command %q cannot be run: permission denied", command)}
	}
	return "", &startError{exitNotFound, fmt.Sprintf("command %q was not found on this machine", command)}
}

// lookEnv returns the value of a variable.
func lookEnv(env []string, name string) string {
	for _, variable := range env {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}
