package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"armada/internal/store"
)

// Restored begins another life of the store that a config names, which was
// brought back from a copy, and returns for how long nothing is started in it.
// No process may be serving it: a data folder in use is refused, and a database
// in which a replica leads.
func Restored(ctx context.Context, config Config, log *slog.Logger) (held time.Duration, err error) {
	s := &System{config: config, log: log}
	if config.Store.Database.IsEmpty() {
		if s.dir, err = openDataDir(config.DataDir); err != nil {
			return 0, err
		}
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.store, err = s.openStore(ctx); err != nil {
		return 0, fmt.Errorf("opening the store: %w", err)
	}
	if s.dir == nil {
		if err := nobodyLeads(ctx, s.store); err != nil {
			return 0, err
		}
	}
	if err := s.store.Restored(ctx, config.hold()); err != nil {
		return 0, err
	}
	return s.store.Held(ctx)
}

// nobodyLeads answers an error when a replica leads, found out by trying to.
func nobodyLeads(ctx context.Context, s store.Store) error {
	leader, leads, err := s.Lead(ctx, store.Replica{Name: "armada restored"}, time.Second)
	if err != nil {
		return fmt.Errorf("asking who leads: %w", err)
	}
	if !leads {
		return fmt.Errorf("the server %s leads with this database: stop every server first", leader.Replica.Name)
	}
	return nil
}
