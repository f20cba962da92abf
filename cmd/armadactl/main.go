// Command armadactl is the user's command line of Armada: it submits jobs,
// watches them, shows their logs, cancels them, and looks after queues.
//
// Every command is a function from arguments to text on two writers. It talks to
// a server through pkg/client, and reads files through pkg/client/manifest; what
// it adds is words for people: tables (jobs.go, queue.go), lines of events
// (events.go), what can be told of one job (describe.go), a line of status at
// the bottom of a terminal (live.go), and errors that say what to type next
// (explain.go). For programs there is -o (output.go) and the exit code
// (exit.go). It must never decide what a server should decide; the one exception
// is submit --dry-run, which says so.
//
// Colours and lines that change are for terminals only; what goes into a pipe or
// a file is plain. What users see is held by the golden files in testdata.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"armada/pkg/client"
)

//go:generate go run . docs ../../docs/reference/armadactl

// version is set by the linker.
var version = "unknown"

func main() {
	c := &cli{
		out: os.Stdout, errors: os.Stderr,
		in: os.Stdin, environment: os.Getenv, now: time.Now, zone: time.Local,
		connect:  func(config client.Config) (*client.Client, error) { return client.New(config) },
		terminal: terminal, rows: rows, signals: signals, defaults: defaults(),
	}
	code := c.run(context.Background(), os.Args[1:])
	switch {
	case c.ofCommand: // whatever it says, nobody sent this process a signal
	case code == exitInterrupted:
		die(os.Interrupt)
	case code == exitTerminated:
		die(syscall.SIGTERM)
	}
	os.Exit(code) // where a process cannot send itself a signal, too
}

// defaults is the file that whoever installed the program may have put beside it.
func defaults() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	return filepath.Join(filepath.Dir(self), "armadactl-defaults.yaml")
}

// die ends the process by a signal that it has heard: a shell goes on with its
// script after a program that only exits, as after an editor that took Ctrl-C for
// a key.
func die(by os.Signal) {
	signal.Reset(by)
	self, err := os.FindProcess(os.Getpid())
	if err == nil && self.Signal(by) == nil {
		time.Sleep(time.Second) // it comes sooner
	}
}

// cli is the world that the commands live in.
type cli struct {
	out, errors io.Writer
	in          io.Reader
	environment func(string) string
	now         func() time.Time
	zone        *time.Location
	// connect prepares a connection.
	connect func(client.Config) (*client.Client, error)
	// terminal tells whether out is a terminal, and how many columns it has now.
	terminal func() (columns int, is bool)
	// rows is how many lines the terminal has now.
	rows func() int
	// signals is a context that ends when the user wants the program to end. What
	// it returns has to be called, and tells then by an interruptedError whether
	// the user did.
	signals func(context.Context) (context.Context, func() error)

	// ofCommand says that the exit code is that of a command of exec.
	ofCommand bool

	// defaults is a config file for what the user's says nothing about; empty for none.
	defaults string

	// What the flags of all commands say.
	url, configFile, context string
}

func terminal() (columns int, is bool) {
	fd := int(os.Stdout.Fd())
	if !term.IsTerminal(fd) {
		return 0, false
	}
	columns, _, err := term.GetSize(fd)
	if err != nil || columns <= 0 {
		columns = 80
	}
	return columns, true
}

func rows() int {
	_, rows, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || rows <= 0 {
		rows = 24
	}
	return rows
}

// signals listens for Ctrl-C and SIGTERM. Only the first is heard: a second one
// ends the process at once.
func signals(ctx context.Context) (context.Context, func() error) {
	ctx, cancel := context.WithCancel(ctx)
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, os.Interrupt, syscall.SIGTERM)
	ended := make(chan os.Signal, 1)
	go func() {
		var by os.Signal
		select {
		case by = <-heard:
		case <-ctx.Done():
		}
		signal.Stop(heard)
		if by == nil {
			select {
			case by = <-heard: // just now
			default:
			}
		}
		cancel()
		ended <- by
	}()
	return ctx, func() error {
		cancel()
		switch <-ended {
		case nil:
			return nil
		case syscall.SIGTERM:
			return &interruptedError{exitTerminated}
		default:
			return &interruptedError{exitInterrupted}
		}
	}
}
