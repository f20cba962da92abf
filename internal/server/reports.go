package server

import (
	"cmp"
	"context"
	"fmt"

	"armada"
	"armada/internal/store"
	"armada/pkg/api/schedulerobjects"
)

// reportService is schedulerobjects.SchedulerReporting: what the latest round of
// each pool saw, as text for people. What only the replica that leads knows is
// asked of it.
type reportService struct {
	schedulerobjects.UnimplementedSchedulerReportingServer

	looking *lookoutService
	peers   Peers // may be nil
}

// GetSchedulingReport answers the shares of all queues, of one, or why a job waits.
func (s *reportService) GetSchedulingReport(ctx context.Context, r *schedulerobjects.SchedulingReportRequest) (*schedulerobjects.SchedulingReport, error) {
	var text string
	var err error
	switch f := r.GetFilter().(type) {
	case *schedulerobjects.SchedulingReportRequest_MostRecentForJob:
		text, err = s.job(ctx, f.MostRecentForJob.GetJobId())
	case *schedulerobjects.SchedulingReportRequest_MostRecentForQueue:
		text, err = s.queue(ctx, f.MostRecentForQueue.GetQueueName(), r.GetVerbosity())
	default:
		text, err = s.shares(ctx, "", r.GetVerbosity())
	}
	return &schedulerobjects.SchedulingReport{Report: text}, err
}

// GetQueueReport answers the shares of a queue.
func (s *reportService) GetQueueReport(ctx context.Context, r *schedulerobjects.QueueReportRequest) (*schedulerobjects.QueueReport, error) {
	text, err := s.queue(ctx, r.GetQueueName(), r.GetVerbosity())
	return &schedulerobjects.QueueReport{Report: text}, err
}

// GetJobReport answers why a job waits.
func (s *reportService) GetJobReport(ctx context.Context, r *schedulerobjects.JobReportRequest) (*schedulerobjects.JobReport, error) {
	text, err := s.job(ctx, r.GetJobId())
	return &schedulerobjects.JobReport{Report: text}, err
}

func (s *reportService) queue(ctx context.Context, name string, verbosity int32) (string, error) {
	if err := named("queue_name", name, "there is no report"); err != nil {
		return "", err
	}
	if _, err := s.looking.auth.Authorize(ctx, armada.VerbWatch, name); err != nil {
		return "", err
	}
	_, err := s.looking.store.Queue(ctx, name)
	if armada.CodeOf(err) == armada.CodeNotFound {
		return "", noQueue(ctx, s.looking.auth, s.looking.store, name)
	}
	if err != nil {
		return "", fmt.Errorf("look up the queue: %w", err)
	}
	return s.shares(ctx, name, verbosity)
}

// shares has a table for each pool, of one queue or, without a name, of all that
// have jobs there.
func (s *reportService) shares(ctx context.Context, queue string, verbosity int32) (string, error) {
	if _, err := s.looking.auth.Authorize(ctx, armada.VerbWatch, queue); err != nil {
		return "", err
	}
	if s.peers == nil {
		return "", &armada.Error{Code: armada.CodeUnavailable, Message: "no scheduler is known here"}
	}
	return s.peers.Shares(ctx, queue, int(verbosity))
}

// job tells the state of a job, and why it waits if it does.
func (s *reportService) job(ctx context.Context, id string) (string, error) {
	full, err := s.looking.find(ctx, armada.VerbWatch, id)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("Job %s is %s\n", full.Job.ID, full.Job.State)
	if n := len(full.Runs); n > 0 && full.Runs[n-1].State.Active() {
		text += "  " + place(&full.Runs[n-1]) + "\n"
	}
	if why := s.looking.waits(ctx, []store.FullJob{full})[full.Job.ID]; why != "" {
		text += "  " + why + "\n"
	}
	if full.Job.State != armada.JobQueued || s.looking.explains == nil {
		return text, nil
	}
	if standing := s.looking.explains.Standing(ctx, full.Job); standing != nil {
		text += fmt.Sprintf("  number %d of %d that wait in queue %s\n", standing.GetPlace(), standing.GetQueued(), full.Job.Queue)
	}
	return text, nil
}

// place tells where a run is, and whether it is at home there.
func place(run *armada.Run) string {
	text := fmt.Sprintf("on node %s of executor %s, in pool %s", run.Node, run.Executor, cmp.Or(run.Pool, armada.DefaultPool))
	if pool, guest := run.GuestOf(); guest {
		return text + ", as a guest who is at home in pool " + pool + ": it gives way to all who are at home"
	}
	if run.Away != "" {
		return text + ", away on nodes of type " + run.Away + ": it gives way to those who are at home"
	}
	return text
}
