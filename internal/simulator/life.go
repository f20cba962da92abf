package simulator

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/podspec"
	"armada/internal/scheduling"
)

// template is a job template with what the simulation knows of it.
type template struct {
	*JobTemplate
	id    string
	queue string
	set   armada.JobSet
	needs *armada.Requirements
	shape armada.ShapeID
	never string // why its jobs can run nowhere; empty when they can

	awaits     int         // templates that it depends on and that are not done
	dependants []*template // templates that await it
	waves      int         // not yet submitted
	unfinished int         // jobs of all waves that have not succeeded
	runtimes   *rand.PCG
	delays     *rand.PCG // of the workflow manager
}

// life is one job of the simulation.
type life struct {
	of    *template
	job   armada.Job
	run   armada.Run    // its latest
	takes time.Duration // how long it has to run
	trial int           // how often its work was submitted, from 1
}

// addTemplates makes the templates and connects those that wait for others.
func (s *simulation) addTemplates() {
	byID := map[string]*template{}
	for i := range s.Workload.Queues {
		q := &s.Workload.Queues[i]
		for j := range q.JobTemplates {
			t := &template{JobTemplate: &q.JobTemplates[j], id: q.templateID(j), queue: q.Name}
			t.set = armada.JobSet(cmp.Or(t.JobSet, q.Name))
			t.needs = t.requirements(s.Rules)
			t.shape = t.needs.Shape(s.Scheduling.Resources)
			t.waves = max(1, t.Repeat.NumTimes)
			t.unfinished = t.Number * t.waves
			t.runtimes = source(s.Workload.RandomSeed, "runtime", t.id)
			t.delays = source(s.Workload.RandomSeed, "workflow", t.id)
			if _, could := s.Scheduling.CouldRun(t.needs, t.GangNodeUniformityLabel, s.kinds); !could {
				t.never = s.Scheduling.WhyNever(t.needs, t.GangNodeUniformityLabel, s.kinds)
			}
			byID[t.id] = t
			s.templates = append(s.templates, t)
		}
	}
	for _, t := range s.templates {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(t.Dependencies))) {
			byID[id].dependants = append(byID[id].dependants, t)
			t.awaits++
		}
	}
}

// requirements are what the template's jobs need, in canonical form.
func (t *template) requirements(rules Rules) *armada.Requirements {
	r := &armada.Requirements{
		PriorityClass: cmp.Or(t.PriorityClassName, rules.DefaultClass),
		Resources:     amountsOf(t.Requirements.ResourceRequirements.Requests, rules.Scheduling.Resources, true),
	}
	for _, key := range slices.Sorted(maps.Keys(t.Requirements.NodeSelector)) {
		r.NodeSelector = append(r.NodeSelector, armada.Label{Key: key, Value: t.Requirements.NodeSelector[key]})
	}
	for _, k := range t.Requirements.Tolerations {
		r.Tolerations = append(r.Tolerations, armada.Toleration{
			Key: k.Key, Exists: k.Operator == "Exists", Value: k.Value, Effect: armada.TaintEffect(k.Effect),
		})
	}
	slices.SortFunc(r.Tolerations, func(a, b armada.Toleration) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), compareBool(a.Exists, b.Exists), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Effect, b.Effect))
	})
	return r
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// amountsOf reads quantities that were checked.
func amountsOf(quantities map[string]string, table armada.ResourceTable, up bool) armada.Resources {
	var amounts armada.Resources
	for i := range table.Len() {
		if text, given := quantities[table.At(i).Name]; given {
			amounts[i], _ = podspec.ParseQuantity(text, table.At(i), up) // check has read it before
		}
	}
	return amounts
}

