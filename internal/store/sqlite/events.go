package sqlite

import (
	"context"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

// defaultEvents is the limit of a read that names none.
const defaultEvents = 1000

// setPlace is how far a job set's events reach.
type setPlace struct{ id, incarnation, last, pruned int64 }

// latestSet returns the newest incarnation of a job set.
func latestSet(c *conn, key store.JobSetKey) (setPlace, error) {
	r, err := c.one(`SELECT id, id + ? * lives, last, pruned FROM job_set, restoration
		WHERE queue = ? AND name = ? ORDER BY id DESC LIMIT 1`, int64(store.LifeSpan), key.Queue, string(key.JobSet))
	if err != nil {
		return setPlace{}, err
	}
	if r == nil {
		return setPlace{}, intake.Coded(armada.CodeNotFound, "job set %q of queue %q has no events", key.JobSet, key.Queue)
	}
	return setPlace{r.int(0), r.int(1), r.int(2), r.int(3)}, nil
}

// ReadEvents returns events after the cursor.
func (s *Store) ReadEvents(ctx context.Context, key store.JobSetKey, after store.Cursor, limit int) ([]armada.Event, store.Cursor, error) {
	if limit <= 0 {
		limit = defaultEvents
	}
	var events []armada.Event
	var next store.Cursor
	err := s.snapshot(ctx, "read events", func(c *conn) error {
		set, err := latestSet(c, key)
		if err != nil {
			return err
		}
		from := set.pruned
		if after.Incarnation == set.incarnation {
			from = after.Number
			if from < set.pruned || from > set.last {
				return intake.Coded(armada.CodeOutOfRange, "events %d to %d of job set %q are kept: none follows number %d",
					set.pruned+1, set.last, key.JobSet, from)
			}
		}
		next = store.Cursor{Incarnation: set.incarnation, Number: from}
		if events, err = readBlocks(c, set, from, limit); len(events) > 0 {
			next.Number = events[len(events)-1].Number
		}
		return err
	})
	if err != nil {
		return nil, store.Cursor{}, err
	}
	return events, next, nil
}

// blocksPerRead bounds how many blocks one statement returns; single events
// come in blocks of their own.
const blocksPerRead = 256

// readBlocks returns up to limit events after a number.
func readBlocks(c *conn, set setPlace, from int64, limit int) ([]armada.Event, error) {
	var events []armada.Event
	for from < set.last && len(events) < limit {
		blocks := 0
		err := c.each("SELECT last, count, events FROM event_block WHERE job_set = ? AND last > ? ORDER BY last LIMIT ?", func(r row) error {
			blocks++
			start, first := len(events), r.int(0)-r.int(1)+1
			var err error
			if events, err = codec.DecodeBlock(events, r.blob(2), first); err != nil {
				return err
			}
			if skip := from + 1 - first; skip > 0 {
				events = append(events[:start], events[start+int(skip):]...)
			}
			from = r.int(0)
			if len(events) >= limit {
				return errEnough // the next row would read its whole block
			}
			return nil
		}, set.id, from, min(limit, blocksPerRead))
		if err != nil {
			return nil, err
		}
		if blocks == 0 {
			break
		}
	}
	return events[:min(len(events), limit)], nil
}

// LastEvent returns the cursor of the latest event.
func (s *Store) LastEvent(ctx context.Context, key store.JobSetKey) (store.Cursor, error) {
	var last store.Cursor
	err := s.read(ctx, "read last event", func(c *conn) error {
		set, err := latestSet(c, key)
		last = store.Cursor{Incarnation: set.incarnation, Number: set.last}
		return err
	})
	return last, err
}
