package sqlite

import (
	"context"
	"math"
	"sync"
	"time"

	"armada"
	"armada/internal/store"
)

// pruning remembers where the search for what is old has come to. A pass goes
// over the jobs, then over the job sets, then over what nothing uses.
type pruning struct {
	mu      sync.Mutex // one Prune at a time
	begun   bool       // a pass is under way
	surplus time.Time  // in this pass jobs that ended before are too many
	jobs    place      // up to here jobs were looked at
	sets    int64      // likewise job sets, once the jobs are through
}

// scanFactor is how many rows a Prune looks at for each that it may forget.
const scanFactor = 16

// Prune forgets what is old. The search reads beside the writer; what it found
// is checked again where it is deleted.
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
	for _, prune := range []func(context.Context, int, *store.Forgotten) (bool, error){jobs, s.pruneSets, s.pruneUnused} {
		more, err := prune(ctx, limit, &done)
		if err != nil { // what was counted was rolled back
			return store.Forgotten{Before: done.Before, More: true}, err
		}
		if more {
			return done, nil
		}
	}
	p.begun, p.jobs, p.sets = false, place{}, 0
	done.More = false
	return done, nil
}

// surplus returns the time before which jobs ended that are too many, the zero
// time when there are none. Only then every job is looked at; otherwise they are
// counted.
func (s *Store) surplus(ctx context.Context, most int) (time.Time, error) {
	if most <= 0 {
		return time.Time{}, nil
	}
	var before int64
	err := s.read(ctx, "count finished jobs", func(c *conn) error {
		count, err := c.one("SELECT (SELECT count(*) FROM job) - (SELECT count(*) FROM job WHERE ended = 0)")
		if err != nil || count.int(0) <= int64(most) {
			return err
		}
		kept := most - most/10 - 1
		last, err := c.one("SELECT ended FROM job WHERE ended != 0 ORDER BY ended DESC LIMIT 1 OFFSET ?", kept)
		if err == nil && last != nil {
			before = last.int(0)
		}
		return err
	})
	return fromMicros(before), err
}

// place is where the search for old jobs has come to: jobs of queues before the
// queue, and of the queue up to the number, were looked at.
type place struct{ queue, job int64 }

// pruneJobs deletes jobs that are not kept, queue by queue.
func (s *Store) pruneJobs(ctx context.Context, keep store.Keep, limit int, done *store.Forgotten) (bool, error) {
	var old []int64
	at, more := s.pruning.jobs, true
	err := s.read(ctx, "look for old jobs", func(c *conn) error {
		for looked := 0; more && len(old) < limit && looked < limit*scanFactor; {
			queue, err := c.one("SELECT id, name FROM queue WHERE id >= ? ORDER BY id LIMIT 1", at.queue)
			if more = queue != nil; err != nil || !more {
				return err
			}
			if queue.int(0) != at.queue {
				at = place{queue: queue.int(0)}
			}
			since := keep.Of(queue.str(1))
			if s.pruning.surplus.After(since) {
				since = s.pruning.surplus
			}
			n, err := oldJobs(c, &at, micros(since), limit, &old)
			if err != nil {
				return err
			}
			looked += n
			if n == 0 {
				at = place{queue: at.queue + 1}
			}
		}
		return nil
	})
	if err != nil || !more && len(old) == 0 {
		return false, err
	}
	if len(old) > 0 {
		if err := s.write(ctx, "prune jobs", len(old), func(b *batch) error {
			var err error
			done.Jobs, err = b.deleteJobs(old)
			return err
		}); err != nil {
			return true, err
		}
	}
	s.pruning.jobs = at
	return true, nil
}

// oldJobs looks at jobs of a queue from a place on, which it moves on, adds those
// that ended before a time to old, up to the limit, and tells how many it looked
// at: 0 at the end. Jobs that were submitted later cannot have ended before, so
// the search ends there.
func oldJobs(c *conn, at *place, before int64, limit int, old *[]int64) (looked int, err error) {
	young := false
	err = c.each("SELECT number, ended, submitted FROM job WHERE queue = ? AND number > ? ORDER BY number LIMIT ?", func(r row) error {
		if young = young || r.int(2) >= before; young || len(*old) >= limit {
			return nil
		}
		at.job = r.int(0)
		looked++
		if ended := r.int(1); ended != 0 && ended < before {
			*old = append(*old, at.job)
		}
		return nil
	}, at.queue, at.job, limit*scanFactor)
	return looked, err
}

// deleteJobs deletes jobs by number, and counts them. They have ended, and
// nothing brings them back.
func (b *batch) deleteJobs(numbers []int64) (int, error) {
	deleted := 0
	for _, number := range numbers {
		r, err := b.w.conn.one("SELECT id, template, shape, queue, job_set, state, fixed, details FROM job WHERE number = ? AND ended != 0", number)
		if err != nil {
			return deleted, err
		}
		if r == nil {
			continue
		}
		if _, err := b.w.conn.exec("DELETE FROM run WHERE job = ?", number); err != nil {
			return deleted, err
		}
		if _, err := b.w.conn.exec("DELETE FROM job WHERE number = ?", number); err != nil {
			return deleted, err
		}
		if err := b.deleteMarks(number, r.blob(6), r.blob(7)); err != nil {
			return deleted, err
		}
		b.tally.moves(r.int(3), r.int(4), armada.JobState(r.int(5)), 0)
		deleted++
		delete(b.w.entries, armada.JobID(r.str(0)))
		b.uses.templates[r.int(1)]--
		b.uses.shapes[r.int(2)]--
	}
	return deleted, nil
}

