package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/pkg/api"
	"armada/pkg/client"
)

// kubectlTemplate is the command line that kube prints, unless the config file has
// another one.
const kubectlTemplate = "kubectl --context {{cluster}} -n {{namespace}} {{cmd}} {{pod}}"

// kubeCommand prints a command line for kubectl. Its own flags are those that it
// knows; all others are kubectl's and are passed on.
func (c *cli) kubeCommand() *cobra.Command {
	var p podOf
	cmd := &cobra.Command{
		Use:                "kube VERB... --jobId ID [--queue QUEUE --jobSet JOB-SET]",
		Short:              "Print the kubectl command line that does something to the pod of a job",
		Example:            "  $(armadactl kube logs --tail=50 --jobId 01m84stbcnjdqa2y3q0znwh8vx)",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.InheritedFlags() // makes those of the program known here
			own, verb, err := split(cmd, args)
			if err != nil {
				return err
			}
			if err := cmd.Flags().Parse(own); err != nil {
				return &usageError{err.Error()}
			}
			switch {
			case p.help || slices.Equal(args, []string{"-h"}):
				return cmd.Help()
			case p.job == "":
				return &usageError{"missing: --jobId"}
			case len(verb) == 0:
				return &usageError{"missing: what kubectl shall do, such as logs or describe pod"}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return c.kube(ctx, server, p, strings.Join(verb, " "))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.job, "jobId", "", "the job")
	flags.StringVar(&p.queue, "queue", "", "its queue (default it is looked up)")
	flags.StringVar(&p.set, "jobSet", "", "its job set (default it is looked up)")
	flags.BoolVar(&p.help, "help", false, "help for kube")
	return cmd
}

// split takes the long flags that a command knows, with their values, out of a
// command line. The short ones are kubectl's, which has a -c too.
func split(cmd *cobra.Command, args []string) (own, others []string, err error) {
	for i := 0; i < len(args); i++ {
		long, isLong := strings.CutPrefix(args[i], "--")
		name, _, valued := strings.Cut(long, "=")
		flag := cmd.Flag(name)
		if !isLong || flag == nil {
			others = append(others, args[i])
			continue
		}
		own = append(own, args[i])
		if !valued && flag.NoOptDefVal == "" {
			if i++; i == len(args) {
				return nil, nil, &usageError{"--" + name + " needs a value"}
			}
			own = append(own, args[i])
		}
	}
	return own, others, nil
}

// podOf is a job whose pod is looked for.
type podOf struct {
	job, queue, set string
	help            bool
}

func (c *cli) kube(ctx context.Context, server *client.Client, p podOf, verb string) error {
	if p.queue == "" || p.set == "" {
		job, err := c.job(ctx, server, p.job)
		if err != nil {
			return err
		}
		p.queue, p.set = job.GetQueue(), job.GetJobSet()
	}
	at, err := findPod(ctx, server, p)
	if err != nil {
		return err
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	at.cluster = cmp.Or(config.ExecutorClusters[at.cluster], at.cluster)
	template := cmp.Or(config.KubectlCommandTemplate, kubectlTemplate)
	c.printf("%s\n", strings.NewReplacer("{{cluster}}", at.cluster, "{{namespace}}", cmp.Or(at.namespace, "default"), "{{cmd}}", verb, "{{pod}}", at.pod).Replace(template))
	return nil
}

// whereabouts are where the pod of a job is.
type whereabouts struct{ cluster, namespace, pod string }

// findPod looks for the newest pod of a job in the events of its job set.
func findPod(ctx context.Context, server *client.Client, p podOf) (whereabouts, error) {
	var at whereabouts
	known := false
	err := server.History(ctx, client.Stream{Queue: p.queue, JobSet: p.set}, func(m *api.EventStreamMessage) error {
		if client.Head(m.GetMessage()).Job != p.job {
			return nil
		}
		known = true
		switch e := m.GetMessage().GetEvents().(type) {
		case *api.EventMessage_Submitted:
			at.namespace = e.Submitted.GetJob().GetNamespace()
		case *api.EventMessage_Leased:
			at.cluster, at.pod = e.Leased.GetClusterId(), "" // another attempt
		case *api.EventMessage_Pending:
			at.cluster, at.pod = cmp.Or(e.Pending.GetClusterId(), at.cluster), cmp.Or(e.Pending.GetPodName(), at.pod)
		case *api.EventMessage_Running:
			at.cluster, at.pod = cmp.Or(e.Running.GetClusterId(), at.cluster), cmp.Or(e.Running.GetPodName(), at.pod)
		}
		return nil
	})
	switch {
	case err != nil:
		return at, err
	case !known:
		return at, &advisedError{
			status.Errorf(codes.NotFound, "there is no job %s in the job set %s of queue %s", p.job, p.set, p.queue),
			"Leave out --queue and --jobSet to have it looked up.",
		}
	case at.cluster == "":
		return at, &advisedError{fmt.Errorf("job %s has no cluster yet", p.job), "See why it waits: armadactl describe job " + p.job}
	}
	if at.pod == "" {
		at.pod = "armada-" + p.job + "-0"
	}
	return at, nil
}
