package server

import (
	"context"
	"fmt"
	"slices"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
)

// ReprioritizeJobs changes the priority of jobs by id, or of the active jobs of
// a job set when no id is given. The answer has an entry for each of them: empty
// when the job has the priority now, otherwise why not.
func (c *changes) ReprioritizeJobs(ctx context.Context, r *api.JobReprioritizeRequest) (*api.JobReprioritizeResponse, error) {
	key := store.JobSetKey{Queue: r.GetQueue(), JobSet: armada.JobSet(r.GetJobSetId())}
	ids := unique(r.GetJobIds()...)
	var wrong violations
	p, err := priority(r.GetNewPriority())
	if err != nil {
		wrong.add("new_priority", err.Error())
	}
	if len(ids) == 0 {
		needSet(key, &wrong)
	}
	if err := wrong.err("no priority was changed"); err != nil {
		return nil, err
	}
	jobs, results, caller, err := c.find(ctx, armada.VerbReprioritize, key, ids)
	if err != nil {
		return nil, err
	}
	change := lifecycle.Change{Kind: lifecycle.Reprioritise, By: caller, Priority: p}
	err = c.apply(ctx, "reprioritised", jobs, change, func(id armada.JobID, r store.UnitResult) { results[string(id)] = outcome(r) })
	if err != nil {
		return nil, err
	}
	return &api.JobReprioritizeResponse{ReprioritizationResults: fitting(results)}, nil
}

// PreemptJobs takes the places of jobs away, by id. The answer has an entry for
// each of them: empty when its place is or will be free, otherwise why not, as for
// jobs of classes that are not preemptible.
func (c *changes) PreemptJobs(ctx context.Context, r *api.JobPreemptRequest) (*api.PreemptionResult, error) {
	key := store.JobSetKey{Queue: r.GetQueue(), JobSet: armada.JobSet(r.GetJobSetId())}
	ids := unique(r.GetJobIds()...)
	var wrong violations
	checkReason(r.GetReason(), &wrong)
	if len(ids) == 0 {
		needSet(key, &wrong)
	}
	if err := wrong.err("nothing was preempted"); err != nil {
		return nil, err
	}
	found, caller, err := c.selectJobs(ctx, armada.VerbPreempt, key, ids)
	if err != nil {
		return nil, err
	}
	results := make(map[string]string, len(ids))
	for _, id := range found.others {
		results[string(id)] = unknownJob
	}
	found.jobs = slices.DeleteFunc(found.jobs, func(id armada.JobID) bool {
		class := found.classes[id]
		if c.preemptible(class) {
			return false
		}
		results[string(id)] = fmt.Sprintf("its priority class %s is not preemptible: it can be cancelled", class)
		return true
	})
	change := lifecycle.Change{Kind: lifecycle.Preempt, By: caller.Name, Reason: r.GetReason(), Announce: true}
	err = c.apply(ctx, "preempted", found.jobs, change, func(id armada.JobID, r store.UnitResult) { results[string(id)] = outcome(r) })
	if err != nil {
		return nil, err
	}
	return &api.PreemptionResult{PreemptionResults: fitting(results)}, nil
}

// find returns the jobs that a request is about, by id or else by job set, and
// the answers for those that do not exist.
func (c *changes) find(ctx context.Context, verb armada.Verb, key store.JobSetKey, ids []armada.JobID) ([]armada.JobID, map[string]string, string, error) {
	results := map[string]string{}
	if len(ids) == 0 {
		jobs, caller, err := c.selectSet(ctx, verb, key, nil)
		return jobs, results, caller.Name, err
	}
	found, caller, err := c.selectJobs(ctx, verb, key, ids)
	for _, id := range found.others {
		results[string(id)] = unknownJob
	}
	return found.jobs, results, caller.Name, err
}
