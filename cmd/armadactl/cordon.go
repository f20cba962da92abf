package main

import (
	"context"
	"fmt"
	"strings"

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

// executorDeed is what a command does to an executor.
type executorDeed struct {
	short, example string
	reason         bool // is to be given
	do             func(server *client.Client, ctx context.Context, name, reason string) error
	done, sentence string // with the name in it
}

func (c *cli) cordonExecutorCommand() *cobra.Command {
	return c.executorCommand(&executorDeed{
		short: "Keep new jobs from an executor; what it runs goes on", example: `  armadactl cordon executor cluster-1 "the network is being replaced"`,
		reason: true, do: (*client.Client).CordonExecutor, done: "cordoned", sentence: "Executor %s cordoned: it gets no new jobs.",
	})
}

func (c *cli) uncordonExecutorCommand() *cobra.Command {
	return c.executorCommand(&executorDeed{
		short: "Let an executor have new jobs again", done: "uncordoned", sentence: "Executor %s uncordoned: it may have new jobs.",
		do: func(server *client.Client, ctx context.Context, name, _ string) error {
			return server.UncordonExecutor(ctx, name)
		},
	})
}

func (c *cli) deleteExecutorCommand() *cobra.Command {
	return c.executorCommand(&executorDeed{
		short: "Forget an executor that is gone for good", done: "deleted", sentence: "Executor %s deleted.",
		do: func(server *client.Client, ctx context.Context, name, _ string) error {
			return server.DeleteExecutor(ctx, name)
		},
	})
}

func (c *cli) executorCommand(deed *executorDeed) *cobra.Command {
	var form string
	names := []string{"NAME"}
	if deed.reason {
		names = append(names, "REASON")
	}
	cmd := &cobra.Command{
		Use:     "executor " + strings.Join(names, " "),
		Short:   deed.short,
		Example: deed.example,
		Args:    arguments(names...),
		RunE: func(cmd *cobra.Command, args []string) error {
			reason := append(args, "")[1]
			if deed.reason && reason == "" {
				return &usageError{"REASON is empty, must say why"}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := deed.do(server, ctx, args[0], reason); err != nil {
					return unknownExecutor(err)
				}
				to := machine{cli: c, form: form}
				return to.done(kindExecutor, args[0], deed.done, fmt.Sprintf(deed.sentence, args[0]))
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, executorArgument)
	return cmd
}

// cordonNodeCommand is cordon node and uncordon node.
func (c *cli) cordonNodeCommand(verb, short, meaning string, do func(*client.Client, context.Context, string) error) *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "node NAME",
		Short: short,
		Long:  short + ". Every node of the name is meant, of whichever executor.",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := do(server, ctx, args[0]); err != nil {
					return advise(err, codes.NotFound, "See which there are: armadactl get nodes")
				}
				to := machine{cli: c, form: form}
				return to.done(kindNode, args[0], verb+"ed", fmt.Sprintf("Node %s %sed: %s.", args[0], verb, meaning))
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, nodeArgument)
	return cmd
}

// unknownExecutor says how to find the executors when there is none of a name.
func unknownExecutor(err error) error {
	return advise(err, codes.NotFound, "See which there are: armadactl get executors")
}
