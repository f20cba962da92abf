package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"armada/internal/leader"
	"armada/internal/pricing"
	"armada/internal/server"
	"armada/internal/server/executors"
	"armada/internal/server/peers"
	"armada/internal/store"
	"armada/internal/telemetry"
	"armada/pkg/client/credentials"
)

// Roles are what a process does.
type Roles uint8

// The roles.
const (
	RoleServer   Roles = 1 << iota // a replica: API, and the scheduler when it leads
	RoleExecutor                   // the agent of one cluster, or of several made-up ones

	RoleUp = RoleServer | RoleExecutor
)

func (r Roles) has(one Roles) bool { return r&one != 0 }

// System is what a process is made of. Make it with [Open], let it work with
// Start, and end it with Stop and then Close.
type System struct {
	config   Config
	roles    Roles
	log      *slog.Logger
	dir      *dataDir // nil when nothing of this process is on the disk
	registry *prometheus.Registry
	metrics  net.Listener // nil when there are none

	// Of the server.
	store     store.Store
	replica   store.Replica
	addresses *server.Addresses
	door      *door
	leader    *leader.Leader
	executors *executors.Service
	peers     *peers.Peers
	bids      *pricing.Bids // nil where nobody bids
	server    *server.Server

	// Of the executor.
	conn     *grpc.ClientConn   // to the server, inside the process or elsewhere
	caller   credentials.Source // what proves who the executor is; nil without
	clusters []cluster
	folders  folders // nil when jobs are simulated
	trace    *trace  // nil when nobody asked for one

	forgetting *retention

	scheduling *part // the leader, over before the agents drain
	serving    *part // everything else
}

// Open makes everything that the roles need: it takes the data folder and the
// addresses, and opens the store. Nothing is served before Start.
func Open(ctx context.Context, config Config, roles Roles, version string, log *slog.Logger) (*System, error) {
	return openOn(ctx, nil, config, roles, version, log)
}

// openOn is Open on a store that is open already, unless that is nil.
func openOn(ctx context.Context, kept store.Store, config Config, roles Roles, version string, log *slog.Logger) (*System, error) {
	s := &System{config: config, roles: roles, log: log, registry: telemetry.NewRegistry(version), store: kept}
	if err := s.open(ctx, version); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *System) open(ctx context.Context, version string) error {
	if s.roles.has(RoleExecutor) {
		var err error
		if s.dir, err = openDataDir(s.config.DataDir); err != nil {
			return err
		}
	}
	if s.roles.has(RoleServer) {
		if err := s.openServer(ctx, version); err != nil {
			return err
		}
	}
	if s.roles.has(RoleExecutor) {
		if err := s.openExecutor(); err != nil {
			return err
		}
	}
	if addr := s.config.Telemetry.MetricsAddr; addr != "" {
		var err error
		if s.metrics, err = net.Listen("tcp", addr); err != nil {
			return fmt.Errorf("listening for metrics: %w; choose another address with --metrics-addr", err)
		}
	}
	var err error
	s.forgetting, err = s.retention()
	return err
}

// loops are everything but the leader.
func (s *System) loops() []func(context.Context) error {
	loops := []func(context.Context) error{s.forgetting.run}
	if s.server != nil {
		loops = append(loops, s.server.Serve, s.executors.Run)
	}
	if s.bids != nil {
		loops = append(loops, s.bids.Run)
	}
	if s.metrics != nil {
		handler := telemetry.Handler(s.config.Telemetry, s.registry, s.log)
		loops = append(loops, func(ctx context.Context) error { return telemetry.Serve(ctx, s.metrics, handler, s.log) })
	}
	for _, c := range s.clusters {
		loops = append(loops, c.agent.Run)
	}
	return loops
}

// Start begins to work. The channel receives the error of a part that failed;
// then everything should be stopped.
func (s *System) Start(ctx context.Context) <-chan error {
	failures := make(chan error, 1)
	failed := func(err error) {
		select {
		case failures <- err:
		default: // the first one is told
		}
	}
	ctx = context.WithoutCancel(ctx) // Stop decides about the order
	var leading []func(context.Context) error
	if s.leader != nil {
		leading = append(leading, func(ctx context.Context) error { s.leader.Run(ctx); return nil })
	}
	// The leader first: who reports before it leads has not reported to it.
	s.scheduling = start(ctx, failed, leading...)
	s.serving = start(ctx, failed, s.loops()...)
	return failures
}

// Stop ends what Start began. Leadership is given up at once. Jobs of this
// process's clusters are stopped then and queued again, unless they are to be
// kept running; when hurry is done, they are not waited for. At last, or at once
// where there are no jobs, the server ends its streams, sends clients elsewhere
// and finishes the calls in flight. When a part has failed, nobody is left who
// could stop jobs: they go on as after a kill.
func (s *System) Stop(ctx, hurry context.Context) error {
	s.scheduling.stop()
	var err error
	if len(s.clusters) > 0 && !s.config.Executor.leavesRunning() && !s.serving.over() {
		<-s.scheduling.done // or it would give away again what is given back
		err = s.drain(ctx, hurry)
	}
	s.serving.end()
	<-s.scheduling.done
	return err
}

// drain gives all leases back. A hurry cuts the grace periods short.
func (s *System) drain(ctx, hurry context.Context) error {
	const patience = 10 * time.Second // for killed processes to be gone
	g := new(errgroup.Group)
	for _, c := range s.clusters {
		g.Go(func() error {
			err := c.agent.Drain(hurry)
			if hurry.Err() == nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return c.agent.Kill(ctx)
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("stopping jobs: %w", err)
	}
	return nil
}

// Close releases what is held. What was started must have been stopped.
func (s *System) Close() error {
	var errs []error
	for _, c := range s.clusters {
		errs = append(errs, c.runtime.Close())
	}
	errs = append(errs, s.trace.close())
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.caller != nil {
		errs = append(errs, s.caller.Close())
	}
	if s.bids != nil {
		errs = append(errs, s.bids.Close())
	}
	if s.peers != nil {
		errs = append(errs, s.peers.Close())
	}
	errs = append(errs, s.door.close())
	if s.addresses != nil {
		errs = append(errs, s.addresses.Close())
	}
	if s.metrics != nil {
		if err := s.metrics.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.dir != nil {
		errs = append(errs, s.dir.close())
	}
	return errors.Join(errs...)
}

// holds tells how many runs there are.
func (s *System) holds() int {
	n := 0
	for _, c := range s.clusters {
		n += c.agent.Holds()
	}
	return n
}

// GRPCAddr is where gRPC is served.
func (s *System) GRPCAddr() string { return s.addresses.GRPC() }

// HTTPAddr is where REST is served.
func (s *System) HTTPAddr() string { return s.addresses.HTTP() }
