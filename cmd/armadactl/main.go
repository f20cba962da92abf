// Command armadactl is the user's command line of Armada: it submits jobs,
// watches them, shows their logs, cancels them, and looks after queues.
//
// Every command is a function from arguments to text on two writers. It talks to
// a server through pkg/client, and reads files through pkg/client/manifest; what
// it adds is words for people: tables, lines of events (events.go), and errors
// that say what to type next (explain.go). It must never decide what a server
// should decide; the one exception is submit --dry-run, which says so.
//
// The exit code is 0 when all went well, 1 when something failed, 2 when the
// command line itself made no sense. What users see is held by the golden files
// in testdata.
package main

import (
	"context"
	"io"
	"os"
	"time"

	"armada/pkg/client"
)

// version is set by the linker.
var version = "unknown"

func main() {
	c := &cli{
		out: os.Stdout, errors: os.Stderr,
		in: os.Stdin, environment: os.Getenv, now: time.Now, zone: time.Local,
		connect: func(config client.Config) (*client.Client, error) { return client.New(config) },
	}
	os.Exit(c.run(context.Background(), os.Args[1:]))
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

	// What the flags of all commands say.
	url, configFile, context string
}

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)
