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
Each is of the resource that the queue has most of. The weight is 1 / priority factor.`

func (c *cli) getSchedulingReportCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "scheduling-report",
		Short: "Show how the queues share each pool",
		Long:  "Show how the queues share each pool, as the scheduler's latest round left it.\n\n" + whatSharesSay,
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				answer, err := server.Reporter.GetSchedulingReport(ctx, &schedulerobjects.SchedulingReportRequest{})
				if err != nil {
					return fmt.Errorf("get the scheduling report: %w", err)
				}
				return c.report(form, "all", answer.GetReport())
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	return cmd
}

func (c *cli) getQueueReportCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "queue-report QUEUE",
		Short: "Show what a queue holds of each pool, and why its next job waits",
		Long:  "Show what a queue holds of each pool, as the scheduler's latest round left it, and why its next job waits.\n\n" + whatSharesSay,
		Args:  arguments("QUEUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				answer, err := server.Reporter.GetQueueReport(ctx, &schedulerobjects.QueueReportRequest{QueueName: args[0]})
				if err != nil {
					return advise(fmt.Errorf("get the report of the queue %q: %w", args[0], err), codes.NotFound, "See which there are: armadactl get queues")
				}
				return c.report(form, args[0], answer.GetReport())
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument)
	return cmd
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
