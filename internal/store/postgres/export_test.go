package postgres

// Asked is how often the store has taken a connection.
func Asked(s *Store) int64 { return s.pool.Stat().AcquireCount() }
