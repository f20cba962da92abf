//go:build linux

package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
)

// door is the number of the open file that connections for the room come in by.
const door = 3

// keep is the keeper: it makes the room, waits until the test closes the pipe or
// dies, and removes what the kernel does not.
func keep() (err error) {
	signal.Ignore(syscall.SIGPIPE) // when the test is dead nobody reads what we say
	var plan Plan
	commands := json.NewDecoder(os.Stdin)
	if err := commands.Decode(&plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(plan.Folder)) }()
	removeStrayGroups(plan.Group)
	if err := makeGroup(plan.Group); err != nil {
		return errors.Join(err, removeGroup(plan.Group))
	}
	defer func() { err = errors.Join(err, removeGroup(plan.Group)) }()

	// What is told of a parent's death is the death of the thread that it was.
	runtime.LockOSThread()
	first := exec.Command("/proc/self/exe", firstWord)
	first.Stderr, first.ExtraFiles = os.Stderr, []*os.File{os.NewFile(door, "door")}
	first.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
	}
	stdin, err := first.StdinPipe()
	if err != nil {
		return err
	}
	if err := first.Start(); err != nil {
		return fmt.Errorf("making namespaces of processes, mounts and network, which needs CAP_SYS_ADMIN: %w", err)
	}
	if err := json.NewEncoder(stdin).Encode(plan); err != nil {
		_ = first.Process.Kill()
		return errors.Join(err, first.Wait())
	}
	var asked atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		asked.Store(true)
		_ = first.Process.Kill() // and with it all processes of the room
	}()
	if err := first.Wait(); err != nil && !asked.Load() {
		return fmt.Errorf("the room has ended: %w", err)
	}
	return nil
}
