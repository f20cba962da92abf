package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"armada"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

// completionPatience is how long a shell may wait for names from a server, and
// completionJobs how many of the newest jobs are looked at for them.
const (
	completionPatience = time.Second
	completionJobs     = 500
)

// argument is what an argument of a command line names. It returns what can
// stand there, each with a description behind a tab, given the queue that was
// typed before, if any.
type argument func(ctx context.Context, server *client.Client, queue, begun string) ([]string, error)

// repeated stands behind the last argument when there may be many of it.
var repeated argument

func queueArgument(ctx context.Context, server *client.Client, _, _ string) ([]string, error) {
	queues, err := server.Queues(ctx)
	var names []string
	for _, q := range queues {
		names = append(names, q.GetName())
	}
	return names, err
}

func policyArgument(ctx context.Context, server *client.Client, _, _ string) ([]string, error) {
	policies, err := server.RetryPolicies(ctx)
	var names []string
	for _, p := range policies {
		names = append(names, p.GetName())
	}
	return names, err
}

func jobSetArgument(ctx context.Context, server *client.Client, queue, begun string) ([]string, error) {
	var names []string
	query := client.JobQuery{Queue: queue, JobSetPrefix: begun, Limit: completionJobs}
	err := server.EachJob(ctx, query, func(j *lookout.Job) error {
		if !slices.Contains(names, j.GetJobSet()) {
			names = append(names, j.GetJobSet())
		}
		return nil
	})
	return names, err
}

func executorArgument(ctx context.Context, server *client.Client, _, _ string) ([]string, error) {
	executors, err := server.ExecutorLoads(ctx, "", "")
	var names []string
	for _, e := range executors {
		names = append(names, e.GetExecutor())
	}
	return names, err
}

func nodeArgument(ctx context.Context, server *client.Client, _, _ string) ([]string, error) {
	nodes, err := (&nodeChoice{}).nodes(ctx, server)
	var names []string
	for _, n := range nodes {
		names = append(names, n.GetName()+"\tof "+n.executor.GetExecutor())
	}
	return names, err
}

func jobArgument(ctx context.Context, server *client.Client, queue, _ string) ([]string, error) {
	return jobIDs(ctx, server, client.JobQuery{Queue: queue})
}

func activeJobArgument(ctx context.Context, server *client.Client, queue, _ string) ([]string, error) {
	return jobIDs(ctx, server, client.JobQuery{Queue: queue, States: activeStates()})
}

// orQueue is an argument in whose place there may be a queue too.
func orQueue(kind argument) argument {
	return func(ctx context.Context, server *client.Client, queue, begun string) ([]string, error) {
		all, err := queueArgument(ctx, server, queue, begun)
		if err != nil {
			return nil, err
		}
		others, err := kind(ctx, server, queue, begun)
		return append(all, others...), err
	}
}

func jobIDs(ctx context.Context, server *client.Client, query client.JobQuery) ([]string, error) {
	query.Limit = completionJobs
	var ids []string
	err := server.EachJob(ctx, query, func(j *lookout.Job) error {
		ids = append(ids, j.GetJobId()+"\t"+stateName(j.GetState())+" in "+j.GetQueue()+"/"+j.GetJobSet())
		return nil
	})
	return ids, err
}

// completeArguments lets a shell complete the arguments of a command, the nth by
// the nth of the kinds. A queue is always the first.
func (c *cli) completeArguments(cmd *cobra.Command, kinds ...argument) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		n := len(args)
		if last := len(kinds) - 1; kinds[last] == nil {
			n = min(n, last-1)
		}
		if n >= len(kinds) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		queue := ""
		if n > 0 {
			queue = args[0]
		}
		return c.suggestions(cmd.Context(), kinds[n], queue, args, begun)
	}
}

// completeFlags lets a shell complete the flags of a command that name things.
func (c *cli) completeFlags(cmd *cobra.Command) {
	for name, kind := range map[string]argument{
		"queue": queueArgument, "job-set": jobSetArgument, "executor": executorArgument, "node": nodeArgument,
	} {
		register(cmd, name, func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			queue := ""
			if name != "queue" {
				queue = cmd.Flag("queue").Value.String()
			}
			return c.suggestions(cmd.Context(), kind, queue, nil, begun)
		})
	}
	var states []string
	for _, s := range armada.JobStates() {
		states = append(states, s.String())
	}
	suggest(cmd, "state", states...)
	suggest(cmd, "sort", sortNames()...)
	suggest(cmd, "group-by", groupKeys...)
}

// suggest lets a shell complete a flag that has one of some values.
func suggest(cmd *cobra.Command, flag string, values ...string) {
	register(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func register(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic("armadactl: " + cmd.Name() + " has no flag " + flag) // a mistake in this program
	}
}

// suggestions asks the server what could stand here. Whatever goes wrong, the
// answer is that nothing is known: a shell has no place for errors.
func (c *cli) suggestions(ctx context.Context, kind argument, queue string, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	config, err := c.config()
	if err != nil {
		return nil, nothing
	}
	server, err := c.connect(config)
	if err != nil {
		return nil, nothing
	}
	defer server.Close()
	all, err := kind(ctx, server, queue, begun)
	if err != nil {
		return nil, nothing
	}
	return slices.DeleteFunc(all, func(text string) bool {
		value, _, _ := strings.Cut(text, "\t")
		return !strings.HasPrefix(value, begun) || slices.Contains(args, value)
	}), nothing
}

// suggestContexts completes a context of the config file.
func (c *cli) suggestContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	file, err := c.contexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}

// activeStates are those of jobs that have not ended.
func activeStates() []armada.JobState {
	return slices.DeleteFunc(slices.Clone(armada.JobStates()), armada.JobState.Terminal)
}
