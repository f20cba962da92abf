package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"armada"
	"armada/internal/auth"
	"armada/internal/executor"
	"armada/internal/leader"
	"armada/internal/runs"
	"armada/internal/runs/process"
	"armada/internal/server"
	"armada/internal/server/executors"
	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/internal/telemetry"
)

// System is everything in one process. Make it with [OpenUp], let it work with
// Start, and end it with Stop and then Close.
type System struct {
	config     Config
	log        *slog.Logger
	dir        *dataDir
	store      store.Store
	leader     *leader.Leader
	executors  *executors.Service
	server     *server.Server
	registry   *prometheus.Registry
	loopback   *grpc.ClientConn // to the server, inside the process
	metrics    net.Listener     // nil when there are none
	clusters   []cluster
	folders    *process.Runtime // nil when jobs are simulated
	forgetting *retention

	scheduling *part // the leader, stopped before the agents drain
	serving    *part // everything else
}

// cluster is an executor with its runtime.
type cluster struct {
	agent   *executor.Agent
	runtime runs.Runtime
}

// part is a group of loops that are stopped together.
type part struct {
	stop context.CancelFunc
	done chan struct{}
}

// OpenUp takes the data folder and the addresses and makes all parts. Nothing
// is served before Start.
func OpenUp(ctx context.Context, config Config, version string, log *slog.Logger) (*System, error) {
	u := &System{config: config, log: log}
	if err := u.open(ctx, version); err != nil {
		return nil, errors.Join(err, u.Close())
	}
	return u, nil
}

func (u *System) open(ctx context.Context, version string) error {
	var err error
	if u.dir, err = openDataDir(u.config.Up.DataDir); err != nil {
		return err
	}
	u.registry = telemetry.NewRegistry(version)
	if u.store, err = sqlite.Open(ctx, sqlite.Config{
		Path:              u.dir.file("armada.db"),
		Resources:         u.config.resources(),
		ClientIDRetention: u.config.Store.KeepClientIDs,
		MaxQueuedPerQueue: u.config.Scheduling.MaxQueuedJobsPerQueue,
	}); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	// One process has the folder at a time, so a name that stays lets the next
	// one lead at once.
	const replica = "up"
	if u.leader, err = leader.New(u.config.leader(), leader.Parts{
		Store: u.store, Replica: replica, Log: u.log.With("part", "leader"), Metrics: u.registry,
	}); err != nil {
		return fmt.Errorf("making the leader: %w", err)
	}
	authorizer := auth.NewAuthorizer()
	serve := u.config.executors()
	serve.Replica = replica
	if u.executors, err = executors.New(serve, u.config.resources(), u.config.Jobs.PriorityClasses, u.store,
		mayExecute(authorizer), u.log.With("part", "executors")); err != nil {
		return err
	}
	if err := u.listen(ctx, version, authorizer); err != nil {
		return err
	}
	u.forgetting, err = u.retention()
	return err
}

func mayExecute(authorizer *auth.Authorizer) executors.Authorize {
	return func(ctx context.Context, _ armada.ExecutorID) error {
		_, err := authorizer.Authorize(ctx, auth.VerbExecuteJobs, "")
		return err
	}
}

// start runs loops until the part is stopped or one of them fails.
func start(ctx context.Context, failed func(error), loops ...func(context.Context) error) *part {
	ctx, stop := context.WithCancel(ctx)
	p := &part{stop: stop, done: make(chan struct{})}
	g, ctx := errgroup.WithContext(ctx)
	for _, loop := range loops {
		g.Go(func() error { return loop(ctx) })
	}
	go func() {
		err := g.Wait()
		close(p.done) // before it is told: whoever hears of it finds the part over
		if err != nil && !errors.Is(err, context.Canceled) {
			failed(err)
		}
	}()
	return p
}

// over tells whether all loops have returned.
func (p *part) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end stops the part and waits until its loops have returned.
func (p *part) end() {
	p.stop()
	<-p.done
}

