package app

import (
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"armada/internal/scheduling"
)

func TestAPoolReplacesWhatItNamesOfTheRules(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
scheduling:
  fairness: {usageHalfLife: 1h, shortJobPenaltyCutoff: 2m}
  reservations: {for: 2h}
  preemption: {maxPerRound: 50, rate: {perSecond: 10, burst: 100}}
  pools:
    gpu: {reservations: {after: 0s}, fairness: {preferLargeJobs: true, shortJobPenaltyCutoff: 0s}, preemption: {urgency: false, protectedFractionOfFairShare: 0.5}}
`)
	if err != nil {
		t.Fatal(err)
	}
	all := scheduling.PoolRules{
		Fairness:     scheduling.FairnessRules{UsageHalfLife: time.Hour, ShortJobPenalty: 2 * time.Minute},
		Preemption:   scheduling.PreemptionRules{FairShare: true, Urgency: true, ProtectedShare: 1_000_000, MaxPerRound: 50, Rate: scheduling.Rate{PerSecond: 10, Burst: 100}},
		Reservations: scheduling.ReservationRules{After: 10 * time.Minute, For: 2 * time.Hour, MostNodes: 200_000},
	}
	gpu := all
	gpu.Reservations.After = 0
	gpu.Fairness.PreferLargeJobs, gpu.Fairness.ShortJobPenalty = true, 0
	gpu.Preemption.Urgency, gpu.Preemption.ProtectedShare = false, 500_000
	got := c.RoundConfig()
	if diff := gocmp.Diff(map[string]scheduling.PoolRules{"gpu": gpu}, got.Pools); diff != "" || got.PoolRules != all {
		t.Errorf("the rules are %+v, and of pools (-want +got):\n%s", got.PoolRules, diff)
	}
}

func TestEverythingThatIsWrongWithFairnessAndPreemptionIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
scheduling:
  fairness: {usageHalfLife: 1ms}
  reservations: {after: 1ms, for: -1s, maximumFractionOfNodes: 1.5}
  preemption: {protectedFractionOfFairShare: -1, rate: {burst: 1}}
  pools: {gpu: {fairness: {shortJobPenaltyCutoff: -1s}, preemption: {maxPerRound: -2, protectedFractionOfFairShare: 1, rate: {perSecond: 1, burst: 1}}}}
`)
	for _, want := range []string{
		"scheduling.fairness.usageHalfLife: must be 0s, to remember nothing, or at least 1s, is 1ms",
		"scheduling.pools.gpu.fairness.shortJobPenaltyCutoff: must be 0s, for no penalty, or longer, is -1s",
		"scheduling.preemption.protectedFractionOfFairShare: must be a fraction from 0 up, such as 1 for the whole fair share, is -1",
		"scheduling.reservations.after: must be 0s, to keep no nodes, or at least 1s, is 1ms",
		"scheduling.reservations.for: must be at least 1s, is -1s",
		"scheduling.reservations.maximumFractionOfNodes: must be a fraction from 0 to 1, is 1.5",
		"scheduling.preemption.rate.perSecond: must be from",
		"scheduling.pools.gpu.preemption.maxPerRound: must be 0, for no bound, or more, is -2",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
