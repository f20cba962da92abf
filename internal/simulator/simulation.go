package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
)

// began is the moment 0 of every simulation; nothing depends on which it is.
var began = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// byScheduler is who asks for preemptions.
const byScheduler = "scheduler"

// Run plays the scenario to its end: when nothing is left to happen, or at the
// time that bounds it. An error says what is wrong with the scenario, or that
// scheduler and life cycle contradict each other, which is a defect.
func Run(s Scenario) (*Result, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	sim := newSimulation(s)
	for _, t := range sim.templates {
		if t.awaits == 0 {
			sim.scheduleWaves(t, t.EarliestSubmitTime)
		}
	}
	for {
		tick, more := sim.nextTick()
		if !more || tick > s.Until {
			break
		}
		if err := sim.advance(tick); err != nil {
			return nil, err
		}
	}
	return sim.finish(), nil
}

// simulation is a scenario while it is played.
type simulation struct {
	Scenario
	agenda    agenda
	now       time.Duration
	lastTick  time.Duration
	pools     []*pool // in the order of their rounds
	shared    *scheduling.Shared
	kinds     []scheduling.KnownKind
	templates []*template
	lives     map[armada.JobID]*life // of active jobs
	numbers   int64
	pending   *rand.PCG // delays before runs start
	preempted []*life   // in this round
	result    *Result
}

// pool is a pool with what the simulation knows of it.
type pool struct {
	name    string
	plan    *scheduling.Pool
	seen    uint64 // the version that its last round decided from
	began   bool   // it had a round
	wake    time.Time
	waiting []scheduling.Waiting // of its last round
}

func newSimulation(s Scenario) *simulation {
	sim := &simulation{
		Scenario: s, lastTick: -s.RoundEvery, lives: map[armada.JobID]*life{},
		shared:  scheduling.NewShared(s.Scheduling),
		pending: source(s.Workload.RandomSeed, "pending"),
		result:  &Result{Clusters: s.Clusters.Name, Workload: s.Workload.Name, Seed: s.Workload.RandomSeed, RoundEvery: s.RoundEvery, table: s.Scheduling.Resources},
	}
	sim.addNodes()
	for _, q := range s.Workload.Queues {
		// A factor below 1 counts as 1: the weights are relative, the heaviest is 1.
		heaviest := 0.0
		for _, o := range s.Workload.Queues {
			heaviest = max(heaviest, o.Weight)
		}
		for _, p := range sim.pools {
			p.plan.SetQueue(armada.Queue{Name: q.Name, PriorityFactor: heaviest / q.Weight})
		}
		sim.result.queues = append(sim.result.queues, q.Name)
	}
	sim.addTemplates()
	return sim
}

// addNodes makes the pools with their nodes.
func (s *simulation) addNodes() {
	for _, cluster := range s.Clusters.Clusters {
		p := s.pool(cmp.Or(cluster.Pool, armada.DefaultPool))
		for i, t := range cluster.NodeTemplates {
			has := amountsOf(t.TotalResources.Resources, s.Scheduling.Resources, false)
			var taints []armada.Taint
			for _, taint := range t.Taints {
				taints = append(taints, armada.Taint{Key: taint.Key, Value: taint.Value, Effect: armada.TaintEffect(taint.Effect)})
			}
			for n := range t.Number {
				node := armada.Node{
					Name: fmt.Sprintf("%s-%d-%d", cluster.Name, i+1, n+1), Executor: armada.ExecutorID(cluster.Name), Pool: p.name,
					Labels: map[string]string{}, Taints: taints, Allocatable: has,
				}
				for k, v := range t.Labels {
					node.Labels[k] = v
				}
				node.Labels[armada.LabelHostname] = node.Name
				p.plan.SetNode(node)
				s.result.addNode(p.name, has)
				if n == 0 {
					s.kinds = append(s.kinds, scheduling.KnownKind{Executor: node.Executor, NodeKind: node.Kind()})
				}
			}
		}
	}
	scheduling.SortKnown(s.kinds)
	names, byName := []string{}, map[string]*pool{}
	for _, p := range s.pools {
		p.plan.SetKnown(s.kinds)
		names, byName[p.name] = append(names, p.name), p
	}
	s.pools = s.pools[:0]
	for _, name := range s.Scheduling.InTurn(names) {
		s.pools = append(s.pools, byName[name])
	}
}

