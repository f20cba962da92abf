package server

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/auth"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// jobsService is api.Jobs: what programs ask about jobs they know.
type jobsService struct {
	api.UnimplementedJobsServer

	auth  *auth.Authorizer
	store store.Store
	specs *decoded
	most  int // ids per request
}

// find returns the jobs that are known of those asked for at the path. Those that the caller
// may not see are as unknown as those that do not exist.
func (s *jobsService) find(ctx context.Context, path string, asked []string) ([]store.FullJob, error) {
	if _, err := auth.Caller(ctx); err != nil {
		return nil, err
	}
	if n := len(asked); n > s.most {
		return nil, violations{{Path: path, Message: fmt.Sprintf("has %d ids, at most %d are taken at once", n, s.most)}}.err("nothing was looked up")
	}
	var found []store.FullJob
	sees := map[string]bool{}
	for piece := range slices.Chunk(unique(asked...), store.MaxPage) {
		jobs, err := s.store.JobsByID(ctx, piece)
		if err != nil {
			return nil, fmt.Errorf("look up %d jobs: %w", len(piece), err)
		}
		for i := range jobs {
			queue := jobs[i].Job.Queue
			may, known := sees[queue]
			if !known {
				if may, err = s.sees(ctx, queue); err != nil {
					return nil, err
				}
				sees[queue] = may
			}
			if may {
				found = append(found, jobs[i])
			}
		}
	}
	return found, nil
}

// sees tells whether the caller may see the jobs of a queue. Programs ask about the
// same few jobs again and again: the other queues are not looked at.
func (s *jobsService) sees(ctx context.Context, queue string) (bool, error) {
	_, err := s.auth.Authorize(ctx, auth.VerbSeeJobs, queue)
	if err == nil {
		return true, nil
	}
	if code := armada.CodeOf(err); code == armada.CodeDenied || code == armada.CodeNotFound {
		return false, nil
	}
	return false, err
}

// GetJobStatus answers every id that was asked for, UNKNOWN for unknown ones: to
// Python programs a missing entry is a queued job.
func (s *jobsService) GetJobStatus(ctx context.Context, r *api.JobStatusRequest) (*api.JobStatusResponse, error) {
	found, err := s.find(ctx, "job_ids", r.GetJobIds())
	if err != nil {
		return nil, err
	}
	states := make(map[string]api.JobState, len(r.GetJobIds()))
	for _, id := range r.GetJobIds() {
		states[id] = api.JobState_UNKNOWN
	}
	for i := range found {
		states[string(found[i].Job.ID)] = wire.JobState(found[i].Job.State)
	}
	return &api.JobStatusResponse{JobStates: states}, nil
}

// tooMuch refuses a question whose answer clients would not take, and says how
// many jobs would have had room.
func tooMuch(asked, fit int) error {
	return violations{{Path: "job_ids", Message: fmt.Sprintf(
		"has %d ids, and the answer would be larger than the 4 MiB that clients take; ask for at most %d at once", asked, max(1, fit))}}.err("nothing is answered")
}

// GetJobDetails answers the jobs that are known.
func (s *jobsService) GetJobDetails(ctx context.Context, r *api.JobDetailsRequest) (*api.JobDetailsResponse, error) {
	found, err := s.find(ctx, "job_ids", r.GetJobIds())
	if err != nil {
		return nil, err
	}
	details := make(map[string]*api.JobDetails, len(found))
	left := roomOfAnswer
	for i := range found {
		var spec *corev1.PodSpec
		if r.GetExpandJobSpec() {
			if spec, err = s.specs.get(ctx, found[i].Job.Template); err != nil {
				return nil, err
			}
		}
		one := wire.JobDetails(&found[i], spec, r.GetExpandJobRun())
		if left -= proto.Size(one) + len(found[i].Job.ID) + 2*beside; left < 0 {
			return nil, tooMuch(len(r.GetJobIds()), i)
		}
		details[string(found[i].Job.ID)] = one
	}
	return &api.JobDetailsResponse{JobDetails: details}, nil
}

// GetJobErrors answers why jobs failed, "" for those that did not.
func (s *jobsService) GetJobErrors(ctx context.Context, r *api.JobErrorsRequest) (*api.JobErrorsResponse, error) {
	found, err := s.find(ctx, "job_ids", r.GetJobIds())
	if err != nil {
		return nil, err
	}
	errors := make(map[string]string, len(found))
	left := roomOfAnswer
	for i := range found {
		text := ""
		switch job := &found[i].Job; job.State {
		case armada.JobFailed, armada.JobRejected, armada.JobPreempted:
			text = job.Reason
		default:
		}
		if left -= len(found[i].Job.ID) + len(text) + beside; left < 0 {
			return nil, tooMuch(len(r.GetJobIds()), i)
		}
		errors[string(found[i].Job.ID)] = text
	}
	return &api.JobErrorsResponse{JobErrors: errors}, nil
}

