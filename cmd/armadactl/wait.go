package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"armada"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

// ending is how a job ended.
type ending struct {
	job   string
	state armada.JobState
	// code is the exit code of the container that decided it, 0 for none.
	code int32
	// why is what else there is to say.
	why  string
	took time.Duration // since it was submitted, or 0
}

// endings waits for the end of jobs.
type endings struct {
	cli       *cli
	live      *liveLine
	progress  client.Progress // of the awaited jobs
	awaited   map[string]bool // those that have not ended
	submitted map[string]time.Time
	worst     int
	bad       []string
}

// await waits until jobs have ended. The error says how many did not succeed and
// has the worst exit status of them.
func (c *cli) await(ctx context.Context, server *client.Client, s *submission, ids []string) error {
	e := &endings{cli: c, awaited: map[string]bool{}, submitted: map[string]time.Time{}}
	for _, id := range ids {
		e.awaited[id] = true
	}
	total := len(e.awaited)
	if !s.to.chosen() {
		e.live = c.live(&e.progress)
	}
	err := e.wait(ctx, server, s)
	e.live.close()
	goOn := fmt.Sprintf("The jobs go on. See: armadactl get jobs --queue %s --job-set %s", s.jobs.Queue, s.jobs.JobSet)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(c.errors, goOn)
		return ctx.Err()
	case err != nil:
		return &advisedError{fmt.Errorf("wait for the jobs: %w", err), goOn}
	case len(e.bad) > 0:
		return &statusError{
			&advisedError{fmt.Errorf("%d of %s did not succeed", len(e.bad), count(total, "job")), "See: armadactl describe job " + e.bad[0]},
			e.worst,
		}
	default:
		return nil
	}
}

// wait returns when nothing is awaited any more. Jobs that had a client id may
// have ended long ago, with their events gone; what ends from now on has an
// event.
func (e *endings) wait(ctx context.Context, server *client.Client, s *submission) error {
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(e.awaited)), 500) {
		err := server.EachJob(ctx, client.JobQuery{IDs: chunk, States: terminalStates()}, func(j *lookout.Job) error {
			return e.live.do(func() error { return e.add(endOf(j), s) })
		})
		if err != nil {
			return err
		}
	}
	if len(e.awaited) == 0 {
		return nil
	}
	stream := client.Stream{Queue: s.jobs.Queue, JobSet: s.jobs.JobSet, Interrupted: e.cli.interrupted(server.Address(), e.live)}
	return server.Watch(ctx, stream, func(m *api.EventStreamMessage) error {
		return e.live.do(func() error { return e.apply(m.GetMessage(), s) })
	})
}

func terminalStates() []armada.JobState {
	return slices.DeleteFunc(slices.Clone(armada.JobStates()), func(s armada.JobState) bool { return !s.Terminal() })
}

// apply takes the next event into account; ErrStop after the last.
func (e *endings) apply(m *api.EventMessage, s *submission) error {
	head := client.Head(m)
	if !e.awaited[head.Job] {
		return nil
	}
	e.progress.Apply(m)
	if head.Kind == armada.EventSubmitted {
		e.submitted[head.Job] = head.Created
	}
	state := e.progress.State(head.Job)
	if !state.Terminal() {
		return nil
	}
	end := ending{job: head.Job, state: state, why: details(m)}
	if failed := m.GetFailed(); failed != nil {
		end.code = exitCodeOfFailure(failed)
	}
	if from, known := e.submitted[head.Job]; known {
		end.took = head.Created.Sub(from)
	}
	if err := e.add(end, s); err != nil {
		return err
	}
	if len(e.awaited) == 0 {
		return client.ErrStop
	}
	return nil
}

// add writes a line about a job that has ended, and keeps the worst exit status.
func (e *endings) add(end ending, s *submission) error {
	delete(e.awaited, end.job)
	status := end.status()
	if status != exitOK {
		e.bad = append(e.bad, end.job)
	}
	e.worst = max(e.worst, status)
	if s.to.form == formName {
		return nil
	}
	if s.to.chosen() {
		return s.to.addValue(end.job, struct {
			JobID  string `json:"jobId"`
			State  string `json:"state"`
			Status int    `json:"exitStatus"`
			Why    string `json:"details"`
		}{end.job, wire.JobState(end.state).String(), status, end.why})
	}
	line := "Job " + end.job + " " + e.cli.dye(end.state.String(), colourOf(end.state))
	if end.took > 0 {
		line += " after " + span(end.took)
	}
	if end.why != "" {
		line += ": " + end.why
	}
	_, err := fmt.Fprintln(e.cli.out, line)
	return err
}

// status is the job as the exit code of a program.
func (e *ending) status() int {
	switch {
	case e.state == armada.JobSucceeded:
		return exitOK
	case e.state == armada.JobFailed && e.code != 0:
		return min(int(uint32(e.code)), 255) // a process has no code above it; one below 0 is a large one
	default:
		return exitFailed
	}
}

// endOf is how a job ended that has ended.
func endOf(j *lookout.Job) ending {
	state, _ := wire.StateOf(j.GetState())
	end := ending{job: j.GetJobId(), state: state, why: oneLine(j.GetReason())}
	if n := len(j.GetRuns()); n > 0 {
		last := j.GetRuns()[n-1]
		end.code = last.GetExitCode()
		var codes []string
		for _, k := range last.GetContainers() {
			codes = append(codes, fmt.Sprintf("%s=%d", k.GetName(), k.GetExitCode()))
		}
		if state == armada.JobFailed {
			end.why = phrases("", end.why, "exit codes ", strings.Join(codes, " "), "node ", last.GetNode())
		}
	}
	if j.GetSubmitted() != nil && j.GetLastTransition() != nil {
		end.took = j.GetLastTransition().AsTime().Sub(j.GetSubmitted().AsTime())
	}
	return end
}

// exitCodeOfFailure is that of the first container that did not end with 0.
func exitCodeOfFailure(e *api.JobFailedEvent) int32 {
	for _, k := range e.GetContainerStatuses() {
		if k.GetExitCode() != 0 {
			return k.GetExitCode()
		}
	}
	byName := e.GetExitCodes() // servers of 2020 fill only this
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if byName[name] != 0 {
			return byName[name]
		}
	}
	return 0
}