func (s *simulation) pool(name string) *pool {
	at := slices.IndexFunc(s.pools, func(p *pool) bool { return p.name == name })
	if at < 0 {
		at = len(s.pools)
		s.pools = append(s.pools, &pool{name: name, plan: s.shared.NewPool(name)})
		s.pools[at].plan.SetBids(s.Bids[name])
	}
	return s.pools[at]
}

// at is a moment as the scheduler and the life cycle are told it.
func (s *simulation) at(d time.Duration) time.Time { return began.Add(d) }

// nextTick is the next tick at which something could be decided, after all that
// happens until then; false when nothing is left to happen or to decide.
func (s *simulation) nextTick() (tick time.Duration, more bool) {
	earliest := s.lastTick + s.RoundEvery
	consider := func(moment time.Duration) {
		ticks := (moment + s.RoundEvery - 1) / s.RoundEvery
		moment = max(ticks*s.RoundEvery, earliest)
		if !more || moment < tick {
			tick, more = moment, true
		}
	}
	if at, due := s.agenda.next(); due {
		consider(at)
	}
	for _, p := range s.pools {
		switch {
		case !p.began || p.plan.Version() != p.seen:
			consider(earliest)
		case !p.wake.IsZero():
			consider(p.wake.Sub(began))
		}
	}
	return tick, more
}

// advance lets happen what is due up to a tick, and runs the rounds of the tick.
func (s *simulation) advance(tick time.Duration) error {
	if err := s.until(tick); err != nil {
		return err
	}
	s.now, s.lastTick = tick, tick
	ran := false
	for _, p := range s.pools {
		woken := !p.wake.IsZero() && !s.at(tick).Before(p.wake)
		if p.began && p.plan.Version() == p.seen && !woken {
			continue
		}
		ran = true
		if err := s.round(p); err != nil {
			return fmt.Errorf("the round of pool %s at %s: %w", p.name, tick, err)
		}
	}
	if ran {
		s.result.Rounds++
	}
	return nil
}

// until lets happen what is due up to a moment.
func (s *simulation) until(moment time.Duration) error {
	for {
		at, due := s.agenda.next()
		if !due || at > moment {
			return nil
		}
		s.now = at
		if err := s.agenda.take().do(); err != nil {
			return fmt.Errorf("at %s: %w", at, err)
		}
	}
}

// round runs one round of a pool and does what it decided.
func (s *simulation) round(p *pool) error {
	p.began, p.seen = true, p.plan.Version()
	outcome := scheduling.Round(scheduling.Input{Now: s.at(s.now), Pool: p.plan})
	p.plan.Spend(s.at(s.now), outcome)
	p.wake, p.waiting = outcome.Wake, outcome.Waiting
	losses := map[string]int64{}
	for _, d := range outcome.Decisions {
		for _, v := range d.Preemptions {
			l := s.lives[v.Job]
			if l == nil {
				return fmt.Errorf("preempting job %s: %w", v.Job, errImpossible)
			}
			losses[l.job.Queue]++
			if err := s.preempt(l, v); err != nil {
				return err
			}
		}
		for _, granted := range d.Leases {
			l := s.lives[granted.Job]
			if l == nil {
				return fmt.Errorf("leasing job %s: %w", granted.Job, errImpossible)
			}
			terms := lifecycle.Terms{Executor: granted.Executor, Node: granted.Node, Pool: p.name, After: granted.After, Away: granted.Away}
			if err := s.lease(l, terms); err != nil {
				return err
			}
		}
	}
	s.result.addRound(s.now, &outcome.Report, losses)
	s.submitAgain()
	return nil
}

// errImpossible tells of a decision that does not fit what it was made from: a
// defect, never a race, for nothing else happens meanwhile.
var errImpossible = errors.New("the decision contradicts the world")

// finish closes the books: what runs still is counted up to the end.
func (s *simulation) finish() *Result {
	s.result.End = s.result.lastEnd
	if s.result.stopped = len(s.agenda.due) > 0; s.result.stopped {
		s.result.End = s.Until
	}
	left := make([]*life, 0, len(s.lives))
	for _, l := range s.lives {
		left = append(left, l)
	}
	slices.SortFunc(left, func(a, b *life) int { return cmp.Compare(a.job.Number, b.job.Number) })
	for _, l := range left {
		s.record(l)
	}
	for _, p := range s.pools {
		s.result.waits = append(s.result.waits, p.waiting...)
	}
	for _, t := range s.templates {
		s.result.unsubmitted += t.Number * t.waves
	}
	return s.result
}
