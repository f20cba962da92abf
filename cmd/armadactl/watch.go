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
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

// watching is what to show of a job set.
type watching struct {
	queue, set string
	from       string // the id of the last event that was seen; empty for none
	exit       bool   // when every job has ended
	form       string
}

func (c *cli) watchCommand() *cobra.Command {
	var raw bool
	var w watching
	cmd := &cobra.Command{
		Use:   "watch QUEUE JOB-SET",
		Short: "Show what happens to the jobs of a job set, from the first event on",
		Long: `Show what happens to the jobs of a job set: a line for each event since the first one. In a terminal
the last line tells how far the jobs have come; elsewhere every line begins with how many jobs are
queued (Q), leased (L), pending (P), running (R), succeeded (S), failed (F) and cancelled (C) after
the event. It goes on until Ctrl-C, over restarts of the server; a job set without any event yet is
waited for, but not with --exit-if-inactive.

With --from it begins after an event whose id -o name or json wrote, and counts the jobs that had an
event since. An id that is of no server here, or of before a restore, is that of the beginning.`,
		Example: `  armadactl watch demo first-steps
  armadactl watch demo first-steps --exit-if-inactive && armadactl get jobs --job-set first-steps
  armadactl watch demo first-steps -o json --from "$(tail -n 1 seen.jsonl | jq -r .id)" >> seen.jsonl`,
		Args: arguments("QUEUE", "JOB-SET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.queue, w.set = args[0], args[1]
			if raw {
				w.form = formJSON
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return c.watch(ctx, server, w)
			})
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "the same as -o json")
	cmd.Flags().BoolVar(&w.exit, "exit-if-inactive", false, "end when every job of the job set has ended")
	cmd.Flags().StringVar(&w.from, "from", "", "the id of the last event that was seen: go on after it")
	suggest(cmd, "from") // nobody knows which
	for _, name := range []string{"force-new-events", "force-legacy-events"} {
		cmd.Flags().Bool(name, false, "of no effect: there is one kind of events here")
		if err := cmd.Flags().MarkHidden(name); err != nil {
			panic("armadactl: " + err.Error()) // a mistake in this program
		}
	}
	outputFlag(cmd, &w.form, asText...)
	c.completeArguments(cmd, queueArgument, jobSetArgument)
	return cmd
}

func (c *cli) watch(ctx context.Context, server *client.Client, w watching) error {
	unended, err := w.unended(ctx, server)
	if err != nil {
		return err
	}
	read := server.Watch
	if unended != nil && len(unended) == 0 { // what is left is only to be read
		read, w.exit = server.History, false
	}
	lines := &eventLines{cli: c}
	to := machine{cli: c, form: w.form}
	if !to.chosen() {
		lines.live = c.live(&lines.progress)
		defer lines.live.close()
	}
	stream := client.Stream{
		Queue: w.queue, JobSet: w.set, From: w.from, MustExist: true,
		Interrupted: c.interrupted(server.Address(), lines.live),
	}
	visit := func(m *api.EventStreamMessage) error {
		err := lines.live.do(func() error {
			lines.progress.Apply(m.GetMessage())
			if to.chosen() {
				return to.add(m.GetId(), m)
			}
			return lines.write(m.GetMessage())
		})
		if id := client.Head(m.GetMessage()).Job; lines.progress.State(id).Terminal() {
			delete(unended, id)
		}
		if err == nil && w.exit && lines.progress.Done() && len(unended) == 0 {
			return client.ErrStop
		}
		return err
	}
	err = read(ctx, stream, visit)
	if status.Code(err) != codes.NotFound {
		return err
	}
	if _, err := server.Queue(ctx, w.queue); err != nil {
		return advise(err, codes.NotFound, "See which there are: armadactl get queues")
	}
	if w.exit {
		return advise(status.Errorf(codes.NotFound, "job set %s of queue %s has no events, or they are forgotten", w.set, w.queue),
			codes.NotFound, "See which there are: armadactl get job-sets --queue %s", w.queue)
	}
	err = lines.live.do(func() error {
		_, err := fmt.Fprintf(c.errors, "Job set %s of queue %s has no events, or they are forgotten; waiting for the next one.\n", w.set, w.queue)
		return err
	})
	if err != nil {
		return err
	}
	stream.MustExist = false
	return server.Watch(ctx, stream, visit)
}

// unended are the jobs that must end before everything has, though some of them
// had no event since the one that was seen; nil when nobody waits for that.
func (w *watching) unended(ctx context.Context, server *client.Client) (map[string]bool, error) {
	if w.from == "" || !w.exit {
		return nil, nil
	}
	jobs := map[string]bool{}
	query := client.JobQuery{Queue: w.queue, JobSet: w.set, States: activeStates()}
	err := server.EachJob(ctx, query, func(j *lookout.Job) error {
		jobs[j.GetJobId()] = true
		return nil
	})
	return jobs, err
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
