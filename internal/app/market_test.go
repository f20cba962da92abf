package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/pricing"
	"armada/internal/scheduling"
)

func TestAPoolMayBeAMarket(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
scheduling:
  pricing: {service: {address: "bids.example:50051", tls: true}, refresh: 30s}
  pools:
    gpu:
      marketDriven: true
      market:
        secondPrice: true
        shapes:
          - {name: small, resources: cpu=1}
          - {name: rack, jobs: 4, uniformityLabel: rack, nodeSelector: {zone: b}, resources: "cpu=8,memory=2Gi",
             tolerations: [{key: gpu, exists: true}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	small := &armada.Requirements{Resources: armada.Resources{1000}}
	rack := &armada.Requirements{
		Resources: armada.Resources{8000, 2 << 30}, NodeSelector: []armada.Label{{Key: "zone", Value: "b"}},
		Tolerations: []armada.Toleration{{Key: "gpu", Exists: true}},
	}
	want := &scheduling.MarketRules{SpotCutoff: 900_000, SecondPrice: true, Shapes: []scheduling.PricedShape{
		{Name: "small", Jobs: 1, Requirements: small},
		{Name: "rack", Jobs: 4, UniformityLabel: "rack", Requirements: rack},
	}}
	if diff := gocmp.Diff(want, c.RoundConfig().Pools["gpu"].Market); diff != "" {
		t.Errorf("the market (-want +got):\n%s", diff)
	}
	asked := pricing.Config{Service: pricing.Service{Address: "bids.example:50051", TLS: true}, Refresh: 30 * time.Second}
	if c.Scheduling.Pricing != asked {
		t.Errorf("bids come from %+v, want %+v", c.Scheduling.Pricing, asked)
	}
}

func TestEverythingThatIsWrongWithMarketsIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
scheduling:
  pricing: {refresh: 0s, service: {tls: true}}
  pools:
    fair: {market: {secondPrice: true}}
    gpu:
      marketDriven: true
      preemption: {rate: {perSecond: 1, burst: 1}, fairShare: true, urgency: false}
      market: {spotPriceCutoff: 1.5, shapes: [{name: a, resources: cpu=1}, {name: a, resources: cpu=x, jobs: 0}, {name: b}]}
`)
	for _, want := range []string{
		"scheduling.pricing.refresh: must be more than nothing",
		"scheduling.pricing.service.tls: must be left out",
		"scheduling.pricing: must name the file or service.address",
		"scheduling.pools.fair.market: must be left out, for scheduling.pools.fair.marketDriven is not true",
		"scheduling.pools.gpu.preemption.rate: must be left out in a market-driven pool",
		"scheduling.pools.gpu.preemption.fairShare: must be left out in a market-driven pool",
		"scheduling.pools.gpu.market.spotPriceCutoff: must be a fraction of the pool above 0 and up to 1, such as 0.9, is 1.5",
		`scheduling.pools.gpu.market.shapes[1].name: "a" is empty or given twice`,
		"scheduling.pools.gpu.market.shapes[1].jobs: must be from 1 to",
		"scheduling.pools.gpu.market.shapes[1].resources: ",
		"scheduling.pools.gpu.market.shapes[2].resources: must say what one job asks for",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "urgency") {
		t.Errorf("urgency may be turned off:\n%v", err)
	}
}

func TestTheHowtoOfMarketsShowsSettingsAndBids(t *testing.T) {
	t.Parallel()
	howto, err := os.ReadFile(filepath.Join("..", "..", "docs", "howto", "market.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, block := range strings.Split(string(howto), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		kind, _, _ := strings.Cut(block, ":")
		seen[kind]++
		if kind == "scheduling" {
			_, err = configured(t, block)
		} else {
			path := filepath.Join(t.TempDir(), "bids.yaml")
			if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = pricing.ReadFile(path)
		}
		if err != nil {
			t.Errorf("%s\n%v", block, err)
		}
	}
	if seen["scheduling"] != 2 || seen["pools"] != 1 {
		t.Errorf("the howto shows %v, want two pieces of settings and one of bids", seen)
	}
}
