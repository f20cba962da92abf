package executors2020

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/pkg/api"
)

// Config is what an operator decides about executors of 2020.
type Config struct {
	// Lease is for how long a job that an executor does not name is its own. The
	// leader gives a run up when it has learned of nothing for [Config.GivenUp].
	Lease time.Duration
	// ClosedAfter is for how long an executor that does not poll gets new jobs.
	ClosedAfter time.Duration
	// Wait is for how long a poll waits for the scheduler to decide.
	Wait time.Duration
	// PodsGone is for how long a job is not handed out again to an executor that
	// had an earlier attempt of it: until it has named its pods, and has removed
	// that one. Twice as long a job waits for room that the executor says it has not.
	PodsGone time.Duration
	// MaxAttempts is how many leases of a job are given back for its own sake
	// until it fails; 0 is no bound.
	MaxAttempts int
	// Pools are the pools of executors, by their ids; [armada.DefaultPool] is that
	// of those not named.
	Pools map[armada.ExecutorID]string
	// Away are the tolerations of runs that are away from home, by the type of the
	// node.
	Away map[string][]armada.Toleration
	// DefaultClass is the priority class of jobs that name none; their pods do
	// not name it either.
	DefaultClass string
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Lease: 15 * time.Minute, ClosedAfter: time.Minute, Wait: time.Second, PodsGone: 45 * time.Second, MaxAttempts: 4}
}

// recorded is how often a renewal is written.
func (c *Config) recorded() time.Duration { return c.Lease / 15 }

// GivenUp is for how long the leader waits for news of a run, since renewals are
// not written each time.
func (c *Config) GivenUp() time.Duration { return c.Lease + c.recorded() }

// Validate tells everything that is wrong with the config.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"lease", c.Lease}, {"closedAfter", c.ClosedAfter}, {"wait", c.Wait}, {"podsGone", c.PodsGone}} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be longer than 0, is %s", d.key, d.value))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Pools)) {
		if err := armada.ValidateQueueName(string(id)); err != nil {
			errs = append(errs, fmt.Errorf("pools: the executor's id %w", err))
		}
		if c.Pools[id] == "" {
			errs = append(errs, fmt.Errorf("pools[%s]: must name a pool", id))
		}
	}
	return errors.Join(errs...)
}

// Store is the part of the store that serving these executors needs.
type Store interface {
	store.Executors
	store.Restoration
	End(ctx context.Context) (store.Position, error)
	ChangedRuns(ctx context.Context, after store.Position, limit int) ([]store.JobAndRun, store.Position, error)
	Subscribe() (signal <-chan struct{}, stop func())
	JobsByID(ctx context.Context, ids []armada.JobID) ([]store.FullJob, error)
	Requirements(ctx context.Context, id armada.ShapeID) (*armada.Requirements, error)
	Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error)
}

// Authorize tells whether the caller of a context may act as an executor.
type Authorize func(ctx context.Context, id armada.ExecutorID) error

// Parts are what a service is made of.
type Parts struct {
	Table     armada.ResourceTable
	Store     Store
	Authorize Authorize
	// Use is told what executors say of their clusters' use.
	Use func(armada.ClusterUse)
	Log *slog.Logger
}

// Service serves executors of 2020.
type Service struct {
	api.UnimplementedAggregatedQueueServer
	api.UnimplementedUsageServer

	config Config
	Parts

	mu     sync.Mutex
	shapes map[armada.ShapeID]*armada.Requirements
	// absent are runs that their executor should have and did not name when it
	// last named what it holds, and since when.
	absent map[armada.ExecutorID]map[armada.RunID]time.Time
}

// New makes a service.
func New(config Config, parts Parts) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("config of executors of 2020: %w", err)
	}
	return &Service{
		config: config, Parts: parts,
		shapes: map[armada.ShapeID]*armada.Requirements{}, absent: map[armada.ExecutorID]map[armada.RunID]time.Time{},
	}, nil
}

// session is the session of every executor of 2020: it has no other.
const session armada.SessionID = "2020"

func fence(id armada.ExecutorID) store.Fence { return store.Fence{Executor: id, Session: session} }

// caller returns the id of an executor that may call.
func (s *Service) caller(ctx context.Context, field, name string) (armada.ExecutorID, error) {
	if err := armada.ValidateQueueName(name); err != nil {
		return "", &armada.Error{Code: armada.CodeInvalid, Violations: []armada.Violation{{Path: field, Message: err.Error()}}}
	}
	id := armada.ExecutorID(name)
	return id, s.Authorize(ctx, id)
}

