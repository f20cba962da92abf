package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// holding remembers that no hold is in force any more.
type holding struct{ over atomic.Bool }

// Restored begins another life.
func (s *Store) Restored(ctx context.Context, hold time.Duration) error {
	err := s.call(ctx, "begin another life", nil, callOf("armada.restored", 2), s.clock.given(), hold.Microseconds())
	s.holding.over.Store(false)
	s.leaderChanged()
	s.touched()
	return err
}

// Held returns for how long nothing may be started yet.
func (s *Store) Held(ctx context.Context) (time.Duration, error) {
	if s.holding.over.Load() {
		return 0, nil
	}
	var left int64
	err := s.read(ctx, "ask whether anything may be started", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, "SELECT greatest(0, held - greatest(at, coalesce($1::bigint, armada.clock()))) FROM armada.restoration, armada.lane",
			s.clock.given()).Scan(&left)
	})
	if err == nil && left == 0 {
		s.holding.over.Store(true)
	}
	return time.Duration(left) * time.Microsecond, err
}

// Hold prolongs a hold that is not over.
func (s *Store) Hold(ctx context.Context, atLeast time.Duration) error {
	if s.holding.over.Load() {
		return nil
	}
	return s.call(ctx, "hold", nil, callOf("armada.hold", 2), s.clock.given(), atLeast.Microseconds())
}

// recognise begins another life when the tables came here by a dump, and tells
// whether it did.
func recognise(ctx context.Context, config Config) (restored bool, err error) {
	clock := clock{test: config.Clock}
	err = withDirect(ctx, config, func(c *pgx.Conn) error {
		var home bool
		err := c.QueryRow(ctx, "SELECT home = armada.home() FROM armada.restoration", pgx.QueryExecModeExec).Scan(&home)
		if err != nil || home {
			return err
		}
		return c.QueryRow(ctx, "SELECT armada.recognise($1, $2)", pgx.QueryExecModeExec, clock.given(), config.Hold.Microseconds()).Scan(&restored)
	})
	if err != nil {
		return false, fmt.Errorf("looking whether the database was restored: %w", err)
	}
	return restored, nil
}
