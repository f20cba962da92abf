package server

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/store"
	"armada/pkg/api"
)

// health tells whether the server takes calls: from when it serves until it
// begins to stop, while its store answers.
type health struct {
	store   store.Queues
	version string
	now     func() time.Time
	serving atomic.Bool
	grpc    *grpchealth.Server
}

// healthTimeout is how long the store may take to prove that it is there.
const healthTimeout = 2 * time.Second

func newHealth(queues store.Queues, version string, now func() time.Time) *health {
	h := &health{store: queues, version: version, now: now, grpc: grpchealth.NewServer()}
	h.grpc.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	return h
}

func (h *health) start() {
	h.serving.Store(true)
	h.grpc.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
}

func (h *health) stop() {
	h.serving.Store(false)
	h.grpc.Shutdown()
}

func (h *health) answer() *api.HealthCheckResponse {
	if h.serving.Load() {
		return &api.HealthCheckResponse{Status: api.HealthCheckResponse_SERVING}
	}
	return &api.HealthCheckResponse{Status: api.HealthCheckResponse_NOT_SERVING}
}

// check returns why the server is not healthy, or nil.
func (h *health) check(ctx context.Context) error {
	if !h.serving.Load() {
		return &armada.Error{Code: armada.CodeUnavailable, Message: "the server is starting or stopping"}
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	// No queue has this name: the answer costs the store one look.
	if _, err := h.store.Queue(ctx, "-"); err != nil && armada.CodeOf(err) != armada.CodeNotFound {
		return fmt.Errorf("the store does not answer: %w", err)
	}
	return nil
}

// ServeHTTP answers 204, or 503 with the reason.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.check(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Headers of Health's answer: the version, and what the server's clock shows.
const (
	versionHeader = "armada-version"
	timeHeader    = "armada-time"
)

// Health tells whether the server takes calls, of which version it is, and what
// its clock shows.
func (s *submitService) Health(ctx context.Context, _ *emptypb.Empty) (*api.HealthCheckResponse, error) {
	headers := metadata.Pairs(timeHeader, s.health.now().UTC().Format(time.RFC3339Nano))
	if s.health.version != "" {
		headers.Set(versionHeader, s.health.version)
	}
	if err := grpc.SetHeader(ctx, headers); err != nil {
		return nil, fmt.Errorf("tell the version and the time: %w", err)
	}
	return s.health.answer(), nil
}
