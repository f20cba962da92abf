package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/podspec"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

func (c *cli) getJobSetsCommand() *cobra.Command {
	var query client.JobSetQuery
	var form string
	cmd := &cobra.Command{
		Use:   "job-sets",
		Short: "List job sets with their jobs by state, those used first latest first",
		Example: `  armadactl get job-sets --queue demo --active
  armadactl get job-sets --prefix nightly- --limit 0 -o json`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if query.Limit < 0 {
				return &usageError{"--limit must not be negative; 0 means all"}
			}
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				return c.listJobSets(ctx, server, query, form)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&query.Queue, "queue", "", "only job sets of this queue")
	flags.StringVar(&query.Prefix, "prefix", "", "only those whose name begins so")
	flags.StringVar(&query.Contains, "contains", "", "only those that have this in their name")
	flags.BoolVar(&query.Active, "active", false, "only those with jobs that have not ended")
	flags.IntVar(&query.Limit, "limit", 100, "at most so many, 0 for all")
	outputFlag(cmd, &form, asTable...)
	register(cmd, "queue", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return c.suggestions(cmd.Context(), queueArgument, "", nil, begun)
	})
	return cmd
}

func (c *cli) listJobSets(ctx context.Context, server *client.Client, query client.JobSetQuery, form string) error {
	to := machine{cli: c, form: form}
	var sets []*lookout.JobSetSummary
	n := 0
	err := server.EachJobSet(ctx, query, func(s *lookout.JobSetSummary) error {
		if n++; to.chosen() {
			return to.add(s.GetJobSet(), s)
		}
		sets = append(sets, s)
		return nil
	})
	if err != nil {
		return advise(err, codes.NotFound, "See which queues there are: armadactl get queues")
	}
	if n == 0 && query.Queue != "" {
		if _, err := server.Queue(ctx, query.Queue); err != nil {
			return advise(err, codes.NotFound, "See which queues there are: armadactl get queues")
		}
	}
	if query.Limit > 0 && n == query.Limit {
		defer fmt.Fprintf(c.errors, "There may be more job sets: --limit %d was reached.\n", query.Limit)
	}
	if to.chosen() {
		return nil
	}
	if n == 0 {
		c.printf("No job sets.\n")
		return nil
	}
	t := table{columns: []string{"JOB SET", "QUEUE", "JOBS", "STATES"}}
	for _, s := range sets {
		t.add(s.GetJobSet(), s.GetQueue(), fmt.Sprint(s.GetCount()), statesWords(s.GetStates()))
	}
	return t.write(c.out)
}

// statesWords are numbers of jobs by the wire's name of their state, in the order of
// a job's life.
func statesWords(numbers map[string]int64) string {
	var parts []string
	for _, s := range armada.JobStates() {
		if n := numbers[wire.JobState(s).String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func (c *cli) getExecutorsCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "executors [NAME]",
		Short: "List the executors, whether they are cordoned, and what jobs hold of their nodes",
		Args:  arguments("[NAME]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := append(args, "")[0]
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				executors, err := server.ExecutorLoads(ctx, name, "")
				if err != nil {
					return unknownExecutor(err)
				}
				if name != "" && len(executors) == 0 {
					return unknownExecutor(status.Errorf(codes.NotFound, "there is no executor %q", name))
				}
				return c.listExecutors(executors, form)
			})
		},
	}
	outputFlag(cmd, &form, asTable...)
	c.completeArguments(cmd, executorArgument)
	return cmd
}

func (c *cli) listExecutors(executors []*lookout.ExecutorSummary, form string) error {
	to := machine{cli: c, form: form}
	if to.chosen() {
		for _, e := range executors {
			if err := to.add(e.GetExecutor(), e); err != nil {
				return err
			}
		}
		return nil
	}
	if len(executors) == 0 {
		c.printf("No executors.\n")
		return nil
	}
	t := table{columns: []string{"EXECUTOR", "HEARD", "CORDONED", "NODES", "JOBS", "CPU", "MEMORY"}}
	if form == formWide {
		t.columns = append(t.columns, "OTHERS", "WHY CORDONED")
	}
	for _, e := range executors {
		row := []string{
			e.GetExecutor(), c.age(e.GetLastHeard()) + " ago", yesNo(e.GetCordoned()), fmt.Sprint(e.GetNodeCount()), fmt.Sprint(e.GetJobs()),
			usedOf(e.GetUsed(), e.GetAllocatable(), armada.CPU), usedOf(e.GetUsed(), e.GetAllocatable(), armada.Memory),
		}
		if form == formWide {
			row = append(row, dash(otherResources(e.GetUsed(), e.GetAllocatable())), dash(oneLine(e.GetCordonReason())))
		}
		t.add(row...)
	}
	return t.write(c.out)
}

