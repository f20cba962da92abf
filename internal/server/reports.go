package server

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/store"
	"armada/pkg/api/schedulerobjects"
)

// Rounds are the latest rounds that the scheduler of this replica made.
type Rounds interface {
	// Leading tells whether there are any: this replica leads and has looked at
	// every pool.
	Leading() bool
	// Reports returns the latest report of every pool, by name. They must not be
	// changed.
	Reports() []scheduling.Report
}

// reportService is schedulerobjects.SchedulerReporting: what the latest round of
// each pool saw, as text for people. Only the replica that leads knows the
// shares; the others answer UNAVAILABLE.
type reportService struct {
	schedulerobjects.UnimplementedSchedulerReportingServer

	looking *lookoutService
	rounds  Rounds
}

// GetSchedulingReport answers the shares of all queues, of one, or why a job waits.
func (s *reportService) GetSchedulingReport(ctx context.Context, r *schedulerobjects.SchedulingReportRequest) (*schedulerobjects.SchedulingReport, error) {
	var text string
	var err error
	switch f := r.GetFilter().(type) {
	case *schedulerobjects.SchedulingReportRequest_MostRecentForJob:
		text, err = s.job(ctx, f.MostRecentForJob.GetJobId())
	case *schedulerobjects.SchedulingReportRequest_MostRecentForQueue:
		text, err = s.queue(ctx, f.MostRecentForQueue.GetQueueName())
	default:
		text, err = s.shares(ctx, "")
	}
	return &schedulerobjects.SchedulingReport{Report: text}, err
}

// GetQueueReport answers the shares of a queue.
func (s *reportService) GetQueueReport(ctx context.Context, r *schedulerobjects.QueueReportRequest) (*schedulerobjects.QueueReport, error) {
	text, err := s.queue(ctx, r.GetQueueName())
	return &schedulerobjects.QueueReport{Report: text}, err
}

// GetJobReport answers why a job waits.
func (s *reportService) GetJobReport(ctx context.Context, r *schedulerobjects.JobReportRequest) (*schedulerobjects.JobReport, error) {
	text, err := s.job(ctx, r.GetJobId())
	return &schedulerobjects.JobReport{Report: text}, err
}

func (s *reportService) queue(ctx context.Context, name string) (string, error) {
	if _, err := s.looking.store.Queue(ctx, name); err != nil {
		return "", fmt.Errorf("look up the queue %q: %w", clip(name, 40), err)
	}
	return s.shares(ctx, name)
}

// shares has a table for each pool, of one queue or, without a name, of all that
// have jobs there.
func (s *reportService) shares(ctx context.Context, queue string) (string, error) {
	if _, err := s.looking.auth.Authorize(ctx, armada.VerbWatch, queue); err != nil {
		return "", err
	}
	if s.rounds == nil || !s.rounds.Leading() {
		return "", &armada.Error{Code: armada.CodeUnavailable, Message: "the scheduler does not run in this replica, or has not looked at every pool yet"}
	}
	var text strings.Builder
	for _, pool := range s.rounds.Reports() {
		fmt.Fprintf(&text, "Pool %s, round of %s\n", pool.Pool, pool.At.UTC().Format(time.RFC3339))
		writeShares(&text, pool.Queues, queue)
	}
	if text.Len() == 0 {
		return "There are no pools: no executor is connected.\n", nil
	}
	return text.String(), nil
}

func writeShares(text *strings.Builder, queues []scheduling.QueueReport, only string) {
	lines := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0) // a strings.Builder refuses nothing
	written := 0
	for i := range queues {
		q := &queues[i]
		if only != "" && q.Queue != only || q.Demand == 0 && q.Share == 0 && q.Queued == 0 {
			continue
		}
		if written++; written == 1 {
			fmt.Fprint(lines, "  QUEUE\tWEIGHT\tENTITLED TO\tHOLDS\tWANTS\tQUEUED\tNEXT JOB WAITS BECAUSE\n")
		}
		why := "-"
		if q.Stopped.Code != 0 {
			why = q.Stopped.String()
		}
		fmt.Fprintf(lines, "  %s\t%.4g\t%s\t%s\t%s\t%d\t%s\n", q.Queue, q.Weight, percent(q.AdjustedShare), percent(q.Share), percent(q.Demand), q.Queued, why)
	}
	if written == 0 {
		fmt.Fprint(lines, "  no active jobs\n")
	}
	_ = lines.Flush()
}

// percent writes millionths.
func percent(millionths int64) string { return fmt.Sprintf("%.1f%%", float64(millionths)/1e4) }

// job tells the state of a job, and why it waits if it does.
func (s *reportService) job(ctx context.Context, id string) (string, error) {
	full, err := s.looking.find(ctx, id)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("Job %s is %s\n", full.Job.ID, full.Job.State)
	if why := s.looking.waits(ctx, []store.FullJob{full})[full.Job.ID]; why != "" {
		text += "  " + why + "\n"
	}
	return text, nil
}
