package executors2026

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api/executorapi"
)

const (
	// forgetAfter is how long an executor may keep a run whose end it told itself.
	// It notes on the pod that it was told after the call that told it, and deletes a
	// pod without that note, with its log, when it is to forget it.
	forgetAfter = 10 * time.Second
	// missingAfter is how long a run that had begun may be on no list. An executor
	// that has just begun need not have found all of its pods.
	missingAfter = time.Minute
	// heldFor is for how long nothing is started in a restored store after a run was
	// listed that it does not know.
	heldFor = 30 * time.Second
	// jobsPerRead bounds the jobs that are asked for at once.
	jobsPerRead = 500
)

// plan is the answer to a request.
type plan struct {
	cancel []armada.RunID
	start  []armada.RunID // oldest job first
	labels map[string]map[string]string
}

// listing is what a request tells of runs and nodes.
type listing struct {
	runs  map[armada.RunID]bool
	jobs  map[armada.JobID]int // how many runs of each job are listed
	nodes map[string]map[string]string
}

func read(r *executorapi.LeaseRequest) *listing {
	l := &listing{runs: map[armada.RunID]bool{}, jobs: map[armada.JobID]int{}, nodes: map[string]map[string]string{}}
	add := func(id string) {
		run := armada.RunID(id)
		if l.runs[run] {
			return
		}
		l.runs[run] = true
		if job, named := run.Job(); named {
			l.jobs[job]++
		}
	}
	for _, n := range r.GetNodes() {
		l.nodes[n.GetName()] = n.GetLabels()
		for id := range n.GetRunIdsByState() {
			add(id)
		}
	}
	for _, id := range r.GetUnassignedJobRunIds() {
		add(id)
	}
	return l
}

// reconcile compares the runs that a request lists with those that the executor
// should have, and records what follows from what is missing.
func (s *Service) reconcile(ctx context.Context, p *peer, session armada.SessionID, r *executorapi.LeaseRequest) (*plan, error) {
	id, listed := armada.ExecutorID(r.GetExecutorId()), read(r)
	wanted, err := s.Store.RunsOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("listing the runs: %w", err)
	}
	now, out := time.Now(), &plan{labels: listed.nodes}
	active := make(map[armada.RunID]bool, len(wanted))
	missing := map[armada.RunID]time.Time{}
	var waiting []store.JobAndRun
	var changes []lifecycle.Change
	for _, j := range wanted {
		change := lifecycle.Change{Job: j.Job.ID, Run: j.Run.ID, Executor: id}
		wish, held := j.Job.Wish.Kind != armada.WishNone, listed.runs[j.Run.ID]
		active[j.Run.ID] = held || !wish // otherwise it ends with this request
		switch {
		case wish && held:
			out.cancel = append(out.cancel, j.Run.ID)
		case wish:
			change.Kind = lifecycle.ReportStopped
			changes = append(changes, change)
		case held:
		case j.Run.State == armada.RunLeased:
			waiting = append(waiting, j)
		default:
			if since(p.missing, j.Run.ID, now) >= missingAfter {
				s.Log.Warn("a run is gone from its executor, which has not told how it ended", "executor", id, "run", j.Run.ID)
				change.Kind = lifecycle.ReportUnknown
				changes = append(changes, change)
			}
			missing[j.Run.ID] = p.missing[j.Run.ID]
		}
	}
	p.missing = missing
	forget, err := s.forget(ctx, p, id, listed, active, now)
	if err != nil {
		return nil, err
	}
	out.cancel = append(out.cancel, forget...)
	slices.Sort(out.cancel)
	start, returned, err := s.choose(ctx, id, waiting, listed, active, int(r.GetMaxJobsToLease()))
	if err != nil {
		return nil, err
	}
	out.start = start
	if err := context.Cause(ctx); err != nil {
		return nil, err // the list may be older than another one that was answered
	}
	return out, s.transition(ctx, store.Fence{Executor: id, Session: session}, append(changes, returned...))
}