// open makes sure that the store knows the executor as one of 2020. Ids of all
// kinds of executors are one name space: while one of another kind lives, its id
// is taken.
func (s *Service) open(ctx context.Context, id armada.ExecutorID) error {
	e, err := s.Store.Executor(ctx, id)
	switch {
	case armada.CodeOf(err) == armada.CodeNotFound:
	case err != nil:
		return fmt.Errorf("looking for the executor: %w", err)
	case e.Kind == armada.Executor2020 && e.Session == session:
		return nil
	case e.Kind != armada.Executor2020 && e.Session != "" && time.Since(e.Acknowledged) < e.Lease:
		return &armada.Error{Code: armada.CodePrecondition, Violations: []armada.Violation{{
			Path: "ClusterId", Message: fmt.Sprintf("%q is the id of an executor of another kind that is connected; give each executor an id of its own", id),
		}}}
	}
	if err := s.Store.OpenSession(ctx, armada.Executor{ID: id, Kind: armada.Executor2020, Session: session, Lease: s.config.ClosedAfter}); err != nil {
		return fmt.Errorf("recording the executor: %w", err)
	}
	s.Log.Info("an executor of 2020 has come", "executor", id)
	return nil
}

// pool is the pool of an executor's nodes.
func (s *Service) pool(id armada.ExecutorID) string {
	if pool, named := s.config.Pools[id]; named {
		return pool
	}
	return armada.DefaultPool
}

// maxShapes bounds the shapes that are remembered.
const maxShapes = 4096

// needs is what a job's run takes of its node.
func (s *Service) needs(ctx context.Context, job *armada.Job) (armada.Resources, error) {
	s.mu.Lock()
	known := s.shapes[job.Shape]
	s.mu.Unlock()
	if known == nil {
		var err error
		if known, err = s.Store.Requirements(ctx, job.Shape); err != nil {
			return armada.Resources{}, fmt.Errorf("reading shape %s: %w", job.Shape, err)
		}
		s.mu.Lock()
		if len(s.shapes) >= maxShapes {
			clear(s.shapes)
		}
		s.shapes[job.Shape] = known
		s.mu.Unlock()
	}
	return job.Lessons.Apply(known, s.Table).Resources, nil
}

// transition applies units that do not depend on each other, and tells what
// became of each.
func (s *Service) transition(ctx context.Context, f store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	var results []store.UnitResult
	for len(units) > 0 {
		n, changes := 0, 0
		for n < len(units) && (n == 0 || changes+len(units[n]) <= store.MaxTransition) {
			changes += len(units[n])
			n++
		}
		some, err := s.Store.Transition(ctx, f, units[:n])
		if err != nil {
			return nil, err
		}
		for i, r := range some {
			if r.Verdict == lifecycle.Refused {
				s.Log.Debug("a change was refused", "job", units[i][0].Job, "change", units[i][0].Kind.String(), "why", r.Why)
			}
		}
		results, units = append(results, some...), units[n:]
	}
	return results, nil
}

// full returns jobs by their ids, those that are known.
func (s *Service) full(ctx context.Context, ids []armada.JobID) (map[armada.JobID]*store.FullJob, error) {
	known := make(map[armada.JobID]*store.FullJob, len(ids))
	for chunk := range slices.Chunk(ids, store.MaxPage) {
		jobs, err := s.Store.JobsByID(ctx, chunk)
		if err != nil {
			return nil, fmt.Errorf("reading %d jobs: %w", len(chunk), err)
		}
		for i := range jobs {
			known[jobs[i].Job.ID] = &jobs[i]
		}
	}
	return known, nil
}

// jobIDs are ids as jobs have them, each once.
func jobIDs(names []string) []armada.JobID {
	ids := make([]armada.JobID, 0, len(names))
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			ids = append(ids, armada.JobID(name))
		}
	}
	return ids
}

// latest is the current or latest run of a job, nil for one that was never
// leased, and the one before.
func latest(job *store.FullJob) (run, before *armada.Run) {
	if n := len(job.Runs); n > 0 {
		run = &job.Runs[n-1]
		if n > 1 {
			before = &job.Runs[n-2]
		}
	}
	return run, before
}

// holds tells whether an executor holds the run of a job.
func holds(id armada.ExecutorID, run *armada.Run) bool {
	return run != nil && run.Executor == id && run.State.Active()
}
