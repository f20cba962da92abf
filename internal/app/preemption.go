package app

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"armada/internal/scheduling"
)

// Preemption says which runs of preemptible priority classes may lose their
// places to others.
type Preemption struct {
	// FairShare lets queues that hold less than they are owed take the room of
	// those that hold more.
	FairShare bool
	// Urgency lets jobs of a higher priority class take the room of lower ones,
	// whatever their queues hold.
	Urgency bool
	// Repair takes the lowest runs off nodes that have less than their runs hold,
	// because they shrank or because others use them.
	Repair bool
	// ProtectedFractionOfFairShare is how much of its fair share a queue cannot
	// lose to FairShare.
	ProtectedFractionOfFairShare float64
	// MaxPerRound bounds the runs that a round preempts for fairness, and Rate how
	// many in the course of time, {perSecond: 10, burst: 100}; 0 is no bound.
	MaxPerRound int
	Rate        scheduling.Rate
}

// Pool is what is set for one pool.
type Pool struct {
	Preemption PoolPreemption
	// MarketDriven gives the places of the pool to who bids most, and takes them from
	// who bids less, whatever the priority class is.
	MarketDriven bool
	Market       Market
	Optimiser    Optimiser
}

// PoolPreemption replaces what it names of scheduling.preemption in one pool.
type PoolPreemption struct {
	FairShare, Urgency, Repair   *bool
	ProtectedFractionOfFairShare *float64
	MaxPerRound                  *int
	Rate                         *scheduling.Rate
}

// over is what holds in the pool.
func (p PoolPreemption) over(all Preemption) Preemption {
	replace(&all.FairShare, p.FairShare)
	replace(&all.Urgency, p.Urgency)
	replace(&all.Repair, p.Repair)
	replace(&all.ProtectedFractionOfFairShare, p.ProtectedFractionOfFairShare)
	replace(&all.MaxPerRound, p.MaxPerRound)
	replace(&all.Rate, p.Rate)
	return all
}

func replace[V any](field, by *V) {
	if by != nil {
		*field = *by
	}
}

func (p Preemption) rules() scheduling.PreemptionRules {
	return scheduling.PreemptionRules{
		FairShare: p.FairShare, Urgency: p.Urgency, Repair: p.Repair,
		ProtectedShare: int64(math.Round(min(p.ProtectedFractionOfFairShare, 1e6) * 1e6)), MaxPerRound: p.MaxPerRound, Rate: p.Rate,
	}
}

// pools puts the rules of all pools into what rounds decide from.
func (s Scheduling) pools(c *scheduling.Config) {
	c.Preemption, c.Pools = s.Preemption.rules(), map[string]scheduling.PoolConfig{}
	for name, pool := range s.Pools {
		c.Pools[name] = scheduling.PoolConfig{Preemption: pool.Preemption.over(s.Preemption).rules(), Market: pool.rules(c.Resources), Optimiser: pool.Optimiser.rules(c.Resources)}
	}
}

// validatePreemption tells everything that is wrong with the rules.
func (s Scheduling) validatePreemption() error {
	errs := []error{s.Preemption.validate("scheduling.preemption")}
	for _, name := range slices.Sorted(maps.Keys(s.Pools)) {
		errs = append(errs, s.Pools[name].Preemption.over(s.Preemption).validate("scheduling.pools."+name+".preemption"))
	}
	return errors.Join(errs...)
}

func (p Preemption) validate(path string) error {
	var errs []error
	if f := p.ProtectedFractionOfFairShare; math.IsNaN(f) || f < 0 {
		errs = append(errs, fmt.Errorf("%s.protectedFractionOfFairShare: must be a fraction from 0 up, such as 1 for the whole fair share, is %v", path, f))
	}
	if p.MaxPerRound < 0 {
		errs = append(errs, fmt.Errorf("%s.maxPerRound: must be 0, for no bound, or more, is %d", path, p.MaxPerRound))
	}
	if err := p.Rate.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("%s.rate.%w", path, err))
	}
	return errors.Join(errs...)
}
