package simulator_test

import (
	"testing"

	"armada"
	"armada/internal/scheduling"
)

func TestASimulatedMarketSellsItsPlaces(t *testing.T) {
	t.Parallel()
	// One core. The queue that comes later bids more, and has what it wants at once.
	s := scenario(t, nodes(1, "1", "16Gi"), `queues:
  - {name: early, jobTemplates: [{priceBand: A, `+small+`, runtimeDistribution: {minimum: 1h}}]}
  - {name: late, jobTemplates: [{priceBand: B, earliestSubmitTime: 10m, `+small+`, runtimeDistribution: {minimum: 1h}}]}
`)
	s.Scheduling.Market = &scheduling.MarketRules{SpotCutoff: 900_000}
	var early, late armada.QueueBids
	early[1], late[2] = armada.Bid{Queued: 1, Running: 1}, armada.Bid{Queued: 2, Running: 2}
	for _, bids := range []armada.Bids{{armada.DefaultPool: {"early": early, "late": late}}, nil} {
		s.Bids = bids
		if got, want := play(t, s).Summary().Queues[0].Preempted, len(bids); got != want {
			t.Errorf("with the bids %v %d jobs are preempted, want %d", bids, got, want)
		}
	}
}
