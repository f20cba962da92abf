package app

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/scheduling"
)

func TestLimitsAreReadAsTheSchedulerTakesThem(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
jobs:
  priorityClasses:
    - name: armada-default
      priority: 1000
      queueLimits: {maximum: {cpu: 0.5}, maximumByPool: {small: {licences: 1}}}
scheduling:
  maxJobsPerRound: 500
  roundLimits: {maximumByPool: {small: {memory: 0.25}}}
  rate: {perSecond: 100, burst: 1000}
  queueRate: {perSecond: 0.5, burst: 10}
  podLimits: true
  floatingResources:
    - name: licences
      budgets:
        - {pools: [default, small], amount: 40}
        - {pools: [other], amount: 2}
`)
	if err != nil {
		t.Fatal(err)
	}
	got := c.scheduling()
	if names := got.Resources.Names(); !gocmp.Equal(names, []string{armada.CPU, armada.Memory, armada.EphemeralStorage, armada.NvidiaGPU, armada.Pods, "licences"}) {
		t.Errorf("counted are %v", names)
	}
	if at, _ := got.Resources.Index("licences"); !got.Resources.At(at).Floating {
		t.Error("licences are taken for a part of nodes")
	}
	want := []any{
		500, 0.25,
		scheduling.Rate{PerSecond: 100, Burst: 1000},
		scheduling.Rate{PerSecond: 0.5, Burst: 10},
		0.5, 1.0,
		[]scheduling.Budget{{Resource: "licences", Pools: []string{"default", "small"}, Amount: 40}, {Resource: "licences", Pools: []string{"other"}, Amount: 2}},
	}
	if diff := gocmp.Diff(want, []any{
		got.MaxLeasesPerRound, got.RoundLimits.In("small")[armada.Memory], got.Rate, got.QueueRate,
		got.Classes[0].QueueLimits.In("default")[armada.CPU], got.Classes[0].QueueLimits.In("small")["licences"], got.Budgets,
	}); diff != "" {
		t.Errorf("the scheduler gets (-want +got):\n%s", diff)
	}
}

func TestNothingIsLimitedUnlessItIsSaid(t *testing.T) {
	t.Parallel()
	got := DefaultConfig().scheduling()
	if got.Rate != (scheduling.Rate{}) || got.QueueRate != (scheduling.Rate{}) || got.MaxLeasesPerRound != 0 || len(got.RoundLimits.In("default"))+len(got.Budgets) > 0 {
		t.Errorf("the defaults are %+v", got)
	}
	for _, class := range got.Classes {
		if len(class.QueueLimits.In("default")) > 0 {
			t.Errorf("%s is limited to %v", class.Name, class.QueueLimits)
		}
	}
}

func TestEverythingThatIsWrongWithALimitIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
jobs:
  priorityClasses:
    - {name: armada-default, queueLimits: {maximum: {cpu: -1}, maximumByPool: {small: {fpga: 0.5}}}}
executors: {maxUnacknowledged: -1}
executor: {minimumJob: "fpga=1"}
scheduling:
  maxJobsPerRound: -1
  roundLimits: {maximum: {memory: NaN}}
  rate: {perSecond: 100}
  queueRate: {burst: 10}
  floatingResources:
    - {name: licences, budgets: [{amount: -4}, {pools: [a, a], amount: 1}]}
`)
	for _, want := range []string{
		"jobs.priorityClasses[0].queueLimits.maximum.cpu: must be a fraction of the pool from 0 up, is -1",
		`jobs.priorityClasses[0].queueLimits.maximumByPool.small: "fpga" is not counted; cpu,`,
		"executors.maxUnacknowledged: must be 0, for no bound, or more, is -1",
		`executor.minimumJob: capacity "fpga=1": must be resource=amount, where the resource is one of cpu,`,
		"scheduling.maxJobsPerRound: must be 0, for no bound, or more, is -1",
		"scheduling.roundLimits.maximum.memory: must be a fraction",
		"scheduling.rate.burst: must be from 1 to 1000000000, is 0",
		"scheduling.queueRate.perSecond: must be from 0.001 to 1000000, or 0 with a burst of 0 for no bound, is 0",
		"scheduling.floatingResources[0].budgets[0].pools: must name the pools that share it",
		"scheduling.floatingResources[0].budgets[0].amount: must not be negative, is -4",
		`scheduling.floatingResources[0].budgets[1].pools: "a" has a budget already`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	for text, want := range map[string]string{
		"[{name: cpu}]":  `scheduling.floatingResources[0].name: "cpu" is counted already`,
		"[{name: pods}]": `scheduling.floatingResources[0].name: "pods" is counted already`,
		"[{}]":           "scheduling.floatingResources[0].name: must be given",
		"[{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]": "scheduling.floatingResources[4]: 8 resources can be counted in all",
	} {
		if _, err := configured(t, "scheduling: {floatingResources: "+text+"}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error about %s does not say %q: %v", text, want, err)
		}
	}
}