// usedOf is how much of a resource is used, of how much.
func usedOf(used, of map[string]string, name string) string {
	if of[name] == "" {
		return "-"
	}
	return amountOf(used, name) + " of " + amountOf(of, name)
}

// amountOf is an amount of a resource for people, 0 when it is not named.
func amountOf(amounts map[string]string, name string) string {
	text := amounts[name]
	if text == "" {
		return "0"
	}
	if amount, err := podspec.ParseQuantity(text, resourceOf(name), true); err == nil {
		return resourceOf(name).Format(amount)
	}
	return text
}

// otherResources are what is used of the resources without a column.
func otherResources(used, of map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if name != armada.CPU && name != armada.Memory {
			parts = append(parts, name+" "+usedOf(used, of, name))
		}
	}
	return strings.Join(parts, ", ")
}

func (c *cli) getNodesCommand() *cobra.Command {
	var form string
	var choice nodeChoice
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "List the nodes, whether new jobs may start there, and what jobs hold of them",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				nodes, err := choice.nodes(ctx, server)
				if err != nil {
					return err
				}
				return c.listNodes(c.out, nodes, form)
			})
		},
	}
	choice.flags(c, cmd)
	outputFlag(cmd, &form, asTable...)
	return cmd
}

func (c *cli) getJobSpecCommand() *cobra.Command {
	var form string
	var asRun bool
	cmd := &cobra.Command{
		Use:   "job-spec ID",
		Short: "Show the pod spec that a job was submitted with, or that its newest run was started with",
		Args:  arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				spec, err := server.JobSpec(ctx, args[0])
				if err != nil {
					return advise(err, codes.NotFound, "See which there are: armadactl get jobs")
				}
				pod := spec.GetSubmitted()
				if asRun {
					if pod = spec.GetAsRun().GetSpec(); pod == nil {
						return &advisedError{fmt.Errorf("job %s was never started", args[0]), "See why: armadactl explain job " + args[0]}
					}
				}
				if form == formWide {
					form = formYAML
				}
				to := machine{cli: c, form: form}
				return to.add(spec.GetJobId(), pod)
			})
		},
	}
	cmd.Flags().BoolVar(&asRun, "as-run", false, "as the executor of the newest run got it")
	outputFlag(cmd, &form, formYAML, formWide, formName, formJSON)
	c.completeArguments(cmd, jobArgument)
	return cmd
}

// groupKeys are fields by which jobs are grouped usefully.
var groupKeys = []string{"queue", "state", "job_set", "owner", "namespace", "executor", "node", "pool", "priority_class", "cancel_user", "category"}

// mostCounted is how far jobs are counted.
const mostCounted = 1_000_000

func (c *cli) countJobs(ctx context.Context, server *client.Client, query client.JobQuery, form string) error {
	n, complete, err := server.Count(ctx, query, mostCounted)
	if err != nil {
		return err
	}
	to := machine{cli: c, form: form}
	if to.chosen() {
		return to.addValue(fmt.Sprint(n), struct {
			Count    int64 `json:"count"`
			Complete bool  `json:"complete"` // there are no more
		}{n, complete})
	}
	if complete {
		c.printf("%d\n", n)
	} else {
		c.printf("at least %d\n", n)
	}
	return nil
}

func (c *cli) groupJobs(ctx context.Context, server *client.Client, query client.JobQuery, by, form string) error {
	key, isAnnotation := strings.CutPrefix(by, annotationMark)
	groups, err := server.Group(ctx, query, key, isAnnotation)
	if err != nil {
		return err
	}
	if at := groups.GetSearchedUntil(); at != nil {
		defer fmt.Fprintf(c.errors, "Only jobs submitted since %s were counted: there was no time for more.\n", c.clock(at))
	}
	to := machine{cli: c, form: form}
	if to.chosen() {
		for _, g := range groups.GetGroups() {
			if err := to.add(g.GetValue(), g); err != nil {
				return err
			}
		}
		return nil
	}
	if len(groups.GetGroups()) == 0 {
		c.printf("No jobs.\n")
		return nil
	}
	t := table{columns: []string{strings.ToUpper(strings.ReplaceAll(key, "_", " ")), "JOBS", "STATES"}}
	for _, g := range groups.GetGroups() {
		value := g.GetValue()
		if key == "state" {
			value = strings.ToLower(value)
		}
		t.add(dash(value), fmt.Sprint(g.GetCount()), statesWords(g.GetStates()))
	}
	if n := groups.GetOthers(); n > 0 {
		t.add("others", fmt.Sprint(n), "")
	}
	return t.write(c.out)
}
