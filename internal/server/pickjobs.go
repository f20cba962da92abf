package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"armada"
	"armada/internal/auth"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/nearest"
)

// picking finds the jobs that an operator means by where they are, and changes
// them.
type picking struct {
	*changes
}

// picked says which jobs are meant.
type picked struct {
	queues  map[string]bool // none is no queue, never every queue
	classes []string        // none is every priority class
	pools   []string        // none is every pool
	losing  bool            // only those that can be preempted
	classOf map[armada.ShapeID]string
}

// toPreempt leaves jobs of classes that are not preemptible alone: nobody takes
// their place from them.
func (of picked) toPreempt() picked {
	of.losing = true
	return of
}

// pick says which jobs are meant.
func pick(queues, classes, pools []string) picked {
	named := make(map[string]bool, len(queues))
	for _, queue := range queues {
		named[queue] = true
	}
	return picked{queues: named, classes: classes, pools: pools, classOf: map[armada.ShapeID]string{}}
}

// check refuses names that nothing has; exist does it for queues.
func (p *picking) check(of picked, wrong *violations) {
	for i, class := range of.classes {
		if _, known := p.rules.PriorityClass(class); class == "" || !known {
			wrong.add(fmt.Sprintf("priorityClasses[%d]", i), fmt.Sprintf("%q is no priority class%s", clip(class, 80), meant(class, p.rules.ClassNames())))
		}
	}
	for i, pool := range of.pools {
		if pool == "" {
			wrong.add(fmt.Sprintf("pools[%d]", i), "must not be empty")
		}
	}
}

// may demands that the caller holds the verb on every queue.
func (p *picking) may(ctx context.Context, verb armada.Verb, queues map[string]bool) (auth.Principal, error) {
	if len(queues) == 0 {
		return p.auth.Authorize(ctx, verb, "")
	}
	var caller auth.Principal
	var err error
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		if caller, err = p.auth.Authorize(ctx, verb, queue); err != nil {
			return caller, err
		}
	}
	return caller, nil
}

// exist demands that there are these queues.
func (p *picking) exist(ctx context.Context, queues map[string]bool) error {
	if len(queues) == 0 {
		return nil
	}
	all, err := p.store.Queues(ctx)
	if err != nil {
		return fmt.Errorf("list the queues: %w", err)
	}
	missing := maps.Clone(queues)
	for i := range all {
		delete(missing, all[i].Name)
	}
	if len(missing) > 0 {
		return noQueue(ctx, p.auth, p.store, slices.Sorted(maps.Keys(missing))[0])
	}
	return nil
}

// onExecutor returns the jobs with a run on the executor, and on the node unless
// that is empty.
func (p *picking) onExecutor(ctx context.Context, id armada.ExecutorID, node string, of picked) ([]armada.JobID, error) {
	running, err := p.store.RunsOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("look up the runs of an executor: %w", err)
	}
	var jobs []armada.JobID
	for i := range running {
		job, run := &running[i].Job, running[i].Run
		if run == nil || node != "" && run.Node != node || !of.queues[job.Queue] {
			continue
		}
		fits, err := p.fits(ctx, job, run, of)
		if err != nil {
			return nil, err
		}
		if fits {
			jobs = append(jobs, job.ID)
		}
	}
	return jobs, nil
}

// inQueue returns the active jobs of a queue that are in one of the states. Jobs
// that have no run are in no pool.
func (p *picking) inQueue(ctx context.Context, queue string, states []armada.JobState, of picked) ([]armada.JobID, error) {
	counts, err := p.store.Count(ctx, queue)
	if err != nil {
		return nil, fmt.Errorf("count the queue's jobs: %w", err)
	}
	var jobs []armada.JobID
	var last armada.JobSet
	for i, c := range counts {
		if i > 0 && c.JobSet == last {
			continue
		}
		last = c.JobSet
		found, err := p.store.ActiveJobs(ctx, store.JobSetKey{Queue: queue, JobSet: c.JobSet}, states)
		if err != nil {
			return nil, fmt.Errorf("look up the active jobs of a job set: %w", err)
		}
		if len(of.classes) > 0 || len(of.pools) > 0 || of.losing {
			if found, err = p.narrow(ctx, found, of); err != nil {
				return nil, err
			}
		}
		jobs = append(jobs, found...)
	}
	return jobs, nil
}

