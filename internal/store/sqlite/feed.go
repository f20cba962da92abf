package sqlite

import (
	"context"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
)

// loadPiece is how many jobs Load reads at a time.
const loadPiece = 2000

// Load visits the whole state in pieces. The position is taken first, so what
// is committed meanwhile is told again by Changes.
func (s *Store) Load(ctx context.Context, visit func(store.Changes) error) (store.Position, error) {
	var start store.Position
	first := store.Changes{}
	err := s.snapshot(ctx, "load", func(c *conn) error {
		var err error
		if start, err = feedEnd(c); err != nil {
			return err
		}
		err = c.each("SELECT name, body FROM queue WHERE deleted = 0 ORDER BY name", func(r row) error {
			q, err := codec.DecodeQueue(r.blob(1), r.str(0))
			first.Queues = append(first.Queues, q)
			return err
		})
		if err != nil {
			return err
		}
		first.Executors, err = s.readExecutors(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := visit(first); err != nil {
		return nil, err
	}
	told := map[armada.ShapeID]bool{}
	var last jobPlace
	for {
		piece := store.Changes{}
		err := s.read(ctx, "load", func(c *conn) error {
			return last.next(c, loadPiece, func(r row) error { return s.appendJob(c, &piece, r, told) })
		})
		if err != nil {
			return nil, err
		}
		if len(piece.Jobs) == 0 {
			return start, nil
		}
		if err := visit(piece); err != nil {
			return nil, err
		}
	}
}

// jobPlace is a place among the active jobs in the order of their index.
type jobPlace struct{ queue, set, number int64 }

// next visits the next active jobs, at most limit, and moves on. The rest of a
// job set is asked for apart: a comparison of all three columns at once would
// not seek to the number within the job set, and read it from its beginning.
func (p *jobPlace) next(c *conn, limit int, visit func(row) error) error {
	each := func(where string, args ...any) error {
		args = append(args, limit)
		return c.each("SELECT "+jobColumns+", queue FROM job WHERE ended = 0 AND "+where+" ORDER BY queue, job_set, number LIMIT ?", func(r row) error {
			*p = jobPlace{queue: r.int(jobWidth), set: r.int(2), number: r.int(0)}
			limit--
			return visit(r)
		}, args...)
	}
	if err := each("queue = ? AND job_set = ? AND number > ?", p.queue, p.set, p.number); err != nil || limit == 0 {
		return err
	}
	return each("(queue, job_set) > (?, ?)", p.queue, p.set)
}

// appendJob adds a job, its run and, unless it was told, its shape.
func (s *Store) appendJob(c *conn, piece *store.Changes, r row, told map[armada.ShapeID]bool) error {
	jr, err := s.jobAndRun(c, r)
	if err != nil {
		return err
	}
	piece.Jobs = append(piece.Jobs, jr)
	if told[jr.Job.Shape] {
		return nil
	}
	told[jr.Job.Shape] = true
	shape, err := s.names.shape(c, r.int(4))
	if err != nil {
		return err
	}
	if piece.Shapes == nil {
		piece.Shapes = map[armada.ShapeID]*armada.Requirements{}
	}
	piece.Shapes[shape.id] = shape.requirements
	return nil
}

// jobAndRun reads a row that begins with jobColumns.
func (s *Store) jobAndRun(c *conn, r row) (store.JobAndRun, error) {
	var jr store.JobAndRun
	var run armada.Run
	if err := s.names.decodeJob(c, r, &jr.Job, &run); err != nil {
		return jr, err
	}
	if jr.Job.Attempts > 0 {
		jr.Run = &run
	}
	return jr, nil
}

// End returns the position after everything that was committed.
func (s *Store) End(ctx context.Context) (store.Position, error) {
	var end store.Position
	err := s.read(ctx, "read the feed's end", func(c *conn) (err error) {
		end, err = feedEnd(c)
		return err
	})
	return end, err
}

func feedEnd(c *conn) (store.Position, error) {
	r, err := c.one("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)")
	if err != nil {
		return nil, err
	}
	return feed.EncodePosition(r.int(0), 0), nil
}

// defaultChanges is the limit of a read that names none.
const defaultChanges = 1000

// Changes tells the present state of what the feed names after the position.
// A position that was trimmed away answers OutOfRange: its reader loads anew.
func (s *Store) Changes(ctx context.Context, after store.Position, limit int) (store.Changes, store.Position, error) {
	if limit <= 0 {
		limit = defaultChanges
	}
	var changes store.Changes
	next := after
	err := s.snapshot(ctx, "read changes", func(c *conn) error {
		elements, at, err := readFeed(c, after, limit)
		if err != nil {
			return err
		}
		next = at
		return s.present(c, elements, &changes)
	})
	if err != nil {
		return store.Changes{}, nil, err
	}
	return changes, next, nil
}

// readFeed returns about limit distinct elements after a position, in order.
func readFeed(c *conn, after store.Position, limit int) ([]feed.Element, store.Position, error) {
	reading, err := feed.Read(after, limit)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.one(`SELECT coalesce((SELECT min(seq) FROM change), 0),
		coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)`)
	if err != nil {
		return nil, nil, err
	}
	if err := reading.Check(r.int(0), r.int(1)); err != nil {
		return nil, nil, err
	}
	for more := true; more && !reading.Full(); {
		more = false
		if err := c.each("SELECT seq, body FROM change WHERE seq > ? ORDER BY seq LIMIT 64", func(r row) error {
			more = true
			return reading.Add(r.int(0), r.blob(1))
		}, reading.After()); err != nil {
			return nil, nil, err
		}
	}
	return reading.Elements, reading.Position(), nil
}

// ChangedRuns is Changes without what no executor has to do with.
func (s *Store) ChangedRuns(ctx context.Context, after store.Position, limit int) ([]store.JobAndRun, store.Position, error) {
	if limit <= 0 {
		limit = defaultChanges
	}
	var jobs []store.JobAndRun
	next := after
	err := s.snapshot(ctx, "read changed runs", func(c *conn) error {
		elements, at, err := readFeed(c, after, limit)
		if err != nil {
			return err
		}
		next = at
		for first, last := range feed.Stretches(elements) {
			if first.Kind() != feed.Job {
				continue
			}
			err := c.each("SELECT "+jobColumns+" FROM job WHERE number BETWEEN ? AND ? AND state <> ?", func(r row) error {
				jr, err := s.jobAndRun(c, r)
				if jr.Run != nil {
					jobs = append(jobs, jr)
				}
				return err
			}, first.Number(), last.Number(), int64(armada.JobQueued))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return jobs, next, nil
}

// present reads the state of elements of the feed.
func (s *Store) present(c *conn, elements []feed.Element, changes *store.Changes) error {
	told := map[armada.ShapeID]bool{}
	for first, last := range feed.Stretches(elements) {
		number := int64(first >> 2)
		var r row
		var err error
		switch first.Kind() {
		case feed.Job:
			err = c.each("SELECT "+jobColumns+" FROM job WHERE number BETWEEN ? AND ?", func(r row) error {
				return s.appendJob(c, changes, r, told)
			}, number, last.Number())
		case feed.Queue:
			if r, err = c.one("SELECT name, deleted, body FROM queue WHERE id = ?", number); err != nil || r == nil {
				break
			}
			if r.int(1) != 0 {
				changes.Gone = append(changes.Gone, r.str(0))
				break
			}
			var q armada.Queue
			q, err = codec.DecodeQueue(r.blob(2), r.str(0))
			changes.Queues = append(changes.Queues, q)
		case feed.Executor:
			if r, err = c.one("SELECT "+executorColumns+", nodes FROM executor WHERE number = ?", number); err != nil || r == nil {
				break
			}
			var e store.ExecutorNodes
			e, err = s.decodeExecutor(r)
			changes.Executors = append(changes.Executors, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
