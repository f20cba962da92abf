package simulator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"armada"
	"armada/internal/podspec"
	"armada/pkg/nearest"
)

// longest bounds every time in a file, so that no sum of them overflows.
const longest = 366 * 24 * time.Hour

// most bounds what a scenario may hold of nodes, and of jobs.
const most = 10_000_000

// checker collects what is wrong.
type checker struct{ problems []problem }

func (c *checker) wrong(path, format string, args ...any) {
	c.problems = append(c.problems, problem{path, fmt.Errorf(format, args...)})
}

func (c *checker) time(path string, d time.Duration) {
	if d < 0 || d > longest {
		c.wrong(path, "must be from 0s to %s, is %s", longest, d)
	}
}

func (c *checker) spread(path string, s Spread) {
	c.time(path+".minimum", s.Minimum)
	c.time(path+".tailMean", s.TailMean)
}

func (c *checker) amounts(path string, quantities map[string]string, table armada.ResourceTable) {
	if len(quantities) == 0 {
		c.wrong(path, "must say how much, such as cpu: 1")
	}
	for _, name := range slices.Sorted(maps.Keys(quantities)) {
		at, counted := table.Index(name)
		if !counted {
			c.wrong(path+"."+name, "is no resource that is counted; the nearest is %s", nearest.Path(name, table.Names()))
			continue
		}
		if amount, err := podspec.ParseQuantity(quantities[name], table.At(at), true); err != nil {
			c.problems = append(c.problems, problem{path + "." + name, err})
		} else if amount < 0 {
			c.wrong(path+"."+name, "must not be negative, is %s", quantities[name])
		}
	}
}

func (c *checker) effect(path, effect string, empty bool) {
	switch armada.TaintEffect(effect) {
	case armada.NoSchedule, armada.PreferNoSchedule, armada.NoExecute:
	default:
		if effect != "" || !empty {
			c.wrong(path, "must be %s, %s or %s, is %q", armada.NoSchedule, armada.PreferNoSchedule, armada.NoExecute, effect)
		}
	}
}

// check tells what is wrong with the clusters.
func (cs Clusters) check(rules Rules) []problem {
	c := &checker{}
	c.spread("workflowManagerDelayDistribution", cs.WorkflowManagerDelayDistribution)
	c.spread("pendingDelayDistribution", cs.PendingDelayDistribution)
	if len(cs.Clusters) == 0 {
		c.wrong("clusters", "must have at least one cluster")
	}
	names, nodes := map[string]bool{}, 0
	for i, cluster := range cs.Clusters {
		path := fmt.Sprintf("clusters[%d]", i)
		if cluster.Name == "" || names[cluster.Name] {
			c.wrong(path+".name", "must be given and be different from the others, is %q", cluster.Name)
		}
		names[cluster.Name] = true
		if len(cluster.NodeTemplates) == 0 {
			c.wrong(path+".nodeTemplates", "must have at least one kind of nodes")
		}
		for j, t := range cluster.NodeTemplates {
			at := fmt.Sprintf("%s.nodeTemplates[%d]", path, j)
			if nodes += max(t.Number, 0); t.Number < 1 || nodes > most {
				c.wrong(at+".number", "must be at least 1, and at most %d nodes in all, is %d", most, t.Number)
				nodes = 0
			}
			c.amounts(at+".totalResources.resources", t.TotalResources.Resources, rules.Scheduling.Resources)
			for k, taint := range t.Taints {
				if taint.Key == "" {
					c.wrong(fmt.Sprintf("%s.taints[%d].key", at, k), "must be given")
				}
				c.effect(fmt.Sprintf("%s.taints[%d].effect", at, k), taint.Effect, false)
			}
		}
	}
	return c.problems
}

// check tells what is wrong with the workload.
func (w Workload) check(rules Rules) []problem {
	c := &checker{}
	if len(w.Queues) == 0 {
		c.wrong("queues", "must have at least one queue")
	}
	var ids []string
	for _, q := range w.Queues {
		for i := range q.JobTemplates {
			ids = append(ids, q.templateID(i))
		}
	}
	names, seen, jobs := map[string]bool{}, map[string]bool{}, 0
	for i, q := range w.Queues {
		path := fmt.Sprintf("queues[%d]", i)
		if err := armada.ValidateQueueName(q.Name); err != nil {
			c.problems = append(c.problems, problem{path + ".name", err})
		} else if names[q.Name] {
			c.wrong(path+".name", "must be different from the others, %q is given twice", q.Name)
		}
		names[q.Name] = true
		if !(q.Weight > 0 && q.Weight <= 1e6) {
			c.wrong(path+".weight", "must be more than 0 and at most a million, is %g", q.Weight)
		}
		for j, t := range q.JobTemplates {
			at := fmt.Sprintf("%s.jobTemplates[%d]", path, j)
			if id := q.templateID(j); seen[id] {
				c.wrong(at+".id", "must be different from the others, %q is given twice", id)
			} else {
				seen[id] = true
			}
			c.template(at, t, ids, rules)
			if jobs += max(t.Number, 0) * max(t.Repeat.NumTimes, 1); jobs > most || t.Number > most || t.Repeat.NumTimes > most {
				c.wrong(at+".number", "there are more than %d jobs in all", most)
				return c.problems
			}
		}
	}
	if at := w.circle(); at != "" {
		c.wrong(at, "depends on itself, directly or through others")
	}
	return c.problems
}