// scheduleWaves has every wave of a template submitted, the first at a moment.
func (s *simulation) scheduleWaves(t *template, first time.Duration) {
	for wave := range t.waves {
		s.agenda.note(first+time.Duration(wave)*t.Repeat.Period, func() error {
			t.waves--
			for n := range t.Number {
				gang := armada.Gang{}
				if t.GangCardinality > 1 {
					gang = armada.Gang{
						ID: fmt.Sprintf("%s-%d-%d", t.id, wave+1, n/t.GangCardinality+1), Cardinality: t.GangCardinality, UniformityLabel: t.GangNodeUniformityLabel,
					}
				}
				if err := s.submit(&life{of: t, takes: t.RuntimeDistribution.draw(t.runtimes), trial: 1}, gang); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// submit begins a life now.
func (s *simulation) submit(l *life, gang armada.Gang) error {
	s.numbers++
	band, _ := armada.ParsePriceBand(l.of.PriceBand) // none, when it is empty
	step := lifecycle.Begin(armada.Job{
		ID: jobID(s.now, s.numbers), Number: s.numbers, Queue: l.of.queue, JobSet: l.of.set, Priority: l.of.QueuePriority,
		Shape: l.of.shape, Gang: gang, Band: band, Submitted: s.at(s.now),
	})
	l.job = step.Job
	s.lives[l.job.ID] = l
	if l.of.never != "" {
		return s.change(l, lifecycle.Change{Kind: lifecycle.Reject, Reason: l.of.never})
	}
	s.show(l)
	return nil
}

// jobID makes an id as the server does, from the moment and the number.
func jobID(at time.Duration, number int64) armada.JobID {
	var id ulid.ULID
	_ = id.SetTime(uint64(began.UnixMilli() + at.Milliseconds())) // fails after the year 10889
	binary.BigEndian.PutUint64(id[8:], uint64(number))
	return armada.JobID(strings.ToLower(id.String()))
}

// show tells the pools where a job is now.
func (s *simulation) show(l *life) {
	for _, p := range s.pools {
		p.plan.At(s.at(s.now))
		switch {
		case l.job.State == armada.JobQueued:
			p.plan.Enqueue(l.job, l.of.needs)
		case l.job.State.Active() && l.run.Pool == p.name:
			p.plan.Occupy(l.job, l.run, l.of.needs)
		default:
			p.plan.Ended(l.job, l.run)
			p.plan.Remove(l.job.ID)
		}
	}
}

// change lets something happen to a job, as the life cycle has it.
func (s *simulation) change(l *life, c lifecycle.Change) error {
	c.Job = l.job.ID
	if c.Kind.FromExecutor() {
		c.Run, c.Executor = l.run.ID, l.run.Executor
	}
	step := lifecycle.Apply(l.job, l.run, c, s.at(s.now))
	if step.Verdict != lifecycle.Applied {
		return fmt.Errorf("%s of job %s, which is %s: %s: %w", c.Kind, l.job.ID, l.job.State, step.Why, errImpossible)
	}
	l.job, l.run = step.Job, step.Run
	s.show(l)
	if l.job.State.Terminal() {
		s.ended(l)
	}
	return nil
}

// lease begins a run.
func (s *simulation) lease(l *life, terms lifecycle.Terms) error {
	if err := s.change(l, lifecycle.Change{Kind: lifecycle.Lease, Lease: terms}); err != nil {
		return err
	}
	if err := s.change(l, lifecycle.Change{Kind: lifecycle.ReportPending}); err != nil {
		return err
	}
	starts := s.now + s.Clusters.PendingDelayDistribution.draw(s.pending)
	s.whileRuns(l, starts, func() error {
		s.whileRuns(l, starts+l.takes, func() error {
			return s.change(l, lifecycle.Change{Kind: lifecycle.ReportSucceeded})
		})
		return s.change(l, lifecycle.Change{Kind: lifecycle.ReportRunning})
	})
	return nil
}

// whileRuns has something happen at a moment unless the run has ended by then.
func (s *simulation) whileRuns(l *life, at time.Duration, do func() error) {
	run := l.run.ID
	s.agenda.note(at, func() error {
		if l.run.ID != run || !l.run.State.Active() {
			return nil
		}
		return do()
	})
}

// preempt ends a run that gives its place to another.
func (s *simulation) preempt(l *life, v scheduling.Preemption) error {
	if err := s.change(l, lifecycle.Change{Kind: lifecycle.Preempt, Run: v.Run, By: byScheduler, Reason: v.Reason, For: v.For}); err != nil {
		return err
	}
	return s.change(l, lifecycle.Change{Kind: lifecycle.ReportStopped})
}

// ended keeps the books of a job that has ended, and what follows from it.
func (s *simulation) ended(l *life) {
	s.record(l)
	delete(s.lives, l.job.ID)
	switch l.job.State {
	case armada.JobPreempted:
		s.preempted = append(s.preempted, l)
	case armada.JobSucceeded:
		if l.of.unfinished--; l.of.unfinished > 0 {
			return
		}
		for _, t := range l.of.dependants {
			if t.awaits--; t.awaits == 0 {
				notice := s.now + s.Clusters.WorkflowManagerDelayDistribution.draw(t.delays)
				s.scheduleWaves(t, max(t.EarliestSubmitTime, notice+t.EarliestSubmitTimeFromDependencyCompletion))
			}
		}
	default:
	}
}

// submitAgain has the work of preempted jobs submitted again: what was left of
// a gang as a gang, after one delay.
func (s *simulation) submitAgain() {
	type key struct {
		queue string
		set   armada.JobSet
		gang  string
	}
	var order []key
	together := map[key][]*life{}
	for _, l := range s.preempted {
		k := key{l.job.Queue, l.job.JobSet, cmp.Or(l.job.Gang.ID, string(l.job.ID))}
		if together[k] == nil {
			order = append(order, k)
		}
		together[k] = append(together[k], l)
	}
	s.preempted = nil
	for _, k := range order {
		lost := together[k]
		gang := lost[0].job.Gang
		if gang.Cardinality = len(lost); gang.Cardinality > 1 {
			gang.ID = fmt.Sprintf("%s-again-%d", gang.ID, lost[0].trial)
		} else {
			gang = armada.Gang{}
		}
		delay := s.Clusters.WorkflowManagerDelayDistribution.draw(lost[0].of.delays)
		s.agenda.note(s.now+delay, func() error {
			for _, l := range lost {
				if err := s.submit(&life{of: l.of, takes: l.takes, trial: l.trial + 1}, gang); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