// narrow leaves the jobs of the right classes and pools.
func (p *picking) narrow(ctx context.Context, jobs []armada.JobID, of picked) ([]armada.JobID, error) {
	var left []armada.JobID
	for piece := range slices.Chunk(jobs, store.MaxPage) {
		full, err := p.store.JobsByID(ctx, piece)
		if err != nil {
			return nil, fmt.Errorf("look up %d jobs: %w", len(piece), err)
		}
		for i := range full {
			var run *armada.Run
			if n := len(full[i].Runs); n > 0 && full[i].Runs[n-1].State.Active() {
				run = &full[i].Runs[n-1]
			}
			fits, err := p.fits(ctx, &full[i].Job, run, of)
			if err != nil {
				return nil, err
			}
			if fits {
				left = append(left, full[i].Job.ID)
			}
		}
	}
	return left, nil
}

// fits tells whether a job is of the right class, its run in the right pool, and
// whether it can be preempted if it shall be.
func (p *picking) fits(ctx context.Context, job *armada.Job, run *armada.Run, of picked) (bool, error) {
	if len(of.pools) > 0 && (run == nil || !slices.Contains(of.pools, run.Pool)) {
		return false, nil
	}
	if len(of.classes) == 0 && !of.losing {
		return true, nil
	}
	class, known := of.classOf[job.Shape]
	if !known {
		r, err := p.store.Requirements(ctx, job.Shape)
		if err != nil {
			return false, fmt.Errorf("look up what a job asks for: %w", err)
		}
		class = r.PriorityClass
		of.classOf[job.Shape] = class
	}
	return (len(of.classes) == 0 || slices.Contains(of.classes, class)) && (!of.losing || p.preemptible(class)), nil
}

// cancelAll and preemptAll change each of the jobs. One that ended meanwhile, or
// that is on its way out, is fine.
func (p *picking) cancelAll(ctx context.Context, jobs []armada.JobID, by, why string) error {
	return p.apply(ctx, "cancelled", jobs, lifecycle.Change{Kind: lifecycle.Cancel, By: by, Reason: why}, ignore)
}

func (p *picking) preemptAll(ctx context.Context, jobs []armada.JobID, by, why string) error {
	return p.apply(ctx, "preempted", jobs, lifecycle.Change{Kind: lifecycle.Preempt, By: by, Reason: why, Announce: true}, ignore)
}

func ignore(armada.JobID, store.UnitResult) {}

// executor returns an executor; the error of one that does not exist suggests
// those that may have been meant.
func (p *picking) executor(ctx context.Context, name string) (armada.Executor, error) {
	e, err := p.store.Executor(ctx, armada.ExecutorID(name))
	if armada.CodeOf(err) == armada.CodeNotFound {
		return e, p.noExecutor(ctx, name)
	}
	if err != nil {
		return e, fmt.Errorf("look up the executor: %w", err)
	}
	return e, nil
}

func (p *picking) noExecutor(ctx context.Context, name string) error {
	var names []string
	if all, err := p.store.Executors(ctx); err == nil { // a courtesy: without them the error is still true
		for i := range all {
			names = append(names, string(all[i].Executor.ID))
		}
	}
	return &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("could not find executor %q%s", clip(name, 100), meant(name, names))}
}

// node demands that an executor has a node: that it reports it, or has runs on it.
// The error suggests those that may have been meant.
func (p *picking) node(ctx context.Context, id armada.ExecutorID, name string) error {
	running, err := p.store.RunsOf(ctx, id)
	if err != nil {
		return fmt.Errorf("look up the runs of an executor: %w", err)
	}
	var names []string
	for i := range running {
		if running[i].Run != nil {
			names = append(names, running[i].Run.Node)
		}
	}
	all, err := p.store.Executors(ctx)
	if err != nil {
		return fmt.Errorf("list the executors: %w", err)
	}
	for i := range all {
		if all[i].Executor.ID != id {
			continue
		}
		for _, node := range all[i].Nodes {
			names = append(names, node.Name)
		}
	}
	if slices.Contains(names, name) {
		return nil
	}
	slices.Sort(names)
	return &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("could not find node %q of executor %q%s", clip(name, 100), id, meant(name, slices.Compact(names)))}
}

// meant suggests names that are alike.
func meant(name string, known []string) string {
	if name == "" || len(name) > longestGuess {
		return ""
	}
	near := nearest.Names(name, known)
	if len(near) == 0 {
		return ""
	}
	for i := range near {
		near[i] = fmt.Sprintf("%q", near[i])
	}
	return ", did you mean " + strings.Join(near, " or ") + "?"
}

// named demands a name, as all that may be wrong with a request.
func named(path, name, otherwise string) error {
	var wrong violations
	needName(path, name, &wrong)
	return wrong.err(otherwise)
}

// needName demands a name.
func needName(path, name string, wrong *violations) {
	if name == "" {
		wrong.add(path, "must not be empty")
	}
}
