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

func (c *cli) logsCommand() *cobra.Command {
	var query client.LogQuery
	var times, prefix bool
	var since, form string
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Show what a job wrote",
		Long: `Show what a job wrote: its standard output on the standard output, its standard error on the standard
error. Of a job with several containers it shows all that they wrote, in order; --prefix says which wrote
each line. With -f it waits for a job that has not started, and goes on until its containers have ended.`,
		Example: `  armadactl logs -f 01jd0000000000000000000000
  armadactl logs --tail 20 --container main 01jd0000000000000000000000
  armadactl logs --prefix 01jd0000000000000000000000
  armadactl logs --previous --container proxy 01jd0000000000000000000000
  armadactl logs --since 10m --timestamps 01jd0000000000000000000000`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			query.Job = args[0]
			switch {
			case query.Tail < 0:
				return &usageError{"--tail must not be negative; 0 means all"}
			case query.Previous && query.Follow:
				return &usageError{"--previous and --follow cannot be given together: what ended prints no more"}
			}
			if query.Since, err = c.past("since", since); err != nil {
				return err
			}
			lines := &logLines{cli: c, times: times, prefix: prefix, to: machine{cli: c, form: form}}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return lines.show(ctx, server, query)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&query.Container, "container", "", "only this container of the pod (default all)")
	flags.StringVar(&query.Run, "run", "", "run of the job, by its id in describe job (default the newest)")
	flags.Int64Var(&query.Tail, "tail", 0, "only the last so many lines, 0 for all")
	flags.StringVar(&since, "since", "", "only lines of the last 10s, 5m, 1h, ..., or since a time")
	flags.BoolVar(&times, "timestamps", false, "when each line was written")
	flags.BoolVar(&prefix, "prefix", false, "which container wrote each line")
	flags.BoolVarP(&query.Follow, "follow", "f", false, "go on until the containers have ended")
	flags.BoolVar(&query.Previous, "previous", false, "what containers wrote before they were started again, as sidecars are")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, jobArgument)
	return cmd
}

// logLines writes the lines of a log.
type logLines struct {
	cli    *cli
	times  bool // each line begins with when it was written
	prefix bool // each line begins with its container
	to     machine
	last   time.Time // when the last line was written, if known
}

func (l *logLines) show(ctx context.Context, server *client.Client, query client.LogQuery) error {
	err := server.Logs(ctx, query, l.write)
	if code := status.Code(err); query.Follow && query.Run == "" && (code == codes.FailedPrecondition || code == codes.NotFound) {
		started, waiting := l.awaitStart(ctx, server, query.Job)
		if waiting != nil {
			return waiting
		}
		if started {
			err = server.Logs(ctx, query, l.write)
		}
	}
	if status.Code(err) == codes.Unavailable && !l.last.IsZero() {
		return advise(err, codes.Unavailable, "Go on with: armadactl logs -f --since %s %s", l.last.UTC().Format(time.RFC3339Nano), query.Job)
	}
	err = advise(err, codes.NotFound, "See what is known of it: armadactl describe job %s", query.Job)
	return advise(err, codes.FailedPrecondition, "See what is known of it: armadactl describe job %s", query.Job)
}

func (l *logLines) write(line *lookout.LogLine) error {
	if at := line.GetTimestamp(); at != nil {
		l.last = at.AsTime()
	}
	if l.to.chosen() {
		return l.to.add(line.GetContainer(), line)
	}
	to := l.cli.out
	if line.GetStream() == "stderr" {
		to = l.cli.errors
	}
	text := line.GetLine()
	if l.times {
		text = l.last.In(l.cli.zone).Format(time.RFC3339Nano) + " " + text
	}
	if l.prefix {
		text = "[" + line.GetContainer() + "] " + text
	}
	_, err := fmt.Fprintln(to, text)
	return err
}

// awaitStart waits until a job runs or has ended; false when it has come that
// far already, so that there is nothing to wait for.
func (l *logLines) awaitStart(ctx context.Context, server *client.Client, id string) (started bool, err error) {
	job, err := server.Job(ctx, id)
	if err != nil || ended(job.GetState()) || job.GetState() == api.JobState_RUNNING {
		return false, err
	}
	text := "Job " + id + " is " + stateName(job.GetState())
	if reason := oneLine(job.GetReason()); reason != "" {
		text += " (" + reason + ")"
	}
	fmt.Fprintln(l.cli.errors, text+"; waiting until it starts.")
	var progress client.Progress
	stream := client.Stream{Queue: job.GetQueue(), JobSet: job.GetJobSet(), Interrupted: l.cli.interrupted(server.Address(), nil)}
	err = server.Watch(ctx, stream, func(m *api.EventStreamMessage) error {
		if client.Head(m.GetMessage()).Job != id {
			return nil
		}
		progress.Apply(m.GetMessage())
		if state := progress.State(id); state == armada.JobRunning || state.Terminal() {
			return client.ErrStop
		}
		return nil
	})
	return true, err
}
