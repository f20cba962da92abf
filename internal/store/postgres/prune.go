package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"armada/internal/store"
)

// pruning remembers where the search for what is old has come to. A pass goes
// over the jobs, then over the job sets, then over client ids.
type pruning struct {
	mu      sync.Mutex // one Prune at a time
	begun   bool       // a pass is under way
	surplus int64      // in this pass jobs that ended before, in microseconds, are too many
	jobs    int64      // jobs up to this number were looked at
	sets    int64      // likewise, once the jobs are through
}

// scanFactor is how many rows a Prune looks at for each that it may forget.
const scanFactor = 16

// Prune forgets what is old. The search takes no lock; what it found is checked
// again in the lane, in pieces. More is true until a pass is complete. Several
// processes may prune at once: they do some work twice.
func (s *Store) Prune(ctx context.Context, keep store.Keep, limit int) (store.Forgotten, error) {
	p := &s.pruning
	p.mu.Lock()
	defer p.mu.Unlock()
	limit = max(1, limit)
	done := store.Forgotten{Before: keep.Since, More: true}
	if !p.begun {
		var err error
		if p.surplus, err = s.surplus(ctx, keep.Most); err != nil {
			return done, err
		}
		p.begun = true
	}
	if before := fromMicros(p.surplus); before.After(done.Before) {
		done.Before = before
	}
	for _, prune := range []func(context.Context, int, *store.Forgotten) (bool, error){s.pruneJobs, s.pruneSets, s.pruneClients} {
		more, err := prune(ctx, limit, &done)
		if err != nil || more {
			return done, err
		}
	}
	p.begun, p.jobs, p.sets = false, 0, 0
	done.More = false
	return done, nil
}

// surplus returns the time before which jobs ended that are too many; 0 when
// there are none. Only then every finished job is looked at.
func (s *Store) surplus(ctx context.Context, most int) (before int64, err error) {
	if most <= 0 {
		return 0, nil
	}
	err = s.read(ctx, "count finished jobs", func(ctx context.Context) error {
		var count int
		err := s.pool.QueryRow(ctx, "SELECT count(*) FROM (SELECT FROM armada.ended LIMIT $1) e", most+1).Scan(&count)
		if err != nil || count <= most {
			return err
		}
		kept := most - most/10 - 1
		return s.pool.QueryRow(ctx, "SELECT coalesce((SELECT at FROM armada.ended ORDER BY at DESC LIMIT 1 OFFSET $1), 0)", kept).Scan(&before)
	})
	return before, err
}

// pruneJobs deletes jobs that are not kept, with templates and shapes that no
// job uses any more. Those submitted later cannot have ended before, so the
// search ends there.
func (s *Store) pruneJobs(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	var old []int64
	at, seen := s.pruning.jobs, 0
	err := s.read(ctx, "look for old jobs", func(ctx context.Context) error {
		young, err := s.firstSince(ctx, done.Before) // from here on all are
		if err != nil {
			return err
		}
		return s.each(ctx, func(r pgx.Rows) error {
			var number, ended int64
			if err := r.Scan(&number, &ended); err != nil || len(old) >= limit {
				return err
			}
			at, seen = number, seen+1
			if ended < micros(done.Before) {
				old = append(old, number)
			}
			return nil
		}, "SELECT number, at FROM armada.ended WHERE number > $1 AND number < $2 ORDER BY number LIMIT $3", at, young, limit*scanFactor)
	})
	if err != nil || seen == 0 {
		return false, err
	}
	if len(old) > 0 {
		if err := s.call(ctx, "prune jobs", []any{&done.Jobs}, callOf("armada.prune_jobs", 2), s.clock.given(), old); err != nil {
			return true, err
		}
	}
	s.pruning.jobs = at
	return true, nil
}

// pruneSets deletes the events that were written before any job of their job
// set that is still known, and job sets without jobs.
func (s *Store) pruneSets(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	var found []int64
	at, seen := s.pruning.sets, 0
	err := s.read(ctx, "look for old events", func(ctx context.Context) error {
		return s.each(ctx, func(r pgx.Rows) error {
			var set int64
			var submitted, written *int64
			if err := r.Scan(&set, &submitted, &written); err != nil || len(found) >= limit {
				return err
			}
			at, seen = set, seen+1
			if submitted == nil || written != nil && *written < *submitted {
				found = append(found, set)
			}
			return nil
		}, `SELECT s.id, (SELECT submitted FROM armada.job WHERE job_set = s.id ORDER BY number LIMIT 1),
				(SELECT at FROM armada.event_block WHERE job_set = s.id ORDER BY last LIMIT 1)
			FROM armada.job_set s WHERE s.id > $1 ORDER BY s.id LIMIT $2`, at, limit*scanFactor)
	})
	if err != nil || seen == 0 {
		return false, err
	}
	if len(found) > 0 {
		var came int64
		if err := s.call(ctx, "prune events", []any{&came, &done.Events}, "SELECT o_came, o_events FROM armada.prune_sets($1, $2, $3)", s.clock.given(), found, limit); err != nil {
			return true, err
		}
		if came < found[len(found)-1] {
			at = came
		}
	}
	s.pruning.sets = at
	return true, nil
}

// pruneClients deletes client ids beyond their retention.
func (s *Store) pruneClients(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	err := s.call(ctx, "prune client ids", []any{&done.ClientIDs}, callOf("armada.prune_clients", 3),
		s.clock.given(), s.config.ClientIDRetention.Microseconds(), limit)
	return done.ClientIDs >= limit, err
}
