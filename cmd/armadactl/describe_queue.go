package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
	"armada/pkg/client"
)

// describedJobs is how many active jobs of a queue describe looks at, the newest;
// a queue may have millions.
const describedJobs = 10_000

func (c *cli) describeQueueCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "queue NAME",
		Short: "Show everything about a queue: its settings, its active jobs, and what it holds of each pool",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				queue, err := server.Queue(ctx, args[0])
				if err != nil {
					return advise(err, codes.NotFound, "See which there are: armadactl get queues")
				}
				active, err := activeJobs(ctx, server, queue.GetName())
				if err != nil {
					return err
				}
				load, err := server.QueueLoad(ctx, queue.GetName())
				if err != nil {
					return err
				}
				shares := c.sharesOf(ctx, server, queue.GetName())
				if form != formText {
					return c.describeQueueForPrograms(form, queue, active, load.GetChanges(), shares)
				}
				return c.describeQueue(queue, active, load.GetChanges(), shares)
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, queueArgument)
	return cmd
}

// activity is how many jobs of a queue have not ended, in each state, as far as
// they were looked at.
type activity struct {
	Jobs     map[string]int `json:"jobs"` // by the name of the state in the API
	JobSets  []string       `json:"jobSets"`
	Complete bool           `json:"complete"` // all were looked at
}

func activeJobs(ctx context.Context, server *client.Client, queue string) (activity, error) {
	all := activity{Jobs: map[string]int{}, JobSets: []string{}}
	seen, sets := 0, map[string]bool{}
	err := server.EachJob(ctx, client.JobQuery{Queue: queue, States: activeStates(), Limit: describedJobs}, func(j *lookout.Job) error {
		seen++
		all.Jobs[j.GetState().String()]++
		if set := j.GetJobSet(); !sets[set] {
			sets[set] = true
			all.JobSets = append(all.JobSets, set)
		}
		return nil
	})
	slices.Sort(all.JobSets)
	all.Complete = seen < describedJobs
	return all, err
}

// words are the activity in a line.
func (a *activity) words() string {
	var parts []string
	for _, state := range activeStates() {
		if n := a.Jobs[wire.JobState(state).String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	switch {
	case len(parts) == 0:
		return "none"
	case a.Complete:
		return strings.Join(parts, ", ")
	default:
		return strings.Join(parts, ", ") + fmt.Sprintf(", of the newest %d", describedJobs)
	}
}

// sharesOf is the report of a queue. That there is none is said and is no error:
// no replica may lead at the moment.
func (c *cli) sharesOf(ctx context.Context, server *client.Client, queue string) string {
	ctx, cancel := context.WithTimeoutCause(ctx, describePatience, errors.New("it takes longer than "+describePatience.String()))
	defer cancel()
	answer, err := server.Reporter.GetQueueReport(ctx, &schedulerobjects.QueueReportRequest{QueueName: queue})
	if err != nil {
		fmt.Fprintf(c.errors, "What the queue holds of the pools is not known: %s\n", said(err))
	}
	return answer.GetReport()
}

func (c *cli) describeQueueForPrograms(form string, queue *api.Queue, active activity, changes []*lookout.QueueChange, shares string) error {
	encoded, err := encode(queue)
	if err != nil {
		return fmt.Errorf("write the queue: %w", err)
	}
	told := make([]json.RawMessage, len(changes))
	for i, change := range changes {
		if told[i], err = encode(change); err != nil {
			return fmt.Errorf("write a change of the queue: %w", err)
		}
	}
	return (&machine{cli: c, form: form}).addValue(queue.GetName(), struct {
		Queue   json.RawMessage   `json:"queue"`
		Active  activity          `json:"active"`
		Changes []json.RawMessage `json:"changes"` // the latest, newest first
		Report  string            `json:"report"`  // as get queue-report has it; empty when nobody knows
	}{encoded, active, told, shares})
}

// describeQueue writes a queue for people.
func (c *cli) describeQueue(q *api.Queue, active activity, changes []*lookout.QueueChange, shares string) error {
	cordoned := "no"
	if q.GetCordoned() {
		cordoned = "yes: its queued jobs stay queued"
	}
	c.pairs("",
		"Queue", q.GetName(),
		"Weight", fmt.Sprintf("%.3g (priority factor %s)", 1/q.GetPriorityFactor(), number(q.GetPriorityFactor())),
		"Cordoned", cordoned,
		"Retry policies", strings.Join(q.GetRetryPolicies(), ", "),
		"Labels", sorted(q.GetLabels()),
		"Active jobs", active.words(),
		"Job sets", firstFew(active.JobSets, 10),
	)
	if err := c.writePermissions(q); err != nil {
		return err
	}
	if err := c.writeLimits(q); err != nil {
		return err
	}
	if err := c.writeChanges(changes); err != nil {
		return err
	}
	if shares != "" {
		c.printf("\nShares\n")
		for line := range strings.Lines(shares) {
			c.printf("  %s", line)
		}
	}
	if len(active.JobSets) > 0 {
		c.printf("\nIts jobs: armadactl get jobs --queue %s --state %s\n", q.GetName(), stateNames(activeStates(), ","))
	}
	return nil
}

// writePermissions writes who may do what.
func (c *cli) writePermissions(q *api.Queue) error {
	t := table{columns: []string{"  WHO", "MAY"}}
	for _, p := range q.GetPermissions() {
		for _, s := range p.GetSubjects() {
			t.add("  "+strings.ToLower(s.GetKind())+" "+s.GetName(), strings.Join(p.GetVerbs(), ", "))
		}
	}
	return c.section("Permissions", &t)
}

// writeLimits writes the most of a pool that the jobs of a class may hold.
func (c *cli) writeLimits(q *api.Queue) error {
	t := table{columns: []string{"  PRIORITY CLASS", "POOL", "AT MOST"}}
	byClass := q.GetResourceLimitsByPriorityClassName()
	for _, class := range slices.Sorted(maps.Keys(byClass)) {
		limits := byClass[class]
		if most := limits.GetMaximumResourceFraction(); len(most) > 0 {
			t.add("  "+class, "any other", fractions(most))
		}
		byPool := limits.GetMaximumResourceFractionByPool()
		for _, pool := range slices.Sorted(maps.Keys(byPool)) {
			t.add("  "+class, pool, fractions(byPool[pool].GetMaximumResourceFraction()))
		}
	}
	return c.section("Limits", &t)
}

// writeChanges writes who changed what of a queue.
func (c *cli) writeChanges(changes []*lookout.QueueChange) error {
	t := table{columns: []string{"  WHEN", "WHO", "WHAT"}}
	for _, change := range changes {
		t.add("  "+c.moment(change.GetTime()), change.GetBy(), change.GetWhat())
	}
	return c.section("Changes", &t)
}

// fractions are parts of a pool, by resource.
func fractions(of map[string]float64) string {
	var parts []string
	for _, resource := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, percent(of[resource])+" of "+resource)
	}
	return strings.Join(parts, ", ")
}

// section writes a table under a title, unless it is empty.
func (c *cli) section(title string, t *table) error {
	if len(t.rows) == 0 {
		return nil
	}
	c.printf("\n%s\n", title)
	return t.write(c.out)
}

// firstFew are at most so many texts, and how many more there are.
func firstFew(texts []string, most int) string {
	if len(texts) <= most {
		return strings.Join(texts, ", ")
	}
	return strings.Join(texts[:most], ", ") + fmt.Sprintf(" and %d more", len(texts)-most)
}
