package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/pkg/client"
)

// The kinds of things that commands do something to, beside queues.
const (
	kindJob    = "Job"
	kindJobSet = "JobSet"
)

// cancelCommand has what can be cancelled as commands of its own, and the flags
// that it had in 2020.
func (c *cli) cancelCommand() *cobra.Command {
	var ancient ancientCancel
	cancel := group("cancel", "Cancel jobs", c.cancelJobCommand(), c.cancelJobSetCommand(),
		c.cancelling().queuesCommand(), c.cancelling().executorCommand(), c.cancelling().nodeCommand())
	choose := cancel.RunE
	cancel.RunE = func(cmd *cobra.Command, args []string) error {
		if ancient.given() {
			return c.ancientCancel(cmd.Context(), ancient)
		}
		return choose(cmd, args)
	}
	ancient.flags(cancel)
	return cancel
}

func (c *cli) cancelJobCommand() *cobra.Command {
	var reason, form string
	cmd := &cobra.Command{
		Use:   "job [QUEUE JOB-SET] ID",
		Short: "Cancel a job",
		Long: `Cancel a job by its id, which submit prints and get jobs finds. With queue and job set before it, only
if it is in them. A job that runs is stopped with its grace period first.`,
		Example: `  armadactl cancel job 01m84stbcnjdqa2y3q0znwh8vx --reason "wrong input"
  armadactl get jobs --queue demo --state queued -o name | xargs -n1 armadactl cancel job`,
		Args: jobArguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			queue, set, id := "", "", args[len(args)-1]
			if len(args) == 3 {
				queue, set = args[0], args[1]
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				cancelled, err := server.Cancel(ctx, queue, set, []string{id}, reason)
				if err != nil {
					return err
				}
				if len(cancelled) == 0 {
					return &advisedError{fmt.Errorf("job %s was not cancelled: it has ended already, or it is not in this job set", id), "See: armadactl describe job " + id}
				}
				to := machine{cli: c, form: form}
				for _, id := range cancelled {
					if err := to.done(kindJob, id, "cancelling", "Cancelling job "+id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, at most 50 bytes")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, orQueue(activeJobArgument), jobSetArgument, activeJobArgument)
	return cmd
}

func (c *cli) cancelJobSetCommand() *cobra.Command {
	var reason, form string
	cmd := &cobra.Command{
		Use:     "job-set QUEUE JOB-SET",
		Short:   "Cancel the active jobs of a job set",
		Example: `  armadactl cancel job-set demo first-steps`,
		Args:    arguments("QUEUE", "JOB-SET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				jobs, unseen := server.Jobs(ctx, client.JobQuery{Queue: args[0], JobSet: args[1], States: activeStates(), Limit: 1})
				if err := server.CancelJobSet(ctx, args[0], args[1], reason); err != nil {
					return advise(err, codes.NotFound, "See which there are: armadactl get queues")
				}
				to := machine{cli: c, form: form}
				if unseen == nil && len(jobs) == 0 {
					return to.done(kindJobSet, args[1], "nothing", fmt.Sprintf("Job set %s in queue %s had no active jobs", args[1], args[0]))
				}
				return to.done(kindJobSet, args[1], "cancelling", fmt.Sprintf("Cancelling the active jobs of job set %s in queue %s", args[1], args[0]))
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, at most 50 bytes")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument, jobSetArgument)
	return cmd
}

func (c *cli) preemptJobCommand() *cobra.Command {
	var reason, form string
	cmd := &cobra.Command{
		Use:   "job [QUEUE JOB-SET] ID [REASON]",
		Short: "Take a job off its node, as if more urgent work had",
		Long: `Take a job off its node, as if more urgent work had. It has ended then as preempted, unless its queue has a
retry policy by which it runs again.

With a queue and a job set before the id it has to be in them; the reason may stand behind it then, in
place of --reason.`,
		Example: `  armadactl preempt job 01m84stbcnjdqa2y3q0znwh8vx --reason "room for the release"
  armadactl preempt job demo first-steps 01m84stbcnjdqa2y3q0znwh8vx "room for the release"`,
		Args: jobArguments("[REASON]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := preemption{id: args[0], reason: reason, form: form}
			if len(args) > 1 {
				p.queue, p.set, p.id = args[0], args[1], args[2]
			}
			if len(args) == 4 {
				if reason != "" {
					return &usageError{"give the reason once, behind the id or as --reason"}
				}
				p.reason = args[3]
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return c.preempt(ctx, server, p)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, orQueue(activeJobArgument), jobSetArgument, activeJobArgument)
	return cmd
}

// preemption is a job that is to be preempted. Its queue and job set are looked up
// when they are empty.
type preemption struct{ queue, set, id, reason, form string }

func (c *cli) preempt(ctx context.Context, server *client.Client, p preemption) error {
	if p.queue == "" {
		job, err := c.job(ctx, server, p.id)
		if err != nil {
			return err
		}
		if ended(job.GetState()) {
			return &advisedError{fmt.Errorf("job %s was not preempted: it has ended already", p.id), "See: armadactl explain job " + p.id}
		}
		p.queue, p.set = job.GetQueue(), job.GetJobSet()
	}
	results, err := server.Preempt(ctx, p.queue, p.set, []string{p.id}, p.reason)
	if err != nil {
		return advise(err, codes.NotFound, "See what is known of it: armadactl describe job %s", p.id)
	}
	if why := results[p.id]; why != "" {
		return &advisedError{fmt.Errorf("job %s was not preempted: %s", p.id, strings.TrimPrefix(why, "preempt: ")), "See: armadactl explain job " + p.id}
	}
	to := machine{cli: c, form: p.form}
	return to.done(kindJob, p.id, "preempting", "Preempting job "+p.id)
}

func (c *cli) reprioritizeJobCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "job [QUEUE JOB-SET] ID PRIORITY",
		Short: "Change the priority of a job: the lowest number goes first",
		Long:  "Change the priority of a job by its id: the lowest number goes first. With queue and job set before it, only if it is in them.",
		Args:  jobArguments("PRIORITY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return c.reprioritize(cmd.Context(), form, "", "", []string{args[0]}, args[1])
			}
			return c.reprioritize(cmd.Context(), form, args[0], args[1], []string{args[2]}, args[3])
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, orQueue(activeJobArgument), jobSetArgument, activeJobArgument)
	return cmd
}

func (c *cli) reprioritizeJobSetCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "job-set QUEUE JOB-SET PRIORITY",
		Short: "Change the priority of the active jobs of a job set: the lowest number goes first",
		Args:  arguments("QUEUE", "JOB-SET", "PRIORITY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.reprioritize(cmd.Context(), form, args[0], args[1], nil, args[2])
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument, jobSetArgument)
	return cmd
}

// reprioritize gives jobs of a job set a priority: one by its id, whose queue and
// job set are looked up when they are empty, or without ids all active ones.
func (c *cli) reprioritize(ctx context.Context, form, queue, set string, ids []string, text string) error {
	priority, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(priority) || math.IsInf(priority, 0) {
		return &usageError{fmt.Sprintf("PRIORITY is %q, must be a number", text)}
	}
	return c.connected(ctx, func(ctx context.Context, server *client.Client) error {
		if queue == "" {
			job, err := c.job(ctx, server, ids[0])
			if err != nil {
				return err
			}
			queue, set = job.GetQueue(), job.GetJobSet()
		}
		results, err := server.Reprioritize(ctx, queue, set, ids, priority)
		if err != nil {
			return advise(err, codes.NotFound, "See: armadactl get jobs --queue %s --job-set %s", queue, set)
		}
		failed, to := 0, machine{cli: c, form: form}
		for _, id := range slices.Sorted(maps.Keys(results)) {
			if why := results[id]; why != "" {
				failed++
				fmt.Fprintf(c.errors, "%s: %s\n", id, why)
				continue
			}
			if err := to.done(kindJob, id, "priority "+number(priority), fmt.Sprintf("Job %s has priority %s now", id, number(priority))); err != nil {
				return err
			}
		}
		switch {
		case len(results) == 0:
			return fmt.Errorf("job set %s of queue %s has no active jobs", set, queue)
		case failed > 0:
			return fmt.Errorf("%d of %d jobs keep their priority", failed, len(results))
		default:
			return nil
		}
	})
}
