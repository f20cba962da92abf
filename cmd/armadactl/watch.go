package main

import (
	"context"
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
	var form string
	cmd := &cobra.Command{
		Use:   "watch QUEUE JOB-SET",
		Short: "Show what happens to the jobs of a job set, from the first event on",
		Long: `Show what happens to the jobs of a job set: a line for each event since the first one. In a terminal
the last line tells how far the jobs have come; elsewhere every line begins with how many jobs are
queued (Q), leased (L), pending (P), running (R), succeeded (S), failed (F) and cancelled (C) after
the event. It goes on until Ctrl-C, over restarts of the server; a job set without any event yet is
waited for.`,
		Example: `  armadactl watch demo first-steps
  armadactl watch demo first-steps --exit-if-inactive && armadactl get jobs --job-set first-steps`,
		Args: arguments("QUEUE", "JOB-SET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if raw {
				form = formJSON
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return c.watch(ctx, server, args[0], args[1], form, exit)
			})
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "the same as -o json")
	cmd.Flags().BoolVar(&exit, "exit-if-inactive", false, "end when every job of the job set has ended")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument, jobSetArgument)
	return cmd
}

func (c *cli) watch(ctx context.Context, server *client.Client, queue, set, form string, exit bool) error {
	if jobs, err := server.Jobs(ctx, client.JobQuery{Queue: queue, JobSet: set, Limit: 1}); err == nil && len(jobs) == 0 {
		if _, err := server.Queue(ctx, queue); err == nil { // what is wrong with it, the stream tells
			fmt.Fprintf(c.errors, "Queue %s has no job set %s, or has forgotten it; waiting for its first job.\n", queue, set)
		}
	}
	lines := &eventLines{cli: c}
	to := machine{cli: c, form: form}
	if !to.chosen() {
		lines.live = c.live(&lines.progress)
		defer lines.live.close()
	}
	stream := client.Stream{Queue: queue, JobSet: set, MustExist: true, Interrupted: c.interrupted(server.Address(), lines.live)}
	visit := func(m *api.EventStreamMessage) error {
		err := lines.live.do(func() error {
			lines.progress.Apply(m.GetMessage())
			if to.chosen() {
				return to.add(m.GetId(), m)
			}
			return lines.write(m.GetMessage())
		})
		if err == nil && exit && lines.progress.Done() {
			return client.ErrStop
		}
		return err
	}
	err := server.Watch(ctx, stream, visit)
	if status.Code(err) != codes.NotFound {
		return err
	}
	if _, err := server.Queue(ctx, queue); err != nil {
		return advise(err, codes.NotFound, "See which there are: armadactl get queues")
	}
	err = lines.live.do(func() error {
		_, err := fmt.Fprintf(c.errors, "Job set %s of queue %s has no events yet; waiting for the first one.\n", set, queue)
		return err
	})
	if err != nil {
		return err
	}
	stream.MustExist = false
	return server.Watch(ctx, stream, visit)
}

// interrupted says once per interruption, and not at each attempt to end it,
// that a stream broke.
func (c *cli) interrupted(address string, live *liveLine) func(error, time.Duration) {
	var last time.Time
	return func(err error, _ time.Duration) {
		if now := c.now(); now.Sub(last) > 10*time.Second {
			last = now
			why := status.Convert(err).Message()
			if status.Code(err) == codes.Unavailable {
				why = lastPart(why)
			}
			_ = live.do(func() error {
				_, err := fmt.Fprintf(c.errors, "Lost the connection to %s (%s); trying again.\n", address, why)
				return err
			})
		}
	}
}

// eventLines writes a line for each event.
type eventLines struct {
	cli      *cli
	progress client.Progress
	begun    bool
	// live tells the numbers, if there is one; otherwise the lines do.
	live *liveLine
}

// counted are the states that there is a number for.
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
		if l.live == nil {
			for _, name := range "QLPRSFC" {
				counts += fmt.Sprintf(" %4c", name)
			}
		}
		l.cli.printf("%-12s%s  %-14s  %-26s  %s\n", "TIME", counts, "EVENT", "JOB", "DETAILS")
	}
	counts = ""
	if l.live == nil {
		for _, state := range counted {
			counts += fmt.Sprintf(" %4d", l.progress.Count(state))
		}
	}
	line := fmt.Sprintf("%s%s  %s  %-26s", head.Created.In(l.cli.zone).Format("15:04:05.000"), counts,
		l.cli.dye(fmt.Sprintf("%-14s", head.Kind), colourOf(l.progress.State(head.Job))), head.Job)
	if text := details(m); text != "" {
		line += "  " + text
	}
	_, err := fmt.Fprintln(l.cli.out, line)
	return err
}
