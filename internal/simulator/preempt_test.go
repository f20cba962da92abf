package simulator

import (
	"testing"
	"time"

	"armada"
	"armada/internal/scheduling"
)

// TestWhatIsLeftOfAPreemptedGangIsSubmittedAgainAsAGang plays decisions that a
// scheduler may take.
func TestWhatIsLeftOfAPreemptedGangIsSubmittedAgainAsAGang(t *testing.T) {
	t.Parallel()
	s := Scenario{
		Rules:      Rules{Scheduling: scheduling.Config{Resources: armada.DefaultResourceTable(), Classes: []armada.PriorityClass{{Name: "loose", Preemptible: true}}}, DefaultClass: "loose"},
		RoundEvery: 10 * time.Second, Until: time.Hour,
	}
	s.Scheduling.FairnessMultipliers[0] = 1000
	node := NodeTemplate{Number: 1}
	node.TotalResources.Resources = map[string]string{armada.CPU: "3"}
	s.Clusters.Clusters = []Cluster{{Name: "c", NodeTemplates: []NodeTemplate{node}}}
	job := JobTemplate{Number: 3, GangCardinality: 3, RuntimeDistribution: Spread{Minimum: time.Minute}}
	job.Requirements.ResourceRequirements.Requests = map[string]string{armada.CPU: "1"}
	s.Workload.Queues = []Queue{{Name: "q", Weight: 1, JobTemplates: []JobTemplate{job}}}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	sim := newSimulation(s)
	sim.scheduleWaves(sim.templates[0], 0)
	advance := func(to time.Duration) {
		t.Helper()
		for {
			tick, more := sim.nextTick()
			if !more || tick > to {
				return
			}
			if err := sim.advance(tick); err != nil {
				t.Fatal(err)
			}
		}
	}
	advance(30 * time.Second)
	if err := sim.until(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	sim.now = 30 * time.Second
	taken := 0
	for number := int64(1); number <= 2; number++ {
		for _, l := range sim.lives {
			if l.job.Number != number {
				continue
			}
			taken++
			if err := sim.preempt(l, scheduling.Preemption{Job: l.job.ID, Run: l.run.ID, Reason: "room"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sim.submitAgain()
	advance(time.Hour)
	r := sim.finish()

	again := 0
	for _, l := range r.lives {
		if l.trial == 2 {
			again++
			if l.job.State != armada.JobSucceeded || l.job.Gang.Cardinality != 2 || l.takes != time.Minute {
				t.Errorf("the second trial is %+v", l.job)
			}
		}
	}
	sum := r.Summary()
	if taken != 2 || again != 2 || sum.Preemptions != 2 || sum.States["succeeded"] != 3 {
		t.Errorf("%d were taken, %d submitted again, the summary is %+v", taken, again, sum)
	}
	// Two cores for half a minute.
	if want := 1.0 / 60; sum.WastedCoreHours < want-1e-9 || sum.WastedCoreHours > want+1e-9 {
		t.Errorf("%v core hours were wasted, want %v", sum.WastedCoreHours, want)
	}
}

// TestPreemptionIsThatOfThePool has a queue fill two pools, of which one preempts
// for fairness, before another comes.
func TestPreemptionIsThatOfThePool(t *testing.T) {
	t.Parallel()
	s := Scenario{
		Rules:      Rules{Scheduling: scheduling.Config{Resources: armada.DefaultResourceTable(), Classes: []armada.PriorityClass{{Name: "loose", Preemptible: true}}}, DefaultClass: "loose"},
		RoundEvery: 10 * time.Second, Until: 10 * time.Minute,
	}
	s.Scheduling.FairnessMultipliers[0] = 1000
	s.Scheduling.Pools = map[string]scheduling.PoolRules{"fair": {Preemption: scheduling.PreemptionRules{FairShare: true, ProtectedShare: 1_000_000}}}
	node := NodeTemplate{Number: 1}
	node.TotalResources.Resources = map[string]string{armada.CPU: "4"}
	for _, pool := range []string{"fair", "other"} {
		s.Clusters.Clusters = append(s.Clusters.Clusters, Cluster{Name: pool, Pool: pool, NodeTemplates: []NodeTemplate{node}})
	}
	early := JobTemplate{Number: 8, RuntimeDistribution: Spread{Minimum: time.Hour}}
	early.Requirements.ResourceRequirements.Requests = map[string]string{armada.CPU: "1"}
	late := early
	late.EarliestSubmitTime = time.Minute
	s.Workload.Queues = []Queue{{Name: "early", Weight: 1, JobTemplates: []JobTemplate{early}}, {Name: "late", Weight: 1, JobTemplates: []JobTemplate{late}}}
	r, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	preempted := map[string]int{}
	for _, l := range r.lives {
		if l.job.State == armada.JobPreempted {
			preempted[l.run.Pool]++
		}
	}
	if preempted["fair"] != 2 || preempted["other"] != 0 {
		t.Errorf("runs were preempted by pool: %v, want two in the fair one", preempted)
	}
}
