package server

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/auth"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
)

// defaultCount is how far jobs are counted when the caller does not say it.
const defaultCount = 10_000

// CountJobs counts the jobs that pass every filter.
func (s *lookoutService) CountJobs(ctx context.Context, r *lookout.CountJobsRequest) (*lookout.CountJobsResponse, error) {
	var wrong violations
	query := store.Query{Where: s.conditions(r.GetFilters(), &wrong), Patience: patience("time_budget", r.GetTimeBudget(), &wrong)}
	most := r.GetAtMost()
	if most < 0 {
		wrong.add("at_most", "must not be negative")
	}
	if most == 0 {
		most = defaultCount
	}
	err := wrong.err("nothing was counted")
	if err != nil {
		return nil, err
	}
	if query.Queues, err = s.watchable(ctx, query.Where); err != nil {
		return nil, err
	}
	counted, err := s.store.CountMatching(ctx, query, most)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return &lookout.CountJobsResponse{Count: counted.Jobs, AtLeast: counted.AtLeast}, nil
}

// GroupJobs groups the jobs that pass every filter.
func (s *lookoutService) GroupJobs(ctx context.Context, r *lookout.GroupJobsRequest) (*lookout.GroupJobsResponse, error) {
	var wrong violations
	query := store.Query{
		Where: s.conditions(r.GetFilters(), &wrong), Limit: pageSize(r.GetPageSize(), &wrong), Patience: patience("time_budget", r.GetTimeBudget(), &wrong),
	}
	by, known := s.column(r.GetBy(), r.GetIsAnnotation())
	switch {
	case !known:
		wrong.add("by", s.noColumn(r.GetBy()))
	case !by.Groupable():
		wrong.add("by", fmt.Sprintf("jobs cannot be grouped by %s: its values are no names", clip(r.GetBy(), 60)))
	}
	err := wrong.err("nothing was grouped")
	if err != nil {
		return nil, err
	}
	if query.Queues, err = s.watchable(ctx, query.Where); err != nil {
		return nil, err
	}
	groups, err := s.store.Group(ctx, query, by, r.GetTimes())
	if err != nil {
		return nil, fmt.Errorf("group jobs: %w", err)
	}
	answer := &lookout.GroupJobsResponse{Others: groups.Others}
	for i := range groups.Groups {
		answer.Groups = append(answer.Groups, wire.JobGroup(&groups.Groups[i], by))
	}
	if !groups.Searched.IsZero() {
		answer.SearchedUntil = timestamppb.New(groups.Searched)
	}
	return answer, nil
}

// ListJobSets lists job sets.
func (s *lookoutService) ListJobSets(ctx context.Context, r *lookout.ListJobSetsRequest) (*lookout.ListJobSetsResponse, error) {
	var wrong violations
	query := store.JobSetQuery{
		Queue: r.GetQueue(), Prefix: r.GetStartsWith(), Contains: r.GetContains(), ActiveOnly: r.GetActiveOnly(),
		Limit: pageSize(r.GetPageSize(), &wrong), After: r.GetPageToken(),
	}
	err := wrong.err("nothing was listed")
	if err != nil {
		return nil, err
	}
	var where []store.Condition
	if query.Queue != "" {
		where = []store.Condition{{Column: store.Column{Field: store.FieldQueue}, Texts: []string{query.Queue}}}
	}
	if query.Queues, err = s.watchable(ctx, where); err != nil {
		return nil, err
	}
	page, err := s.store.ListJobSets(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list job sets: %w", err)
	}
	answer := &lookout.ListJobSetsResponse{NextPageToken: page.Next}
	for i := range page.JobSets {
		answer.JobSets = append(answer.JobSets, wire.JobSetSummary(&page.JobSets[i]))
	}
	return answer, nil
}

