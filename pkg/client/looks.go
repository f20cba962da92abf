package client

import (
	"context"
	"fmt"

	"armada/pkg/api/lookout"
)

// Count returns how many jobs pass a query, whose limit and order do not count. It
// counts up to so many, 0 for as many as the server likes; complete is false when
// there may be more.
func (c *Client) Count(ctx context.Context, q JobQuery, atMost int64) (jobs int64, complete bool, err error) {
	answer, err := c.Lookout.CountJobs(ctx, &lookout.CountJobsRequest{Filters: q.filters(), AtMost: atMost})
	if err != nil {
		return 0, false, fmt.Errorf("count jobs: %w", err)
	}
	return answer.GetCount(), !answer.GetAtLeast(), nil
}

// Group returns the jobs that pass a query by the value of one of their fields, such
// as queue, state, job_set, owner, node or priority_class, or of an annotation; the
// largest groups come first. The limit of the query is that of groups.
func (c *Client) Group(ctx context.Context, q JobQuery, by string, isAnnotation bool) (*lookout.GroupJobsResponse, error) {
	answer, err := c.Lookout.GroupJobs(ctx, &lookout.GroupJobsRequest{
		Filters: q.filters(), By: by, IsAnnotation: isAnnotation, PageSize: int32(min(q.Limit, pageSize)),
	})
	return answer, wrapped(err, "group jobs by %s", by)
}

// JobSpec returns what a job was submitted as, and what its newest run was started
// as; NOT_FOUND as for Job.
func (c *Client) JobSpec(ctx context.Context, id string) (*lookout.JobSpec, error) {
	spec, err := c.Lookout.GetJobSpec(ctx, &lookout.GetJobSpecRequest{JobId: id})
	return spec, wrapped(err, "get the spec of the job %q", id)
}

// JobSetQuery chooses job sets; what is empty does not restrict.
type JobSetQuery struct {
	Queue string
	// Prefix is how the name begins, and Contains what is in it.
	Prefix, Contains string
	// Active leaves out those of which every job has ended.
	Active bool
	// Limit is the most job sets; 0 means all.
	Limit int
}

// EachJobSet calls visit with job sets and their jobs by state, those used first
// latest first, until the last one or until visit returns an error: nil then for
// [ErrStop], otherwise that error.
func (c *Client) EachJobSet(ctx context.Context, q JobSetQuery, visit func(*lookout.JobSetSummary) error) error {
	request := &lookout.ListJobSetsRequest{Queue: q.Queue, StartsWith: q.Prefix, Contains: q.Contains, ActiveOnly: q.Active}
	return eachPage(q.Limit, visit, func(size int32, token string) ([]*lookout.JobSetSummary, string, error) {
		request.PageSize, request.PageToken = size, token
		page, err := c.Lookout.ListJobSets(ctx, request)
		return page.GetJobSets(), page.GetNextPageToken(), wrapped(err, "list job sets")
	})
}

// QueueLoads returns the queues with their jobs by state and what they hold of each
// pool. The shares are known only where the server can ask who schedules.
func (c *Client) QueueLoads(ctx context.Context) (queues []*lookout.QueueSummary, sharesKnown bool, err error) {
	answer, err := c.Lookout.ListQueues(ctx, &lookout.ListQueuesRequest{})
	return answer.GetQueues(), answer.GetSharesKnown(), wrapped(err, "list queues")
}

// QueueLoad returns one queue as [Client.QueueLoads] does; nil when there is none that
// the caller may watch.
func (c *Client) QueueLoad(ctx context.Context, queue string) (*lookout.QueueSummary, error) {
	answer, err := c.Lookout.ListQueues(ctx, &lookout.ListQueuesRequest{Queue: queue})
	for _, q := range answer.GetQueues() {
		if q.GetName() == queue { // older servers answer all
			return q, nil
		}
	}
	return nil, wrapped(err, "look up the queue")
}

// ExecutorLoads returns executors with their nodes, and what jobs hold of them; with
// names only those of that executor, and only nodes of that pool.
func (c *Client) ExecutorLoads(ctx context.Context, executor, pool string) ([]*lookout.ExecutorSummary, error) {
	answer, err := c.Lookout.ListExecutors(ctx, &lookout.ListExecutorsRequest{Executor: executor, Pool: pool})
	return answer.GetExecutors(), wrapped(err, "list executors")
}
