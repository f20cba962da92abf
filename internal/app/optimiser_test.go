package app

import (
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/scheduling"
)

func TestAPoolMayHaveAnOptimiser(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
scheduling:
  pools:
    cpu:
      preemption: {fairShare: false}
      optimiser:
        enabled: true
        minimumJobSizeToSchedule: cpu=16
        maximumJobSizeToPreempt: cpu=2,memory=4Gi
        minimumFairnessImprovementPercentage: 5
        maximumResourceFractionToSchedule: 0.25
`)
	if err != nil {
		t.Fatal(err)
	}
	want := &scheduling.OptimiserRules{
		Large: armada.Resources{16_000}, Improvement: 50_000, Interval: time.Minute, MaxJobs: 1, MaxShare: 250_000,
	}
	for i := range want.Small {
		want.Small[i] = scheduling.Unbounded
	}
	want.Small[0], want.Small[1] = 2000, 4<<30
	if diff := gocmp.Diff(want, c.RoundConfig().Pools["cpu"].Optimiser); diff != "" {
		t.Errorf("the optimiser (-want +got):\n%s", diff)
	}
}

func TestEverythingThatIsWrongWithOptimisersIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
scheduling:
  pricing: {file: bids.yaml}
  pools:
    off: {optimiser: {interval: -1s}}
    fair: {optimiser: {enabled: true, minimumJobSizeToSchedule: cpu=2, maximumJobSizeToPreempt: cpu=2}}
    market: {marketDriven: true, optimiser: {enabled: true, minimumJobSizeToSchedule: cpu=x, maximumJobSizeToPreempt: cpu=2}}
    bounds:
      preemption: {fairShare: false}
      optimiser:
        {enabled: true, minimumJobSizeToSchedule: cpu=4, maximumJobSizeToPreempt: cpu=2, interval: -1s, maximumJobsPerRound: -1,
         minimumFairnessImprovementPercentage: 101, maximumResourceFractionToSchedule: 2}
`)
	for _, want := range []string{
		"scheduling.pools.fair.optimiser.enabled: needs preemption.fairShare: false in its pool",
		"scheduling.pools.fair.optimiser.maximumJobSizeToPreempt: must be less of some resource than minimumJobSizeToSchedule",
		"scheduling.pools.market.optimiser.enabled: must be left out in a market-driven pool",
		"scheduling.pools.market.optimiser.minimumJobSizeToSchedule: ",
		"scheduling.pools.bounds.optimiser.minimumFairnessImprovementPercentage: must be from 0 to 100, is 101",
		"scheduling.pools.bounds.optimiser.interval: must not be negative, is -1s",
		"scheduling.pools.bounds.optimiser.maximumJobsPerRound: must be 0, for no bound, or more, is -1",
		"scheduling.pools.bounds.optimiser.maximumResourceFractionToSchedule: must be a fraction",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "pools.off") {
		t.Errorf("an optimiser that is off does not matter:\n%v", err)
	}
}
