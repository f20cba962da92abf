package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/auth"
	"armada/internal/runs"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
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

// Sharer tells what queues have of the pools.
type Sharer interface {
	// QueueShares tells it by queue; false when nobody can be asked.
	QueueShares(ctx context.Context) (map[string][]*lookout.QueueShare, bool)
}

// Leaser makes the message that lets an executor start a run.
type Leaser interface {
	Lease(ctx context.Context, o *store.Order) (*executorapi.JobRunLease, error)
}

// lookoutService is lookout.Lookout: looking for jobs and into them.
type lookoutService struct {
	lookout.UnimplementedLookoutServer

	auth     *auth.Authorizer
	store    store.Store
	table    armada.ResourceTable
	logs     LogSource
	commands Commander
	specs    *decoded
	explains Explainer
	shares   Sharer
	leases   Leaser
	changes  *jobChanges
	stopping <-chan struct{}
	now      func() time.Time
}

// GetJobs answers one page of the jobs that pass every filter.
func (s *lookoutService) GetJobs(ctx context.Context, r *lookout.GetJobsRequest) (*lookout.GetJobsResponse, error) {
	query, err := s.listQuery(r)
	if err != nil {
		return nil, err
	}
	if query.Queues, err = s.watchable(ctx, query.Where); err != nil {
		return nil, err
	}
	page, err := s.store.List(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	answer := &lookout.GetJobsResponse{NextPageToken: page.Next, Jobs: make([]*lookout.Job, 0, len(page.Jobs))}
	if !page.Searched.IsZero() {
		answer.SearchedUntil = timestamppb.New(page.Searched)
	}
	waits := s.waits(ctx, page.Jobs)
	for i := range page.Jobs {
		answer.Jobs = append(answer.Jobs, wire.LookoutJob(&page.Jobs[i], s.table, waits[page.Jobs[i].Job.ID], false))
	}
	return answer, nil
}

// GetJob answers one job.
func (s *lookoutService) GetJob(ctx context.Context, r *lookout.GetJobRequest) (*lookout.Job, error) {
	full, err := s.find(ctx, armada.VerbWatch, r.GetJobId())
	if err != nil {
		return nil, err
	}
	job := wire.LookoutJob(&full, s.table, s.waits(ctx, []store.FullJob{full})[full.Job.ID], true)
	if s.explains != nil && full.Job.State == armada.JobQueued {
		job.Standing = s.explains.Standing(ctx, full.Job)
	}
	return job, nil
}

// GetJobSpec answers what a job was submitted as, and what its newest run was
// started as.
func (s *lookoutService) GetJobSpec(ctx context.Context, r *lookout.GetJobSpecRequest) (*lookout.JobSpec, error) {
	full, err := s.find(ctx, armada.VerbWatch, r.GetJobId())
	if err != nil {
		return nil, err
	}
	spec, err := s.specs.get(ctx, full.Job.Template)
	if err != nil {
		return nil, err
	}
	answer := &lookout.JobSpec{JobId: string(full.Job.ID), Submitted: spec, Labels: full.Details.Labels, Annotations: full.Details.Annotations}
	if len(full.Runs) == 0 || s.leases == nil {
		return answer, nil
	}
	order := &store.Order{Job: full.Job, Run: full.Runs[len(full.Runs)-1], Details: full.Details}
	if order.Template, err = s.store.Template(ctx, full.Job.Template); err != nil {
		return nil, fmt.Errorf("read the pod spec: %w", err)
	}
	lease, err := s.leases.Lease(ctx, order)
	if err != nil {
		return nil, fmt.Errorf("put together what the run was started as: %w", err)
	}
	answer.AsRun = wire.RunSpec(lease)
	return answer, nil
}

// watchable are the queues whose jobs the caller may see: nil for all. Who asks for
// one queue by its name is told when that is not allowed.
func (s *lookoutService) watchable(ctx context.Context, where []store.Condition) ([]string, error) {
	for i := range where {
		if c := &where[i]; c.Column.Field == store.FieldQueue && c.Op == store.OpEqual && len(c.Texts) == 1 {
			_, err := s.auth.Authorize(ctx, armada.VerbWatch, c.Texts[0])
			return c.Texts, err
		}
	}
	sight, err := s.auth.Sight(ctx, armada.VerbWatch)
	if err != nil || sight.Everything() {
		return nil, err
	}
	return sight.Queues(), nil
}

// find returns a job to which the caller may do what the verb says.
func (s *lookoutService) find(ctx context.Context, verb armada.Verb, id string) (store.FullJob, error) {
	if err := named("job_id", id, "nothing was looked up"); err != nil {
		return store.FullJob{}, err
	}
	full, err := s.store.Job(ctx, armada.JobID(id))
	if err != nil {
		return store.FullJob{}, fmt.Errorf("look up the job %q: %w", clip(id, 40), err)
	}
	if _, err := s.auth.Authorize(ctx, verb, full.Job.Queue); err != nil {
		return store.FullJob{}, err
	}
	return full, nil
}

// waits says why those of the jobs that are queued wait, and why those that are
// leased or pending do not begin, where their executors told.
func (s *lookoutService) waits(ctx context.Context, jobs []store.FullJob) map[armada.JobID]string {
	var queued []armada.Job
	words := map[armada.JobID]string{}
	for i := range jobs {
		switch n := len(jobs[i].Runs); {
		case jobs[i].Job.State == armada.JobQueued:
			queued = append(queued, jobs[i].Job)
		case n > 0 && jobs[i].Runs[n-1].Stuck != "":
			words[jobs[i].Job.ID] = jobs[i].Runs[n-1].Stuck
		}
	}
	if s.explains == nil || len(queued) == 0 {
		return words
	}
	for i, why := range s.explains.Waits(ctx, queued) {
		words[queued[i].ID] = why
	}
	return words
}

// GetLogs sends the log of a run, from whichever executor has it.
func (s *lookoutService) GetLogs(r *lookout.LogsRequest, stream grpc.ServerStreamingServer[lookout.LogLine]) error {
	ctx := stream.Context()
	full, err := s.find(ctx, armada.VerbWatch, r.GetJobId())
	if err != nil {
		return err
	}
	if err := s.hasContainer(ctx, &full, r.GetContainer(), noLog); err != nil {
		return err
	}
	run, err := runOf(&full, armada.RunID(r.GetRunId()), noLog)
	if err != nil {
		return err
	}
	if r.GetTailLines() < 0 {
		return violations{{Path: "tail_lines", Message: "must not be negative"}}.err("there is no such log")
	}
	if s.logs == nil {
		return &armada.Error{Code: armada.CodeUnavailable, Message: "no executor can be reached from here"}
	}
	may, err := permitted(ctx, s.now, func(ctx context.Context) error {
		_, err := s.auth.Authorize(ctx, armada.VerbWatch, full.Job.Queue)
		return err
	})
	if err != nil {
		return err
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
		if err := may.holds(ctx); err != nil {
			return err
		}
		return stream.Send(wire.LogLine(l))
	})
	if err != nil && context.Cause(ctx) == error(errStopping) { //nolint:errorlint // that very value
		return errStopping
	}
	return elsewhere(err, run)
}

// noLog is what follows for who wants one.
const noLog = "there is no log"

// hasContainer refuses a name that no container of the job's pod has, with those
// that there are and what follows from it.
func (s *lookoutService) hasContainer(ctx context.Context, full *store.FullJob, name, so string) error {
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
	}}.err(so)
}

// runOf returns the run asked for, or the newest; for a job that has none, the error
// tells what follows from it.
func runOf(full *store.FullJob, id armada.RunID, so string) (*armada.Run, error) {
	for i := len(full.Runs) - 1; i >= 0; i-- {
		if id == "" || full.Runs[i].ID == id {
			return &full.Runs[i], nil
		}
	}
	if id != "" {
		return nil, &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("the job has no run %q", clip(string(id), 60))}
	}
	return nil, &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("the job is %s and was never started: %s", full.Job.State, so)}
}
