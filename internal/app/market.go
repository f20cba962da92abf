package app

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"armada"
	"armada/internal/podspec"
	"armada/internal/pricing"
	"armada/internal/scheduling"
)

// Market says how a market-driven pool tells its prices.
type Market struct {
	// SpotPriceCutoff is the fraction of the pool that is held by the highest bids
	// at least, when the lowest of them is the spot price.
	SpotPriceCutoff float64
	// SecondPrice lets the queue whose bid is the spot price pay the most that
	// others bid up to it.
	SecondPrice bool
	// Shapes are those of which the reports and metrics tell what would have to be
	// bid now.
	Shapes []PricedShape
}

// PricedShape is a number of jobs alike, to be placed together.
type PricedShape struct {
	Name            string
	Jobs            int
	UniformityLabel string            // node label whose value their nodes must share
	NodeSelector    map[string]string // labels of their nodes
	Tolerations     []armada.Toleration
	Resources       string // of one job, such as cpu=2,memory=8Gi
}

// SetDefaults makes a shape that of one job.
func (s *PricedShape) SetDefaults() { s.Jobs = 1 }

// SetDefaults gives a pool what it does not name.
func (p *Pool) SetDefaults() { p.Market, p.Optimiser = defaultMarket(), defaultOptimiser() }

func defaultMarket() Market { return Market{SpotPriceCutoff: 0.9} }

// rules are what rounds of the pool decide from; nil for one that is no market.
func (p Pool) rules(table armada.ResourceTable) *scheduling.MarketRules {
	if !p.MarketDriven {
		return nil
	}
	r := &scheduling.MarketRules{
		SpotCutoff: int64(math.Round(p.Market.SpotPriceCutoff * 1e6)), SecondPrice: p.Market.SecondPrice,
	}
	for _, s := range p.Market.Shapes {
		needs := &armada.Requirements{Tolerations: s.Tolerations}
		needs.Resources, _ = podspec.ParseCapacity(s.Resources, table, armada.Resources{}) // Validate tells what is wrong
		for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
			needs.NodeSelector = append(needs.NodeSelector, armada.Label{Key: key, Value: s.NodeSelector[key]})
		}
		r.Shapes = append(r.Shapes, scheduling.PricedShape{
			Name: s.Name, Jobs: s.Jobs, UniformityLabel: s.UniformityLabel, Requirements: needs,
		})
	}
	return r
}

// validatePools tells everything that is wrong with market-driven pools, where
// their bids come from, and optimisers.
func (c Config) validatePools() error {
	var errs []error
	if err := c.Scheduling.Pricing.Validate(); err != nil {
		errs = append(errs, prefixed("scheduling.pricing", err))
	}
	markets := 0
	for _, name := range slices.Sorted(maps.Keys(c.Scheduling.Pools)) {
		p, path := c.Scheduling.Pools[name], "scheduling.pools."+name
		errs = append(errs, c.Scheduling.validateAwayPools(name))
		errs = append(errs, p.Optimiser.validate(path+".optimiser", p, c.Scheduling.Preemption, c.resources()))
		if p.MarketDriven {
			markets++
			errs = append(errs, p.validateMarket(path, c.resources()))
		} else if p.Market.SecondPrice || len(p.Market.Shapes) > 0 || p.Market.SpotPriceCutoff != defaultMarket().SpotPriceCutoff {
			errs = append(errs, fmt.Errorf("%s.market: must be left out, for %s.marketDriven is not true", path, path))
		}
	}
	if markets > 0 && !c.Scheduling.Pricing.Configured() {
		errs = append(errs, errors.New("scheduling.pricing: must name the file or service.address that the bids of market-driven pools come from"))
	}
	return errors.Join(errs...)
}

// validateMarket tells everything that is wrong with one market-driven pool.
func (p Pool) validateMarket(path string, table armada.ResourceTable) error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: "+format, append([]any{path, field}, args...)...))
	}
	for _, f := range []struct {
		field string
		said  bool
	}{
		{"fairShare", p.Preemption.FairShare != nil && *p.Preemption.FairShare},
		{"urgency", p.Preemption.Urgency != nil && *p.Preemption.Urgency},
		{"protectedFractionOfFairShare", p.Preemption.ProtectedFractionOfFairShare != nil},
		{"maxPerRound", p.Preemption.MaxPerRound != nil},
		{"rate", p.Preemption.Rate != nil},
	} {
		if f.said {
			wrong("preemption."+f.field, "must be left out in a market-driven pool, where places go to who bids more")
		}
	}
	if f := p.Market.SpotPriceCutoff; !(f > 0 && f <= 1) {
		wrong("market.spotPriceCutoff", "must be a fraction of the pool above 0 and up to 1, such as 0.9, is %v", f)
	}
	seen := map[string]bool{}
	for i, s := range p.Market.Shapes {
		at := fmt.Sprintf("market.shapes[%d]", i)
		if s.Name == "" || seen[s.Name] {
			wrong(at+".name", "%q is empty or given twice", s.Name)
		}
		seen[s.Name] = true
		if s.Jobs < 1 || s.Jobs > podspec.MaxGang {
			wrong(at+".jobs", "must be from 1 to %d, is %d", podspec.MaxGang, s.Jobs)
		}
		if asked, err := podspec.ParseCapacity(s.Resources, table, armada.Resources{}); err != nil {
			wrong(at+".resources", "%v", err)
		} else if asked.IsZero() {
			wrong(at+".resources", "must say what one job asks for, such as cpu=2,memory=8Gi")
		}
	}
	return errors.Join(errs...)
}

// prefixed puts a path before every one of joined errors.
func prefixed(path string, err error) error {
	var all []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			all = append(all, fmt.Errorf("%s.%w", path, one))
		}
		return errors.Join(all...)
	}
	return fmt.Errorf("%s.%w", path, err)
}

// openBids makes what learns the bids of market-driven pools; nil where nobody bids.
func (s *System) openBids() error {
	if !s.config.Scheduling.Pricing.Configured() {
		return nil
	}
	var err error
	s.bids, err = pricing.New(s.config.Scheduling.Pricing, pricing.Parts{
		Queues: s.store.Queues, Log: s.log.With("part", "pricing"), Metrics: s.registry,
	})
	return err
}
