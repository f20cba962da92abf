//go:build linux

// Package room runs programs in namespaces of their own: of processes, mounts and
// network. Whatever they leave behind (processes and their orphans, mounts,
// interfaces) goes with the namespaces, by the kernel's own hand, also when the
// test is killed. Control groups and the folder are removed by a keeper, a process
// that outlives the test: it ends when the pipe from the test does.
//
//	test -> keeper (its own session) -> first process of the namespaces -> programs
//
// Both are this test binary again: TestMain must ask [Main] before anything else.
// Root is needed; what a machine refuses is told by name.
package room

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// Plan is what a room is to be.
type Plan struct {
	// Folder has what the programs share with the test; it is deleted at the end.
	Folder string
	// Group is the name of a control group below the root, made in every hierarchy.
	Group string
	// Address is the IPv4 address that the room has beside 127.0.0.1.
	Address string
	// Private folders are empty in the room, and in memory. Kept are folders that
	// are seen in the room all the same.
	Private []string
	Kept    []string
	// Files are seen in the room with another content than outside.
	Files map[string]string
	// Programs are started one after the other. When one ends the room does.
	Programs []Program
	// Forward is an address in the room (127.0.0.1:6443) where connections to
	// [Room.Addr] are led.
	Forward string
}

// Program is a program of a room. What it prints is in Folder/Name.log.
type Program struct {
	Name string
	Args []string // the first is its path
	Env  []string // beside the test's own
	// Once: it ends, with success, before the next begins.
	Once bool
	// Until is what must answer before the next begins: unix:PATH, which takes
	// connections, or an https URL, which answers 200 to anybody. Empty is nothing.
	Until string
}

// Room is an open room.
type Room struct {
	// Addr leads to the plan's Forward, from outside.
	Addr string

	keeper *exec.Cmd
	life   interface{ Close() error }
	output *bytes.Buffer // to be read once gone is closed
	gone   chan struct{}
	err    error
	close  sync.Once
}

const (
	keeperWord = "armada-room-keeper"
	firstWord  = "armada-room-first"
)

// Main is the keeper or the first process of a room, where this process is one, and
// returns the code to exit with.
func Main() (code int, was bool) {
	if len(os.Args) != 2 {
		return 0, false
	}
	var err error
	switch os.Args[1] {
	default:
		return 0, false
	case keeperWord:
		err = keep()
	case firstWord:
		err = live()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// Open makes a room and has its programs started. They may not have begun yet
// when it returns, and may still fail: see Gone.
func Open(plan Plan) (*Room, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	door, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer door.Close()
	r := &Room{Addr: listener.Addr().String(), output: &bytes.Buffer{}, gone: make(chan struct{})}
	r.keeper = exec.Command("/proc/self/exe", keeperWord)
	r.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not for it
	r.keeper.Stderr, r.keeper.ExtraFiles = r.output, []*os.File{door}
	stdin, err := r.keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := r.keeper.Start(); err != nil {
		return nil, err
	}
	r.life = stdin
	go func() {
		r.err = r.keeper.Wait()
		close(r.gone)
	}()
	if err := json.NewEncoder(stdin).Encode(plan); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Gone is closed when nothing is left of the room.
func (r *Room) Gone() <-chan struct{} { return r.gone }

// Err tells why the room is gone, when Gone is closed.
func (r *Room) Err() error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", r.err, strings.TrimSpace(r.output.String()))
}

// Close ends the programs and returns when nothing is left.
func (r *Room) Close() error {
	r.close.Do(func() { _ = r.life.Close() })
	<-r.gone
	return r.Err()
}
