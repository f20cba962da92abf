package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// describePatience is how long describe waits for what it can do without, such as
// the events of one job: its job set may have millions.
const describePatience = 5 * time.Second

func (c *cli) describeJobCommand() *cobra.Command {
	var form string
	var withEvents bool
	cmd := &cobra.Command{
		Use:   "job ID",
		Short: "Show everything about a job: its states, its runs, its events, and why it waits or failed",
		Args:  arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				job, err := c.job(ctx, server, args[0])
				if err != nil {
					return err
				}
				var events []*api.EventMessage
				if withEvents {
					events = c.eventsOf(ctx, server, job)
				}
				if form != formText {
					return c.describeForPrograms(form, job, events)
				}
				return c.describe(job, events)
			})
		},
	}
	cmd.Flags().BoolVar(&withEvents, "events", true, "show the events, for which those of the whole job set are read")
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, jobArgument)
	return cmd
}

// eventsOf are the events of a job. That some are missing is said and is no
// error: what else is known of the job is worth showing.
func (c *cli) eventsOf(ctx context.Context, server *client.Client, job *lookout.Job) []*api.EventMessage {
	ctx, cancel := context.WithTimeoutCause(ctx, describePatience, errors.New("it takes longer than "+describePatience.String()))
	defer cancel()
	var events []*api.EventMessage
	var progress client.Progress
	err := server.History(ctx, client.Stream{Queue: job.GetQueue(), JobSet: job.GetJobSet()}, func(m *api.EventStreamMessage) error {
		if client.Head(m.GetMessage()).Job != job.GetJobId() {
			return nil
		}
		progress.Apply(m.GetMessage())
		events = append(events, m.GetMessage())
		if progress.Done() {
			return client.ErrStop
		}
		return nil
	})
	if err != nil {
		fmt.Fprintf(c.errors, "Events of the job may be missing: %s\n", said(err))
	}
	return events
}

func (c *cli) describeForPrograms(form string, job *lookout.Job, events []*api.EventMessage) error {
	encoded, err := encode(job)
	if err != nil {
		return fmt.Errorf("write the job: %w", err)
	}
	document := struct {
		Job    json.RawMessage   `json:"job"`
		Events []json.RawMessage `json:"events"`
	}{Job: encoded, Events: []json.RawMessage{}}
	for _, m := range events {
		encoded, err := encode(m)
		if err != nil {
			return fmt.Errorf("write an event: %w", err)
		}
		document.Events = append(document.Events, encoded)
	}
	return (&machine{cli: c, form: form}).addValue(job.GetJobId(), document)
}

// describe writes a job for people.
func (c *cli) describe(j *lookout.Job, events []*api.EventMessage) error {
	why, reason := "Reason", oneLine(j.GetReason())
	if j.GetState() == api.JobState_QUEUED {
		why = "Waits because"
		if reason == "" {
			reason = "the server does not say; the scheduler may not have looked at it yet"
		}
	}
	c.pairs("",
		"Job", j.GetJobId(),
		"State", c.dyeState(stateName(j.GetState())),
		why, reason,
	)
	c.pairs("", place(j)...)
	c.pairs("",
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
	if err := c.writeStates(j); err != nil {
		return err
	}
	for i, r := range j.GetRuns() {
		c.describeRun(fmt.Sprintf("Run %d of %d", i+1, len(j.GetRuns())), r)
	}
	if err := c.writeEvents(events); err != nil {
		return err
	}
	c.nextSteps(j)
	return nil
}

// place says where a queued job stands, and what its queue is owed of each
// pool, as names and values; nothing when the server does not say.
func place(j *lookout.Job) []string {
	s := j.GetStanding()
	if s == nil {
		return nil
	}
	lines := []string{"Place", fmt.Sprintf("%s of %d in queue %s", ordinal(s.GetPlace()), s.GetQueued(), j.GetQueue())}
	for _, p := range s.GetPools() {
		rivals := "no other queue wants it"
		if p.GetQueues() > 1 {
			rivals = fmt.Sprintf("%d queues share it", p.GetQueues())
		}
		lines = append(lines, "Pool "+p.GetPool(), fmt.Sprintf("queue %s has %s of it and is owed %s; %s",
			j.GetQueue(), percent(p.GetShare()), percent(p.GetFairShare()), rivals))
	}
	return lines
}

// ordinal is a number as a place: 1st, 2nd, 11th.
func ordinal(n int32) string {
	suffix := "th"
	if tens := n / 10 % 10; tens != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n) + suffix
}

