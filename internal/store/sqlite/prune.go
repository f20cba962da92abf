package sqlite

import (
	"context"
	"sync"

	"armada"
	"armada/internal/store"
)

// pruning remembers where the search for what is old has come to. A pass goes
// over the jobs, then over the job sets, then over what nothing uses.
type pruning struct {
	mu      sync.Mutex // one Prune at a time
	begun   bool       // a pass is under way
	surplus int64      // in this pass jobs that ended before, in microseconds, are too many
	jobs    int64      // jobs up to this number were looked at
	sets    int64      // likewise, once the jobs are through
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
	for _, prune := range []func(context.Context, int, *store.Forgotten) (bool, error){s.pruneJobs, s.pruneSets, s.pruneUnused} {
		more, err := prune(ctx, limit, &done)
		if err != nil { // what was counted was rolled back
			return store.Forgotten{Before: done.Before, More: true}, err
		}
		if more {
			return done, nil
		}
	}
	p.begun, p.jobs, p.sets = false, 0, 0
	done.More = false
	return done, nil
}

// surplus returns the time before which jobs ended that are too many; 0 when
// there are none. Only then every job is looked at; otherwise they are counted.
func (s *Store) surplus(ctx context.Context, most int) (int64, error) {
	if most <= 0 {
		return 0, nil
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
	return before, err
}

// pruneJobs deletes jobs that are not kept. Those submitted later
// cannot have ended before, so the search ends there.
func (s *Store) pruneJobs(ctx context.Context, limit int, done *store.Forgotten) (bool, error) {
	var old []int64
	at, seen, before := s.pruning.jobs, 0, micros(done.Before)
	err := s.read(ctx, "look for old jobs", func(c *conn) error {
		young := false // from here on all are
		return c.each("SELECT number, ended, submitted FROM job WHERE number > ? ORDER BY number LIMIT ?", func(r row) error {
			if young = young || r.int(2) >= before; young || len(old) >= limit {
				return nil
			}
			at, seen = r.int(0), seen+1
			if ended := r.int(1); ended != 0 && ended < before {
				old = append(old, at)
			}
			return nil
		}, at, limit*scanFactor)
	})
	if err != nil || seen == 0 {
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

// deleteJobs deletes jobs by number, and counts them. They have ended, and
// nothing brings them back.
func (b *batch) deleteJobs(numbers []int64) (int, error) {
	deleted := 0
	for _, number := range numbers {
		r, err := b.w.conn.one("SELECT id, template, shape FROM job WHERE number = ? AND ended != 0", number)
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

// deleteEvents deletes a job set's old blocks, at most rest of them, and the
// job set itself when it has neither jobs nor events. It returns how many
// events went and what is left of rest.
func (b *batch) deleteEvents(id int64, rest int) (events, left int, err error) {
	if err := b.flush(); err != nil { // jobs that were just submitted count
		return 0, 0, err
	}
	c := b.w.conn
	oldest, err := c.one("SELECT submitted FROM job WHERE job_set = ? ORDER BY number LIMIT 1", id)
	if err != nil {
		return 0, 0, err
	}
	query, args := "SELECT id, last, count FROM event_block WHERE job_set = ? ORDER BY last LIMIT ?", []any{id, rest}
	if oldest != nil {
		query, args = "SELECT id, last, count FROM event_block WHERE job_set = ? AND at < ? ORDER BY last LIMIT ?", []any{id, oldest.int(0), rest}
	}
	var blocks []int64
	last := int64(0)
	err = c.each(query, func(r row) error {
		blocks, last, events = append(blocks, r.int(0)), r.int(1), events+int(r.int(2))
		return nil
	}, args...)
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
