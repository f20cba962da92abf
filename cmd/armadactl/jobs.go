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
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

func (c *cli) getJobsCommand() *cobra.Command {
	var query client.JobQuery
	var states []string
	var form, since, order, by string
	var reverse, number bool
	cmd := &cobra.Command{
		Use:     "jobs",
		Aliases: []string{"job-list"},
		Short:   "List jobs, the newest first",
		Long: `List jobs that pass all filters, the newest first. The table is for people; -o json, yaml and name are
for programs.

--sort has the server sort them, before --limit cuts: by changed, the latest first; by state in the order of a
job's life; by priority, the one that goes first at the top; by any other field that --filter knows, or by
annotation:KEY, the smallest first. Any number of jobs comes in the order of submission, 100,000 in another one.`,
		Example: `  armadactl get jobs --queue demo --state running,queued
  armadactl get jobs --since 1h --state failed -o wide
  armadactl get jobs --since 1d --limit 0 --sort changed
  armadactl get jobs --queue demo --job-set first-steps --limit 0 -o name
  armadactl get jobs --filter 'reason~memory' --filter 'cpu>=4' --node node-17
  armadactl get jobs --queue demo --since 1d --group-by state`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if number && by != "" {
				return &usageError{"give --count or --group-by, not both"}
			}
			if query.Limit < 0 {
				return &usageError{"--limit must not be negative; 0 means all"}
			}
			var err error
			query.States, err = jobStates(states)
			if err == nil {
				query.SubmittedAfter, err = c.past("since", since)
			}
			if err != nil {
				return err
			}
			sortBy(&query, order, reverse)
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				switch {
				case number:
					return c.countJobs(ctx, server, query, form)
				case by != "":
					return c.groupJobs(ctx, server, query, by, form)
				default:
					return c.listJobs(ctx, server, query, form)
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&query.Queue, "queue", "", "only jobs of this queue")
	flags.StringVar(&query.JobSet, "job-set", "", "only jobs of this job set")
	flags.StringSliceVar(&states, "state", nil, "only jobs in these states: "+stateNames(armada.JobStates(), ", "))
	flags.StringVar(&query.Owner, "owner", "", "only jobs that this user submitted")
	flags.StringVar(&query.Namespace, "namespace", "", "only jobs of this Kubernetes namespace")
	filterFlags(flags, &query.Where)
	flags.StringToStringVar(&query.Annotations, "annotation", nil, "only jobs with this annotation, key=value")
	flags.StringVar(&since, "since", "", "only jobs submitted in the last 15m, 6h, 2d, ..., or since a time")
	flags.StringVar(&order, "sort", "submitted", "what to sort by: "+strings.Join(sortNames(), ", ")+", another field or annotation:KEY")
	flags.BoolVar(&reverse, "reverse", false, "the other way round: the oldest first")
	flags.IntVar(&query.Limit, "limit", 100, "at most so many, 0 for all")
	flags.BoolVar(&number, "count", false, "only say how many there are")
	flags.StringVar(&by, "group-by", "", "say how many there are of each "+strings.Join(groupKeys, ", ")+", or annotation:KEY")
	outputFlag(cmd, &form, asTable...)
	c.completeFlags(cmd)
	return cmd
}

// sortKeys are the values of --sort that are suggested, and the fields that they stand
// for. Ids grow with the time of submission: these are one order by two names.
var sortKeys = []struct{ key, field string }{
	{"submitted", "submitted"},
	{"id", "job_id"},
	{"changed", "last_transition"},
	{"state", "state"},
	{"priority", "priority"},
	{"queue", "queue"},
	{"job-set", "job_set"},
	{"owner", "owner"},
	{"node", "node"},
}

func sortNames() []string {
	var names []string
	for _, known := range sortKeys {
		names = append(names, known.key)
	}
	return names
}

// sortBy gives a query the order of a value of --sort: of times the latest first, of
// everything else the smallest, or the other way round.
func sortBy(query *client.JobQuery, key string, reverse bool) {
	query.OrderBy, query.OrderByAnnotation = strings.CutPrefix(key, annotationMark)
	for _, known := range sortKeys {
		if key == known.key {
			query.OrderBy = known.field
		}
	}
	latest := slices.Contains([]string{"submitted", "job_id", "last_transition"}, query.OrderBy) && !query.OrderByAnnotation
	query.Ascending = latest == reverse
}

// listJobs writes the jobs of a query: for programs as they come in, for people when
// the table can be laid out.
func (c *cli) listJobs(ctx context.Context, server *client.Client, query client.JobQuery, form string) error {
	to := machine{cli: c, form: form}
	n := 0
	var jobs []*lookout.Job
	err := server.EachJob(ctx, query, func(j *lookout.Job) error {
		n++
		if to.chosen() {
			return to.add(j.GetJobId(), j)
		}
		jobs = append(jobs, j)
		return nil
	})
	if err != nil {
		return err
	}
	if n == 0 && query.Queue != "" {
		if _, err := server.Queue(ctx, query.Queue); err != nil {
			return advise(err, codes.NotFound, "See which there are: armadactl get queues")
		}
	}
	if !to.chosen() {
		if err := c.tableOfJobs(jobs, form == formWide); err != nil {
			return err
		}
	}
	if query.Limit > 0 && n == query.Limit {
		fmt.Fprintf(c.errors, "There may be more jobs: --limit %d was reached.\n", query.Limit)
	}
	return nil
}

// stateNames are names of states behind each other.
func stateNames(states []armada.JobState, separator string) string {
	var names []string
	for _, s := range states {
		names = append(names, s.String())
	}
	return strings.Join(names, separator)
}

func jobStates(names []string) ([]armada.JobState, error) {
	var states []armada.JobState
	for _, name := range names {
		i := slices.IndexFunc(armada.JobStates(), func(s armada.JobState) bool { return strings.EqualFold(s.String(), name) })
		if i < 0 {
			return nil, &usageError{fmt.Sprintf("--state: there is no state %q; there are %s", name, stateNames(armada.JobStates(), ", "))}
		}
		states = append(states, armada.JobStates()[i])
	}
	return states, nil
}

func (c *cli) tableOfJobs(jobs []*lookout.Job, wide bool) error {
	if len(jobs) == 0 {
		c.printf("No jobs.\n")
		return nil
	}
	t := table{columns: []string{"ID", "STATE", "QUEUE", "JOB SET", "PRIORITY", "AGE", "NODE", "REASON"}}
	if wide {
		t.columns = []string{
			"ID", "STATE", "SINCE", "QUEUE", "JOB SET", "OWNER", "NAMESPACE", "PRIORITY", "CLASS", "RESOURCES",
			"AGE", "RUNS", "EXECUTOR", "POOL", "NODE", "EXIT CODE", "REASON",
		}
	}
	t.paint = map[string]func(string) string{"STATE": c.dyeState}
	for _, j := range jobs {
		last := &lookout.Run{}
		if n := len(j.GetRuns()); n > 0 {
			last = j.GetRuns()[n-1]
		}
		if !wide {
			t.add(j.GetJobId(), stateName(j.GetState()), j.GetQueue(), j.GetJobSet(), number(j.GetPriority()),
				c.age(j.GetSubmitted()), dash(last.GetNode()), short(oneLine(j.GetReason()), 60))
			continue
		}
		t.add(j.GetJobId(), stateName(j.GetState()), c.age(j.GetLastTransition()), j.GetQueue(), j.GetJobSet(), dash(j.GetOwner()), dash(j.GetNamespace()),
			number(j.GetPriority()), dash(j.GetPriorityClass()), dash(strings.ReplaceAll(sorted(j.GetResources()), ", ", ",")),
			c.age(j.GetSubmitted()), fmt.Sprint(len(j.GetRuns())), dash(last.GetExecutor()), dash(last.GetPool()), dash(last.GetNode()),
			dash(exitCodeOf(last)), oneLine(j.GetReason()))
	}
	return t.write(c.out)
}

// dash is what a table shows, with something in place of nothing.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// stateName is a state in our words, and the wire's name of one that we have no
// word for.
func stateName(s api.JobState) string {
	if state, known := wire.StateOf(s); known {
		return state.String()
	}
	return strings.ToLower(s.String())
}

// ended tells whether nothing more will happen to a job.
func ended(s api.JobState) bool {
	state, known := wire.StateOf(s)
	return known && state.Terminal()
}

func short(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func (c *cli) getJobCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "job ID...",
		Short: "Show jobs by their ids",
		Long:  "Show jobs by their ids, in a table or whole with -o json and yaml. For one job in words see describe job.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{"missing: ID"}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return c.getJobs(ctx, server, args, form)
			})
		},
	}
	outputFlag(cmd, &form, asTable...)
	c.completeArguments(cmd, jobArgument, repeated)
	return cmd
}

// getJobs writes jobs in the order of their ids on the command line. All have to
// be there.
func (c *cli) getJobs(ctx context.Context, server *client.Client, ids []string, form string) error {
	to := machine{cli: c, form: form}
	var jobs []*lookout.Job
	for _, id := range ids {
		job, err := c.job(ctx, server, id)
		if err != nil {
			return err
		}
		jobs = append(jobs, job)
	}
	if !to.chosen() {
		return c.tableOfJobs(jobs, form == formWide)
	}
	for _, job := range jobs {
		if err := to.add(job.GetJobId(), job); err != nil {
			return err
		}
	}
	return nil
}

// job gets a job that has to be there.
func (c *cli) job(ctx context.Context, server *client.Client, id string) (*lookout.Job, error) {
	job, err := server.Job(ctx, id)
	return job, advise(err, codes.NotFound, "There never was one, or it ended so long ago that it is forgotten. See which there are: armadactl get jobs")
}

// exitCodeOf is that of the container that decided a run's outcome; empty while
// there is none.
func exitCodeOf(r *lookout.Run) string {
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