// percent is a fraction in percent, with a digit behind the point only where
// there is no other.
func percent(fraction float64) string {
	if p := fraction * 100; p >= 1 || p == 0 {
		return fmt.Sprintf("%.0f%%", p)
	}
	return fmt.Sprintf("%.1f%%", fraction*100)
}

func (c *cli) describeRun(title string, r *lookout.Run) {
	c.printf("\n%s\n", title)
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
		"Exit code", exitCodeOf(r),
	)
	c.containers(r)
}

// containers write how each container of a run ended.
func (c *cli) containers(r *lookout.Run) {
	for _, k := range r.GetContainers() {
		c.printf("  Container %s: %s\n", k.GetName(),
			phrases("exit code ", fmt.Sprint(k.GetExitCode()), "", oneLine(k.GetReason()), "", oneLine(k.GetMessage())))
	}
}

// step is a state that a job was in, from when, and in which run.
type step struct {
	state string
	from  *timestamppb.Timestamp
	run   string
}

// steps are the states of a job, oldest first, as far as its runs tell.
func steps(j *lookout.Job) []step {
	all := []step{{state: armada.JobQueued.String(), from: j.GetSubmitted()}}
	add := func(state string, from *timestamppb.Timestamp, run string) {
		if from != nil {
			all = append(all, step{state, from, run})
		}
	}
	for i, r := range j.GetRuns() {
		run := fmt.Sprint(i + 1)
		add(armada.JobLeased.String(), r.GetLeased(), run)
		add(armada.JobPending.String(), r.GetPending(), run)
		add(armada.JobRunning.String(), r.GetStarted(), run)
		if i < len(j.GetRuns())-1 || j.GetState() == api.JobState_QUEUED {
			add(armada.JobQueued.String(), r.GetFinished(), run+": "+runStateName(r.GetState()))
		}
	}
	if ended(j.GetState()) {
		add(stateName(j.GetState()), j.GetLastTransition(), "")
	}
	return all
}

// writeStates writes in which state the job was for how long.
func (c *cli) writeStates(j *lookout.Job) error {
	if j.GetSubmitted() == nil {
		return nil // a server that knows no times
	}
	t := table{columns: []string{"  STATE", "FROM", "FOR", "RUN"}}
	all := steps(j)
	for i, s := range all {
		lasted := ""
		switch {
		case i < len(all)-1:
			lasted = span(all[i+1].from.AsTime().Sub(s.from.AsTime()))
		case !ended(j.GetState()):
			lasted = c.age(s.from) + " so far"
		}
		t.add("  "+s.state, c.clock(s.from), lasted, s.run)
	}
	return c.section("States", &t)
}

// writeEvents writes the events of one job.
func (c *cli) writeEvents(events []*api.EventMessage) error {
	t := table{columns: []string{"  TIME", "EVENT", "DETAILS"}}
	for _, m := range events {
		if head := client.Head(m); head.Kind != 0 && head.Kind != armada.EventUtilisation {
			t.add("  "+c.clock(timestamppb.New(head.Created)), head.Kind.String(), details(m))
		}
	}
	return c.section("Events", &t)
}

// nextSteps says what one would type next.
func (c *cli) nextSteps(j *lookout.Job) {
	state, _ := wire.StateOf(j.GetState())
	switch {
	case state == armada.JobRunning:
		c.printf("\nIts log: armadactl logs -f %s\n", j.GetJobId())
	case state.Terminal() && len(j.GetRuns()) > 0:
		c.printf("\nIts log: armadactl logs %s\n", j.GetJobId())
	}
}
