package app

import "armada/internal/scheduling"

// RoundConfig returns what rounds decide from with these settings, for those
// who run rounds themselves.
func (c Config) RoundConfig() scheduling.Config { return c.scheduling() }