// Start begins to serve. The channel receives the error of a part that failed;
// then everything should be stopped.
func (u *System) Start(ctx context.Context) <-chan error {
	failures := make(chan error, 1)
	failed := func(err error) {
		select {
		case failures <- err:
		default: // the first one is told
		}
	}
	ctx = context.WithoutCancel(ctx) // Stop decides about the order
	// The leader first: who reports before it leads has not reported to it.
	u.scheduling = start(ctx, failed, func(ctx context.Context) error { u.leader.Run(ctx); return nil })
	u.serving = start(ctx, failed, u.loops()...)
	return failures
}

// Stop ends what Start began: the scheduler first, then the jobs, which are
// queued again unless they are to be kept running, then the rest. When hurry is
// done, jobs are not waited for. When a part has failed, nobody is left who
// could stop jobs: they go on as after a kill.
func (u *System) Stop(ctx, hurry context.Context) error {
	u.scheduling.end()
	var err error
	if !u.config.Up.KeepRunning && !u.serving.over() {
		err = u.drain(ctx, hurry)
	}
	u.serving.end()
	return err
}

// drain gives all leases back. A hurry cuts the grace periods short.
func (u *System) drain(ctx, hurry context.Context) error {
	const patience = 10 * time.Second // for killed processes to be gone
	g := new(errgroup.Group)
	for _, c := range u.clusters {
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
func (u *System) Close() error {
	var errs []error
	for _, c := range u.clusters {
		errs = append(errs, c.runtime.Close())
	}
	if u.loopback != nil {
		errs = append(errs, u.loopback.Close())
	}
	if u.metrics != nil {
		if err := u.metrics.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if u.store != nil {
		errs = append(errs, u.store.Close())
	}
	if u.dir != nil {
		errs = append(errs, u.dir.close())
	}
	return errors.Join(errs...)
}

// holds tells how many runs there are.
func (u *System) holds() int {
	n := 0
	for _, c := range u.clusters {
		n += c.agent.Holds()
	}
	return n
}

// Farewell tells what Stop is about to do.
func (u *System) Farewell() string {
	n := u.holds()
	switch {
	case n == 0:
		return "Stopping.\n"
	case u.config.Up.KeepRunning:
		return fmt.Sprintf("Stopping; %s on running. The next `armada up` with this data folder finds them.\n", plural(n, "job goes", "jobs go"))
	case n == 1:
		return "Stopping 1 job with its grace period; it is queued again. Ctrl-C again stops it at once.\n"
	default:
		return fmt.Sprintf("Stopping %d jobs with their grace periods; they are queued again. Ctrl-C again stops them at once.\n", n)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Welcome tells where everything is and what to type next, where armadactl is
// typed as given.
func (u *System) Welcome(armadactl string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Armada is up; its data is in %s\n\n", u.dir.path)
	fmt.Fprintf(&b, "  gRPC            %s\n", u.server.GRPCAddr())
	fmt.Fprintf(&b, "  REST            http://%s/api/v1   (described by http://%s/api/swagger.json)\n", u.server.HTTPAddr(), u.server.HTTPAddr())
	if u.metrics != nil {
		fmt.Fprintf(&b, "  metrics         http://%s/metrics\n", u.metrics.Addr())
	}
	fmt.Fprintf(&b, "  jobs run on     %s\n\n", u.where())
	b.WriteString("Try, in another terminal:\n\n")
	for _, line := range []string{"create queue demo", "submit examples/demo.yaml", "watch demo first-steps", "get jobs --queue demo"} {
		fmt.Fprintf(&b, "  %s %s%s\n", armadactl, u.urlFlag(), line)
	}
	b.WriteString("\nCtrl-C stops.\n")
	return b.String()
}

// urlFlag is what armadactl must be told when the address is not the usual one.
func (u *System) urlFlag() string {
	if _, port, err := net.SplitHostPort(u.server.GRPCAddr()); err == nil && port != "50051" {
		return "--armadaUrl localhost:" + port + " "
	}
	return ""
}

// GRPCAddr is where gRPC is served.
func (u *System) GRPCAddr() string { return u.server.GRPCAddr() }
