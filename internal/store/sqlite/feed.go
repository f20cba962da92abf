package sqlite

import (
	"context"
	"encoding/binary"
	"iter"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

// A position is two varints: the last row of the feed that was read whole, and
// how many elements of the one after it were read.
func encodePosition(seq, offset int64) store.Position {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(seq)), uint64(offset))
}

func decodePosition(p store.Position) (seq, offset int64, err error) {
	a, n := binary.Uvarint(p)
	if n <= 0 {
		return 0, 0, intake.Coded(armada.CodeInvalid, "%x is no position of the feed", []byte(p))
	}
	b, m := binary.Uvarint(p[n:])
	if m <= 0 || n+m != len(p) {
		return 0, 0, intake.Coded(armada.CodeInvalid, "%x is no position of the feed", []byte(p))
	}
	return int64(a), int64(b), nil
}

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
	return encodePosition(r.int(0), 0), nil
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
func readFeed(c *conn, after store.Position, limit int) ([]uint64, store.Position, error) {
	seq, offset, err := decodePosition(after)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.one(`SELECT coalesce((SELECT min(seq) FROM change), 0),
		coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)`)
	if err != nil {
		return nil, nil, err
	}
	if first, last := r.int(0), r.int(1); seq > last || first > seq+1 || first == 0 && seq < last {
		return nil, nil, intake.Coded(armada.CodeOutOfRange, "the feed keeps %d to %d and not what follows %d", first, last, seq)
	}
	var elements []uint64
	seen := map[uint64]struct{}{}
	for more := true; more && len(elements) < limit; {
		more = false
		err = c.each("SELECT seq, body FROM change WHERE seq > ? ORDER BY seq LIMIT 64", func(r row) error {
			if len(elements) >= limit {
				return nil
			}
			more = true
			body, skip := r.blob(1), offset
			for n := int64(1); len(body) > 0; n++ {
				element, size := binary.Uvarint(body)
				if size <= 0 {
					return codec.ErrCorrupt
				}
				body = body[size:]
				if n <= skip {
					continue
				}
				if _, known := seen[element]; !known {
					seen[element] = struct{}{}
					elements = append(elements, element)
				}
				if len(elements) >= limit && len(body) > 0 {
					offset = n
					return nil
				}
			}
			seq, offset = r.int(0), 0
			return nil
		}, seq)
		if err != nil {
			return nil, nil, err
		}
	}
	return elements, encodePosition(seq, offset), nil
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
		for first, last := range stretches(elements) {
			if first&3 != fedJob {
				continue
			}
			err := c.each("SELECT "+jobColumns+" FROM job WHERE number BETWEEN ? AND ? AND state <> ?", func(r row) error {
				jr, err := s.jobAndRun(c, r)
				if jr.Run != nil {
					jobs = append(jobs, jr)
				}
				return err
			}, int64(first>>2), int64(last>>2), int64(armada.JobQueued))
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

// stretches yields elements of the feed in their order, jobs with consecutive
// numbers at once by the first and the last of them: jobs are submitted, leased
// and reported in stretches, and one statement for many rows costs half.
func stretches(elements []uint64) iter.Seq2[uint64, uint64] {
	return func(yield func(first, last uint64) bool) {
		for len(elements) > 0 {
			n := 1
			for elements[0]&3 == fedJob && n < len(elements) && elements[n] == elements[n-1]+1<<2 {
				n++
			}
			if !yield(elements[0], elements[n-1]) {
				return
			}
			elements = elements[n:]
		}
	}
}

// present reads the state of elements of the feed.
func (s *Store) present(c *conn, elements []uint64, changes *store.Changes) error {
	told := map[armada.ShapeID]bool{}
	for first, last := range stretches(elements) {
		number := int64(first >> 2)
		var r row
		var err error
		switch first & 3 {
		case fedJob:
			err = c.each("SELECT "+jobColumns+" FROM job WHERE number BETWEEN ? AND ?", func(r row) error {
				return s.appendJob(c, changes, r, told)
			}, number, int64(last>>2))
		case fedQueue:
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
		case fedExecutor:
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
