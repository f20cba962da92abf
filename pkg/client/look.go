package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/pkg/api/lookout"
)

// JobQuery chooses jobs; what is empty does not restrict.
type JobQuery struct {
	// IDs are the only jobs to return; unknown ones are left out.
	IDs []string
	// Queue, JobSet, Owner and Namespace are whole names, JobSetPrefix is how the
	// name of the job set begins.
	Queue, JobSet, JobSetPrefix, Owner, Namespace string
	// States are those of which a job must be in one.
	States      []armada.JobState
	Annotations map[string]string
	// Where are further conditions, on any field that a server can filter by.
	Where []*lookout.Filter
	// SubmittedAfter and SubmittedBefore bound the moment of submission.
	SubmittedAfter, SubmittedBefore time.Time
	// OrderBy is the field that decides on the order, by its name on the wire, such as
	// last_transition, or with OrderByAnnotation the key of an annotation. Empty means
	// submitted; by anything else a server sorts up to 100,000 jobs.
	OrderBy           string
	OrderByAnnotation bool
	// Ascending has the oldest or smallest first, not the newest or largest.
	Ascending bool
	// Limit is the most jobs to return; 0 means all.
	Limit int
}

// pageSize is the most that a server answers at once.
const pageSize = 1000

// Jobs returns jobs, the newest first. While jobs change it may show one in the
// state of before or after, but none twice; in another order, one whose place
// changes may be there twice or not at all. It holds all of them; EachJob does not.
func (c *Client) Jobs(ctx context.Context, q JobQuery) ([]*lookout.Job, error) {
	var jobs []*lookout.Job
	err := c.EachJob(ctx, q, func(j *lookout.Job) error {
		jobs = append(jobs, j)
		return nil
	})
	return jobs, err
}

// EachJob calls visit with the jobs that Jobs returns, page by page, until the
// last one or until visit returns an error: nil then for [ErrStop], otherwise
// that error.
func (c *Client) EachJob(ctx context.Context, q JobQuery, visit func(*lookout.Job) error) error {
	request := q.request()
	return eachPage(q.Limit, visit, func(size int32, token string) ([]*lookout.Job, string, error) {
		request.PageSize, request.PageToken = size, token
		page, err := c.Lookout.GetJobs(ctx, request)
		return page.GetJobs(), page.GetNextPageToken(), wrapped(err, "list jobs")
	})
}

// eachPage calls visit with what the pages of a list have, up to a limit if it is not
// 0. Get answers a page of at most so many and the token of the next one.
func eachPage[T any](limit int, visit func(T) error, get func(size int32, token string) ([]T, string, error)) error {
	for seen, token := 0, ""; ; {
		size := int32(pageSize)
		if limit > 0 {
			size = int32(min(pageSize, limit-seen))
		}
		page, next, err := get(size, token)
		if err != nil {
			return err
		}
		for _, one := range page {
			if err := visit(one); err != nil {
				if errors.Is(err, ErrStop) {
					return nil
				}
				return err
			}
		}
		seen, token = seen+len(page), next
		if token == "" || limit > 0 && seen >= limit {
			return nil
		}
	}
}

// request is the query as a server knows it, without a page.
func (q *JobQuery) request() *lookout.GetJobsRequest {
	r := &lookout.GetJobsRequest{Filters: q.filters(), Order: &lookout.Order{
		Field: cmp.Or(q.OrderBy, "submitted"), IsAnnotation: q.OrderByAnnotation, Direction: lookout.Direction_DESCENDING,
	}}
	if q.Ascending {
		r.Order.Direction = lookout.Direction_ASCENDING
	}
	return r
}

// filters are the conditions of the query as a server knows them.
func (q *JobQuery) filters() []*lookout.Filter {
	var all []*lookout.Filter
	add := func(field string, match lookout.Match, values ...string) {
		if len(values) > 0 && values[0] != "" {
			all = append(all, &lookout.Filter{Field: field, Match: match, Values: values})
		}
	}
	add("job_id", lookout.Match_IN, q.IDs...)
	add("queue", lookout.Match_EQUALS, q.Queue)
	add("job_set", lookout.Match_EQUALS, q.JobSet)
	add("job_set", lookout.Match_STARTS_WITH, q.JobSetPrefix)
	add("owner", lookout.Match_EQUALS, q.Owner)
	add("namespace", lookout.Match_EQUALS, q.Namespace)
	var states []string
	for _, s := range q.States {
		states = append(states, wireState(s).String())
	}
	add("state", lookout.Match_IN, states...)
	if !q.SubmittedAfter.IsZero() {
		add("submitted", lookout.Match_GREATER_THAN, q.SubmittedAfter.UTC().Format(time.RFC3339Nano))
	}
	if !q.SubmittedBefore.IsZero() {
		add("submitted", lookout.Match_LESS_THAN, q.SubmittedBefore.UTC().Format(time.RFC3339Nano))
	}
	for _, key := range slices.Sorted(maps.Keys(q.Annotations)) {
		all = append(all, &lookout.Filter{Field: key, IsAnnotation: true, Values: []string{q.Annotations[key]}})
	}
	return append(all, q.Where...)
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
	// Container is one of the pod; empty means all, and each line tells whose it is.
	Container string
	// Tail is how many of the last lines; 0 means all.
	Tail int64
	// Since leaves out what is older, unless it is zero.
	Since time.Time
	// Follow goes on until the container has ended.
	Follow bool
	// Previous asks for what containers printed in the life before their latest,
	// where they were started again, as sidecars are. There is nothing to follow
	// then.
	Previous bool
}

// Logs calls visit with the lines of a log, oldest first, until the last one, or
// until visit returns an error: nil then for [ErrStop], otherwise that error.
// NOT_FOUND when the log is gone, FAILED_PRECONDITION when the job was never
// started. Lines have no ids, so a log that breaks off in the middle is an error
// and not continued.
func (c *Client) Logs(ctx context.Context, q LogQuery, visit func(*lookout.LogLine) error) error {
	request := &lookout.LogsRequest{JobId: q.Job, RunId: q.Run, Container: q.Container, TailLines: q.Tail, Follow: q.Follow, Previous: q.Previous}
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
	err = c.pauses.retry(patience, c.Repeated, func() (err error) {
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
