package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"armada"
	"armada/internal/auth"
	"armada/internal/executor"
	"armada/internal/runs"
	"armada/internal/runs/process"
	"armada/internal/runs/simulated"
	"armada/internal/server"
	"armada/internal/telemetry"
)

// listen makes the server, takes the addresses, and makes the executors behind
// it.
func (u *System) listen(ctx context.Context, version string, authorizer *auth.Authorizer) error {
	rules, err := u.config.Jobs.Rules(u.config.resources())
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	srv, err := server.New(u.config.Server, server.Deps{
		Store: u.store, Rules: rules, Authenticator: auth.Chain{auth.Anonymous{}}, Authorizer: authorizer, Executors: u.executors,
		Explains: u.leader.Explanations(), Log: u.log.With("part", "server"), Registry: u.registry, Version: version,
	})
	if err != nil {
		return err
	}
	if err := srv.Listen(ctx); err != nil {
		return fmt.Errorf("%w; choose other addresses with --grpc-addr and --http-addr", err)
	}
	u.server = srv
	if addr := u.config.Telemetry.MetricsAddr; addr != "" {
		if u.metrics, err = net.Listen("tcp", addr); err != nil {
			return fmt.Errorf("listening for metrics: %w; choose another address with --metrics-addr", err)
		}
	}
	if u.loopback, err = srv.Connect(); err != nil {
		return err
	}
	if u.config.Up.Simulate != "" {
		return u.simulate()
	}
	return u.useThisMachine()
}

// useThisMachine makes the executor whose node is this machine.
func (u *System) useThisMachine() error {
	runtime, err := process.Open(process.Config{
		Dir: u.dir.file("runs"), Resources: u.config.resources(), Capacity: u.config.Up.Capacity, Log: u.log.With("part", "runs"),
	})
	if err != nil {
		return fmt.Errorf("opening the runtime: %w", err)
	}
	u.folders = runtime
	return u.addCluster("local", runtime)
}

// simulate makes executors of made-up clusters.
func (u *System) simulate() error {
	shape, err := simulated.ParseShape(u.config.resources(), u.config.Up.Simulate)
	if err != nil {
		return fmt.Errorf("up.simulate: %w", err)
	}
	for i := range shape.Clusters {
		id := fmt.Sprintf("simulated-%d", i+1)
		config := shape.Config(id, armada.DefaultPool)
		config.Runtime = u.config.Up.SimulatedRuntime
		runtime, err := simulated.New(config)
		if err != nil {
			return fmt.Errorf("making cluster %s: %w", id, err)
		}
		if err := u.addCluster(armada.ExecutorID(id), runtime); err != nil {
			return err
		}
	}
	return nil
}

func (u *System) addCluster(id armada.ExecutorID, runtime runs.Runtime) error {
	agent, err := executor.New(u.config.agent(id), u.config.resources(), u.loopback, runtime, u.log.With("part", "executor"))
	if err != nil {
		return errors.Join(err, runtime.Close())
	}
	u.clusters = append(u.clusters, cluster{agent: agent, runtime: runtime})
	return nil
}

// where says what jobs run on.
func (u *System) where() string {
	if u.config.Up.Simulate != "" {
		return fmt.Sprintf("%s made up by --simulate %s; no real work is done", plural(len(u.clusters), "cluster", "clusters"), u.config.Up.Simulate)
	}
	return "this machine, as processes: the containers' commands, no images"
}

// loops are everything but the leader.
func (u *System) loops() []func(context.Context) error {
	loops := []func(context.Context) error{u.server.Serve, u.executors.Run, u.forgetting.run}
	if u.metrics != nil {
		handler := telemetry.Handler(u.config.Telemetry, u.registry, u.log)
		loops = append(loops, func(ctx context.Context) error { return telemetry.Serve(ctx, u.metrics, handler, u.log) })
	}
	for _, c := range u.clusters {
		loops = append(loops, c.agent.Run)
	}
	return loops
}
