package executors2020

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada/pkg/api"
)

// ReportUsage takes what an executor says of its cluster's use, every second. The
// scheduler counts what it has placed itself, so nothing depends on it.
func (s *Service) ReportUsage(ctx context.Context, r *api.ClusterUsageReport) (*emptypb.Empty, error) {
	if _, err := s.caller(ctx, "cluster_id", r.GetClusterId()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}
