package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"armada/internal/store"
)

// pruning remembers where the search for what is old has come to. A pass goes
// over the jobs, then over the job sets, then over client ids.
type pruning struct {
	mu      sync.Mutex // one Prune at a time
	begun   bool       // a pass is under way
	surplus time.Time  // in this pass jobs that ended before are too many
	sets    int64      // job sets up to this one were looked at, once the jobs are through
}

// scanFactor is how many job sets a Prune looks at for each that it may forget.
const scanFactor = 16

// Prune forgets what is old. The search takes no lock; what it found is checked
// again in the lane, in pieces. More is true until a pass is complete. Several
// processes may prune at once: they do some work twice.
func (s *Store) Prune(ctx context.Context, keep store.Keep, limit int) (store.Forgotten, error) {
	p := &s.pruning
	p.mu.Lock()
	defer p.mu.Unlock()
	limit = max(1, limit)
	done := store.Forgotten{Before: keep.Earliest(), More: true}
	if !p.begun {
		var err error
		if p.surplus, err = s.surplus(ctx, keep.Most); err != nil {
			return done, err
		}
		p.begun = true
	}
	if p.surplus.After(done.Before) {
		done.Before = p.surplus
	}
	jobs := func(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
		return s.pruneJobs(ctx, keep, limit, done)
	}
	for _, prune := range []func(context.Context, int, *store.Forgotten) (bool, error){jobs, s.pruneSets, s.pruneClients} {
		more, err := prune(ctx, limit, &done)
		if err != nil || more {
			return done, err
		}
	}
	p.begun, p.sets = false, 0
	done.More = false
	return done, nil
}

// surplus returns the time before which jobs ended that are too many, the zero
// time when there are none. An index has the ends in order: as many entries are
// looked at as may be kept.
func (s *Store) surplus(ctx context.Context, most int) (time.Time, error) {
	if most <= 0 {
		return time.Time{}, nil
	}
	var before int64
	err := s.read(ctx, "count finished jobs", func(ctx context.Context) error {
		const latest = "SELECT coalesce((SELECT at FROM armada.ended ORDER BY at DESC LIMIT 1 OFFSET $1), 0)"
		if err := s.pool.QueryRow(ctx, latest, most).Scan(&before); err != nil || before == 0 {
			return err
		}
		return s.pool.QueryRow(ctx, latest, most-most/10-1).Scan(&before)
	})
	return fromMicros(before), err
}

// pruneJobs deletes jobs that are not kept, with templates and shapes that no
// job uses any more. Each queue's are found by their ends, the oldest first.
func (s *Store) pruneJobs(ctx context.Context, keep store.Keep, limit int, done *store.Forgotten) (bool, error) {
	var old []int64
	err := s.read(ctx, "look for old jobs", func(ctx context.Context) error {
		var queues, before []int64
		err := s.each(ctx, func(r pgx.Rows) error {
			var id int64
			var name string
			err := r.Scan(&id, &name)
			since := keep.Of(name)
			if s.pruning.surplus.After(since) {
				since = s.pruning.surplus
			}
			queues, before = append(queues, id), append(before, micros(since))
			return err
		}, "SELECT id, name FROM armada.queue")
		if err != nil {
			return err
		}
		return s.each(ctx, func(r pgx.Rows) error {
			var number int64
			err := r.Scan(&number)
			old = append(old, number)
			return err
		}, `SELECT e.number FROM unnest($1::bigint[], $2::bigint[]) q(id, before)
			CROSS JOIN LATERAL (SELECT number FROM armada.ended WHERE queue = q.id AND at < q.before ORDER BY at LIMIT $3) e LIMIT $3`, queues, before, limit)
	})
	if err != nil || len(old) == 0 {
		return false, err
	}
	slices.Sort(old) // rows that lie together are deleted together
	err = s.call(ctx, "prune jobs", []any{&done.Jobs}, callOf("armada.prune_jobs", 2), s.clock.given(), old)
	return true, err
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
