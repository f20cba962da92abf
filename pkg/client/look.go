package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
)

// JobQuery chooses jobs; what is empty does not restrict.
type JobQuery struct {
	Queue       string
	JobSet      string
	States      []armada.JobState
	Annotations map[string]string
	// Limit is the most jobs to return; 0 means all.
	Limit int
}

// pageSize is the most that a server answers at once.
const pageSize = 1000

// Jobs returns jobs, the newest first. While jobs change it may show one in the
// state of before or after, but none twice.
func (c *Client) Jobs(ctx context.Context, q JobQuery) ([]*lookout.Job, error) {
	request := &lookout.GetJobsRequest{Order: &lookout.Order{Field: "submitted", Direction: lookout.Direction_DESCENDING}}
	add := func(filter *lookout.Filter) { request.Filters = append(request.Filters, filter) }
	if q.Queue != "" {
		add(&lookout.Filter{Field: "queue", Values: []string{q.Queue}})
	}
	if q.JobSet != "" {
		add(&lookout.Filter{Field: "job_set", Values: []string{q.JobSet}})
	}
	if len(q.States) > 0 {
		states := &lookout.Filter{Field: "state", Match: lookout.Match_IN}
		for _, s := range q.States {
			states.Values = append(states.Values, wire.JobState(s).String())
		}
		add(states)
	}
	for key, value := range q.Annotations {
		add(&lookout.Filter{Field: key, IsAnnotation: true, Values: []string{value}})
	}
	var jobs []*lookout.Job
	for {
		request.PageSize = pageSize
		if q.Limit > 0 {
			request.PageSize = int32(min(pageSize, q.Limit-len(jobs)))
		}
		page, err := c.Lookout.GetJobs(ctx, request)
		if err != nil {
			return jobs, fmt.Errorf("list jobs: %w", err)
		}
		jobs = append(jobs, page.GetJobs()...)
		request.PageToken = page.GetNextPageToken()
		if request.PageToken == "" || q.Limit > 0 && len(jobs) >= q.Limit {
			return jobs, nil
		}
	}
}

// Job returns a job with its runs; NOT_FOUND when there is none of that id, or
// none that the caller may see.
func (c *Client) Job(ctx context.Context, id string) (*lookout.Job, error) {
	job, err := c.Lookout.GetJob(ctx, &lookout.GetJobRequest{JobId: id})
	if err != nil {
		return nil, fmt.Errorf("get the job %q: %w", id, err)
	}
	return job, nil
}

// LogQuery chooses lines of a job's log.
type LogQuery struct {
	Job string
	// Run is the attempt; empty means the newest.
	Run string
	// Container is one of the pod; empty means the first.
	Container string
	// Tail is how many of the last lines; 0 means all.
	Tail int64
	// Since leaves out what is older, unless it is zero.
	Since time.Time
	// Follow goes on until the container has ended.
	Follow bool
}

// Logs calls visit with the lines of a log, oldest first, until the last one, or
// until visit returns an error: nil then for [ErrStop], otherwise that error.
// NOT_FOUND when the log is gone, FAILED_PRECONDITION when the job was never
// started. Lines have no ids, so a log that breaks off in the middle is an error
// and not continued.
func (c *Client) Logs(ctx context.Context, q LogQuery, visit func(*lookout.LogLine) error) error {
	request := &lookout.LogsRequest{JobId: q.Job, RunId: q.Run, Container: q.Container, TailLines: q.Tail, Follow: q.Follow}
	if !q.Since.IsZero() {
		request.Since = timestamppb.New(q.Since)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, first, err := c.openLog(ctx, cancel, request)
	for line := first; err == nil; line, err = stream.Recv() {
		if mine := visit(line); mine != nil {
			if errors.Is(mine, ErrStop) {
				return nil
			}
			return mine
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read the log of the job %q: %w", q.Job, err)
}

// logStream is what a log is read from.
type logStream interface {
	Recv() (*lookout.LogLine, error)
}

// openLog opens a log and reads its first line, and tries again for a while as
// long as nothing was read. A log that is not followed has to begin or end
// within that time.
func (c *Client) openLog(ctx context.Context, cancel func(), request *lookout.LogsRequest) (stream logStream, first *lookout.LogLine, err error) {
	patience, done := withDefault(ctx, timeout)
	defer done()
	slow := func() bool { return true }
	if !request.GetFollow() {
		slow = context.AfterFunc(patience, cancel)
	}
	err = c.pauses.retry(patience, func() (err error) {
		// The stream lives longer than our patience.
		if stream, err = c.Lookout.GetLogs(ctx, request); err != nil {
			return err
		}
		first, err = stream.Recv()
		return err
	})
	if !slow() && err != nil {
		err = status.Error(codes.DeadlineExceeded, "not a line came within "+timeout.String())
	}
	return stream, first, err
}
