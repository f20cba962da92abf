package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
)

// loadPiece is how many jobs Load reads at a time.
const loadPiece = 5000

// nextActive are the next active jobs by number. Which they are is found first:
// whatever the statistics of the tables say, no other jobs are looked at.
const nextActive = "SELECT " + activeColumns + ` FROM (SELECT number, state, life FROM armada.active WHERE number > $1 ORDER BY number LIMIT $2) a
	JOIN armada.job j ON j.number = a.number ` + jobNames + " ORDER BY a.number"

// Load visits the whole state in pieces. The position is taken first, so what
// is committed meanwhile is told again by Changes.
func (s *Store) Load(ctx context.Context, visit func(store.Changes) error) (store.Position, error) {
	var start store.Position
	first := store.Changes{}
	err := s.read(ctx, "load", func(ctx context.Context) (err error) {
		if start, err = s.feedEnd(ctx); err != nil {
			return err
		}
		if first.Queues, err = s.readQueues(ctx); err != nil {
			return err
		}
		first.Executors, err = s.readExecutors(ctx, "NOT deleted ORDER BY id")
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := visit(first); err != nil {
		return nil, err
	}
	// While a piece is visited the next one is read.
	group, ctx := errgroup.WithContext(ctx)
	pieces := make(chan store.Changes)
	group.Go(func() error {
		defer close(pieces)
		return s.readActive(ctx, pieces)
	})
	group.Go(func() error {
		for piece := range pieces {
			if err := visit(piece); err != nil {
				return err
			}
		}
		return nil
	})
	return start, group.Wait()
}

// readActive sends all active jobs in pieces.
func (s *Store) readActive(ctx context.Context, pieces chan<- store.Changes) error {
	var row jobRow
	told := map[armada.ShapeID]bool{}
	for last := int64(0); ; {
		var piece store.Changes
		err := s.read(ctx, "load", func(ctx context.Context) error {
			piece = store.Changes{Jobs: make([]store.JobAndRun, 0, loadPiece)}
			if err := s.addJobs(ctx, &row, &piece, nextActive, last, loadPiece); err != nil {
				return err
			}
			return s.addShapes(ctx, &piece, told)
		})
		if err != nil || len(piece.Jobs) == 0 {
			return err
		}
		for id := range piece.Shapes {
			told[id] = true
		}
		last = piece.Jobs[len(piece.Jobs)-1].Job.Number
		select {
		case pieces <- piece:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// addJobs adds jobs and their runs.
func (s *Store) addJobs(ctx context.Context, row *jobRow, piece *store.Changes, query string, args ...any) error {
	return s.each(ctx, func(r pgx.Rows) error {
		jr, err := row.jobAndRun(r)
		piece.Jobs = append(piece.Jobs, jr)
		return err
	}, query, args...)
}

// addShapes adds the shapes of a piece's jobs that were not told yet.
func (s *Store) addShapes(ctx context.Context, piece *store.Changes, told map[armada.ShapeID]bool) error {
	var hashes []string
	piece.Shapes = map[armada.ShapeID]*armada.Requirements{}
	for i := range piece.Jobs {
		id := piece.Jobs[i].Job.Shape
		if _, here := piece.Shapes[id]; !here && !told[id] {
			piece.Shapes[id] = nil
			hashes = append(hashes, string(id))
		}
	}
	if len(hashes) == 0 {
		return nil
	}
	return s.each(ctx, func(r pgx.Rows) error {
		var hash string
		var body []byte
		if err := r.Scan(&hash, &body); err != nil {
			return err
		}
		q, err := codec.DecodeRequirements(body, s.config.Resources)
		piece.Shapes[armada.ShapeID(hash)] = q
		return err
	}, "SELECT hash, body FROM armada.shape WHERE hash = ANY ($1)", hashes)
}

// End returns the position after everything that was committed.
func (s *Store) End(ctx context.Context) (store.Position, error) {
	var end store.Position
	err := s.read(ctx, "read the feed's end", func(ctx context.Context) (err error) {
		end, err = s.feedEnd(ctx)
		return err
	})
	return end, err
}

func (s *Store) feedEnd(ctx context.Context) (store.Position, error) {
	var seq int64
	err := s.pool.QueryRow(ctx, "SELECT seq FROM armada.lane").Scan(&seq)
	return feed.EncodePosition(seq, 0), err
}

// defaultChanges is the limit of a read that names none.
const defaultChanges = 1000

// Changes tells the present state of what the feed names after the position. It
// is read after the feed: what changes between is told again.
func (s *Store) Changes(ctx context.Context, after store.Position, limit int) (store.Changes, store.Position, error) {
	if limit <= 0 {
		limit = defaultChanges
	}
	var changes store.Changes
	next := after
	err := s.read(ctx, "read changes", func(ctx context.Context) error {
		elements, at, err := s.readFeed(ctx, after, limit)
		if err != nil {
			return err
		}
		next = at
		return s.present(ctx, elements, &changes)
	})
	if err != nil {
		return store.Changes{}, nil, err
	}
	return changes, next, nil
}

// rowsPerRead bounds how many rows of the feed one statement returns.
const rowsPerRead = 64

// readFeed returns about limit distinct elements after a position, in order.
func (s *Store) readFeed(ctx context.Context, after store.Position, limit int) ([]feed.Element, store.Position, error) {
	reading, err := feed.Read(after, limit)
	if err != nil {
		return nil, nil, err
	}
	for more := true; more && !reading.Full(); {
		rows := 0
		var oldest, latest int64
		err := s.each(ctx, func(r pgx.Rows) error {
			var seq, first, one *int64
			var fresh *int32
			var body []byte
			if err := r.Scan(&oldest, &latest, &seq, &first, &fresh, &one, &body); err != nil {
				return err
			}
			if err := reading.Check(oldest, latest); err != nil || seq == nil {
				return err
			}
			rows++
			return reading.Add(*seq, rowOf(*first, *fresh, *one, body))
		}, `SELECT coalesce((SELECT seq FROM armada.change ORDER BY seq LIMIT 1), 0), l.seq, c.seq, c.first, c.fresh, c.one, c.body
			FROM armada.lane l LEFT JOIN LATERAL (SELECT * FROM armada.change WHERE seq > $1 ORDER BY seq LIMIT $2) c ON true ORDER BY c.seq`,
			reading.After(), rowsPerRead)
		if err != nil {
			return nil, nil, err
		}
		more = rows == rowsPerRead
	}
	return reading.Elements, reading.Position(), nil
}

// rowOf writes the elements of a row of the feed as its kinds of columns have
// them: new jobs, a single element, more.
func rowOf(first int64, fresh int32, one int64, body []byte) []byte {
	if fresh == 0 && one == 0 {
		return body
	}
	row := make([]byte, 0, 4*int(fresh)+len(body)+8)
	for n := range int64(fresh) {
		row = feed.AppendRow(row, feed.Of(feed.Job, first+n))
	}
	if one != 0 {
		row = feed.AppendRow(row, feed.Element(one))
	}
	return append(row, body...)
}

// jobsOf returns the numbers of the jobs among elements.
func jobsOf(elements []feed.Element) []int64 {
	var numbers []int64
	for _, e := range elements {
		if e.Kind() == feed.Job {
			numbers = append(numbers, e.Number())
		}
	}
	return numbers
}

// ChangedRuns is Changes without what no executor has to do with.
func (s *Store) ChangedRuns(ctx context.Context, after store.Position, limit int) ([]store.JobAndRun, store.Position, error) {
	if limit <= 0 {
		limit = defaultChanges
	}
	var jobs []store.JobAndRun
	next := after
	err := s.read(ctx, "read changed runs", func(ctx context.Context) error {
		elements, at, err := s.readFeed(ctx, after, limit)
		if err != nil {
			return err
		}
		next = at
		numbers := jobsOf(elements)
		if len(numbers) == 0 {
			return nil
		}
		var piece store.Changes
		err = s.addJobs(ctx, new(jobRow), &piece, "SELECT "+jobColumns+" FROM "+jobSource+" WHERE j.number = ANY ($1) AND coalesce(a.state, e.state) <> $2", numbers, int16(armada.JobQueued))
		for _, jr := range piece.Jobs {
			if jr.Run != nil {
				jobs = append(jobs, jr)
			}
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return jobs, next, nil
}

// present reads the state of elements of the feed.
func (s *Store) present(ctx context.Context, elements []feed.Element, changes *store.Changes) error {
	var queues, executors []int64
	for _, e := range elements {
		switch e.Kind() {
		case feed.Queue:
			queues = append(queues, e.Number())
		case feed.Executor:
			executors = append(executors, e.Number())
		}
	}
	if len(queues) > 0 {
		if err := s.presentQueues(ctx, queues, changes); err != nil {
			return err
		}
	}
	if len(executors) > 0 {
		var err error
		if changes.Executors, err = s.readExecutors(ctx, "number = ANY ($1)", executors); err != nil {
			return err
		}
	}
	numbers := jobsOf(elements)
	if len(numbers) == 0 {
		return nil
	}
	if err := s.addJobs(ctx, new(jobRow), changes, "SELECT "+jobColumns+" FROM "+jobSource+" WHERE j.number = ANY ($1)", numbers); err != nil {
		return err
	}
	return s.addShapes(ctx, changes, nil)
}

func (s *Store) presentQueues(ctx context.Context, ids []int64, changes *store.Changes) error {
	return s.each(ctx, func(r pgx.Rows) error {
		var name string
		var deleted bool
		var body []byte
		if err := r.Scan(&name, &deleted, &body); err != nil {
			return err
		}
		if deleted {
			changes.Gone = append(changes.Gone, name)
			return nil
		}
		q, err := codec.DecodeQueue(body, name)
		changes.Queues = append(changes.Queues, q)
		return err
	}, "SELECT name, deleted, body FROM armada.queue WHERE id = ANY ($1)", ids)
}
