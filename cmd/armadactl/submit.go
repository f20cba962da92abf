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
	var dry, wait bool
	var form string
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
rules that a server has when nobody changed them, and nothing is sent.

With --wait it goes on until all the jobs have ended, writes a line for each one that did, and ends
with the worst exit status of them: 0 when all succeeded (see armadactl help exit-codes).`,
		Example: `  armadactl submit examples/demo.yaml
  armadactl submit --wait job.yaml && echo done
  make-jobs | armadactl submit - -o name`,
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
			return c.submit(cmd.Context(), &submission{cli: c, file: args[0], jobs: jobs, wait: wait, to: machine{cli: c, form: form}})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only check the file")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until all its jobs have ended, and end with the worst exit status of them")
	outputFlag(cmd, &form, asText...)
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

// submission is the jobs of a file on their way to a server.
type submission struct {
	cli  *cli
	file string
	jobs *manifest.Jobs
	wait bool
	to   machine
}

func (c *cli) submit(ctx context.Context, s *submission) error {
	return c.connected(ctx, func(ctx context.Context, server *client.Client) error {
		ids, err := server.Submit(ctx, s.jobs.Queue, s.jobs.JobSet, s.jobs.Items)
		for _, id := range ids {
			if err := s.tell(id); err != nil {
				return err
			}
		}
		if err != nil {
			return s.failed(len(ids), err)
		}
		if s.wait {
			return c.await(ctx, server, s, ids)
		}
		return nil
	})
}

// tell writes that a job was submitted.
func (s *submission) tell(id string) error {
	if !s.to.chosen() {
		s.cli.printf("Submitted job with id %s to job set %s\n", id, s.jobs.JobSet)
		return nil
	}
	return s.to.addValue(id, struct {
		JobID  string `json:"jobId"`
		Queue  string `json:"queue"`
		JobSet string `json:"jobSetId"`
	}{id, s.jobs.Queue, s.jobs.JobSet})
}

// failed explains why only the first n jobs were submitted.
func (s *submission) failed(n int, err error) error {
	if n > 0 {
		fmt.Fprintf(s.cli.errors, "Only the first %d of %d jobs were submitted.\n", n, len(s.jobs.Items))
	}
	var failed *client.SubmitError
	if violations := client.Violations(err); len(violations) > 0 && errors.As(err, &failed) {
		return &fileError{s.file, s.jobs.Locate(violations, failed.First)}
	}
	return advise(err, codes.NotFound, "Create it: armadactl create queue %s", s.jobs.Queue)
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
