package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/listing"
)

// pruning remembers where the search for what is old has come to. A pass goes
// over the jobs, then over the job sets, then over client ids.
type pruning struct {
	mu      sync.Mutex // one Prune at a time
	begun   bool       // a pass is under way
	surplus time.Time  // in this pass jobs that ended before are too many

	ends    map[int64]int64    // by queue: jobs that ended before have gone, so nobody passes their dead entries again
	touched map[int64]struct{} // job sets that lost jobs and are to be looked at: others have nothing to forget
	swept   time.Time          // when a pass looked at all job sets
	sweeps  bool               // this pass does
	sets    int64              // it has looked at those up to this one
}

// sweepEvery is how often a pass looks at all job sets, for what a process left
// that was stopped between jobs and their events, and at all ends. The first pass
// does too.
const sweepEvery = 24 * time.Hour

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
		if p.sweeps = p.swept.IsZero() || time.Since(p.swept) > sweepEvery; p.sweeps {
			p.ends = map[int64]int64{}
		}
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
	if p.sweeps {
		p.swept = time.Now()
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
	var queues, after, before, old []int64
	came := map[int64]int64{}
	err := s.read(ctx, "look for old jobs", func(ctx context.Context) error {
		err := s.each(ctx, func(r pgx.Rows) error {
			var id int64
			var name string
			err := r.Scan(&id, &name)
			since := keep.Of(name)
			if s.pruning.surplus.After(since) {
				since = s.pruning.surplus
			}
			queues, after, before = append(queues, id), append(after, s.pruning.ends[id]), append(before, micros(since))
			return err
		}, "SELECT id, name FROM armada.queue")
		if err != nil {
			return err
		}
		return s.each(ctx, func(r pgx.Rows) error {
			var queue, number, at int64
			err := r.Scan(&queue, &number, &at)
			old, came[queue] = append(old, number), at
			return err
		}, `SELECT q.id, e.number, e.at FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) q(id, after, before) CROSS JOIN LATERAL
			(SELECT number, at FROM armada.ended WHERE queue = q.id AND at >= q.after AND at < q.before ORDER BY at LIMIT $4) e LIMIT $4`,
			queues, after, before, limit)
	})
	if err != nil {
		return false, err
	}
	if len(old) > 0 {
		slices.Sort(old) // rows that lie together are deleted together
		if err := s.touch(ctx, old); err != nil {
			return true, err
		}
		names, values, marked, err := s.marksOf(ctx, old)
		if err != nil {
			return true, err
		}
		if err := s.call(ctx, "prune jobs", []any{&done.Jobs}, callOf("armada.prune_jobs", 5), s.clock.given(), old, names, values, marked); err != nil {
			return true, err
		}
	}
	maps.Copy(s.pruning.ends, came)
	return len(old) > 0, nil
}

// touch remembers the job sets of jobs that are about to go.
func (s *Store) touch(ctx context.Context, numbers []int64) error {
	if s.pruning.touched == nil {
		s.pruning.touched = map[int64]struct{}{}
	}
	return s.read(ctx, "look for old job sets", func(ctx context.Context) error {
		return s.each(ctx, func(r pgx.Rows) error {
			var set int64
			err := r.Scan(&set)
			s.pruning.touched[set] = struct{}{}
			return err
		}, "SELECT DISTINCT job_set FROM armada.job WHERE number = ANY ($1)", numbers)
	})
}

// nextSets returns job sets to look at, in order, at most limit.
func (s *Store) nextSets(ctx context.Context, limit int) ([]int64, error) {
	var sets []int64
	if !s.pruning.sweeps {
		sets = slices.Sorted(maps.Keys(s.pruning.touched))
		return sets[:min(limit, len(sets))], nil
	}
	err := s.read(ctx, "look for old job sets", func(ctx context.Context) error {
		return s.each(ctx, func(r pgx.Rows) error {
			var set int64
			err := r.Scan(&set)
			sets = append(sets, set)
			return err
		}, "SELECT id FROM armada.job_set WHERE id > $1 ORDER BY id LIMIT $2", s.pruning.sets, limit)
	})
	return sets, err
}

// pruneSets deletes the events that were written before any job of their job
// set that is still known, and job sets without jobs.
func (s *Store) pruneSets(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	sets, err := s.nextSets(ctx, limit)
	if err != nil || len(sets) == 0 {
		return false, err
	}
	var found []int64
	err = s.read(ctx, "look for old events", func(ctx context.Context) error {
		return s.each(ctx, func(r pgx.Rows) error {
			var set int64
			var submitted, written *int64
			err := r.Scan(&set, &submitted, &written)
			if submitted == nil || written != nil && *written < *submitted {
				found = append(found, set)
			}
			return err
		}, `SELECT s.id, (SELECT submitted FROM armada.job WHERE job_set = s.id ORDER BY number LIMIT 1),
				(SELECT at FROM armada.event_block WHERE job_set = s.id ORDER BY last LIMIT 1)
			FROM unnest($1::bigint[]) WITH ORDINALITY s(id, place) ORDER BY s.place`, sets)
	})
	if err != nil {
		return true, err
	}
	at := sets[len(sets)-1]
	if len(found) > 0 {
		var came int64
		if err := s.call(ctx, "prune events", []any{&came, &done.Events}, "SELECT o_came, o_events FROM armada.prune_sets($1, $2, $3)", s.clock.given(), found, limit); err != nil {
			return true, err
		}
		if came < found[len(found)-1] {
			at = came
		}
	}
	if s.pruning.sweeps {
		s.pruning.sets = at
		return true, nil
	}
	for _, set := range sets {
		if set <= at {
			delete(s.pruning.touched, set)
		}
	}
	return true, nil
}

// pruneClients deletes client ids beyond their retention.
func (s *Store) pruneClients(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	err := s.call(ctx, "prune client ids", []any{&done.ClientIDs}, callOf("armada.prune_clients", 3),
		s.clock.given(), s.config.ClientIDRetention.Microseconds(), limit)
	return done.ClientIDs >= limit, err
}

// marksOf are the marks of jobs, which never change, by whatever name it may have been.
func (s *Store) marksOf(ctx context.Context, numbers []int64) (names, values []string, marked []int64, err error) {
	names, values, marked = []string{}, []string{}, []int64{}
	var known []string
	err = s.read(ctx, "read what old jobs are marked with", func(ctx context.Context) error {
		err := s.each(ctx, func(r pgx.Rows) error {
			var name string
			err := r.Scan(&name)
			known = append(known, name)
			return err
		}, "SELECT name FROM armada.mark_key")
		if err != nil || len(known) == 0 {
			return err
		}
		return s.each(ctx, func(r pgx.Rows) error {
			var number int64
			var fixed, details []byte
			if err := r.Scan(&number, &fixed, &details); err != nil {
				return err
			}
			var job armada.Job
			if err := codec.DecodeFixed(fixed, &job); err != nil {
				return err
			}
			d, err := codec.DecodeDetails(details)
			for _, m := range listing.MarksOf(known, job.Owner, d.Annotations) {
				names, values, marked = append(names, m.Name), append(values, m.Value), append(marked, number)
			}
			return err
		}, "SELECT number, fixed, details FROM armada.job WHERE number = ANY ($1)", numbers)
	})
	return names, values, marked, err
}
