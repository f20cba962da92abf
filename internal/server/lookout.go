package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"armada"
	"armada/internal/auth"
	"armada/internal/runs"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
	"armada/pkg/api/lookout"
)

// LogSource reads the logs of runs from the executors that have them.
type LogSource interface {
	// Logs calls visit with the lines of a run, oldest first. NotFound when the
	// log is gone, Unavailable when the executor cannot be reached.
	Logs(ctx context.Context, executor armada.ExecutorID, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error
}

// Explainer tells why queued jobs wait.
type Explainer interface {
	// Waits tells in words why each of the queued jobs waits, in order; empty
	// where nobody knows.
	Waits(ctx context.Context, jobs []armada.Job) []string
	// Standing tells where a queued job stands; nil where nobody knows.
	Standing(ctx context.Context, job armada.Job) *lookout.Standing
}

// lookoutService is lookout.Lookout: looking for jobs and into them.
type lookoutService struct {
	lookout.UnimplementedLookoutServer

	auth     *auth.Authorizer
	store    store.Store
	table    armada.ResourceTable
	logs     LogSource
	specs    *decoded
	explains Explainer
	shapes   *lru[armada.ShapeID, *armada.Requirements]
	stopping <-chan struct{}
}

// GetJobs answers one page of the jobs that pass every filter.
func (s *lookoutService) GetJobs(ctx context.Context, r *lookout.GetJobsRequest) (*lookout.GetJobsResponse, error) {
	query, err := jobQuery(r)
	if err != nil {
		return nil, err
	}
	if _, err := s.auth.Authorize(ctx, armada.VerbWatch, query.Queue); err != nil {
		return nil, err
	}
	page, err := s.store.List(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	answer := &lookout.GetJobsResponse{NextPageToken: page.Next, Jobs: make([]*lookout.Job, 0, len(page.Jobs))}
	waits := s.waits(ctx, page.Jobs)
	for i := range page.Jobs {
		job, err := s.job(ctx, &page.Jobs[i], waits[page.Jobs[i].Job.ID])
		if err != nil {
			return nil, err
		}
		answer.Jobs = append(answer.Jobs, job)
	}
	return answer, nil
}

// GetJob answers one job.
func (s *lookoutService) GetJob(ctx context.Context, r *lookout.GetJobRequest) (*lookout.Job, error) {
	full, err := s.find(ctx, r.GetJobId())
	if err != nil {
		return nil, err
	}
	job, err := s.job(ctx, &full, s.waits(ctx, []store.FullJob{full})[full.Job.ID])
	if err == nil && s.explains != nil && full.Job.State == armada.JobQueued {
		job.Standing = s.explains.Standing(ctx, full.Job)
	}
	return job, err
}

func (s *lookoutService) find(ctx context.Context, id string) (store.FullJob, error) {
	full, err := s.store.Job(ctx, armada.JobID(id))
	if err != nil {
		return store.FullJob{}, fmt.Errorf("look up the job %q: %w", clip(id, 40), err)
	}
	if _, err := s.auth.Authorize(ctx, armada.VerbWatch, full.Job.Queue); err != nil {
		return store.FullJob{}, err
	}
	return full, nil
}

func (s *lookoutService) job(ctx context.Context, full *store.FullJob, waits string) (*lookout.Job, error) {
	r, ok := s.shapes.get(full.Job.Shape)
	if !ok {
		var err error
		r, err = s.store.Requirements(ctx, full.Job.Shape)
		if err != nil && armada.CodeOf(err) != armada.CodeNotFound {
			return nil, fmt.Errorf("look up what a job asks for: %w", err)
		}
		if r != nil {
			s.shapes.put(full.Job.Shape, r, 512)
		}
	}
	return wire.LookoutJob(full, r, s.table, waits), nil
}

// waits says why those of the jobs that are queued wait.
func (s *lookoutService) waits(ctx context.Context, jobs []store.FullJob) map[armada.JobID]string {
	var queued []armada.Job
	for i := range jobs {
		if jobs[i].Job.State == armada.JobQueued {
			queued = append(queued, jobs[i].Job)
		}
	}
	if s.explains == nil || len(queued) == 0 {
		return nil
	}
	words := make(map[armada.JobID]string, len(queued))
	for i, why := range s.explains.Waits(ctx, queued) {
		words[queued[i].ID] = why
	}
	return words
}

// GetLogs sends the log of a run, from whichever executor has it.
func (s *lookoutService) GetLogs(r *lookout.LogsRequest, stream grpc.ServerStreamingServer[lookout.LogLine]) error {
	ctx := stream.Context()
	full, err := s.find(ctx, r.GetJobId())
	if err != nil {
		return err
	}
	if err := s.hasContainer(ctx, &full, r.GetContainer()); err != nil {
		return err
	}
	run, err := runOf(&full, armada.RunID(r.GetRunId()))
	if err != nil {
		return err
	}
	if r.GetTailLines() < 0 {
		return violations{{Path: "tail_lines", Message: "must not be negative"}}.err("there is no such log")
	}
	if s.logs == nil {
		return &armada.Error{Code: armada.CodeUnavailable, Message: "no executor can be reached from here"}
	}
	if err := stream.SendHeader(metadata.Pairs(openMark, "1")); err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.stopping:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	err = s.logs.Logs(ctx, run.Executor, run.ID, wire.LogQuery(r), func(l runs.LogLine) error {
		return stream.Send(wire.LogLine(l))
	})
	if err != nil && context.Cause(ctx) == error(errStopping) { //nolint:errorlint // that very value
		return errStopping
	}
	return err
}

// hasContainer refuses a name that no container of the job's pod has, with those
// that there are.
func (s *lookoutService) hasContainer(ctx context.Context, full *store.FullJob, name string) error {
	if name == "" {
		return nil
	}
	pod, err := s.specs.get(ctx, full.Job.Template)
	if err != nil {
		return err
	}
	var names []string
	for _, containers := range [][]*corev1.Container{pod.GetContainers(), pod.GetInitContainers()} {
		for _, c := range containers {
			names = append(names, c.GetName())
		}
	}
	if len(names) == 0 || slices.Contains(names, name) {
		return nil // or its spec is not kept any more
	}
	return violations{{
		Path: "container", Message: fmt.Sprintf("the job has no container %q; it has %s", clip(name, 60), strings.Join(names, ", ")),
	}}.err("there is no such log")
}

// runOf returns the run asked for, or the newest.
func runOf(full *store.FullJob, id armada.RunID) (*armada.Run, error) {
	for i := len(full.Runs) - 1; i >= 0; i-- {
		if id == "" || full.Runs[i].ID == id {
			return &full.Runs[i], nil
		}
	}
	if id != "" {
		return nil, &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("the job has no run %q", clip(string(id), 60))}
	}
	return nil, &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("the job is %s and was never started: there is no log", full.Job.State)}
}

