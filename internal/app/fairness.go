package app

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"armada"
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
	// ProtectUncapped counts as the fair share, if it is more, what a queue would be
	// owed if it asked for everything.
	ProtectUncapped bool
	// MaxPerRound bounds the runs that a round preempts for fairness, and Rate how
	// many in the course of time, {perSecond: 10, burst: 100}; 0 is no bound.
	MaxPerRound int
	Rate        scheduling.Rate
}

// Fairness says what queues are charged for besides what they hold, and whose jobs
// go first.
type Fairness struct {
	// UsageHalfLife makes queues pay for what they held before as well, on average,
	// where a moment this long ago weighs half; 0 remembers nothing.
	UsageHalfLife time.Duration
	// ShortJobPenaltyCutoff is how long after its start a job is charged to its queue
	// even though it has ended, unless it was preempted; 0 charges nothing.
	ShortJobPenaltyCutoff time.Duration
	// PreferLargeJobs lets a large gang not go later because it is large, as long as
	// its queue stays within its share.
	PreferLargeJobs bool
}

// Pool is what is set for one pool. Fairness, Preemption and Reservations replace
// what they name of scheduling.fairness, scheduling.preemption and
// scheduling.reservations.
type Pool struct {
	Fairness     PoolFairness
	Preemption   PoolPreemption
	Reservations PoolReservations
	// AwayPools are others whose nodes the pool's jobs may use as guests: ranked below
	// everybody who is at home there.
	AwayPools []string
	// MarketDriven gives the places of the pool to who bids most, and takes them from
	// who bids less, whatever the priority class is.
	MarketDriven bool
	Market       Market
	Optimiser    Optimiser
}

// PoolFairness replaces what it names of scheduling.fairness in one pool.
type PoolFairness struct {
	UsageHalfLife, ShortJobPenaltyCutoff *time.Duration
	PreferLargeJobs                      *bool
}

// PoolPreemption replaces what it names of scheduling.preemption in one pool.
type PoolPreemption struct {
	FairShare, Urgency, Repair, ProtectUncapped *bool
	ProtectedFractionOfFairShare                *float64
	MaxPerRound                                 *int
	Rate                                        *scheduling.Rate
}

// over is what holds in the pool.
func (p PoolFairness) over(all Fairness) Fairness {
	replace(&all.UsageHalfLife, p.UsageHalfLife)
	replace(&all.ShortJobPenaltyCutoff, p.ShortJobPenaltyCutoff)
	replace(&all.PreferLargeJobs, p.PreferLargeJobs)
	return all
}

func (f Fairness) rules() scheduling.FairnessRules {
	return scheduling.FairnessRules{
		UsageHalfLife: f.UsageHalfLife, ShortJobPenalty: f.ShortJobPenaltyCutoff, PreferLargeJobs: f.PreferLargeJobs,
	}
}

func (f Fairness) validate(path string) error {
	var errs []error
	if h := f.UsageHalfLife; h != 0 && h < time.Second {
		errs = append(errs, fmt.Errorf("%s.usageHalfLife: must be 0s, to remember nothing, or at least 1s, is %s", path, h))
	}
	if c := f.ShortJobPenaltyCutoff; c < 0 {
		errs = append(errs, fmt.Errorf("%s.shortJobPenaltyCutoff: must be 0s, for no penalty, or longer, is %s", path, c))
	}
	return errors.Join(errs...)
}

// over is what holds in the pool.
func (p PoolPreemption) over(all Preemption) Preemption {
	replace(&all.FairShare, p.FairShare)
	replace(&all.Urgency, p.Urgency)
	replace(&all.Repair, p.Repair)
	replace(&all.ProtectUncapped, p.ProtectUncapped)
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
		FairShare: p.FairShare, Urgency: p.Urgency, Repair: p.Repair, ProtectUncapped: p.ProtectUncapped,
		ProtectedShare: int64(math.Round(min(p.ProtectedFractionOfFairShare, 1e6) * 1e6)), MaxPerRound: p.MaxPerRound, Rate: p.Rate,
	}
}

// poolRules returns what holds in pools that are not named, and in those that are.
func (s Scheduling) poolRules(table armada.ResourceTable) (all scheduling.PoolRules, byPool map[string]scheduling.PoolRules) {
	all = scheduling.PoolRules{Fairness: s.Fairness.rules(), Preemption: s.Preemption.rules(), Reservations: s.Reservations.rules()}
	byPool = map[string]scheduling.PoolRules{}
	for name, pool := range s.Pools {
		byPool[name] = scheduling.PoolRules{
			Fairness: pool.Fairness.over(s.Fairness).rules(), Preemption: pool.Preemption.over(s.Preemption).rules(),
			Reservations: pool.Reservations.over(s.Reservations).rules(),
			Market:       pool.rules(table), Optimiser: pool.Optimiser.rules(table),
		}
	}
	return all, byPool
}

// validatePoolRules tells everything that is wrong with them.
func (s Scheduling) validatePoolRules() error {
	errs := []error{
		s.Fairness.validate("scheduling.fairness"), s.Preemption.validate("scheduling.preemption"),
		s.Reservations.validate("scheduling.reservations"),
	}
	for _, name := range slices.Sorted(maps.Keys(s.Pools)) {
		path, pool := "scheduling.pools."+name, s.Pools[name]
		errs = append(errs, pool.Fairness.over(s.Fairness).validate(path+".fairness"), pool.Preemption.over(s.Preemption).validate(path+".preemption"),
			pool.Reservations.over(s.Reservations).validate(path+".reservations"))
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