// forget returns the listed runs that are not wanted any more. Those whose end the
// executor told itself may stay on its list for a while.
func (s *Service) forget(ctx context.Context, p *peer, id armada.ExecutorID, listed *listing, active map[armada.RunID]bool, now time.Time) ([]armada.RunID, error) {
	var out, unknown []armada.RunID
	ended := map[armada.RunID]time.Time{}
	for run := range listed.runs {
		switch first, known := p.ended[run]; {
		case active[run]:
		case !known:
			unknown = append(unknown, run)
		default:
			ended[run] = first
			if now.Sub(first) >= forgetAfter {
				out = append(out, run)
			}
		}
	}
	slices.Sort(unknown)
	strangers := false
	for some := range slices.Chunk(unknown, jobsPerRead) {
		told, err := s.toldByItself(ctx, id, some)
		if err != nil {
			return nil, err
		}
		for _, run := range some {
			switch byItself, known := told[run]; {
			case byItself:
				ended[run] = now
			default:
				out = append(out, run)
				strangers = strangers || !known
			}
		}
	}
	p.ended = ended
	if strangers {
		// In a store that was restored these may be other attempts of its jobs.
		if err := s.Store.Hold(ctx, heldFor); err != nil {
			return nil, fmt.Errorf("holding what could be started: %w", err)
		}
	}
	return out, nil
}

// toldByItself tells of each of the runs that are known whether its executor, this
// one, told its end.
func (s *Service) toldByItself(ctx context.Context, id armada.ExecutorID, runs []armada.RunID) (map[armada.RunID]bool, error) {
	jobs := make([]armada.JobID, 0, len(runs))
	for _, run := range runs {
		if job, named := run.Job(); named && !slices.Contains(jobs, job) {
			jobs = append(jobs, job)
		}
	}
	known, err := s.Store.JobsByID(ctx, jobs)
	if err != nil {
		return nil, fmt.Errorf("looking for runs: %w", err)
	}
	told := map[armada.RunID]bool{}
	for i := range known {
		for _, run := range known[i].Runs {
			switch run.State {
			case armada.RunSucceeded, armada.RunFailed, armada.RunReturned:
				told[run.ID] = run.Executor == id
			default:
				told[run.ID] = false
			}
		}
	}
	return told, nil
}

// choose returns which of the runs that wait for their start may be started now,
// oldest job first, and what becomes of those that cannot be: their node is gone.
func (s *Service) choose(
	ctx context.Context, id armada.ExecutorID, waiting []store.JobAndRun, listed *listing, active map[armada.RunID]bool, most int,
) (start []armada.RunID, returned []lifecycle.Change, err error) {
	slices.SortFunc(waiting, func(a, b store.JobAndRun) int { return cmp.Compare(a.Job.Number, b.Job.Number) })
	for _, j := range waiting {
		_, there := listed.nodes[j.Run.Node]
		blocked := slices.ContainsFunc(j.Run.After, func(run armada.RunID) bool { return active[run] || listed.runs[run] })
		switch {
		case !there:
			returned = append(returned, lifecycle.Change{
				Kind: lifecycle.ReportReturned, Job: j.Job.ID, Run: j.Run.ID, Executor: id,
				End: armada.RunEnd{Reason: fmt.Sprintf("node %q is not in the cluster any more", j.Run.Node)},
			})
		case blocked, listed.jobs[j.Job.ID] > 0, len(start) >= most:
		default:
			start = append(start, j.Run.ID)
		}
	}
	if len(start) == 0 {
		return nil, returned, nil
	}
	held, err := s.Store.Held(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("asking whether anything may be started: %w", err)
	}
	if held > 0 {
		start = nil
	}
	return start, returned, nil
}

// transition applies changes, each for itself.
func (s *Service) transition(ctx context.Context, fence store.Fence, changes []lifecycle.Change) error {
	for some := range slices.Chunk(changes, store.MaxTransition) {
		units := make([]store.Unit, len(some))
		for i := range units {
			units[i] = some[i : i+1]
		}
		results, err := s.Store.Transition(ctx, fence, units)
		if err != nil {
			return fmt.Errorf("recording what became of runs: %w", err)
		}
		for i, r := range results {
			if r.Verdict == lifecycle.Refused {
				s.Log.Debug("a report changed nothing", "executor", fence.Executor, "run", some[i].Run, "report", some[i].Kind.String(), "why", r.Why)
			}
		}
	}
	return nil
}
