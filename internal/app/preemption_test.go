package app

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"armada/internal/scheduling"
)

func TestAPoolReplacesWhatItNamesOfThePreemptionRules(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
scheduling:
  preemption: {maxPerRound: 50, rate: {perSecond: 10, burst: 100}}
  pools:
    gpu: {preemption: {urgency: false, protectedFractionOfFairShare: 0.5}}
`)
	if err != nil {
		t.Fatal(err)
	}
	all := scheduling.PreemptionRules{FairShare: true, Urgency: true, ProtectedShare: 1_000_000, MaxPerRound: 50, Rate: scheduling.Rate{PerSecond: 10, Burst: 100}}
	gpu := all
	gpu.Urgency, gpu.ProtectedShare = false, 500_000
	got := c.RoundConfig()
	want := map[string]scheduling.PoolConfig{"gpu": {Preemption: gpu}}
	if diff := gocmp.Diff(want, got.Pools); diff != "" || got.Preemption != all {
		t.Errorf("the rules are %+v, and of pools (-want +got):\n%s", got.Preemption, diff)
	}
}

func TestEverythingThatIsWrongWithPreemptionIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
scheduling:
  preemption: {protectedFractionOfFairShare: -1, rate: {burst: 1}}
  pools: {gpu: {preemption: {maxPerRound: -2, protectedFractionOfFairShare: 1, rate: {perSecond: 1, burst: 1}}}}
`)
	for _, want := range []string{
		"scheduling.preemption.protectedFractionOfFairShare: must be a fraction from 0 up, such as 1 for the whole fair share, is -1",
		"scheduling.preemption.rate.perSecond: must be from",
		"scheduling.pools.gpu.preemption.maxPerRound: must be 0, for no bound, or more, is -2",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
