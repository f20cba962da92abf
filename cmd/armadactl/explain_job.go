package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"armada"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
	"armada/pkg/client"
)

// explainedLines is how many of the last lines of its log explain shows of a job
// that failed.
const explainedLines = 10

func (c *cli) explainJobCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "job ID",
		Short: "Say why a job is where it is: why it waits, where it runs, or why it failed and what it wrote last",
		Long: `Say why a job is where it is, in a few lines. Of one that waits: what is in its way, pool by pool, and
its place in its queue. Of one that has failed: how its last attempt ended, and the last lines of its log.

describe job shows everything that is known of a job.`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				job, err := c.job(ctx, server, args[0])
				if err != nil {
					return err
				}
				e := explanation{job: job}
				switch client.StateOf(job.GetState()) {
				case armada.JobQueued:
					e.report = c.reportOf(ctx, server, job.GetJobId())
				case armada.JobFailed:
					e.log = c.lastWords(ctx, server, job.GetJobId())
				default: // its reason and its runs say all there is
				}
				if form != formText {
					return c.explainForPrograms(form, &e)
				}
				c.explain(&e)
				return nil
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, jobArgument)
	return cmd
}

// explanation is why a job is where it is.
type explanation struct {
	job    *lookout.Job
	report string             // of the scheduler, on a job that waits
	log    []*lookout.LogLine // the last of a job that failed
}

// reportOf is what the scheduler says about a job. That it says nothing is told and
// is no error.
func (c *cli) reportOf(ctx context.Context, server *client.Client, id string) string {
	ctx, cancel := context.WithTimeoutCause(ctx, describePatience, errors.New("it takes longer than "+describePatience.String()))
	defer cancel()
	answer, err := server.Reporter.GetJobReport(ctx, &schedulerobjects.JobReportRequest{JobId: id})
	if err != nil {
		fmt.Fprintf(c.errors, "What the scheduler says of it is not known: %s\n", said(err))
	}
	return answer.GetReport()
}

// lastWords are the last lines of a job's log. That there are none to be had is told
// and is no error.
func (c *cli) lastWords(ctx context.Context, server *client.Client, id string) []*lookout.LogLine {
	var lines []*lookout.LogLine
	err := server.Logs(ctx, client.LogQuery{Job: id, Tail: explainedLines}, func(line *lookout.LogLine) error {
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		fmt.Fprintf(c.errors, "What it wrote is not known: %s\n", said(err))
	}
	return lines
}

// explain writes an explanation for people.
func (c *cli) explain(e *explanation) {
	j := e.job
	when := ""
	if at := j.GetLastTransition(); at != nil && ended(j.GetState()) {
		when = ", " + c.age(at) + " ago"
	} else if at != nil {
		when = ", for " + c.age(at)
	}
	state := client.StateOf(j.GetState())
	is := c.dye(cmp.Or(hasBecome[state], "is "+stateName(j.GetState())), colourOf(state))
	c.printf("Job %s of queue %s %s%s\n", j.GetJobId(), j.GetQueue(), is, when)
	c.because(e)
	if n := len(j.GetRuns()); n > 0 {
		c.lastRun(n, j)
	}
	if len(e.log) > 0 {
		c.printf("\nWhat it wrote last\n")
		for _, line := range e.log {
			c.printf("  %s\n", printable(line.GetLine()))
		}
	}
	c.nextSteps(j)
}

// hasBecome are the states in which a job stays, as what became of it.
var hasBecome = map[armada.JobState]string{
	armada.JobSucceeded: "has succeeded", armada.JobFailed: "has failed", armada.JobCancelled: "was cancelled",
	armada.JobPreempted: "was preempted", armada.JobRejected: "was rejected",
}

// because writes the reason of a job's state. What the scheduler says of a job that
// waits has the reason in it, pool by pool, and its place.
func (c *cli) because(e *explanation) {
	if e.job.GetState() != api.JobState_QUEUED || e.report == "" {
		if reason := oneLine(e.job.GetReason()); reason != "" {
			c.printf("  %s\n", reason)
		}
		c.pairs("  ", place(e.job)...)
		return
	}
	for line := range strings.Lines(e.report) {
		if !strings.HasPrefix(line, "Job ") { // is the first line here too
			c.printf("%s", line)
		}
	}
	if pools := place(e.job); len(pools) > 2 {
		c.pairs("  ", pools[2:]...) // behind the place, which the report has
	}
}

// lastRun writes where the newest of some runs of a job was, for how long, and how it
// ended, unless the job's reason has said so.
func (c *cli) lastRun(of int, j *lookout.Job) {
	r := j.GetRuns()[of-1]
	lasted, reason := "", oneLine(r.GetReason())
	if r.GetReason() == j.GetReason() {
		reason = ""
	}
	switch {
	case r.GetStarted() == nil:
	case r.GetFinished() == nil:
		lasted = "for " + c.age(r.GetStarted()) + " so far"
	default:
		lasted = "for " + span(r.GetFinished().AsTime().Sub(r.GetStarted().AsTime()))
	}
	c.printf("  Run %d: %s\n", of, phrases("", runStateName(r.GetState()), "on node ", r.GetNode(), "executor ", r.GetExecutor(), "", lasted,
		"", reason, "category ", strings.Trim(r.GetCategory()+"/"+r.GetSubcategory(), "/")))
	c.containers(r)
}

// printable is a line of a job without what would change the terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}

func (c *cli) explainForPrograms(form string, e *explanation) error {
	encoded, err := encode(e.job)
	if err != nil {
		return fmt.Errorf("write the job: %w", err)
	}
	lines := []string{}
	for _, line := range e.log {
		lines = append(lines, line.GetLine())
	}
	return (&machine{cli: c, form: form}).addValue(e.job.GetJobId(), struct {
		Job    json.RawMessage `json:"job"`
		Report string          `json:"report"` // as get job-report has it; empty of a job that does not wait
		Log    []string        `json:"log"`    // the last lines of a job that failed
	}{encoded, e.report, lines})
}
