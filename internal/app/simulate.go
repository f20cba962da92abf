package app

import (
	"errors"

	"armada"
	"armada/internal/pricing"
	"armada/internal/scheduling"
)

// RoundConfig returns what rounds decide from with these settings, for those
// who run rounds themselves.
func (c Config) RoundConfig() scheduling.Config { return c.scheduling() }

// SimulatedBids returns what queues bid in market-driven pools with these settings,
// for a simulation, which asks no service.
func (c Config) SimulatedBids() (armada.Bids, error) {
	switch {
	case c.Scheduling.Pricing.File != "":
		return pricing.ReadFile(c.Scheduling.Pricing.File)
	case c.Scheduling.Pricing.Configured():
		return nil, errors.New("scheduling.pricing.service: a simulation asks no service; put the bids into a file and name it by scheduling.pricing.file")
	default:
		return nil, nil
	}
}
