package server

import (
	"context"
	"fmt"
	"slices"

	"armada"
	"armada/internal/auth"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/store"
)

// changes is what users ask to happen to jobs that are there.
type changes struct {
	auth  *auth.Authorizer
	store store.Store
	rules *podspec.Rules
}

// maxReason bounds the reasons that users give, in bytes.
const maxReason = 1024

// roomOfAnswer is what a list of jobs may take in an answer. Clients of all years
// refuse messages of more than 4 MiB, and try again: a list that is cut is better
// than one that never arrives.
const roomOfAnswer = 4<<20 - 64<<10

// beside is about what a text takes in a message beside its own bytes.
const beside = 8

// fitting leaves out of results what an answer has no room for, of what went well
// first.
func fitting(results map[string]string) map[string]string {
	left := roomOfAnswer
	for _, well := range []bool{false, true} {
		for id, text := range results {
			if well != (text == "") {
				continue
			}
			if left -= len(id) + len(text) + beside; left < 0 {
				delete(results, id)
			}
		}
	}
	return results
}

// apply asks for one change of each job, every job for itself, in pieces so
// that nobody else waits long, and tells what became of each. An error after
// something was committed is [partial].
func (c *changes) apply(ctx context.Context, done string, jobs []armada.JobID, change lifecycle.Change, tell func(armada.JobID, store.UnitResult)) error {
	finished := 0
	for piece := range slices.Chunk(jobs, store.MaxTransition) {
		units := make([]store.Unit, len(piece))
		for i, id := range piece {
			one := change
			one.Job = id
			units[i] = store.Unit{one}
		}
		results, err := c.store.Transition(ctx, store.Fence{}, units)
		if err != nil && finished > 0 {
			return &partial{done: finished, all: len(jobs), what: done, of: "jobs", cause: err}
		}
		if err != nil {
			return fmt.Errorf("%s jobs: %w", change.Kind, err)
		}
		for i, id := range piece {
			tell(id, results[i])
		}
		finished += len(piece)
	}
	return nil
}

// selected are the jobs that a request names.
type selected struct {
	jobs    []armada.JobID          // those that exist and match
	classes map[armada.JobID]string // their priority classes
	others  []armada.JobID          // the rest of what was asked for
}

// selectJobs finds jobs by id. Those that are not in the queue and job set are
// left out, where these are given; NotFound when there is no such queue either. The
// caller must hold the verb on every queue concerned.
func (c *changes) selectJobs(ctx context.Context, verb armada.Verb, key store.JobSetKey, ids []armada.JobID) (selected, auth.Principal, error) {
	out := selected{classes: map[armada.JobID]string{}}
	caller, err := auth.Caller(ctx)
	if err == nil && key.Queue != "" {
		caller, err = c.auth.Authorize(ctx, verb, key.Queue)
	}
	if err != nil {
		return out, caller, err
	}
	allowed := map[string]bool{key.Queue: true}
	for piece := range slices.Chunk(ids, store.MaxPage) {
		jobs, err := c.store.JobsByID(ctx, piece)
		if err != nil {
			return out, caller, fmt.Errorf("look up %d jobs: %w", len(piece), err)
		}
		for i := range jobs {
			job := &jobs[i].Job
			if key.Queue != "" && job.Queue != key.Queue || key.JobSet != "" && job.JobSet != key.JobSet {
				continue
			}
			if !allowed[job.Queue] {
				if _, err := c.auth.Authorize(ctx, verb, job.Queue); err != nil {
					return out, caller, err
				}
				allowed[job.Queue] = true
			}
			out.classes[job.ID] = jobs[i].Needs.PriorityClass
		}
	}
	for _, id := range ids {
		if _, known := out.classes[id]; known {
			out.jobs = append(out.jobs, id)
		} else {
			out.others = append(out.others, id)
		}
	}
	if len(out.jobs) == 0 && key.Queue != "" {
		return out, caller, c.needQueue(ctx, key.Queue)
	}
	return out, caller, nil
}

// needQueue demands that there is a queue.
func (c *changes) needQueue(ctx context.Context, name string) error {
	_, err := c.store.Queue(ctx, name)
	if armada.CodeOf(err) == armada.CodeNotFound {
		return noQueue(ctx, c.auth, c.store, name)
	}
	if err != nil {
		return fmt.Errorf("look up the queue: %w", err)
	}
	return nil
}

// preemptible tells whether jobs of a priority class can be preempted by anybody.
func (c *changes) preemptible(class string) bool {
	known, there := c.rules.PriorityClass(class)
	return there && known.Preemptible
}

// selectSet finds the active jobs of a job set; NotFound when the queue does
// not exist either.
func (c *changes) selectSet(ctx context.Context, verb armada.Verb, key store.JobSetKey, states []armada.JobState) ([]armada.JobID, auth.Principal, error) {
	caller, err := c.auth.Authorize(ctx, verb, key.Queue)
	if err != nil {
		return nil, caller, err
	}
	jobs, err := c.store.ActiveJobs(ctx, key, states)
	if err != nil {
		return nil, caller, fmt.Errorf("look up the active jobs of a job set: %w", err)
	}
	if len(jobs) > 0 {
		return jobs, caller, nil
	}
	return nil, caller, c.needQueue(ctx, key.Queue)
}

// needSet demands that a request names a job set.
func needSet(key store.JobSetKey, wrong *violations) {
	if key.Queue == "" {
		wrong.add("queue", "must not be empty")
	}
	if key.JobSet == "" {
		wrong.add("job_set_id", "must not be empty")
	}
}

func checkReason(reason string, wrong *violations) {
	if len(reason) > maxReason {
		wrong.add("reason", fmt.Sprintf("is %d bytes long, at most %d are taken", len(reason), maxReason))
	}
}

// unique returns the ids once each, in the order in which they come first.
func unique(ids ...string) []armada.JobID {
	seen := make(map[string]bool, len(ids))
	out := make([]armada.JobID, 0, len(ids))
	for _, id := range ids {
		if id != "" && !seen[id] {
			seen[id] = true
			out = append(out, armada.JobID(id))
		}
	}
	return out
}

// outcome says in words why nothing happened to a job; empty when it did or
// was so already.
func outcome(r store.UnitResult) string {
	if r.Verdict != lifecycle.Refused {
		return ""
	}
	if r.Why == "" {
		return "refused"
	}
	return r.Why
}

// unknownJob is said of jobs that are not known in the queue and job set given.
const unknownJob = "there is no such job"
