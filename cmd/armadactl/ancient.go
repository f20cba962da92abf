package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada"
	"armada/internal/podspec"
	"armada/pkg/api"
	"armada/pkg/client"
)

// The commands of 2020 that have other names now, or none: fingers and scripts
// know them. They take what they took and write what they wrote, and are in no
// list; the list of today's is what newcomers shall read.
func (c *cli) ancientCommands() []*cobra.Command {
	commands := []*cobra.Command{
		c.ancientCreateQueueCommand(), c.ancientDeleteQueueCommand(), c.infoCommand(), c.analyzeCommand(), c.resourcesCommand(), c.kubeCommand(),
	}
	for _, cmd := range commands {
		cmd.Hidden = true
	}
	return commands
}

func (c *cli) ancientCreateQueueCommand() *cobra.Command {
	queue := &api.Queue{}
	var limits map[string]string
	cmd := &cobra.Command{
		Use:   "create-queue NAME",
		Short: "Create a queue: the older name of create queue",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			queue.Name = args[0]
			for _, name := range slices.Sorted(maps.Keys(limits)) {
				if err := fractionsInto(&queue.ResourceLimits, name+"="+limits[name]); err != nil {
					return &usageError{"--resourceLimits: " + err.Error()}
				}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := server.CreateQueue(ctx, queue); err != nil {
					return err
				}
				c.printf("Queue %s created.\n", queue.GetName())
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&queue.PriorityFactor, "priorityFactor", 1, "inverse of the queue's weight")
	flags.StringSliceVar(&queue.UserOwners, "owners", nil, "users who may do everything with the queue (default you)")
	flags.StringSliceVar(&queue.GroupOwners, "groupOwners", nil, "groups that may do everything with the queue")
	flags.StringToStringVar(&limits, "resourceLimits", nil, "parts of all resources, cpu=0.3,memory=0.2: kept, of no effect; see create queue --limits")
	return cmd
}

func (c *cli) ancientDeleteQueueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete-queue NAME",
		Short: "Delete a queue: the older name of delete queue",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := server.DeleteQueue(ctx, args[0]); err != nil {
					return err
				}
				c.printf("Queue %s deleted or did not exist.\n", args[0])
				return nil
			})
		},
	}
	c.completeArguments(cmd, queueArgument)
	return cmd
}

func (c *cli) infoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info QUEUE",
		Short: "List the job sets of a queue that have active jobs",
		Args:  arguments("QUEUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				info, err := server.QueueInfo(ctx, args[0])
				if err != nil {
					return err
				}
				sets := info.GetActiveJobSets()
				if len(sets) == 0 {
					c.printf("No job queued or running.\n")
				}
				slices.SortFunc(sets, func(a, b *api.JobSetInfo) int { return strings.Compare(a.GetName(), b.GetName()) })
				for _, set := range sets {
					c.printf("in cluster: %d, queued: %d - %s\n", set.GetLeasedJobs(), set.GetQueuedJobs(), set.GetName())
				}
				return nil
			})
		},
	}
	c.completeArguments(cmd, queueArgument)
	return cmd
}

// ancientCancel are the flags that cancel itself had.
type ancientCancel struct{ job, queue, set string }

func (a *ancientCancel) flags(cmd *cobra.Command) {
	for name, into := range map[string]*string{"jobId": &a.job, "queue": &a.queue, "jobSet": &a.set} {
		cmd.Flags().StringVar(into, name, "", "")
		if err := cmd.Flags().MarkHidden(name); err != nil {
			panic("armadactl: " + err.Error()) // a mistake in this program
		}
	}
}

func (a *ancientCancel) given() bool { return *a != ancientCancel{} }

func (c *cli) ancientCancel(ctx context.Context, a ancientCancel) error {
	if a.job == "" && (a.queue == "" || a.set == "") {
		return &usageError{"missing: --jobId, or --queue and --jobSet"}
	}
	return c.connected(ctx, func(ctx context.Context, server *client.Client) error {
		answer, err := server.Submitter.CancelJobs(ctx, &api.JobCancelRequest{JobId: a.job, Queue: a.queue, JobSetId: a.set})
		if err != nil {
			return fmt.Errorf("cancel jobs: %w", err)
		}
		c.printf("Cancellation request submitted for jobs: %s\n", strings.Join(answer.GetCancelledIds(), ", "))
		return nil
	})
}

func (c *cli) analyzeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "analyze QUEUE JOB-SET",
		Short: "Show all events of the jobs of a job set that did not succeed",
		Args:  arguments("QUEUE", "JOB-SET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				err := c.analyze(ctx, server, client.Stream{Queue: args[0], JobSet: args[1]})
				return advise(err, codes.NotFound, "See which there are: armadactl get queues")
			})
		},
	}
	c.completeArguments(cmd, queueArgument, jobSetArgument)
	return cmd
}

func (c *cli) analyze(ctx context.Context, server *client.Client, stream client.Stream) error {
	var order []string
	events := map[string][]*api.EventMessage{}
	err := server.History(ctx, stream, func(m *api.EventStreamMessage) error {
		head := client.Head(m.GetMessage())
		if head.Kind == armada.EventSucceeded {
			delete(events, head.Job)
			return nil
		}
		if head.Kind == armada.EventSubmitted {
			order = append(order, head.Job)
		}
		events[head.Job] = append(events[head.Job], m.GetMessage())
		return nil
	})
	if err != nil {
		return err
	}
	shown := 0
	for _, id := range order {
		all, failed := events[id]
		if !failed {
			continue
		}
		shown++
		c.printf("Job %s\n", id)
		for _, m := range all {
			encoded, err := encode(m)
			if err != nil {
				return fmt.Errorf("write an event: %w", err)
			}
			c.printf("  %s %s\n", client.Head(m).Kind, encoded)
		}
	}
	if shown == 0 {
		c.printf("All jobs of the job set succeeded.\n")
	}
	return nil
}

func (c *cli) resourcesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resources QUEUE JOB-SET",
		Short: "Show the most that each job of a job set used",
		Args:  arguments("QUEUE", "JOB-SET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				err := c.resources(ctx, server, client.Stream{Queue: args[0], JobSet: args[1]})
				return advise(err, codes.NotFound, "See which there are: armadactl get queues")
			})
		},
	}
	c.completeArguments(cmd, queueArgument, jobSetArgument)
	return cmd
}

func (c *cli) resources(ctx context.Context, server *client.Client, stream client.Stream) error {
	var order []string
	most := map[string]map[string]int64{} // by job and by resource
	err := server.History(ctx, stream, func(m *api.EventStreamMessage) error {
		id := client.Head(m.GetMessage()).Job
		if most[id] == nil {
			order = append(order, id)
			most[id] = map[string]int64{}
		}
		for name, quantity := range m.GetMessage().GetUtilisation().GetMaxResourcesForPeriod() {
			if amount, err := podspec.ParseQuantity(quantity.GetString_(), resourceOf(name), true); err == nil {
				most[id][name] = max(most[id][name], amount)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range order {
		var used []string
		for _, name := range slices.Sorted(maps.Keys(most[id])) {
			used = append(used, name+": "+resourceOf(name).Format(most[id][name]))
		}
		text := strings.Join(used, ", ")
		if text == "" {
			text = "nobody measured it"
		}
		c.printf("Job ID: %s, maximum used resources: %s\n", id, text)
	}
	return nil
}

// resourceOf is how a resource is counted.
func resourceOf(name string) armada.Resource {
	return armada.Resource{Name: name, Milli: name == armada.CPU}
}
