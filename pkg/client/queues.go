package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/pkg/api"
)

// CreateQueue creates a queue, or replaces it whole when it exists. One without
// a priority factor gets 1, one without owners and permissions belongs to the
// caller.
func (c *Client) CreateQueue(ctx context.Context, queue *api.Queue) error {
	if _, err := c.Submitter.CreateQueue(ctx, queue); err != nil {
		return fmt.Errorf("create the queue %q: %w", queue.GetName(), err)
	}
	return nil
}

// UpdateQueue replaces a queue whole: what the argument leaves out is gone.
// NOT_FOUND when there is none of that name.
func (c *Client) UpdateQueue(ctx context.Context, queue *api.Queue) error {
	if _, err := c.Submitter.UpdateQueue(ctx, queue); err != nil {
		return fmt.Errorf("update the queue %q: %w", queue.GetName(), err)
	}
	return nil
}

// DeleteQueue deletes a queue. FAILED_PRECONDITION while it has active jobs; one
// that does not exist is no error.
func (c *Client) DeleteQueue(ctx context.Context, name string) error {
	if _, err := c.Submitter.DeleteQueue(ctx, &api.QueueDeleteRequest{Name: name}); err != nil {
		return fmt.Errorf("delete the queue %q: %w", name, err)
	}
	return nil
}

// Queue returns a queue; NOT_FOUND when there is none of that name.
func (c *Client) Queue(ctx context.Context, name string) (*api.Queue, error) {
	queue, err := c.Submitter.GetQueue(ctx, &api.QueueGetRequest{Name: name})
	if err != nil {
		return nil, fmt.Errorf("get the queue %q: %w", name, err)
	}
	return queue, nil
}

// QueueInfo returns how many jobs of each job set of a queue are active; nothing of
// a queue that does not exist.
func (c *Client) QueueInfo(ctx context.Context, name string) (*api.QueueInfo, error) {
	info, err := c.Submitter.GetQueueInfo(ctx, &api.QueueInfoRequest{Name: name})
	return info, wrapped(err, "get the job sets of the queue %q", name)
}

// Queues returns all queues by name: all of them, or an error.
func (c *Client) Queues(ctx context.Context) ([]*api.Queue, error) {
	ctx, cancel := withDefault(ctx, queueTimeout)
	defer cancel()
	var queues []*api.Queue
	err := c.pauses.retry(ctx, c.Repeated, func() (err error) {
		queues, err = c.readQueues(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get all queues: %w", err)
	}
	return queues, nil
}

var errNoEnd = status.Error(codes.Unavailable, "the list of queues ended without its end marker")

func (c *Client) readQueues(ctx context.Context) ([]*api.Queue, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream when we stop reading
	defer cancel()
	stream, err := c.Submitter.GetQueues(ctx, &api.StreamingQueueGetRequest{})
	if err != nil {
		return nil, err
	}
	var queues []*api.Queue
	for {
		message, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoEnd
		case err != nil:
			return nil, err
		case message.GetQueue() != nil:
			queues = append(queues, message.GetQueue())
		case message.GetEnd() != nil:
			return queues, nil
		}
	}
}
