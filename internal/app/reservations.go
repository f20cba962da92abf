package app

import (
	"errors"
	"fmt"
	"math"
	"time"

	"armada/internal/scheduling"
)

// Reservations says when nodes are kept for a gang, or a large job, that finds no
// room because smaller jobs take it as it comes free.
type Reservations struct {
	// After is how long it must have waited; 0 keeps no nodes.
	After time.Duration
	// For is how long nodes are kept at most. Then it waits for After once more.
	For time.Duration
	// MaximumFractionOfNodes bounds the nodes kept of a pool. The first gang gets as
	// many as it needs whatever the bound.
	MaximumFractionOfNodes float64
}

// PoolReservations replaces what it names of scheduling.reservations in one pool.
type PoolReservations struct {
	After, For             *time.Duration
	MaximumFractionOfNodes *float64
}

// over is what holds in the pool.
func (p PoolReservations) over(all Reservations) Reservations {
	replace(&all.After, p.After)
	replace(&all.For, p.For)
	replace(&all.MaximumFractionOfNodes, p.MaximumFractionOfNodes)
	return all
}

func (r Reservations) rules() scheduling.ReservationRules {
	return scheduling.ReservationRules{After: r.After, For: r.For, MostNodes: int64(math.Round(r.MaximumFractionOfNodes * 1e6))}
}

func (r Reservations) validate(path string) error {
	var errs []error
	if r.After != 0 && r.After < time.Second {
		errs = append(errs, fmt.Errorf("%s.after: must be 0s, to keep no nodes, or at least 1s, is %s", path, r.After))
	}
	if r.After != 0 && r.For < time.Second {
		errs = append(errs, fmt.Errorf("%s.for: must be at least 1s, is %s", path, r.For))
	}
	if f := r.MaximumFractionOfNodes; !(f >= 0 && f <= 1) {
		errs = append(errs, fmt.Errorf("%s.maximumFractionOfNodes: must be a fraction from 0 to 1, is %v", path, f))
	}
	return errors.Join(errs...)
}
