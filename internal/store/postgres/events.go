package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

const (
	// defaultEvents is the limit of a read that names none.
	defaultEvents = 1000
	// blocksPerRead bounds how many blocks one statement returns; single events
	// come in blocks of their own.
	blocksPerRead = 256
)

func noEvents(key store.JobSetKey) error {
	return intake.Coded(armada.CodeNotFound, "job set %q of queue %q has no events", key.JobSet, key.Queue)
}

// ReadEvents returns events after the cursor. Each statement sees one moment:
// how far the events reach, and the blocks.
func (s *Store) ReadEvents(ctx context.Context, key store.JobSetKey, after store.Cursor, limit int) ([]armada.Event, store.Cursor, error) {
	if limit <= 0 {
		limit = defaultEvents
	}
	var events []armada.Event
	next := after
	err := s.read(ctx, "read events", func(ctx context.Context) error {
		for {
			piece, err := s.readBlocks(ctx, key, next, events, limit)
			if err != nil {
				return err
			}
			if piece.set != after.Incarnation && len(events) > 0 && piece.set != next.Incarnation {
				return nil // the job set was forgotten meanwhile, and used again
			}
			events = piece.events
			next = store.Cursor{Incarnation: piece.set, Number: piece.from}
			if len(events) > 0 {
				events = events[:min(len(events), limit)]
				next.Number = events[len(events)-1].Number
			}
			if len(events) >= limit || next.Number >= piece.last || piece.blocks == 0 {
				return nil
			}
		}
	})
	if err != nil {
		return nil, store.Cursor{}, err
	}
	return events, next, nil
}

// piece is what one statement tells about a job set.
type piece struct {
	set, last, pruned int64 // set is the incarnation
	from              int64 // events after this number were asked for
	blocks            int
	events            []armada.Event
}

// readBlocks appends events after a cursor.
func (s *Store) readBlocks(ctx context.Context, key store.JobSetKey, after store.Cursor, events []armada.Event, limit int) (piece, error) {
	p := piece{events: events}
	err := s.each(ctx, func(r pgx.Rows) error {
		var last *int64
		var count *int32
		var block []byte
		if err := r.Scan(&p.set, &p.last, &p.pruned, &last, &count, &block); err != nil {
			return err
		}
		p.from = p.pruned
		if after.Incarnation == p.set {
			p.from = after.Number
		}
		if last == nil || len(p.events) >= limit {
			return nil
		}
		p.blocks++
		start, first := len(p.events), *last-int64(*count)+1
		var err error
		if p.events, err = codec.DecodeBlock(p.events, block, first); err != nil {
			return err
		}
		if skip := p.from + 1 - first; skip > 0 {
			p.events = append(p.events[:start], p.events[start+int(skip):]...)
		}
		return nil
	}, `SELECT s.incarnation, s.last, s.pruned, b.last, b.count, b.events
		FROM (SELECT id, id + $6 * lives AS incarnation, last, pruned FROM armada.job_set, armada.restoration
			WHERE queue = $1 AND name = $2 ORDER BY id DESC LIMIT 1) s
		LEFT JOIN LATERAL (SELECT last, count, events FROM (SELECT last, count, events FROM armada.event_block WHERE job_set = s.id
			AND last > CASE WHEN s.incarnation = $3 THEN $4 ELSE s.pruned END ORDER BY last LIMIT $5) near
			WHERE last - count < $7 + CASE WHEN s.incarnation = $3 THEN $4 ELSE s.pruned END) b ON true ORDER BY b.last`,
		key.Queue, string(key.JobSet), after.Incarnation, after.Number, min(limit, blocksPerRead), int64(store.LifeSpan), int64(limit-len(events)))
	if err != nil {
		return p, err
	}
	if p.set == 0 {
		return p, noEvents(key)
	}
	if p.from < p.pruned || p.from > p.last {
		return p, intake.Coded(armada.CodeOutOfRange, "events %d to %d of job set %q are kept: none follows number %d", p.pruned+1, p.last, key.JobSet, p.from)
	}
	return p, nil
}

// LastEvent returns the cursor of the latest event.
func (s *Store) LastEvent(ctx context.Context, key store.JobSetKey) (store.Cursor, error) {
	var last store.Cursor
	err := s.read(ctx, "read last event", func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, "SELECT id + $3 * lives, last FROM armada.job_set, armada.restoration WHERE queue = $1 AND name = $2 ORDER BY id DESC LIMIT 1",
			key.Queue, string(key.JobSet), int64(store.LifeSpan)).Scan(&last.Incarnation, &last.Number)
		if errors.Is(err, pgx.ErrNoRows) {
			return noEvents(key)
		}
		return err
	})
	return last, err
}
