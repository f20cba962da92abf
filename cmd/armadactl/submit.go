package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

func (c *cli) submitCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Submit the jobs of a file",
		Long: `Submit the jobs of a file in YAML or JSON, - for the standard input:

  queue: demo
  jobSetId: first-steps
  jobs:
    - priority: 0
      podSpec:
        containers:
          - name: hello
            command: [sh, -c, "echo hello"]
            resources:
              requests: {cpu: 100m, memory: 32Mi}
              limits: {cpu: 100m, memory: 32Mi}

A key that nothing knows is an error. With --dry-run the jobs are checked on this machine, by the
rules that a server has when nobody changed them, and nothing is sent.`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := c.read(args[0])
			if err != nil {
				return err
			}
			jobs, err := manifest.ReadJobs(data)
			if err != nil {
				return inFile(args[0], err)
			}
			if dry {
				return c.dryRun(args[0], jobs)
			}
			return c.submit(cmd.Context(), args[0], jobs)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only check the file")
	return cmd
}

func (c *cli) dryRun(file string, jobs *manifest.Jobs) error {
	if err := jobs.Check(); err != nil {
		return inFile(file, err)
	}
	c.printf("%s is fine: %s would be submitted to queue %s, job set %s. Nothing was sent.\n",
		file, count(len(jobs.Items), "job"), jobs.Queue, jobs.JobSet)
	return nil
}

func (c *cli) submit(ctx context.Context, file string, jobs *manifest.Jobs) error {
	return c.connected(ctx, func(server *client.Client) error {
		ids, err := server.Submit(ctx, jobs.Queue, jobs.JobSet, jobs.Items)
		for _, id := range ids {
			c.printf("Submitted job with id %s to job set %s\n", id, jobs.JobSet)
		}
		if err == nil {
			return nil
		}
		if len(ids) > 0 {
			fmt.Fprintf(c.errors, "Only the first %d of %d jobs were submitted.\n", len(ids), len(jobs.Items))
		}
		var failed *client.SubmitError
		if violations := client.Violations(err); len(violations) > 0 && errors.As(err, &failed) {
			return &fileError{file, jobs.Locate(violations, failed.First)}
		}
		return advise(err, codes.NotFound, "Create it: armadactl create queue %s", jobs.Queue)
	})
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
