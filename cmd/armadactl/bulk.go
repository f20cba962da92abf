package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada"
	"armada/pkg/api"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

const kindNode = "Node"

// bulk is what cancel and preempt do to all jobs of an executor, a node or queues.
type bulk struct {
	cli    *cli
	verb   string // cancel
	doing  string // Cancelling
	states bool   // the command asks for states
	form   string
	dry    bool

	onExecutor func(*client.Client, context.Context, string, client.Work) error
	onNode     func(*client.Client, context.Context, string, string, client.Work) error
	onQueue    func(*client.Client, context.Context, string, client.Work) error

	work       client.Work
	stateNames []string
	allClasses bool
	executor   string
	choice     queueChoice
}

func (c *cli) cancelling() *bulk {
	return &bulk{
		cli: c, verb: "cancel", doing: "Cancelling", states: true,
		onExecutor: (*client.Client).CancelOnExecutor, onNode: (*client.Client).CancelOnNode, onQueue: (*client.Client).CancelOnQueue,
	}
}

func (c *cli) preempting() *bulk {
	return &bulk{
		cli: c, verb: "preempt", doing: "Preempting",
		onExecutor: (*client.Client).PreemptOnExecutor, onNode: (*client.Client).PreemptOnNode, onQueue: (*client.Client).PreemptOnQueue,
	}
}

// classFlags give a command the choice of priority classes: somebody who means all
// of them has to say so.
func (b *bulk) classFlags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&b.work.PriorityClasses, "priority-classes", "p", nil, "only jobs of these priority classes")
	cmd.Flags().BoolVarP(&b.allClasses, "all-priority-classes", "a", false, "jobs of every priority class")
}

func (b *bulk) queueFlag(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&b.work.Queues, "queues", "q", nil, "only jobs of these queues (default all)")
	register(cmd, "queues", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return b.cli.suggestions(cmd.Context(), queueArgument, "", b.work.Queues, begun)
	})
}

func (b *bulk) poolFlag(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&b.work.Pools, "pools", nil, "only jobs in these pools (default all)")
}

// classes returns nil when the command line says which priority classes are meant.
func (b *bulk) classes() error {
	switch {
	case len(b.work.PriorityClasses) == 0 && !b.allClasses:
		return &usageError{"missing: --priority-classes, or --all-priority-classes"}
	case len(b.work.PriorityClasses) > 0 && b.allClasses:
		return &usageError{"give --priority-classes or --all-priority-classes, not both"}
	default:
		return nil
	}
}

func (b *bulk) executorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "executor NAME",
		Short:   capital(b.verb) + " the jobs that an executor has",
		Example: "  armadactl " + b.verb + " executor cluster-1 --queues demo --all-priority-classes",
		Args:    arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.somewhere(cmd.Context(), kindExecutor, args[0], func(ctx context.Context, server *client.Client) error {
				return b.onExecutor(server, ctx, args[0], b.work)
			})
		},
	}
	b.queueFlag(cmd)
	b.classFlags(cmd)
	b.poolFlag(cmd)
	outputFlag(cmd, &b.form, asText...)
	b.cli.completeArguments(cmd, executorArgument)
	return cmd
}

func (b *bulk) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node NAME --executor EXECUTOR",
		Short:   capital(b.verb) + " the jobs on a node",
		Example: "  armadactl " + b.verb + " node node-17 --executor cluster-1 --all-priority-classes",
		Args:    arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if b.executor == "" {
				return &usageError{"missing: --executor, the one that the node belongs to"}
			}
			return b.somewhere(cmd.Context(), kindNode, args[0], func(ctx context.Context, server *client.Client) error {
				return b.onNode(server, ctx, b.executor, args[0], b.work)
			})
		},
	}
	cmd.Flags().StringVarP(&b.executor, "executor", "e", "", "the executor that the node belongs to")
	b.queueFlag(cmd)
	b.classFlags(cmd)
	outputFlag(cmd, &b.form, asText...)
	b.cli.completeArguments(cmd, nodeArgument)
	register(cmd, "executor", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return b.cli.suggestions(cmd.Context(), executorArgument, "", nil, begun)
	})
	return cmd
}

