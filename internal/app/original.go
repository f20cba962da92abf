package app

import (
	"fmt"
	"time"

	"armada"
	"armada/internal/server/executors2020"
	"armada/internal/telemetry"
)

// Original2020 sets how executors of the original of 2020 are served.
type Original2020 struct {
	// Lease is for how long a job is an executor's that it does not name among
	// those that it keeps; then the job is queued again.
	Lease time.Duration
	// Pools are the pools of their clusters, which they do not tell, by the
	// executor's id: {east: gpu}. Those that are not named are in the pool default.
	Pools map[string]string
}

func (c Config) executors2020() executors2020.Config {
	config := executors2020.DefaultConfig()
	config.Lease, config.MaxAttempts = c.Executors.Original2020.Lease, c.Executors.MaxAttempts
	config.Away, config.DefaultClass = c.executors().Away, c.Jobs.DefaultPriorityClassName
	config.Pools = make(map[armada.ExecutorID]string, len(c.Executors.Original2020.Pools))
	for id, pool := range c.Executors.Original2020.Pools {
		config.Pools[armada.ExecutorID(id)] = pool
	}
	return config
}

// openExecutors2020 makes what serves executors of 2020.
func (s *System) openExecutors2020() (*executors2020.Service, error) {
	config := s.config.executors2020()
	use := telemetry.NewClusterUse(s.config.resources(), config.ClosedAfter)
	if err := s.registry.Register(use); err != nil {
		return nil, fmt.Errorf("register the metrics of clusters' use: %w", err)
	}
	return executors2020.New(config, executors2020.Parts{
		Table: s.config.resources(), Store: s.store, Authorize: s.door.authorizer.AuthorizeExecutor, Use: use.Put, Log: s.log.With("part", "executors2020"),
	})
}