// GetJobRunDetails answers the runs that are known.
func (s *jobsService) GetJobRunDetails(ctx context.Context, r *api.JobRunDetailsRequest) (*api.JobRunDetailsResponse, error) {
	wanted := make(map[armada.RunID]bool, len(r.GetRunIds()))
	var jobs []string
	for _, id := range r.GetRunIds() {
		if job, ok := armada.RunID(id).Job(); ok {
			wanted[armada.RunID(id)] = true
			jobs = append(jobs, string(job))
		}
	}
	found, err := s.find(ctx, "run_ids", jobs)
	if err != nil {
		return nil, err
	}
	details := make(map[string]*api.JobRunDetails, len(wanted))
	for i := range found {
		for j := range found[i].Runs {
			if run := &found[i].Runs[j]; wanted[run.ID] {
				details[string(run.ID)] = wire.RunDetails(run)
			}
		}
	}
	return &api.JobRunDetailsResponse{JobRunDetails: details}, nil
}

// GetActiveQueues answers for each pool the queues with jobs that are queued or
// running there. A queued job counts for every pool there is, since any may
// take it; one with a run for the pool of its node.
func (s *jobsService) GetActiveQueues(ctx context.Context, _ *api.GetActiveQueuesRequest) (*api.GetActiveQueuesResponse, error) {
	sight, err := s.auth.Sight(ctx, auth.VerbSeeQueues)
	if err != nil {
		return nil, err
	}
	counts, err := s.store.Count(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("count active jobs: %w", err)
	}
	executors, err := s.store.Executors(ctx)
	if err != nil {
		return nil, fmt.Errorf("list executors: %w", err)
	}
	active := map[string]map[string]bool{}
	for _, e := range executors {
		for i := range e.Nodes {
			active[e.Nodes[i].Pool] = map[string]bool{}
		}
	}
	if len(active) == 0 {
		active[armada.DefaultPool] = map[string]bool{}
	}
	started := false
	for _, c := range counts {
		// With one pool, everything is there and no run need be looked at.
		if c.State == armada.JobQueued || len(active) == 1 {
			for _, queues := range active {
				queues[c.Queue] = true
			}
		} else {
			started = true
		}
	}
	if started {
		if err := s.runningIn(ctx, executors, active); err != nil {
			return nil, err
		}
	}
	answer := &api.GetActiveQueuesResponse{ActiveQueuesByPool: map[string]*api.ActiveQueues{}}
	for pool, queues := range active {
		names := &api.ActiveQueues{}
		for name := range queues {
			if sight.Sees(name) {
				names.Queues = append(names.Queues, name)
			}
		}
		if len(names.Queues) == 0 {
			continue
		}
		slices.Sort(names.Queues)
		answer.ActiveQueuesByPool[pool] = names
	}
	return answer, nil
}

// runningIn adds the queues of runs to the pools of their nodes.
func (s *jobsService) runningIn(ctx context.Context, executors []store.ExecutorNodes, active map[string]map[string]bool) error {
	for _, e := range executors {
		running, err := s.store.RunsOf(ctx, e.Executor.ID)
		if err != nil {
			return fmt.Errorf("list the runs of executor %q: %w", e.Executor.ID, err)
		}
		for i := range running {
			pool := running[i].Run.Pool
			if active[pool] == nil {
				active[pool] = map[string]bool{}
			}
			active[pool][running[i].Job.Queue] = true
		}
	}
	return nil
}

// GetJobStatusUsingExternalJobUri answers the states of a job set's jobs that
// were submitted with an external URI; no match is an empty answer.
func (s *jobsService) GetJobStatusUsingExternalJobUri(ctx context.Context, r *api.JobStatusUsingExternalJobUriRequest) (*api.JobStatusResponse, error) {
	var wrong violations
	for _, field := range []struct{ name, value string }{{"queue", r.GetQueue()}, {"jobset", r.GetJobset()}, {"external_job_uri", r.GetExternalJobUri()}} {
		if field.value == "" {
			wrong.add(field.name, "must not be empty")
		}
	}
	if err := wrong.err("nothing was looked up"); err != nil {
		return nil, err
	}
	if _, err := s.auth.Authorize(ctx, auth.VerbSeeJobs, r.GetQueue()); err != nil {
		return nil, err
	}
	states := map[string]api.JobState{}
	query := store.Query{Queue: r.GetQueue(), JobSet: r.GetJobset(), Limit: store.MaxPage}
	for {
		page, err := s.store.List(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("list the jobs of the job set: %w", err)
		}
		for i := range page.Jobs {
			if page.Jobs[i].Details.ExternalURI == r.GetExternalJobUri() {
				states[string(page.Jobs[i].Job.ID)] = wire.JobState(page.Jobs[i].Job.State)
			}
		}
		if query.After = page.Next; query.After == "" {
			return &api.JobStatusResponse{JobStates: states}, nil
		}
	}
}
