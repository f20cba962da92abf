package executors2020

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada/internal/wire"
	"armada/pkg/api"
)

// ReportUsage takes what an executor says of its cluster's use, every second, and
// tells it on ([Parts.Use]). The scheduler counts what it has placed itself, so nothing
// else depends on it.
func (s *Service) ReportUsage(ctx context.Context, r *api.ClusterUsageReport) (*emptypb.Empty, error) {
	id, err := s.caller(ctx, "cluster_id", r.GetClusterId())
	if err != nil {
		return nil, err
	}
	s.Use(wire.ReadUse2020(r, s.pool(id), s.Table))
	return &emptypb.Empty{}, nil
}
