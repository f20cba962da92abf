package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/pkg/api"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

const kindExecutor = "Executor"

// cordonQueuesCommand is cordon queues and uncordon queues.
func (c *cli) cordonQueuesCommand(verb, short, meaning string, do func(*client.Client, context.Context, string) error) *cobra.Command {
	var choice queueChoice
	var dry bool
	var form string
	cmd := &cobra.Command{
		Use:     "queues [NAME...]",
		Aliases: []string{"queue"},
		Short:   short,
		Long:    short + ": those that are named, or those with some labels.",
		Example: "  armadactl " + verb + " queue demo\n  armadactl " + verb + " queues -l team=research --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := choice.named(args, "match-labels"); err != nil {
				return err
			}
			to := machine{cli: c, form: form}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				queues, err := choice.queuesOf(ctx, server, args)
				if err != nil {
					return err
				}
				return c.eachQueue(queues, func(q *api.Queue) error {
					name := q.GetName()
					if dry {
						return to.done(manifest.KindQueue, name, "nothing", fmt.Sprintf("Queue %s would be %sed. Nothing was sent.", name, verb))
					}
					if err := do(server, ctx, name); err != nil {
						return err
					}
					return to.done(manifest.KindQueue, name, verb+"ed", fmt.Sprintf("Queue %s %sed: %s.", name, verb, meaning))
				})
			})
		},
	}
	choice.flags(cmd, "match-labels")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say which queues are meant")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument, repeated)
	return cmd
}

func (c *cli) cordonExecutorCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:     "executor NAME REASON",
		Short:   "Keep new jobs from an executor; what it runs goes on",
		Example: `  armadactl cordon executor cluster-1 "the network is being replaced"`,
		Args:    arguments("NAME", "REASON"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] == "" {
				return &usageError{"REASON is empty, must say why"}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := server.CordonExecutor(ctx, args[0], args[1]); err != nil {
					return unknownExecutor(err)
				}
				to := machine{cli: c, form: form}
				return to.done(kindExecutor, args[0], "cordoned", fmt.Sprintf("Executor %s cordoned: it gets no new jobs.", args[0]))
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, executorArgument)
	return cmd
}

func (c *cli) uncordonExecutorCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "executor NAME",
		Short: "Let an executor have new jobs again",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := server.UncordonExecutor(ctx, args[0]); err != nil {
					return unknownExecutor(err)
				}
				to := machine{cli: c, form: form}
				return to.done(kindExecutor, args[0], "uncordoned", fmt.Sprintf("Executor %s uncordoned: it may have new jobs.", args[0]))
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, executorArgument)
	return cmd
}

func (c *cli) deleteExecutorCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "executor NAME",
		Short: "Forget an executor that is gone for good",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := server.DeleteExecutor(ctx, args[0]); err != nil {
					return unknownExecutor(err)
				}
				to := machine{cli: c, form: form}
				return to.done(kindExecutor, args[0], "deleted", fmt.Sprintf("Executor %s deleted.", args[0]))
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, executorArgument)
	return cmd
}

// unknownExecutor says how to find the executors when there is none of a name.
func unknownExecutor(err error) error {
	return advise(err, codes.NotFound, "See which there are: armadactl top nodes")
}
