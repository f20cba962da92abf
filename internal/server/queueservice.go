package server

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada/internal/auth"
	"armada/pkg/api"
)

// queueService is api.QueueService: the same queues under another name, and the
// methods that only clients of 2026 know.
type queueService struct {
	unimplementedQueueService
	*queues
}

// unimplementedQueueService answers by name what queueService does not have: it
// is one level below so that embedded services come first.
type unimplementedQueueService struct {
	api.UnimplementedQueueServiceServer
}

// CordonQueue closes a queue: its queued jobs are not started.
func (s *queueService) CordonQueue(ctx context.Context, r *api.QueueCordonRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.cordon(ctx, r.GetName(), true)
}

// UncordonQueue opens it again.
func (s *queueService) UncordonQueue(ctx context.Context, r *api.QueueUncordonRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.cordon(ctx, r.GetName(), false)
}

func (s *queueService) cordon(ctx context.Context, name string, cordoned bool) error {
	if _, err := s.auth.Authorize(ctx, auth.VerbCordonQueue, name); err != nil {
		return err
	}
	if name == "" {
		return violations{{Path: "name", Message: "must not be empty"}}.err("the queue was not changed")
	}
	queue, err := s.queue(ctx, name)
	if err != nil || queue.Cordoned == cordoned {
		return err
	}
	queue.Cordoned = cordoned
	if err := s.store.UpdateQueue(ctx, queue); err != nil {
		return fmt.Errorf("change the queue %q: %w", name, err)
	}
	return nil
}
