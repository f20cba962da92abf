package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

func (c *cli) getJobsCommand() *cobra.Command {
	var query client.JobQuery
	var states []string
	var form string
	cmd := &cobra.Command{
		Use:     "jobs",
		Aliases: []string{"job-list"},
		Short:   "List jobs, the newest first",
		Example: "  armadactl get jobs --queue demo --state running,queued",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", form, "table", "json"); err != nil {
				return err
			}
			if query.Limit < 0 {
				return &usageError{"--limit must not be negative; 0 means all"}
			}
			query.States = nil
			for _, name := range states {
				state, err := jobState(name)
				if err != nil {
					return err
				}
				query.States = append(query.States, state)
			}
			ctx := cmd.Context()
			return c.connected(ctx, func(server *client.Client) error {
				jobs, err := server.Jobs(ctx, query)
				if err != nil {
					return err
				}
				if form == "json" {
					for _, job := range jobs {
						if err := c.writeMessage(form, job); err != nil {
							return err
						}
					}
					return nil
				}
				return c.tableOfJobs(jobs, query.Limit)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&query.Queue, "queue", "", "only jobs of this queue")
	flags.StringVar(&query.JobSet, "job-set", "", "only jobs of this job set")
	flags.StringSliceVar(&states, "state", nil, "only jobs in these states: "+stateNames())
	flags.IntVar(&query.Limit, "limit", 100, "at most so many, 0 for all")
	flags.StringVarP(&form, "output", "o", "table", "form: table or json")
	return cmd
}

func stateNames() string {
	var names []string
	for _, s := range armada.JobStates() {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

func jobState(name string) (armada.JobState, error) {
	for _, s := range armada.JobStates() {
		if strings.EqualFold(s.String(), name) {
			return s, nil
		}
	}
	return 0, &usageError{fmt.Sprintf("--state: there is no state %q; there are %s", name, stateNames())}
}

func (c *cli) tableOfJobs(jobs []*lookout.Job, limit int) error {
	if len(jobs) == 0 {
		c.printf("No jobs.\n")
		return nil
	}
	t := table{columns: []string{"ID", "STATE", "QUEUE", "JOB SET", "PRIORITY", "AGE", "NODE", "REASON"}}
	for _, j := range jobs {
		node := "-"
		if n := len(j.GetRuns()); n > 0 && j.GetRuns()[n-1].GetNode() != "" {
			node = j.GetRuns()[n-1].GetNode()
		}
		t.add(j.GetJobId(), stateName(j.GetState()), j.GetQueue(), j.GetJobSet(), number(j.GetPriority()),
			c.age(j.GetSubmitted()), node, short(oneLine(j.GetReason()), 60))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	if limit > 0 && len(jobs) == limit {
		fmt.Fprintf(c.errors, "There may be more jobs: --limit %d was reached.\n", limit)
	}
	return nil
}

// stateName is a state in our words, and the wire's name of one that we have no
// word for.
func stateName(s api.JobState) string {
	if state, known := wire.StateOf(s); known {
		return state.String()
	}
	return strings.ToLower(s.String())
}

func short(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// age is how long ago something was, in its largest unit and the next.
func (c *cli) age(at *timestamppb.Timestamp) string {
	if at == nil {
		return "-"
	}
	return span(c.now().Sub(at.AsTime()))
}

func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

func (c *cli) getJobCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "job ID",
		Short: "Show everything about a job and its runs",
		Args:  arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", form, "text", "json"); err != nil {
				return err
			}
			ctx := cmd.Context()
			return c.connected(ctx, func(server *client.Client) error {
				job, err := server.Job(ctx, args[0])
				if err != nil {
					return err
				}
				if form == "json" {
					return c.writeMessage(form, job)
				}
				c.describe(job)
				return nil
			})
		},
	}
	cmd.Flags().StringVarP(&form, "output", "o", "text", "form: text or json")
	return cmd
}

// describe writes a job for people.
func (c *cli) describe(j *lookout.Job) {
	c.pairs("",
		"Job", j.GetJobId(),
		"State", stateName(j.GetState()),
		"Reason", oneLine(j.GetReason()),
		"Queue", j.GetQueue(),
		"Job set", j.GetJobSet(),
		"Owner", j.GetOwner(),
		"Namespace", j.GetNamespace(),
		"Priority", number(j.GetPriority()),
		"Priority class", j.GetPriorityClass(),
		"Resources", sorted(j.GetResources()),
		"Annotations", sorted(j.GetAnnotations()),
		"Submitted", c.moment(j.GetSubmitted()),
		"Last change", c.moment(j.GetLastTransition()),
		"Cancelled by", j.GetCancelUser(),
		"Cancel reason", oneLine(j.GetCancelReason()),
	)
	for i, r := range j.GetRuns() {
		c.printf("\nRun %d of %d\n", i+1, len(j.GetRuns()))
		c.pairs("  ",
			"Run", r.GetRunId(),
			"State", runStateName(r.GetState()),
			"Reason", oneLine(r.GetReason()),
			"Category", strings.Trim(r.GetCategory()+"/"+r.GetSubcategory(), "/"),
			"Executor", r.GetExecutor(),
			"Pool", r.GetPool(),
			"Node", r.GetNode(),
			"Leased", c.moment(r.GetLeased()),
			"Pending", c.moment(r.GetPending()),
			"Started", c.moment(r.GetStarted()),
			"Finished", c.moment(r.GetFinished()),
			"Exit code", exitCode(r),
		)
		for _, k := range r.GetContainers() {
			c.printf("  Container %s: %s\n", k.GetName(),
				phrases("exit code ", fmt.Sprint(k.GetExitCode()), "", oneLine(k.GetReason()), "", oneLine(k.GetMessage())))
		}
	}
}

func exitCode(r *lookout.Run) string {
	if r.ExitCode == nil {
		return ""
	}
	return fmt.Sprint(r.GetExitCode())
}

func runStateName(s api.JobRunState) string {
	name := strings.ToLower(s.String())
	for _, prefix := range []string{"run_state_", "runs_state_"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return strings.ReplaceAll(name, "_", " ")
}

// pairs writes names and values, those without a value not.
func (c *cli) pairs(indent string, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			c.printf("%s%-16s%s\n", indent, pairs[i]+":", pairs[i+1])
		}
	}
}

func sorted(texts map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		all = append(all, key+"="+oneLine(texts[key]))
	}
	return strings.Join(all, ", ")
}

// moment is a time of day with its date, and how long ago it was.
func (c *cli) moment(at *timestamppb.Timestamp) string {
	if at == nil {
		return ""
	}
	return at.AsTime().In(c.zone).Format("2006-01-02 15:04:05.000") + " (" + c.age(at) + " ago)"
}
