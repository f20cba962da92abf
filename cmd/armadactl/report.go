package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/pkg/api/schedulerobjects"
	"armada/pkg/client"
)

// whatSharesSay explains the columns of a report.
const whatSharesSay = `ENTITLED TO is the fraction of a pool that a queue gets by its weight, with what other queues do not
want; HOLDS is what its jobs have now, and WANTS what all of them, the queued ones too, would have.
Each is of the resource that the queue has most of. The weight is 1 / priority factor.

With -v there is also FAIR SHARE, what a queue gets by its weight alone; COST, by which queues take
turns: what it holds times its priority factor, the lowest goes first; and what the round placed.
With -vv there is also what waits, and why.`

func (c *cli) getSchedulingReportCommand() *cobra.Command {
	var form, queue, job string
	var verbosity int
	cmd := &cobra.Command{
		Use:   "scheduling-report",
		Short: "Show how the queues share each pool",
		Long:  "Show how the queues share each pool, as the scheduler's latest round left it.\n\n" + whatSharesSay,
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if queue != "" && job != "" {
				return &usageError{"give --queue or --job-id, not both"}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				request, about := &schedulerobjects.SchedulingReportRequest{Verbosity: int32(verbosity)}, "all"
				switch {
				case queue != "":
					about = queue
					request.Filter = &schedulerobjects.SchedulingReportRequest_MostRecentForQueue{MostRecentForQueue: &schedulerobjects.MostRecentForQueue{QueueName: queue}}
				case job != "":
					about = job
					request.Filter = &schedulerobjects.SchedulingReportRequest_MostRecentForJob{MostRecentForJob: &schedulerobjects.MostRecentForJob{JobId: job}}
				}
				answer, err := server.Reporter.GetSchedulingReport(ctx, request)
				if err != nil {
					return fmt.Errorf("get the scheduling report: %w", err)
				}
				return c.report(form, about, answer.GetReport())
			})
		},
	}
	verbosityFlag(cmd, &verbosity)
	cmd.Flags().StringVar(&queue, "queue", "", "only this queue, as get queue-report")
	cmd.Flags().StringVar(&job, "job-id", "", "why this job waits, as get job-report")
	outputFlag(cmd, &form, asText...)
	return cmd
}

func (c *cli) getQueueReportCommand() *cobra.Command {
	var form string
	var verbosity int
	cmd := &cobra.Command{
		Use:   "queue-report QUEUE",
		Short: "Show what a queue holds of each pool, and why its next job waits",
		Long:  "Show what a queue holds of each pool, as the scheduler's latest round left it, and why its next job waits.\n\n" + whatSharesSay,
		Args:  arguments("QUEUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				answer, err := server.Reporter.GetQueueReport(ctx, &schedulerobjects.QueueReportRequest{QueueName: args[0], Verbosity: int32(verbosity)})
				if err != nil {
					return advise(fmt.Errorf("get the report of the queue %q: %w", args[0], err), codes.NotFound, "See which there are: armadactl get queues")
				}
				return c.report(form, args[0], answer.GetReport())
			})
		},
	}
	verbosityFlag(cmd, &verbosity)
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument)
	return cmd
}

func (c *cli) getJobReportCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "job-report ID",
		Short: "Show why a job waits, pool by pool, and where it stands in its queue",
		Args:  arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				answer, err := server.Reporter.GetJobReport(ctx, &schedulerobjects.JobReportRequest{JobId: args[0]})
				if err != nil {
					return advise(fmt.Errorf("get the report of the job %q: %w", args[0], err), codes.NotFound, "See which there are: armadactl get jobs")
				}
				return c.report(form, args[0], answer.GetReport())
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, jobArgument)
	return cmd
}

func verbosityFlag(cmd *cobra.Command, verbosity *int) {
	cmd.Flags().CountVarP(verbosity, "verbose", "v", "tell more; twice for still more")
}

// report writes a table that the server made; programs get it as it is.
func (c *cli) report(form, about, text string) error {
	to := machine{cli: c, form: form}
	if !to.chosen() {
		c.printf("%s", text)
		return nil
	}
	return to.addValue(about, struct {
		Report string `json:"report"`
	}{text})
}
