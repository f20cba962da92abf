package app

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"armada"
	"armada/internal/podspec"
	"armada/internal/scheduling"
)

// FloatingResource is a resource that jobs ask for and no node has, such as
// licences. It is counted in whole units.
type FloatingResource struct {
	Name    string
	Budgets []FloatingBudget
}

// FloatingBudget is how much some pools share of a floating resource. A pool
// that no budget names has nothing of it.
type FloatingBudget struct {
	Pools  []string
	Amount int64
}

// counted returns the resources that are counted: those of every installation,
// the floating ones, and pods if nodes limit them.
func (c Config) counted() (armada.ResourceTable, error) {
	table := armada.DefaultResourceTable()
	all := make([]armada.Resource, table.Len())
	for i := range all {
		all[i] = table.At(i)
	}
	if c.Scheduling.PodLimits {
		all = append(all, armada.Resource{Name: armada.Pods})
	}
	given := len(all)
	for i, f := range c.Scheduling.FloatingResources {
		path := fmt.Sprintf("scheduling.floatingResources[%d]", i)
		switch {
		case f.Name == "":
			return table, fmt.Errorf("%s.name: must be given", path)
		case f.Name == armada.Pods || slices.ContainsFunc(all, func(r armada.Resource) bool { return r.Name == f.Name }):
			return table, fmt.Errorf("%s.name: %q is counted already", path, f.Name)
		case given+i >= armada.MaxResources:
			return table, fmt.Errorf("%s: %d resources can be counted in all, and this is one more", path, armada.MaxResources)
		}
		all = append(all, armada.Resource{Name: f.Name, Floating: true})
	}
	return armada.NewResourceTable(all)
}

func (c Config) resources() armada.ResourceTable {
	table, _ := c.counted() // Validate tells what is wrong
	return table
}

// budgets are those of the floating resources.
func (s Scheduling) budgets() []scheduling.Budget {
	var budgets []scheduling.Budget
	for _, f := range s.FloatingResources {
		for _, b := range f.Budgets {
			budgets = append(budgets, scheduling.Budget{Resource: f.Name, Pools: b.Pools, Amount: b.Amount})
		}
	}
	return budgets
}

// minimumJob is the least that jobs of this process's executor must ask for.
func (c Config) minimumJob() (armada.Resources, error) {
	return podspec.ParseCapacity(c.Executor.MinimumJob, c.resources(), armada.Resources{})
}

// validateLimits tells everything that is wrong with what bounds rounds and
// queues.
func (c Config) validateLimits() error {
	table, err := c.counted()
	errs := []error{err}
	wrong := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
	}
	fractions := func(path string, f armada.ResourceFractions) {
		byPath := map[string]map[string]float64{path + ".maximum": f.Maximum}
		for pool, said := range f.MaximumByPool {
			byPath[path+".maximumByPool."+pool] = said
		}
		for _, at := range slices.Sorted(maps.Keys(byPath)) {
			for _, name := range slices.Sorted(maps.Keys(byPath[at])) {
				if _, known := table.Index(name); !known && err == nil {
					wrong(at, "%q is not counted; %s are", name, strings.Join(table.Names(), ", "))
				}
				if v := byPath[at][name]; math.IsNaN(v) || v < 0 {
					wrong(at+"."+name, "must be a fraction of the pool from 0 up, is %v", v)
				}
			}
		}
	}
	for _, rate := range []struct {
		path string
		rate scheduling.Rate
	}{{"scheduling.rate", c.Scheduling.Rate}, {"scheduling.queueRate", c.Scheduling.QueueRate}} {
		if err := rate.rate.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", rate.path, err))
		}
	}
	for path, n := range map[string]int{
		"scheduling.maxJobsPerRound":  c.Scheduling.MaxJobsPerRound,
		"scheduling.maxQueueLookback": c.Scheduling.MaxQueueLookback,
		"executors.maxUnacknowledged": c.Executors.MaxUnacknowledged,
	} {
		if n < 0 {
			wrong(path, "must be 0, for no bound, or more, is %d", n)
		}
	}
	fractions("scheduling.roundLimits", c.Scheduling.RoundLimits)
	for i, class := range c.Jobs.PriorityClasses {
		fractions(fmt.Sprintf("jobs.priorityClasses[%d].queueLimits", i), class.QueueLimits)
	}
	for i, f := range c.Scheduling.FloatingResources {
		seen := map[string]bool{}
		for j, b := range f.Budgets {
			path := fmt.Sprintf("scheduling.floatingResources[%d].budgets[%d]", i, j)
			if len(b.Pools) == 0 {
				wrong(path+".pools", "must name the pools that share it")
			}
			if b.Amount < 0 {
				wrong(path+".amount", "must not be negative, is %d", b.Amount)
			}
			for _, pool := range b.Pools {
				if seen[pool] {
					wrong(path+".pools", "%q has a budget already", pool)
				}
				seen[pool] = true
			}
		}
	}
	return errors.Join(errs...)
}
