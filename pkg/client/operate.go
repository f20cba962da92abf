package client

import (
	"context"
	"fmt"

	"armada"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
)

// Work chooses jobs that an operator cancels or preempts in bulk. Of each list
// only those that it names are meant; an empty one means all, but see Queues.
type Work struct {
	// Queues are those of the jobs, for executors and nodes. Without any no job is
	// meant: who means all queues names all of them.
	Queues []string
	// PriorityClasses are those of the jobs.
	PriorityClasses []string
	// Pools are those that the jobs run or wait in; nodes do without.
	Pools []string
	// States are those of the jobs; only CancelOnQueue asks for it, and takes queued,
	// leased, pending and running.
	States []armada.JobState
}

// CordonQueue keeps the queued jobs of a queue queued; NOT_FOUND when there is
// none of that name.
func (c *Client) CordonQueue(ctx context.Context, name string) error {
	_, err := c.Queuer.CordonQueue(ctx, &api.QueueCordonRequest{Name: name})
	return wrapped(err, "cordon the queue %q", name)
}

// UncordonQueue ends what CordonQueue began.
func (c *Client) UncordonQueue(ctx context.Context, name string) error {
	_, err := c.Queuer.UncordonQueue(ctx, &api.QueueUncordonRequest{Name: name})
	return wrapped(err, "uncordon the queue %q", name)
}

// CancelOnQueue cancels active jobs of a queue.
func (c *Client) CancelOnQueue(ctx context.Context, queue string, w Work) error {
	_, err := c.Queuer.CancelOnQueue(ctx, &api.QueueCancelRequest{
		Name: queue, PriorityClasses: w.PriorityClasses, JobStates: wireStates(w.States), Pools: w.Pools,
	})
	return wrapped(err, "cancel jobs of the queue %q", queue)
}

// PreemptOnQueue preempts jobs of a queue that have a node.
func (c *Client) PreemptOnQueue(ctx context.Context, queue string, w Work) error {
	_, err := c.Queuer.PreemptOnQueue(ctx, &api.QueuePreemptRequest{Name: queue, PriorityClasses: w.PriorityClasses, Pools: w.Pools})
	return wrapped(err, "preempt jobs of the queue %q", queue)
}

// CordonExecutor keeps new jobs from an executor; what it runs goes on. The reason
// must not be empty.
func (c *Client) CordonExecutor(ctx context.Context, name, reason string) error {
	_, err := c.Executors.UpsertExecutorSettings(ctx, &api.ExecutorSettingsUpsertRequest{Name: name, Cordoned: true, CordonReason: reason})
	return wrapped(err, "cordon the executor %q", name)
}

// UncordonExecutor ends what CordonExecutor began.
func (c *Client) UncordonExecutor(ctx context.Context, name string) error {
	_, err := c.Executors.UpsertExecutorSettings(ctx, &api.ExecutorSettingsUpsertRequest{Name: name})
	return wrapped(err, "uncordon the executor %q", name)
}

// CordonNode keeps new jobs from every node of a name, of whichever executor; what runs
// there goes on.
func (c *Client) CordonNode(ctx context.Context, name string) error {
	_, err := c.Clusters.Cordon(ctx, &binoculars.CordonRequest{NodeName: name})
	return wrapped(err, "cordon the node %q", name)
}

// UncordonNode ends what CordonNode began.
func (c *Client) UncordonNode(ctx context.Context, name string) error {
	_, err := c.Clusters.Cordon(ctx, &binoculars.CordonRequest{NodeName: name, Uncordon: true})
	return wrapped(err, "uncordon the node %q", name)
}

// DeleteExecutor makes the server forget an executor that is gone for good.
func (c *Client) DeleteExecutor(ctx context.Context, name string) error {
	_, err := c.Executors.DeleteExecutor(ctx, &api.ExecutorDeleteRequest{Name: name})
	return wrapped(err, "delete the executor %q", name)
}

// CancelOnExecutor cancels jobs that an executor has.
func (c *Client) CancelOnExecutor(ctx context.Context, executor string, w Work) error {
	_, err := c.Executors.CancelOnExecutor(ctx, &api.ExecutorCancelRequest{
		Name: executor, Queues: w.Queues, PriorityClasses: w.PriorityClasses, Pools: w.Pools,
	})
	return wrapped(err, "cancel jobs on the executor %q", executor)
}

// PreemptOnExecutor preempts jobs that an executor has.
func (c *Client) PreemptOnExecutor(ctx context.Context, executor string, w Work) error {
	_, err := c.Executors.PreemptOnExecutor(ctx, &api.ExecutorPreemptRequest{
		Name: executor, Queues: w.Queues, PriorityClasses: w.PriorityClasses, Pools: w.Pools,
	})
	return wrapped(err, "preempt jobs on the executor %q", executor)
}

// CancelOnNode cancels jobs on a node of an executor.
func (c *Client) CancelOnNode(ctx context.Context, executor, node string, w Work) error {
	_, err := c.Nodes.CancelOnNode(ctx, &api.NodeCancelRequest{
		Name: node, Executor: executor, Queues: w.Queues, PriorityClasses: w.PriorityClasses,
	})
	return wrapped(err, "cancel jobs on the node %q", node)
}

// PreemptOnNode preempts jobs on a node of an executor.
func (c *Client) PreemptOnNode(ctx context.Context, executor, node string, w Work) error {
	_, err := c.Nodes.PreemptOnNode(ctx, &api.NodePreemptRequest{
		Name: node, Executor: executor, Queues: w.Queues, PriorityClasses: w.PriorityClasses,
	})
	return wrapped(err, "preempt jobs on the node %q", node)
}

// wrapped says what was being done when an error came, if one did.
func wrapped(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(doing+": %w", append(args, err)...)
}