func (c *checker) template(at string, t JobTemplate, ids []string, rules Rules) {
	if t.Number < 1 {
		c.wrong(at+".number", "must be at least 1, is %d", t.Number)
	}
	if g := t.GangCardinality; g < 0 || g > 1 && t.Number%g != 0 {
		c.wrong(at+".gangCardinality", "must divide the number of jobs, %d, and is %d", t.Number, g)
	}
	if t.GangNodeUniformityLabel != "" && t.GangCardinality < 2 {
		c.wrong(at+".gangNodeUniformityLabel", "goes with a gangCardinality of at least 2")
	}
	if _, ok := armada.ParsePriceBand(t.PriceBand); !ok && t.PriceBand != "" {
		c.wrong(at+".priceBand", "must be one of A to H, is %q", t.PriceBand)
	}
	if name := t.PriorityClassName; name != "" {
		var classes []string
		for _, class := range rules.Scheduling.Classes {
			classes = append(classes, class.Name)
		}
		if !slices.Contains(classes, name) {
			c.wrong(at+".priorityClassName", "%q is not one of the priority classes %s", name, strings.Join(classes, ", "))
		}
	}
	c.amounts(at+".requirements.resourceRequirements.requests", t.Requirements.ResourceRequirements.Requests, rules.Scheduling.Resources)
	for i, toleration := range t.Requirements.Tolerations {
		path := fmt.Sprintf("%s.requirements.tolerations[%d]", at, i)
		if op := toleration.Operator; op != "" && op != "Equal" && op != "Exists" {
			c.wrong(path+".operator", "must be Equal or Exists, is %q", op)
		}
		c.effect(path+".effect", toleration.Effect, true)
	}
	for i, id := range t.Dependencies {
		if !slices.Contains(ids, id) {
			c.wrong(fmt.Sprintf("%s.dependencies[%d]", at, i), "there is no template %q; the nearest is %q", id, nearest.Path(id, ids))
		}
	}
	c.time(at+".earliestSubmitTime", t.EarliestSubmitTime)
	c.time(at+".earliestSubmitTimeFromDependencyCompletion", t.EarliestSubmitTimeFromDependencyCompletion)
	c.spread(at+".runtimeDistribution", t.RuntimeDistribution)
	c.time(at+".repeat.period", t.Repeat.Period)
	if t.Repeat.NumTimes < 0 {
		c.wrong(at+".repeat.numTimes", "must not be negative, is %d", t.Repeat.NumTimes)
	}
}

// circle returns the path of dependencies that go round in a circle, or "".
func (w Workload) circle() string {
	needs, paths := map[string][]string{}, map[string]string{}
	var ids []string
	for i, q := range w.Queues {
		for j, t := range q.JobTemplates {
			id := q.templateID(j)
			ids = append(ids, id)
			needs[id], paths[id] = t.Dependencies, fmt.Sprintf("queues[%d].jobTemplates[%d].dependencies", i, j)
		}
	}
	// Take away what waits for nothing that is left, until nothing more goes.
	for {
		left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			return !slices.ContainsFunc(needs[id], func(d string) bool { return slices.Contains(ids, d) })
		})
		if len(left) == 0 {
			return ""
		}
		if len(left) == len(ids) {
			return paths[left[0]]
		}
		ids = left
	}
}

// check tells what is wrong with the scenario.
func (s Scenario) check() error {
	var errs []error
	if s.RoundEvery < time.Millisecond || s.RoundEvery > longest {
		errs = append(errs, fmt.Errorf("the time between rounds must be from 1ms to %s, is %s", longest, s.RoundEvery))
	}
	if s.Until <= 0 || s.Until > 10*longest {
		errs = append(errs, fmt.Errorf("the end must be after 0s and within %s, is %s", 10*longest, s.Until))
	}
	if err := joined(s.Clusters.check(s.Rules)); err != nil {
		errs = append(errs, fmt.Errorf("clusters: %w", err))
	}
	if err := joined(s.Workload.check(s.Rules)); err != nil {
		errs = append(errs, fmt.Errorf("workload: %w", err))
	}
	return errors.Join(errs...)
}

// templateID is the id of one of the queue's templates.
func (q Queue) templateID(i int) string {
	if id := q.JobTemplates[i].ID; id != "" {
		return id
	}
	return fmt.Sprintf("%s-%d", q.Name, i+1)
}
