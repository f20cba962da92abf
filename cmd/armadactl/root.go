package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"armada/pkg/client"
	"armada/pkg/client/credentials"
)

// run runs a command line and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetOut(c.out)
	root.SetErr(c.errors)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var ended *commandError
	if errors.As(err, &ended) {
		c.ofCommand = true
		return min(int(uint32(ended.code)), 255) // as in the status of a job
	}
	code := exitCode(err)
	if code != exitInterrupted && code != exitTerminated {
		fmt.Fprintln(c.errors, "armadactl: "+explain(err))
	}
	if code == exitUsage {
		fmt.Fprintf(c.errors, "See: %s --help\n", command.CommandPath())
	}
	return code
}

func (c *cli) root() *cobra.Command {
	root := group("armadactl", "The command line of Armada: submit jobs, watch them, look into them",
		c.submitCommand(), c.watchCommand(), c.logsCommand(), c.execCommand(),
		group("get", "Show jobs, job sets, queues, retry policies, executors and nodes, and how the queues share these", c.getQueueCommand(), c.getQueuesCommand(), c.getRetryPolicyCommand(), c.getRetryPoliciesCommand(), c.getJobsCommand(), c.getJobCommand(), c.getJobSpecCommand(),
			c.getJobSetsCommand(), c.getExecutorsCommand(), c.getNodesCommand(),
			c.getSchedulingReportCommand(), c.getQueueReportCommand(), c.getJobReportCommand()),
		group("describe", "Show everything about a job or a queue", c.describeJobCommand(), c.describeQueueCommand()),
		group("top", "Show what goes on now", c.topQueuesCommand(), c.topNodesCommand()),
		group("explain", "Say why a job is where it is", c.explainJobCommand()),
		c.createCommand(),
		group("update", "Change a queue or a retry policy", c.queueCommand("update", "Replace a queue: what the flags leave out is gone", (*client.Client).UpdateQueue, "updated"),
			c.retryPolicyCommand("update", "Replace a retry policy", updateThing, "updated")),
		group("delete", "Delete a queue, a retry policy or an executor", c.deleteQueueCommand(), c.deleteRetryPolicyCommand(), c.deleteExecutorCommand()),
		c.cancelCommand(),
		group("preempt", "Preempt jobs", c.preemptJobCommand(), c.preempting().queuesCommand(), c.preempting().executorCommand(), c.preempting().nodeCommand()),
		group("cordon", "Keep the jobs of queues queued, or new jobs from an executor or a node",
			c.cordonQueuesCommand("cordon", "Keep the queued jobs of queues queued", "its queued jobs stay queued", (*client.Client).CordonQueue), c.cordonExecutorCommand(),
			c.cordonNodeCommand("cordon", "Keep new jobs from a node; what runs there goes on", "it gets no new jobs", (*client.Client).CordonNode)),
		group("uncordon", "End what cordon began",
			c.cordonQueuesCommand("uncordon", "Let the queued jobs of queues start again", "its queued jobs may start", (*client.Client).UncordonQueue), c.uncordonExecutorCommand(),
			c.cordonNodeCommand("uncordon", "Let a node have new jobs again", "it may have new jobs", (*client.Client).UncordonNode)),
		group("reprioritize", "Change the priority of jobs", c.reprioritizeJobCommand(), c.reprioritizeJobSetCommand()),
		group("config", "Show and choose the contexts of the config file", c.useContextCommand(), c.getContextsCommand(), c.currentContextCommand()),
		c.authCommand(), c.versionCommand(), c.docsCommand(), exitCodesTopic(),
	)
	root.AddCommand(c.ancientCommands()...)
	root.Long = `armadactl is the command line of Armada. Jobs wait in queues; jobs of one queue with the same
job set are watched together.

  armadactl create queue demo
  armadactl submit examples/demo.yaml        # prints the id of each job; submit --help shows such a file
  armadactl watch demo first-steps           # what happens to them; Ctrl-C ends it
  armadactl get jobs --queue demo            # find them
  armadactl explain job ID                   # why one waits or failed
  armadactl logs ID                          # what one wrote
  armadactl exec -it ID -- sh                # look around in one that runs
  armadactl cancel job ID

Where the server is and who you are stands in the config file, $HOME/.armadactl.yaml; without
one the server is ` + client.DefaultURL + `, where armada up listens.

Scripts: every command that answers takes -o json, yaml or name, and armadactl help exit-codes says
what the exit code tells. Completion: armadactl completion bash, zsh or fish, each with --help.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&c.url, "armadaUrl", "", "address of the server's gRPC API, host:port (default "+client.DefaultURL+")")
	flags.StringVar(&c.configFile, "config", "", "config file (default $HOME/.armadactl.yaml)")
	flags.StringVarP(&c.context, "context", "c", "", "context of the config file to use (default its currentContext)")
	register(root, "context", c.suggestContexts)
	return root
}

// usageError is about the command line itself.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// group is a command that only has commands.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short}
	g.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		message := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
		cmd.SuggestionsMinimumDistance = 2
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			message += ", did you mean " + strings.Join(near, " or ") + "?"
		} else if cmd.HasParent() {
			message += "; say what to " + cmd.Name() + ": " + strings.Join(names(cmd), ", ")
		}
		return &usageError{message}
	}
	g.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.HasParent() {
			return cmd.Help()
		}
		return &usageError{fmt.Sprintf("say what to %s: %s", cmd.Name(), strings.Join(names(cmd), ", "))}
	}
	g.SuggestFor = otherNames[use]
	g.AddCommand(commands...)
	return g
}

// otherNames are words that people try before they know ours.
var otherNames = map[string][]string{
	"get":      {"list", "ls", "ps", "status", "job", "jobs", "queue", "queues"},
	"describe": {"show", "inspect"},
	"explain":  {"why"},
	"cancel":   {"stop", "kill", "rm", "remove"},
}

// names are those of a command's commands.
func names(cmd *cobra.Command) []string {
	var all []string
	for _, sub := range cmd.Commands() {
		all = append(all, sub.Name())
	}
	return all
}

// arguments demands an argument for each name; names after the first in
// brackets may be left out.
func arguments(names ...string) cobra.PositionalArgs {
	least := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			least++
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return &usageError{"missing: " + strings.Join(names[len(args):least], " ")}
		case len(args) > len(names):
			return &usageError{fmt.Sprintf("too many arguments, %q is the first that has no meaning: %s", args[len(names)], cmd.UseLine())}
		default:
			return nil
		}
	}
}

// jobArguments demands a job by its id, with or without its queue and job set, and
// what has to stand behind it. Names in brackets are for the longer form.
func jobArguments(behind ...string) cobra.PositionalArgs {
	long := append([]string{"QUEUE", "JOB-SET", "ID"}, behind...)
	short := append([]string{"ID"}, slices.DeleteFunc(slices.Clone(behind), func(name string) bool { return strings.HasPrefix(name, "[") })...)
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= len(short) {
			return arguments(short...)(cmd, args)
		}
		return arguments(long...)(cmd, args)
	}
}

// chosen are the config file and the context that the flags or the environment
// name.
func (c *cli) chosen() (file, context string) {
	return cmp.Or(c.configFile, c.environment("ARMADA_CONFIG")), cmp.Or(c.context, c.environment("ARMADA_CONTEXT"))
}

// config is what the file, the environment and the flags say; a later one wins.
func (c *cli) config() (client.Config, error) {
	file, context := c.chosen()
	config, err := client.LoadOver(file, c.defaults, context)
	if err != nil {
		return config, err
	}
	if err := config.Environment(c.environment); err != nil {
		return config, err
	}
	if c.url != "" {
		config.ArmadaURL = c.url
	}
	config.UserAgent = "armadactl/" + version
	config.Terminal = c.ask()
	if config.Logins, err = credentials.DefaultCache(); err != nil {
		config.Logins = nil // there is no home: nothing is kept
	}
	return config, nil
}

// reach is how long a server may take to answer at all.
const reach = 3 * time.Second

// connected calls f with a connection to a server that has answered, and a
// context that ends when the user wants the program to end.
func (c *cli) connected(ctx context.Context, f func(context.Context, *client.Client) error) error {
	ctx, stop := c.signals(ctx)
	err := c.talk(ctx, f)
	if interrupted := stop(); interrupted != nil {
		return interrupted // whatever it did to the calls
	}
	return err
}

func (c *cli) talk(ctx context.Context, f func(context.Context, *client.Client) error) (err error) {
	config, err := c.config()
	if err != nil {
		return err
	}
	connection, err := c.connect(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	if err := connection.Authenticate(ctx); err != nil {
		return &statusError{err, exitNotAllowed}
	}
	ready, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	if err := connection.Ready(ready); err != nil {
		return &unreachableError{config: config, cause: err}
	}
	connection.Repeated = c.repeated()
	return f(ctx, connection)
}

// repeated says why a command takes its time: a server that answers cannot do
// what it is asked for at the moment.
func (c *cli) repeated() func(error, time.Duration) {
	var once sync.Once
	return func(err error, _ time.Duration) {
		once.Do(func() { fmt.Fprintf(c.errors, "Not yet: %s\nTrying again.\n", said(err)) })
	}
}

// printf writes to the standard output.
func (c *cli) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }
