package postgres

import "context"

// Asked is how often the store has taken a connection.
func Asked(s *Store) int64 { return s.pool.Stat().AcquireCount() }

// Settle asks what became of a commit.
func Settle(s *Store, name []byte) (bool, error) { return s.settleOnce(context.Background(), name) }
