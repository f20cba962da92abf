package app

import (
	"errors"
	"fmt"
	"math"
	"time"

	"armada"
	"armada/internal/podspec"
	"armada/internal/scheduling"
)

// Optimiser makes room for large jobs of queues that hold less than they are owed:
// small runs of queues that hold more give way, all on one node. It is for pools
// without preemption.fairShare, which does that and more.
type Optimiser struct {
	Enabled bool
	// MinimumJobSizeToSchedule is what a job asks for at least to be placed so, and
	// MaximumJobSizeToPreempt what a run holds at most to give way, such as cpu=16
	// and cpu=2. What they do not name does not matter.
	MinimumJobSizeToSchedule, MaximumJobSizeToPreempt string
	// MinimumFairnessImprovementPercentage is by how much less all queues together
	// must be owed after it, for a job to be placed so.
	MinimumFairnessImprovementPercentage float64
	// Interval is the time between two rounds that do it.
	Interval time.Duration
	// MaximumJobsPerRound and MaximumResourceFractionToSchedule bound what one round
	// places so; 0 is no bound.
	MaximumJobsPerRound               int
	MaximumResourceFractionToSchedule float64
}

func defaultOptimiser() Optimiser {
	return Optimiser{Interval: time.Minute, MaximumJobsPerRound: 1, MinimumFairnessImprovementPercentage: 1}
}

// sizes are those of large jobs and of small runs, which are bounded only by what is
// named.
func (o Optimiser) sizes(table armada.ResourceTable) (large, small armada.Resources, err error) {
	large, err = podspec.ParseCapacity(o.MinimumJobSizeToSchedule, table, armada.Resources{})
	if err != nil {
		err = fmt.Errorf("minimumJobSizeToSchedule: %w", err)
	}
	for i := range small {
		small[i] = scheduling.Unbounded
	}
	small, wrong := podspec.ParseCapacity(o.MaximumJobSizeToPreempt, table, small)
	if wrong != nil {
		err = errors.Join(err, fmt.Errorf("maximumJobSizeToPreempt: %w", wrong))
	}
	return large, small, err
}

// rules are what rounds decide from; nil for no optimiser.
func (o Optimiser) rules(table armada.ResourceTable) *scheduling.OptimiserRules {
	if !o.Enabled {
		return nil
	}
	large, small, _ := o.sizes(table) // Validate tells what is wrong
	return &scheduling.OptimiserRules{
		Large: large, Small: small, Interval: o.Interval, MaxJobs: o.MaximumJobsPerRound,
		Improvement: int64(math.Round(o.MinimumFairnessImprovementPercentage * 1e4)),
		MaxShare:    int64(math.Round(min(o.MaximumResourceFractionToSchedule, 1) * 1e6)),
	}
}

// validate tells everything that is wrong with the optimiser of a pool.
func (o Optimiser) validate(path string, pool Pool, all Preemption, table armada.ResourceTable) error {
	if !o.Enabled {
		return nil
	}
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: "+format, append([]any{path, field}, args...)...))
	}
	switch {
	case pool.MarketDriven:
		wrong("enabled", "must be left out in a market-driven pool, where nothing is shared by fairness")
	case pool.Preemption.over(all).FairShare:
		wrong("enabled", "needs preemption.fairShare: false in its pool, for that makes room for large jobs too")
	}
	large, small, err := o.sizes(table)
	if err != nil {
		errs = append(errs, prefixed(path, err))
	} else if !disjoint(large, small) {
		wrong("maximumJobSizeToPreempt", "must be less of some resource than minimumJobSizeToSchedule, such as cpu=2 for cpu=16: what it places must not give way later")
	}
	if p := o.MinimumFairnessImprovementPercentage; !(p >= 0 && p <= 100) {
		wrong("minimumFairnessImprovementPercentage", "must be from 0 to 100, is %v", p)
	}
	if o.Interval < 0 {
		wrong("interval", "must not be negative, is %v", o.Interval)
	}
	if o.MaximumJobsPerRound < 0 {
		wrong("maximumJobsPerRound", "must be 0, for no bound, or more, is %d", o.MaximumJobsPerRound)
	}
	if f := o.MaximumResourceFractionToSchedule; !(f >= 0 && f <= 1) {
		wrong("maximumResourceFractionToSchedule", "must be a fraction of the pool from 0, for no bound, to 1, is %v", f)
	}
	return errors.Join(errs...)
}

// disjoint tells whether no job is both large and small.
func disjoint(large, small armada.Resources) bool {
	for i := range large {
		if small[i] < large[i] {
			return true
		}
	}
	return false
}
