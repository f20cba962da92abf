package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/pkg/api"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

// queueCommand is create queue and update queue.
func (c *cli) queueCommand(verb, short string, put func(*client.Client, context.Context, *api.Queue) error, done string) *cobra.Command {
	var form string
	queue := &api.Queue{}
	cmd := &cobra.Command{
		Use:   "queue NAME",
		Short: short,
		Example: "  armadactl " + verb + " queue demo --priority-factor 2 --owners alice,bob -l team=research\n" +
			"  armadactl " + verb + " queue demo --limits armada-default:cpu=50%,memory=50% --limits armada-default@gpu:nvidia.com/gpu=0.25",
		Args: arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			queue.Name = args[0]
			if queue.PriorityFactor == 0 { // to a server nobody said anything then
				return &usageError{"--priority-factor is 0, must be a number from 1 up"}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := put(server, ctx, queue); err != nil {
					return advise(err, codes.NotFound, "Create it: armadactl create queue %s", queue.GetName())
				}
				to := machine{cli: c, form: form}
				return to.done(manifest.KindQueue, queue.GetName(), done, fmt.Sprintf("Queue %s %s.", queue.GetName(), done))
			})
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&queue.PriorityFactor, "priority-factor", 1, "inverse of the queue's weight, from 1 up: 2 is entitled to half of what 1 is")
	flags.StringSliceVar(&queue.UserOwners, "owners", nil, "users who may do everything with the queue (default you)")
	flags.StringSliceVar(&queue.GroupOwners, "group-owners", nil, "groups that may do everything with the queue")
	flags.BoolVar(&queue.Cordoned, "cordon", false, "keep the queue's jobs queued")
	flags.StringToStringVarP(&queue.Labels, "labels", "l", nil, "labels, key=value")
	flags.StringSliceVar(&queue.RetryPolicies, "retry-policies", nil, "names of retry policies, asked in this order")
	flags.Var(queueLimits{queue}, "limits", "the most that the queue's jobs of a priority class may hold of each pool, or of the one that is named; may be repeated")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument)
	register(cmd, "retry-policies", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return c.suggestions(cmd.Context(), policyArgument, "", queue.RetryPolicies, begun)
	})
	return cmd
}

func (c *cli) deleteQueueCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "queue NAME",
		Short: "Delete a queue that has no active jobs",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := server.DeleteQueue(ctx, args[0]); err != nil {
					return advise(err, codes.FailedPrecondition, "See them: armadactl get jobs --queue %s --state queued,leased,pending,running", args[0])
				}
				to := machine{cli: c, form: form}
				return to.done(manifest.KindQueue, args[0], "deleted", fmt.Sprintf("Queue %s deleted.", args[0]))
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument)
	return cmd
}

func (c *cli) getQueueCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "queue NAME",
		Short: "Show a queue, in a form that create -f takes",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				queue, err := server.Queue(ctx, args[0])
				if err != nil {
					return advise(err, codes.NotFound, "Create it: armadactl create queue %s", args[0])
				}
				return c.showQueues(form, queue)
			})
		},
	}
	outputFlag(cmd, &form, formYAML, formJSON, formTable, formWide, formName)
	c.completeArguments(cmd, queueArgument)
	return cmd
}

func (c *cli) getQueuesCommand() *cobra.Command {
	var form string
	var choice queueChoice
	cmd := &cobra.Command{
		Use:   "queues [NAME...]",
		Short: "List queues: all, or those with the given names or labels",
		Long:  "List queues: all, or those with the given names or labels. What each holds now, get scheduling-report tells.",
		Example: `  armadactl get queues -l team=research
  armadactl get queues demo -o wide`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				all, err := server.Queues(ctx)
				if err != nil {
					return err
				}
				missing := unknownQueues(args, all, "")
				chosen := slices.DeleteFunc(all, func(q *api.Queue) bool { return !choice.picks(args, q) })
				if len(chosen) == 0 && missing != nil {
					return missing
				}
				if err := c.showQueues(form, chosen...); err != nil {
					return err
				}
				return missing
			})
		},
	}
	outputFlag(cmd, &form, asTable...)
	c.completeArguments(cmd, queueArgument, repeated)
	choice.flags(cmd, "match-labels")
	cmd.Flags().BoolVar(&choice.cordoned, "only-cordoned", false, "only cordoned queues")
	return cmd
}

// showQueues writes queues; JSON and YAML are files that create -f takes.
func (c *cli) showQueues(form string, queues ...*api.Queue) error {
	to := machine{cli: c, form: form}
	if to.chosen() {
		for _, q := range queues {
			if err := to.add(q.GetName(), q, "apiVersion", manifest.APIVersion, "kind", manifest.KindQueue); err != nil {
				return err
			}
		}
		return nil
	}
	if len(queues) == 0 {
		c.printf("No queues match. Create one: armadactl create queue NAME\n")
		return nil
	}
	t := table{columns: []string{"NAME", "PRIORITY FACTOR", "CORDONED", "LABELS"}}
	if form == formWide {
		t.columns = []string{"NAME", "PRIORITY FACTOR", "CORDONED", "OWNERS", "GROUP OWNERS", "RESOURCE LIMITS", "RETRY POLICIES", "LABELS"}
	}
	for _, q := range queues {
		factor, cordoned := number(q.GetPriorityFactor()), yesNo(q.GetCordoned())
		labels := strings.ReplaceAll(sorted(q.GetLabels()), ", ", ",")
		if form != formWide {
			t.add(q.GetName(), factor, cordoned, labels)
			continue
		}
		var limits []string
		for _, name := range slices.Sorted(maps.Keys(q.GetResourceLimits())) {
			limits = append(limits, name+"="+number(q.GetResourceLimits()[name]))
		}
		users, groups := owners(q)
		t.add(q.GetName(), factor, cordoned, dash(strings.Join(users, ",")), dash(strings.Join(groups, ",")),
			dash(strings.Join(limits, ",")), dash(strings.Join(q.GetRetryPolicies(), ",")), labels)
	}
	return t.write(c.out)
}

// owners are the users and the groups who may do something with a queue.
func owners(q *api.Queue) (users, groups []string) {
	users, groups = slices.Clone(q.GetUserOwners()), slices.Clone(q.GetGroupOwners())
	for _, p := range q.GetPermissions() {
		for _, s := range p.GetSubjects() {
			into := &users
			if s.GetKind() == "Group" {
				into = &groups
			}
			if !slices.Contains(*into, s.GetName()) {
				*into = append(*into, s.GetName())
			}
		}
	}
	return users, groups
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
