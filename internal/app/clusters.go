package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"armada"
	"armada/internal/executor"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/process"
	"armada/internal/runs/simulated"
)

// cluster is an executor with its runtime.
type cluster struct {
	id      armada.ExecutorID
	agent   *executor.Agent
	runtime runs.Runtime
}

// openExecutor makes the executors: that of this machine, or those of made-up
// clusters. They speak with the server of this process, if it has one.
func (s *System) openExecutor() error {
	var err error
	if s.server != nil {
		s.conn, err = s.server.Connect()
	} else {
		s.conn, err = s.connectExecutor()
	}
	if err != nil {
		return fmt.Errorf("executor: %w", err)
	}
	if s.config.Executor.Simulate != "" {
		return s.simulate()
	}
	if s.config.Executor.Runtime == runtimeKubernetes {
		return s.useKubernetes()
	}
	return s.useThisMachine()
}

// clusterPatience is how long a cluster may take to be read at the start.
const clusterPatience = 2 * time.Minute

// useKubernetes makes the executor of a cluster's pods.
func (s *System) useKubernetes() error {
	id, err := s.executorID("local")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), clusterPatience)
	defer cancel()
	runtime, err := kubernetes.Open(ctx, s.config.Executor.Kubernetes, kubernetes.Place{
		Executor: armada.ExecutorID(id), Pool: s.config.Executor.Pool, Table: s.config.resources(),
		Dir: s.dir.file("logs"), Log: s.log.With("part", "runs"),
	})
	if err != nil {
		return fmt.Errorf("executor.kubernetes: %w", err)
	}
	s.folders = runtime
	return s.addCluster(armada.ExecutorID(id), runtime)
}

// executorID is the configured id, or one for whoever gave none.
func (s *System) executorID(alone string) (string, error) {
	if id := s.config.Executor.ID; id != "" {
		return id, nil
	}
	// The runs of a store that was moved are those of the one who was alone.
	moved, err := s.dir.moved()
	if err != nil {
		return "", err
	}
	if s.roles == RoleUp && s.config.Store.Database.IsEmpty() || moved != "" {
		return alone, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("executor.id: is empty, and the host has no name: %w", err)
	}
	return host, nil
}

// useThisMachine makes the executor whose node is this machine.
func (s *System) useThisMachine() error {
	id, err := s.executorID("local")
	if err != nil {
		return err
	}
	runtime, err := process.Open(process.Config{
		Dir: s.dir.file("runs"), Resources: s.config.resources(), Pool: s.config.Executor.Pool,
		Capacity: s.config.Executor.Capacity, Log: s.log.With("part", "runs"),
	})
	if err != nil {
		return fmt.Errorf("opening the runtime: %w", err)
	}
	s.folders = runtime
	return s.addCluster(armada.ExecutorID(id), runtime)
}

// simulate makes executors of made-up clusters.
func (s *System) simulate() error {
	shape, err := simulated.ParseShape(s.config.resources(), s.config.Executor.Simulate)
	if err != nil {
		return fmt.Errorf("executor.simulate: %w", err)
	}
	if s.trace, err = openTrace(s.config.Rehearsal.PodTrace, s.log); err != nil {
		return fmt.Errorf("rehearsal.podTrace: %w", err)
	}
	name, err := s.executorID("simulated")
	if err != nil {
		return err
	}
	for i := range shape.Clusters {
		id := fmt.Sprintf("%s-%d", name, i+1)
		config := shape.Config(id, s.config.Executor.Pool)
		config.Runtime = s.config.Executor.SimulatedRuntime
		config.Now, config.Trace = s.config.Rehearsal.now, s.trace.status
		runtime, err := simulated.New(config)
		if err != nil {
			return fmt.Errorf("making cluster %s: %w", id, err)
		}
		if err := s.addCluster(armada.ExecutorID(id), runtime); err != nil {
			return err
		}
	}
	return nil
}

func (s *System) addCluster(id armada.ExecutorID, runtime runs.Runtime) error {
	agent, err := executor.New(s.config.agent(id), s.config.resources(), s.conn, runtime, s.log.With("part", "executor"))
	if err != nil {
		return errors.Join(err, runtime.Close())
	}
	s.clusters = append(s.clusters, cluster{id: id, agent: agent, runtime: runtime})
	return nil
}
