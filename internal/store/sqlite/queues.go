package sqlite

import (
	"context"
	"errors"

	"armada"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
	"armada/internal/store/intake"
)

// PutQueue creates or replaces a queue.
func (s *Store) PutQueue(ctx context.Context, q armada.Queue) error {
	return s.putQueue(ctx, q, false)
}

// UpdateQueue replaces a queue.
func (s *Store) UpdateQueue(ctx context.Context, q armada.Queue) error {
	return s.putQueue(ctx, q, true)
}

func (s *Store) putQueue(ctx context.Context, q armada.Queue, mustExist bool) error {
	body, err := codec.AppendQueue(nil, &q)
	if err != nil {
		return &armada.Error{Code: armada.CodeInvalid, Message: "queue " + q.Name, Cause: err}
	}
	// What is remembered must not change with the caller's maps.
	if q, err = codec.DecodeQueue(body, q.Name); err != nil {
		return err
	}
	return s.write(ctx, "put queue", 1, func(b *batch) error {
		known := b.w.queues[q.Name]
		if mustExist && (known == nil || known.deleted) {
			return intake.Coded(armada.CodeNotFound, "queue %q does not exist", q.Name)
		}
		if known == nil {
			b.w.numbers.queue++
			known = &queueRow{id: b.w.numbers.queue}
			b.w.queues[q.Name] = known
		}
		known.queue, known.deleted = q, false
		b.touch(feed.Queue, known.id)
		_, err := b.w.conn.exec(`INSERT INTO queue (id, name, body) VALUES (?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET body = excluded.body, deleted = 0`, known.id, q.Name, body)
		return err
	})
}

// DeleteQueue forgets a queue. Its job sets take no jobs any more: those of a
// queue of the same name made later are new incarnations. Jobs with a wish to
// cancel end in the old ones.
func (s *Store) DeleteQueue(ctx context.Context, name string) error {
	return s.write(ctx, "delete queue", 1, func(b *batch) error {
		q := b.w.queues[name]
		if q == nil || q.deleted {
			return nil
		}
		if err := b.flush(); err != nil { // the table must tell the truth
			return err
		}
		wanted, err := b.wantedJobs(q.id, name)
		if err != nil {
			return err
		}
		if wanted > 0 {
			return intake.Coded(armada.CodePrecondition, "queue %q has active jobs", name)
		}
		q.deleted = true
		for key, set := range b.w.sets {
			if key.Queue == name {
				set.closed = true
				delete(b.w.sets, key)
			}
		}
		b.touch(feed.Queue, q.id)
		if _, err := b.w.conn.exec("UPDATE job_set SET closed = 1 WHERE queue = ? AND closed = 0", name); err != nil {
			return err
		}
		_, err = b.w.conn.exec("UPDATE queue SET deleted = 1 WHERE id = ?", q.id)
		return err
	})
}

// wantedJobs counts active jobs that nobody has asked to cancel, stopping at
// the first.
func (b *batch) wantedJobs(queue int64, name string) (int, error) {
	stop := errors.New("found one")
	wanted := 0
	err := b.w.conn.each("SELECT life, id FROM job WHERE queue = ? AND ended = 0", func(r row) error {
		job := armada.Job{ID: armada.JobID(r.str(1)), Queue: name}
		var run armada.Run
		if err := codec.DecodeLife(r.blob(0), &job, &run); err != nil {
			return err
		}
		if job.Wish.Kind != armada.WishCancel {
			wanted++
			return stop
		}
		return nil
	}, queue)
	if wanted > 0 {
		return wanted, nil
	}
	return 0, err
}

// Queue returns one queue.
func (s *Store) Queue(ctx context.Context, name string) (armada.Queue, error) {
	var q armada.Queue
	err := s.read(ctx, "read queue", func(c *conn) error {
		r, err := c.one("SELECT body FROM queue WHERE name = ? AND deleted = 0", name)
		if err != nil {
			return err
		}
		if r == nil {
			return intake.Coded(armada.CodeNotFound, "queue %q does not exist", name)
		}
		q, err = codec.DecodeQueue(r.blob(0), name)
		return err
	})
	return q, err
}

// Queues returns all queues.
func (s *Store) Queues(ctx context.Context) ([]armada.Queue, error) {
	var queues []armada.Queue
	err := s.read(ctx, "read queues", func(c *conn) error {
		return c.each("SELECT name, body FROM queue WHERE deleted = 0 ORDER BY name", func(r row) error {
			q, err := codec.DecodeQueue(r.blob(1), r.str(0))
			queues = append(queues, q)
			return err
		})
	})
	return queues, err
}
