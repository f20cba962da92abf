package app

import (
	"errors"
	"fmt"
	"slices"

	"armada"
	"armada/internal/podspec"
	"armada/internal/scheduling"
)

// WellKnownNodeType names nodes by the taints that they have. A taint with the
// value "*" means any value.
type WellKnownNodeType struct {
	Name   string
	Taints []armada.Taint
}

// Away lets jobs of a preemptible class that have no place at home run on nodes
// of a well-known type, whose taints they need not tolerate. Where several apply
// to a job they are tried in the order of the list.
type Away struct {
	PriorityClass string
	NodeType      string
	// Priority ranks them there, below their class: jobs that are at home there
	// take their room.
	Priority int32
	// Conditions are what a job must ask for, all of them.
	Conditions []AwayCondition
}

// AwayCondition bounds what a job asks for of a resource; an empty bound is none.
type AwayCondition struct {
	Resource        string
	AtLeast, AtMost string
}

// away is what the scheduler is told.
func (c Config) away() []scheduling.Away {
	all, _ := c.readAway() // Validate tells what is wrong
	return all
}

func (c Config) validateAway() error {
	_, err := c.readAway()
	return err
}

// readAway returns where jobs may be away, and everything that is wrong with it.
func (c Config) readAway() ([]scheduling.Away, error) {
	var all []scheduling.Away
	var errs []error
	wrong := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
	}
	types := map[string][]armada.Taint{}
	for i, t := range c.Scheduling.WellKnownNodeTypes {
		path := fmt.Sprintf("scheduling.wellKnownNodeTypes[%d]", i)
		if _, twice := types[t.Name]; twice || t.Name == "" {
			wrong(path+".name", "%q is empty or given twice", t.Name)
		}
		if len(t.Taints) == 0 {
			wrong(path+".taints", "must say by which taints these nodes are known")
		}
		for j, taint := range t.Taints {
			if taint.Key == "" {
				wrong(fmt.Sprintf("%s.taints[%d].key", path, j), "must be given")
			}
			if err := checkEffect(taint.Effect); err != nil {
				wrong(fmt.Sprintf("%s.taints[%d].effect", path, j), "%v", err)
			}
		}
		types[t.Name] = t.Taints
	}
	for i, a := range c.Scheduling.Away {
		path := fmt.Sprintf("scheduling.away[%d]", i)
		away := scheduling.Away{Class: a.PriorityClass, NodeType: a.NodeType, Taints: types[a.NodeType], Priority: a.Priority}
		if _, known := types[a.NodeType]; !known {
			wrong(path+".nodeType", "%q is not one of scheduling.wellKnownNodeTypes", a.NodeType)
		}
		at := slices.IndexFunc(c.Jobs.PriorityClasses, func(p armada.PriorityClass) bool { return p.Name == a.PriorityClass })
		switch {
		case at < 0:
			wrong(path+".priorityClass", "%q is not one of jobs.priorityClasses", a.PriorityClass)
		case !c.Jobs.PriorityClasses[at].Preemptible:
			wrong(path+".priorityClass", "must be preemptible, and %q is not", a.PriorityClass)
		case a.Priority >= c.Jobs.PriorityClasses[at].Priority:
			wrong(path+".priority", "must be lower than that of the class, %d, is %d", c.Jobs.PriorityClasses[at].Priority, a.Priority)
		}
		if slices.ContainsFunc(all, func(o scheduling.Away) bool { return o.Class == a.PriorityClass && o.NodeType == a.NodeType }) {
			wrong(path+".nodeType", "%q is given twice for the class %q", a.NodeType, a.PriorityClass)
		}
		away.AtLeast, away.AtMost = map[string]int64{}, map[string]int64{}
		for j, condition := range a.Conditions {
			if err := condition.read(c.resources(), &away); err != nil {
				errs = append(errs, fmt.Errorf("%s.conditions[%d].%w", path, j, err))
			}
		}
		all = append(all, away)
	}
	return all, errors.Join(errs...)
}

// read adds the condition to those that are there.
func (w AwayCondition) read(table armada.ResourceTable, away *scheduling.Away) error {
	at, counted := table.Index(w.Resource)
	if !counted {
		return fmt.Errorf("resource: %q is not counted; %v are", w.Resource, table.Names())
	}
	if w.AtLeast == "" && w.AtMost == "" {
		return errors.New("atLeast: must be given, or atMost")
	}
	if w.AtLeast != "" {
		least, err := podspec.ParseQuantity(w.AtLeast, table.At(at), true)
		if err != nil {
			return fmt.Errorf("atLeast: %w", err)
		}
		away.AtLeast[w.Resource] = max(least, away.AtLeast[w.Resource])
	}
	if w.AtMost != "" {
		most, err := podspec.ParseQuantity(w.AtMost, table.At(at), false)
		if err != nil {
			return fmt.Errorf("atMost: %w", err)
		}
		if had, said := away.AtMost[w.Resource]; said {
			most = min(most, had)
		}
		away.AtMost[w.Resource] = most
	}
	return nil
}

// checkEffect tells what is wrong with the effect of a taint.
func checkEffect(effect armada.TaintEffect) error {
	switch effect {
	case armada.NoSchedule, armada.PreferNoSchedule, armada.NoExecute:
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s, is %q", armada.NoSchedule, armada.PreferNoSchedule, armada.NoExecute, effect)
}

// awayPools are by pool the others where its jobs may be guests.
func (s Scheduling) awayPools() map[string][]string {
	all := map[string][]string{}
	for name, p := range s.Pools {
		if len(p.AwayPools) > 0 {
			all[name] = p.AwayPools
		}
	}
	return all
}

// validateAwayPools tells everything that is wrong with where the jobs of a pool may
// be guests.
func (s Scheduling) validateAwayPools(name string) error {
	var errs []error
	hosts := s.Pools[name].AwayPools
	for i, host := range hosts {
		path := fmt.Sprintf("scheduling.pools.%s.awayPools[%d]", name, i)
		switch {
		case host == "":
			errs = append(errs, fmt.Errorf("%s: must name a pool", path))
		case slices.Contains(hosts[:i], host):
			errs = append(errs, fmt.Errorf("%s: pool %s is named twice", path, host))
		case s.Pools[host].MarketDriven || s.Pools[name].MarketDriven:
			errs = append(errs, fmt.Errorf("%s: must be left out, for jobs come and go as guests only where pools are shared by fairness, and one of %s and %s is market-driven", path, name, host))
		case s.leadsTo(host, name, nil):
			errs = append(errs, fmt.Errorf("%s: jobs of pool %s may be guests in %s already, perhaps by way of others: of two pools only one can be the home", path, host, name))
		}
	}
	return errors.Join(errs...)
}

// leadsTo tells whether jobs of a pool may be guests in another one, perhaps by way
// of others.
func (s Scheduling) leadsTo(from, to string, seen []string) bool {
	if from == to {
		return true
	}
	return !slices.Contains(seen, from) && slices.ContainsFunc(s.Pools[from].AwayPools, func(next string) bool {
		return s.leadsTo(next, to, append(seen, from))
	})
}
