package scheduling

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"armada"
)

// most reads most.cpu=0.5 here.cpu=0.25: of any pool, and of this one.
func most(a *arguments) (f armada.ResourceFractions, err error) {
	read := func(prefix string) map[string]float64 {
		fractions := map[string]float64{}
		for name, text := range a.prefixed(prefix) {
			if fractions[name], err = strconv.ParseFloat(text, 64); err != nil {
				return nil
			}
		}
		return fractions
	}
	f.Maximum = read("most.")
	f.MaximumByPool = map[string]map[string]float64{"default": read("here.")}
	return f, err
}

// queueLimits reads most=CLASS:cpu=0.5,memory=0.5 and here=CLASS:cpu=0.5.
func queueLimits(a *arguments) (map[string]armada.ResourceFractions, error) {
	limits := map[string]armada.ResourceFractions{}
	for _, key := range []string{"most", "here"} {
		for _, text := range a.values(key) {
			class, fractions, _ := strings.Cut(text, ":")
			words := strings.Split(fractions, ",")
			for i := range words {
				words[i] = key + "." + words[i]
			}
			f, err := most(parseArguments(words))
			if err != nil {
				return nil, err
			}
			l := limits[class]
			if key == "most" {
				l.Maximum = f.Maximum
			} else {
				l.MaximumByPool = f.MaximumByPool
			}
			limits[class] = l
		}
	}
	return limits, nil
}

// rate all=PER_SECOND:BURST queue=PER_SECOND:BURST preempt=PER_SECOND:BURST.
func (s *script) rate(a *arguments) error {
	for key, rate := range map[string]*Rate{"all": &s.config.Rate, "queue": &s.config.QueueRate, "preempt": &s.config.Preemption.Rate} {
		if text := a.value(key); text != "" {
			if _, err := fmt.Sscanf(text, "%g:%d", &rate.PerSecond, &rate.Burst); err != nil {
				return err
			}
			if err := rate.Validate(); err != nil {
				return err
			}
		}
	}
	return nil
}

// floating NAME=AMOUNT [other]: a resource that no node has.
func (s *script) floating(a *arguments) error {
	table := resourcesOf(s.config.Resources)
	for _, p := range a.pairs {
		amount, err := strconv.ParseInt(a.value(p[0]), 10, 64)
		if err != nil {
			return err
		}
		b := Budget{Resource: p[0], Pools: []string{"default"}, Amount: amount}
		if a.flag("shared") {
			b.Pools = append(b.Pools, "other")
		}
		s.config.Budgets = append(s.config.Budgets, b)
		table = append(table, armada.Resource{Name: p[0], Floating: true})
	}
	return s.count(table)
}

// pods: nodes say how many pods they take.
func (s *script) pods(*arguments) error {
	return s.count(append(resourcesOf(s.config.Resources), armada.Resource{Name: armada.Pods}))
}

func (s *script) count(resources []armada.Resource) (err error) {
	s.config.Resources, err = armada.NewResourceTable(resources)
	return err
}

func resourcesOf(t armada.ResourceTable) []armada.Resource {
	resources := make([]armada.Resource, t.Len())
	for i := range resources {
		resources[i] = t.At(i)
	}
	return resources
}

// away CLASS PRIORITY TYPE taint=KEY=VALUE:EFFECT... atleast.cpu=1 atmost.gpu=0.
func (s *script) away(a *arguments) error {
	priority, err := strconv.ParseInt(a.word(1), 10, 32)
	if err != nil {
		return err
	}
	away := Away{Class: a.word(0), Priority: int32(priority), NodeType: a.word(2), Taints: taints(a)}
	read := func(prefix string) (map[string]int64, error) {
		bounds := map[string]int64{}
		for i := range s.config.Resources.Len() {
			r := s.config.Resources.At(i)
			for _, name := range []string{r.Name, shortNames[r.Name]} {
				if text := a.value(prefix + name); name != "" && text != "" {
					if bounds[r.Name], err = quantity(text, r.Milli); err != nil {
						return nil, err
					}
				}
			}
		}
		return bounds, nil
	}
	if away.AtLeast, err = read("atleast."); err != nil {
		return err
	}
	away.AtMost, err = read("atmost.")
	s.config.Away = append(s.config.Away, away)
	return err
}

// guests POOL...: jobs that are at home there may be guests in this one.
func (s *script) guests(a *arguments) error {
	s.config.AwayPools = map[string][]string{}
	for _, pool := range a.words() {
		s.config.AwayPools[pool] = []string{"default"}
	}
	return nil
}

// isAway marks a lease.
func isAway(l Lease) string {
	if l.Away == "" {
		return ""
	}
	return " (away on " + l.Away + ")"
}

// other JOB AMOUNTS: the job runs in another pool with which budgets are shared.
// other JOB: it is over.
func (s *script) other(a *arguments) error {
	at := slices.IndexFunc(s.pool.shared.pools, func(p *Pool) bool { return p.name == "other" })
	if at < 0 {
		s.pool.shared.NewPool("other")
		at = len(s.pool.shared.pools) - 1
	}
	other, id := s.pool.shared.pools[at], armada.JobID(a.word(0))
	if len(a.pairs) == 0 {
		other.Remove(id)
		return nil
	}
	needs, err := s.requirements(a)
	run := armada.Run{ID: armada.NewRunID(id, 1), Job: id, Attempt: 1, Executor: "elsewhere", Node: "there", State: armada.RunRunning}
	other.Occupy(armada.Job{ID: id, Queue: "a", State: armada.JobRunning, Attempts: 1}, run, needs)
	return err
}

// wait DURATION: time passes.
func (s *script) wait(a *arguments) error {
	d, err := time.ParseDuration(a.word(0))
	s.now = s.now.Add(d)
	s.pool.At(s.now)
	return err
}

// wake: when the last round asked for another.
func (s *script) wake(*arguments) (string, error) {
	if s.last.Wake.IsZero() {
		return "not by itself\n", nil
	}
	return fmt.Sprintf("in %v\n", s.last.Wake.Sub(s.now)), nil
}

// keep after=DURATION for=DURATION [nodes=FRACTION]: nodes are kept for gangs that
// wait.
func (s *script) keep(a *arguments) (err error) {
	rules := &s.config.Reservations
	if rules.After, err = time.ParseDuration(a.value("after")); err != nil {
		return err
	}
	if rules.For, err = time.ParseDuration(a.value("for")); err != nil {
		return err
	}
	rules.MostNodes, err = quantity(cmp.Or(a.value("nodes"), "1"), true)
	rules.MostNodes *= 1000
	return err
}

// kept: what the last round keeps for whom.
func (s *script) kept(*arguments) (string, error) {
	var b strings.Builder
	for _, k := range s.last.Reservations {
		what := "nothing, others come first"
		if !k.Lapsed {
			var names []string
			for _, n := range k.Nodes {
				names = append(names, n.Name)
			}
			what = strings.Join(names, ", ")
		}
		fmt.Fprintf(&b, "for %s of %s: %s, for %v\n", k.Job, k.Queue, what, k.Until.Sub(s.now))
	}
	return cmp.Or(b.String(), "nothing\n"), nil
}