// somewhere does it to the jobs of an executor or a node.
func (b *bulk) somewhere(ctx context.Context, kind, name string, do func(context.Context, *client.Client) error) error {
	if err := b.classes(); err != nil {
		return err
	}
	meant, named := b.meant(), len(b.work.Queues) > 0
	return b.cli.connected(ctx, func(ctx context.Context, server *client.Client) (err error) {
		if b.work.Queues, err = allQueues(ctx, server, b.work.Queues); err != nil {
			return err
		}
		if err := do(ctx, server); err != nil {
			places := "armadactl get " + strings.ToLower(kind) + "s"
			if named {
				places = "armadactl get queues, " + places
			}
			return advise(err, codes.NotFound, "See which there are: %s", places)
		}
		to := machine{cli: b.cli, form: b.form}
		return to.done(kind, name, strings.ToLower(b.doing), fmt.Sprintf("%s %s on %s %s.", b.doing, meant, strings.ToLower(kind), name))
	})
}

func (b *bulk) queuesCommand() *cobra.Command {
	flags := " --all-priority-classes"
	if b.states {
		flags = " --job-states queued" + flags
	}
	cmd := &cobra.Command{
		Use:     "queues [NAME...]",
		Aliases: []string{"queue"},
		Short:   capital(b.verb) + " the jobs of queues",
		Long:    capital(b.verb) + " the jobs of queues: of those that are named, or those with some labels.",
		Example: "  armadactl " + b.verb + " queue demo" + flags + "\n  armadactl " + b.verb + " queues --selector team=research --dry-run" + flags,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := errors.Join(b.choice.named(args, "selector"), b.readStates(), b.classes())
			if err != nil {
				return &usageError{err.Error()}
			}
			return b.cli.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return b.queues(ctx, server, args)
			})
		},
	}
	if b.states {
		cmd.Flags().StringSliceVarP(&b.stateNames, "job-states", "s", nil, "only jobs in these states: "+stateNames(activeStates(), ", "))
		suggest(cmd, "job-states", strings.Split(stateNames(activeStates(), ","), ",")...)
	}
	b.choice.flags(cmd, "selector")
	cmd.Flags().BoolVar(&b.choice.cordoned, "only-cordoned", false, "only cordoned queues")
	b.classFlags(cmd)
	b.poolFlag(cmd)
	cmd.Flags().BoolVar(&b.dry, "dry-run", false, "only say which queues are meant")
	outputFlag(cmd, &b.form, asText...)
	b.cli.completeArguments(cmd, queueArgument, repeated)
	return cmd
}

// readStates reads the states of jobs that are meant, which have to be named.
func (b *bulk) readStates() (err error) {
	if !b.states {
		return nil
	}
	active := stateNames(activeStates(), ", ")
	if len(b.stateNames) == 0 {
		return &usageError{"missing: --job-states, some of " + active}
	}
	for _, name := range b.stateNames {
		i := slices.IndexFunc(activeStates(), func(s armada.JobState) bool { return strings.EqualFold(s.String(), name) })
		if i < 0 {
			return &usageError{fmt.Sprintf("--job-states: %q is none of %s", name, active)}
		}
		b.work.States = append(b.work.States, activeStates()[i])
	}
	return nil
}

func (b *bulk) queues(ctx context.Context, server *client.Client, names []string) error {
	queues, err := b.choice.queuesOf(ctx, server, names)
	if err != nil {
		return err
	}
	to := machine{cli: b.cli, form: b.form}
	return b.cli.eachQueue(queues, func(q *api.Queue) error {
		name := q.GetName()
		if b.dry {
			return to.done(manifest.KindQueue, name, "nothing", fmt.Sprintf("%s %s of queue %s. Nothing was sent.", "Would "+b.verb, b.meant(), name))
		}
		if err := b.onQueue(server, ctx, name, b.work); err != nil {
			return err
		}
		return to.done(manifest.KindQueue, name, strings.ToLower(b.doing), fmt.Sprintf("%s %s of queue %s.", b.doing, b.meant(), name))
	})
}

// meant are the jobs in words.
func (b *bulk) meant() string {
	text := "the jobs"
	if len(b.work.States) > 0 {
		text = "the " + stateNames(b.work.States, " and ") + " jobs"
	}
	if len(b.work.Queues) > 0 {
		text += " of queue " + strings.Join(b.work.Queues, " or ")
	}
	if classes := b.work.PriorityClasses; len(classes) > 0 {
		text += " of priority class " + strings.Join(classes, " or ")
	}
	if len(b.work.Pools) > 0 {
		text += " in pool " + strings.Join(b.work.Pools, " or ")
	}
	return text
}
