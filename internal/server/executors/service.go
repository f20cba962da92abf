package executors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"armada"
	"armada/internal/server/executors2026"
	"armada/internal/store"
	"armada/pkg/api/executorapi"
)

// Config is what an operator decides about serving executors.
type Config struct {
	// Lease is how long an executor may run its runs after an acknowledged
	// request.
	Lease time.Duration
	// MaxAttempts is how many leases of a job are given back for its own sake
	// until it fails.
	MaxAttempts int
	// Away are the tolerations of runs that are away from home, by the type of the
	// node.
	Away map[string][]armada.Toleration
	// Original2026 is for executors of the original of 2026.
	Original2026 executors2026.Config
	// Replica and ReplicaAddr tell other replicas where an executor's stream is.
	Replica, ReplicaAddr string
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Lease: 2 * time.Minute, MaxAttempts: 4, Original2026: executors2026.DefaultConfig(), Replica: "local"}
}

// Validate tells everything that is wrong with the config.
func (c Config) Validate() error {
	var errs []error
	if c.Lease < 10*time.Second {
		errs = append(errs, fmt.Errorf("lease: must be at least 10s, is %s", c.Lease))
	}
	if c.MaxAttempts < 1 {
		errs = append(errs, fmt.Errorf("maxAttempts: must be at least 1, is %d", c.MaxAttempts))
	}
	return errors.Join(append(errs, c.Original2026.Validate())...)
}

// Store is the part of the store that serving executors needs.
type Store interface {
	executors2026.Store
	store.Feed
	Requirements(ctx context.Context, id armada.ShapeID) (*armada.Requirements, error)
}

// Authorize tells whether the caller of a context may act as an executor.
type Authorize func(ctx context.Context, id armada.ExecutorID) error

// Service serves executors. Run must be running while it does; when that ends,
// all streams do.
type Service struct {
	executorapi.UnimplementedExecutorApiServer
	executorapi.UnimplementedExecutorAgentServer

	config    Config
	table     armada.ResourceTable
	classes   map[string]armada.PriorityClass
	store     Store
	authorize Authorize
	log       *slog.Logger
	specs     *specCache
	original  *executors2026.Service

	mu      sync.Mutex
	streams map[armada.ExecutorID]*stream
	orders  map[string]*logOrder  // unanswered log orders, by request id
	execs   map[string]*execOrder // commands that somebody waits for, by request id
	closed  bool                  // Run has ended
}

// New makes a service.
func New(config Config, table armada.ResourceTable, classes []armada.PriorityClass, st Store, authorize Authorize, log *slog.Logger) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("executors config: %w", err)
	}
	byName := make(map[string]armada.PriorityClass, len(classes))
	for _, c := range classes {
		byName[c.Name] = c
	}
	s := &Service{
		config: config, table: table, classes: byName, store: st, authorize: authorize, log: log, specs: newSpecCache(4096, table),
		streams: map[armada.ExecutorID]*stream{}, orders: map[string]*logOrder{}, execs: map[string]*execOrder{},
	}
	var err error
	s.original, err = executors2026.New(config.Original2026, executors2026.Parts{Store: st, Table: table, Lease: s.Lease, Authorize: authorize, Log: log})
	if err != nil {
		return nil, fmt.Errorf("executors config: %w", err)
	}
	return s, nil
}