// jobQuery reads what jobs are wanted.
func jobQuery(r *lookout.GetJobsRequest) (store.Query, error) {
	var wrong violations
	query := store.Query{After: r.GetPageToken(), Limit: int(r.GetPageSize()), Descending: r.GetOrder().GetDirection() == lookout.Direction_DESCENDING}
	if n := r.GetPageSize(); n < 0 || n > store.MaxPage {
		wrong.add("page_size", fmt.Sprintf("is %d, must be 0 to %d", n, store.MaxPage))
	}
	switch r.GetOrder().GetField() {
	case "", "submitted", "job_id":
	default:
		return query, unimplemented(fmt.Sprintf("ordering by %q", clip(r.GetOrder().GetField(), 60)))
	}
	for i, f := range r.GetFilters() {
		path := fmt.Sprintf("filters[%d]", i)
		if err := addFilter(&query, f, path, &wrong); err != nil {
			return query, err
		}
	}
	return query, wrong.err("nothing was listed")
}

// addFilter adds a filter to a query; the error is about filters that are
// right and do not exist yet.
func addFilter(q *store.Query, f *lookout.Filter, path string, wrong *violations) error {
	missing := unimplemented(fmt.Sprintf("filtering %s by %s", clip(f.GetField(), 60), f.GetMatch()))
	values := f.GetValues()
	if len(values) == 0 || len(values) > 1 && f.GetMatch() != lookout.Match_IN {
		wrong.add(path+".values", fmt.Sprintf("has %d entries", len(values)))
		return nil
	}
	equal := f.GetMatch() == lookout.Match_EQUALS || f.GetMatch() == lookout.Match_IN && len(values) == 1
	switch {
	case f.GetIsAnnotation() && equal:
		if q.Annotations == nil {
			q.Annotations = map[string]string{}
		}
		q.Annotations[f.GetField()] = values[0]
	case f.GetIsAnnotation():
		return missing
	case f.GetField() == "state" && (equal || f.GetMatch() == lookout.Match_IN):
		for i, v := range values {
			state, known := wire.StateOf(api.JobState(api.JobState_value[strings.ToUpper(v)]))
			if _, named := api.JobState_value[strings.ToUpper(v)]; !named || !known {
				wrong.add(fmt.Sprintf("%s.values[%d]", path, i), fmt.Sprintf("%q is no state", clip(v, 60)))
			}
			q.States = append(q.States, state)
		}
	case f.GetField() == "job_id" && (equal || f.GetMatch() == lookout.Match_IN):
		q.IDs = unique(values...)
	case f.GetField() == "job_set" && f.GetMatch() == lookout.Match_STARTS_WITH:
		q.JobSetPrefix = values[0]
	case f.GetField() == "submitted" && !equal:
		return submittedFilter(q, f, path, wrong, missing)
	case equal:
		field := map[string]*string{"queue": &q.Queue, "job_set": &q.JobSet, "owner": &q.Owner, "namespace": &q.Namespace}[f.GetField()]
		if field == nil {
			return missing
		}
		*field = values[0]
	default:
		return missing
	}
	return nil
}

func submittedFilter(q *store.Query, f *lookout.Filter, path string, wrong *violations, missing error) error {
	at, err := time.Parse(time.RFC3339Nano, f.GetValues()[0])
	if err != nil {
		wrong.add(path+".values[0]", "must be a time as in RFC 3339, 2006-01-02T15:04:05Z")
		return nil
	}
	switch f.GetMatch() {
	case lookout.Match_GREATER_THAN:
		q.SubmittedAfter = at
	case lookout.Match_LESS_THAN:
		q.SubmittedBefore = at
	default:
		return missing
	}
	return nil
}