// pruneSets deletes the events that were written before any job of their job
// set that is still known, and job sets without jobs.
func (s *Store) pruneSets(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	var found []int64
	at, seen := s.pruning.sets, 0
	err := s.read(ctx, "look for old events", func(c *conn) error {
		return c.each(`SELECT s.id,
				(SELECT submitted FROM job WHERE job_set = s.id ORDER BY number LIMIT 1),
				(SELECT at FROM event_block WHERE job_set = s.id ORDER BY last LIMIT 1)
			FROM job_set s WHERE s.id > ? ORDER BY s.id LIMIT ?`, func(r row) error {
			if len(found) >= limit {
				return nil
			}
			at, seen = r.int(0), seen+1
			if r[1] == nil || r[2] != nil && r.int(2) < r.int(1) {
				found = append(found, at)
			}
			return nil
		}, at, limit*scanFactor)
	})
	if err != nil || seen == 0 {
		return false, err
	}
	if len(found) > 0 {
		if at, err = s.deleteSets(ctx, found, at, limit, done); err != nil {
			return true, err
		}
	}
	s.pruning.sets = at
	return true, nil
}

// deleteSets deletes the old events of job sets, at most limit blocks, and
// returns up to which job set it came: the given one when it is through.
func (s *Store) deleteSets(ctx context.Context, found []int64, through int64, limit int, done *store.Forgotten) (int64, error) {
	var came int64
	err := s.write(ctx, "prune events", limit, func(b *batch) error {
		came, done.Events = through, 0
		rest := limit
		for _, id := range found {
			events, left, err := b.deleteEvents(id, rest)
			if err != nil {
				return err
			}
			rest, done.Events = left, done.Events+events
			if rest <= 0 { // the next call comes back to this one
				came = id - 1
				return nil
			}
		}
		return nil
	})
	return came, err
}

// deleteEvents deletes a job set's old blocks and counts of gangs, at most rest
// of them, and the job set itself when it has neither jobs nor events. It returns
// how many events went and what is left of rest.
func (b *batch) deleteEvents(id int64, rest int) (events, left int, err error) {
	if err := b.flush(); err != nil { // jobs that were just submitted count
		return 0, 0, err
	}
	c := b.w.conn
	oldest, err := c.one("SELECT submitted FROM job WHERE job_set = ? ORDER BY number LIMIT 1", id)
	if err != nil {
		return 0, 0, err
	}
	before := int64(math.MaxInt64)
	if oldest != nil {
		before = oldest.int(0)
	}
	gangs, err := c.exec("DELETE FROM gang WHERE job_set = ? AND id IN (SELECT id FROM gang WHERE job_set = ? AND at < ? LIMIT ?)", id, id, before, rest)
	if rest -= int(gangs); err != nil || rest <= 0 {
		return 0, rest, err
	}
	var blocks []int64
	last := int64(0)
	err = c.each("SELECT id, last, count FROM event_block WHERE job_set = ? AND at < ? ORDER BY last LIMIT ?", func(r row) error {
		blocks, last, events = append(blocks, r.int(0)), r.int(1), events+int(r.int(2))
		return nil
	}, id, before, rest)
	if err != nil {
		return 0, 0, err
	}
	for _, block := range blocks {
		if _, err := c.exec("DELETE FROM event_block WHERE id = ?", block); err != nil {
			return 0, 0, err
		}
	}
	if len(blocks) > 0 {
		if _, err := c.exec("UPDATE job_set SET pruned = ? WHERE id = ?", last, id); err != nil {
			return 0, 0, err
		}
	}
	if left = rest - len(blocks); left > 0 && oldest == nil {
		return events, left - 1, b.deleteSet(id)
	}
	return events, left, nil
}

// deleteSet forgets a job set whole.
func (b *batch) deleteSet(id int64) error {
	if set := b.w.setsByID[id]; set != nil {
		delete(b.w.setsByID, id)
		if b.w.sets[set.Key] == set {
			delete(b.w.sets, set.Key)
		}
	}
	_, err := b.w.conn.exec("DELETE FROM job_set WHERE id = ?", id)
	return err
}

// pruneUnused deletes templates and shapes that no job uses, and client ids
// beyond their retention. That nothing uses them is decided where submissions
// are: none can be under way.
func (s *Store) pruneUnused(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	more := false
	err := s.write(ctx, "prune templates", limit, func(b *batch) error {
		if err := b.flush(); err != nil { // uses must be counted
			return err
		}
		more = false
		for _, table := range []string{"template", "shape"} {
			deleted, err := b.deleteUnused(table, limit)
			if err != nil {
				return err
			}
			more = more || deleted >= limit
		}
		known := b.Now.Add(-b.w.store.config.ClientIDRetention)
		deleted, err := b.w.conn.exec("DELETE FROM client_id WHERE id IN (SELECT id FROM (SELECT id, at FROM client_id ORDER BY id LIMIT ?) WHERE at <= ?)",
			limit, micros(known))
		done.ClientIDs = int(deleted)
		more = more || deleted >= int64(limit)
		return err
	})
	return more, err
}

func (b *batch) deleteUnused(table string, limit int) (int, error) {
	var ids []int64
	var hashes []string
	err := b.w.conn.each("SELECT id, hash FROM "+table+" WHERE uses = 0 ORDER BY id LIMIT ?", func(r row) error {
		ids, hashes = append(ids, r.int(0)), append(hashes, r.str(1))
		return nil
	}, limit)
	if err != nil {
		return 0, err
	}
	for i, id := range ids {
		if _, err := b.w.conn.exec("DELETE FROM "+table+" WHERE id = ?", id); err != nil {
			return 0, err
		}
		if table == "template" {
			delete(b.w.templates, armada.TemplateID(hashes[i]))
		} else {
			delete(b.w.shapes, armada.ShapeID(hashes[i]))
		}
	}
	return len(ids), nil
}