// ListQueues lists the queues that the caller may watch, with their jobs and
// shares.
func (s *lookoutService) ListQueues(ctx context.Context, r *lookout.ListQueuesRequest) (*lookout.ListQueuesResponse, error) {
	if _, err := auth.Caller(ctx); err != nil {
		return nil, err
	}
	may, err := s.watchable(ctx, nil)
	if err != nil {
		return nil, err
	}
	queues, err := s.store.Queues(ctx)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	queues = slices.DeleteFunc(queues, func(q armada.Queue) bool {
		return may != nil && !slices.Contains(may, q.Name) || r.GetQueue() != "" && r.GetQueue() != q.Name
	})
	if r.GetQueue() != "" {
		may = []string{}
		for i := range queues {
			may = append(may, queues[i].Name)
		}
	}
	groups, err := s.store.Group(ctx, store.Query{Queues: may, Limit: store.MaxPage}, store.Column{Field: store.FieldQueue}, false)
	if err != nil {
		return nil, fmt.Errorf("count jobs by queue: %w", err)
	}
	jobs := map[string]*store.StateCounts{}
	for i := range groups.Groups {
		jobs[groups.Groups[i].Value] = &groups.Groups[i].Jobs
	}
	answer := &lookout.ListQueuesResponse{}
	var shares map[string][]*lookout.QueueShare
	if s.shares != nil {
		shares, answer.SharesKnown = s.shares.QueueShares(ctx)
	}
	for i := range queues {
		name := queues[i].Name
		if jobs[name] == nil {
			jobs[name] = &store.StateCounts{}
		}
		answer.Queues = append(answer.Queues, wire.QueueSummary(&queues[i], jobs[name], shares[name]))
	}
	return answer, nil
}

// ListExecutors lists executors with their nodes, and what jobs hold of them.
func (s *lookoutService) ListExecutors(ctx context.Context, r *lookout.ListExecutorsRequest) (*lookout.ListExecutorsResponse, error) {
	if _, err := auth.Caller(ctx); err != nil {
		return nil, err
	}
	executors, err := s.store.Executors(ctx)
	if err != nil {
		return nil, fmt.Errorf("list executors: %w", err)
	}
	answer := &lookout.ListExecutorsResponse{}
	shapes := map[armada.ShapeID]*armada.Requirements{}
	for i := range executors {
		e := &executors[i]
		if r.GetExecutor() != "" && string(e.Executor.ID) != r.GetExecutor() {
			continue
		}
		held, err := s.held(ctx, e.Executor.ID, shapes)
		if err != nil {
			return nil, err
		}
		answer.Executors = append(answer.Executors, s.executor(e, r, held))
	}
	return answer, nil
}

// held is what jobs hold of the nodes of an executor.
func (s *lookoutService) held(ctx context.Context, id armada.ExecutorID, shapes map[armada.ShapeID]*armada.Requirements) (map[string]wire.Holding, error) {
	runs, err := s.store.RunsOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the runs of executor %s: %w", id, err)
	}
	held := map[string]wire.Holding{}
	for i := range runs {
		shape := runs[i].Job.Shape
		needs, known := shapes[shape]
		if !known {
			if needs, err = s.store.Requirements(ctx, shape); err != nil && armada.CodeOf(err) != armada.CodeNotFound {
				return nil, fmt.Errorf("look up what a job asks for: %w", err)
			}
			shapes[shape] = needs
		}
		h := held[runs[i].Run.Node]
		h.Jobs++
		if needs != nil {
			h.Used = h.Used.Add(needs.Resources)
		}
		held[runs[i].Run.Node] = h
	}
	return held, nil
}

func (s *lookoutService) executor(e *store.ExecutorNodes, r *lookout.ListExecutorsRequest, held map[string]wire.Holding) *lookout.ExecutorSummary {
	var nodes []*lookout.NodeSummary
	var allocatable armada.Resources
	var all wire.Holding
	count := 0
	for i := range e.Nodes {
		n := &e.Nodes[i]
		if r.GetPool() != "" && n.Pool != r.GetPool() {
			continue
		}
		count++
		allocatable = allocatable.Add(n.Allocatable)
		h := held[n.Name]
		all.Jobs, all.Used = all.Jobs+h.Jobs, all.Used.Add(h.Used)
		if !r.GetWithoutNodes() {
			nodes = append(nodes, wire.NodeSummary(n, h, s.table))
		}
	}
	return wire.ExecutorSummary(&e.Executor, nodes, allocatable, all, count, s.table)
}
