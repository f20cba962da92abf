package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/pkg/api"
	"armada/pkg/client"
)

func (c *cli) watchCommand() *cobra.Command {
	var raw, exit bool
	cmd := &cobra.Command{
		Use:   "watch QUEUE JOB-SET",
		Short: "Show what happens to the jobs of a job set, from the first event on",
		Long: `Show what happens to the jobs of a job set: a line for each event since the first one, with how
many jobs are queued (Q), leased (L), pending (P), running (R), succeeded (S), failed (F) and
cancelled (C) after it. It goes on until Ctrl-C, over restarts of the server; a job set without
any event yet is waited for.`,
		Args: arguments("QUEUE", "JOB-SET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return c.connected(ctx, func(server *client.Client) error {
				lines := &eventLines{cli: c}
				stream := client.Stream{Queue: args[0], JobSet: args[1], Interrupted: c.interrupted(server.Address())}
				return server.Watch(ctx, stream, func(m *api.EventStreamMessage) error {
					lines.progress.Apply(m.GetMessage())
					var err error
					if raw {
						err = c.writeMessage("json", m)
					} else {
						err = lines.write(m.GetMessage())
					}
					if err == nil && exit && lines.progress.Done() {
						return client.ErrStop
					}
					return err
				})
			})
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "write the messages as JSON, one per line")
	cmd.Flags().BoolVar(&exit, "exit-if-inactive", false, "end when every job of the job set has ended")
	return cmd
}

// interrupted says once per interruption, and not at each attempt to end it,
// that a stream broke.
func (c *cli) interrupted(address string) func(error, time.Duration) {
	var said time.Time
	return func(err error, _ time.Duration) {
		if now := c.now(); now.Sub(said) > 10*time.Second {
			said = now
			why := status.Convert(err).Message()
			if status.Code(err) == codes.Unavailable {
				why = lastPart(why)
			}
			fmt.Fprintf(c.errors, "Lost the connection to %s (%s); trying again.\n", address, why)
		}
	}
}

// eventLines writes a line for each event.
type eventLines struct {
	cli      *cli
	progress client.Progress
	begun    bool
}

// counted are the states that a line has a number for.
var counted = []armada.JobState{
	armada.JobQueued, armada.JobLeased, armada.JobPending, armada.JobRunning,
	armada.JobSucceeded, armada.JobFailed, armada.JobCancelled,
}

func (l *eventLines) write(m *api.EventMessage) error {
	head := client.Head(m)
	if head.Kind == 0 || head.Kind == armada.EventUtilisation {
		return nil // newer than this program, or of no interest line by line
	}
	counts := ""
	if !l.begun {
		l.begun = true
		for _, name := range "QLPRSFC" {
			counts += fmt.Sprintf(" %4c", name)
		}
		l.cli.printf("%-12s%s  %-14s  %-26s  %s\n", "TIME", counts, "EVENT", "JOB", "DETAILS")
	}
	counts = ""
	for _, state := range counted {
		counts += fmt.Sprintf(" %4d", l.progress.Count(state))
	}
	line := fmt.Sprintf("%s%s  %-14s  %-26s", head.Created.In(l.cli.zone).Format("15:04:05.000"), counts, head.Kind, head.Job)
	if text := details(m); text != "" {
		line += "  " + text
	}
	_, err := fmt.Fprintln(l.cli.out, line)
	return err
}
