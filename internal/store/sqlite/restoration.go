package sqlite

import (
	"context"
	"sync/atomic"
	"time"

	"armada/internal/store"
)

// holding remembers that no hold is in force any more.
type holding struct{ over atomic.Bool }

// Restored begins another life. What the writer remembers is forgotten.
func (s *Store) Restored(ctx context.Context, hold time.Duration) error {
	err := s.write(ctx, "begin another life", 1, func(b *batch) error {
		if err := b.flush(); err != nil { // with numbers of the old life
			return err
		}
		// The sequences of tables without rows yet begin here.
		for _, table := range []string{"change", "job"} {
			if _, err := b.w.conn.exec("INSERT INTO sqlite_sequence (name, seq) SELECT ?, 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)", table, table); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			"UPDATE sqlite_sequence SET seq = seq + ? WHERE name IN ('change', 'job')",
			"UPDATE change SET seq = seq + ?",
			"UPDATE leader SET replica = '', addr = '', until = 0, epoch = epoch + ?",
		} {
			if _, err := b.w.conn.exec(statement, int64(store.LifeSpan)); err != nil {
				return err
			}
		}
		if _, err := b.w.conn.exec("UPDATE executor SET session = '', reported = 0"); err != nil {
			return err
		}
		if _, err := b.w.conn.exec("UPDATE restoration SET lives = lives + 1, held = max(held, ?)", micros(b.Now.Add(hold))); err != nil {
			return err
		}
		b.w.forget()
		return b.w.load()
	})
	s.holding.over.Store(false)
	return err
}

// Held returns for how long nothing may be started yet.
func (s *Store) Held(ctx context.Context) (time.Duration, error) {
	if s.holding.over.Load() {
		return 0, nil
	}
	var until time.Time
	err := s.read(ctx, "ask whether anything may be started", func(c *conn) error {
		r, err := c.one("SELECT held FROM restoration")
		if err == nil {
			until = fromMicros(r.int(0))
		}
		return err
	})
	left := max(0, until.Sub(s.config.Clock()))
	if err == nil && left == 0 {
		s.holding.over.Store(true)
	}
	return left, err
}

// Hold prolongs a hold that is not over.
func (s *Store) Hold(ctx context.Context, atLeast time.Duration) error {
	if s.holding.over.Load() {
		return nil
	}
	return s.write(ctx, "hold", 1, func(b *batch) error {
		_, err := b.w.conn.exec("UPDATE restoration SET held = max(held, ?) WHERE held > ?", micros(b.Now.Add(atLeast)), micros(b.Now))
		return err
	})
}
