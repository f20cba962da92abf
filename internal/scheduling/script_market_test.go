package scheduling

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"armada"
)

// market [spot=FRACTION] [second]: the pool is a market.
func (s *script) market(a *arguments) error {
	cutoff, err := strconv.ParseFloat(cmp.Or(a.value("spot"), "0.9"), 64)
	s.config.Market = &MarketRules{SpotCutoff: int64(cutoff * 1_000_000), SecondPrice: a.flag("second")}
	return err
}

// quote NAME [jobs=N] [uniform=LABEL] AMOUNTS [REQUIREMENTS]: what would such jobs
// have to bid?
func (s *script) quote(a *arguments) error {
	market := s.config.Market
	shape := PricedShape{Name: a.word(0), Jobs: a.number("jobs", 1), UniformityLabel: a.value("uniform")}
	var err error
	shape.Requirements, err = s.requirements(a)
	market.Shapes = append(market.Shapes, shape)
	return err
}

// bid QUEUE [BAND=PRICE | BAND=QUEUED/RUNNING]...: band none is for jobs without.
func (s *script) bid(a *arguments) error {
	var bids armada.QueueBids
	for _, letter := range []string{"none", "A", "B", "C", "D", "E", "F", "G", "H"} {
		text := a.value(letter)
		if text == "" {
			continue
		}
		queued, running, both := strings.Cut(text, "/")
		if !both {
			running = queued
		}
		band, _ := armada.ParsePriceBand(letter)
		for _, phase := range []struct {
			text  string
			price *armada.Price
		}{{queued, &bids[band].Queued}, {running, &bids[band].Running}} {
			amount, err := strconv.ParseFloat(phase.text, 64)
			if err != nil {
				return err
			}
			if *phase.price, err = armada.NewPrice(amount); err != nil {
				return err
			}
		}
	}
	s.bids = maps.Clone(s.bids)
	s.bids[a.word(0)] = bids
	s.pool.SetBids(s.bids)
	return nil
}

// prices tells what the last round reported of the market.
func (s *script) prices(*arguments) (string, error) {
	m := s.last.Report.Market
	if m == nil {
		return "the pool is no market\n", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "spot price %v", m.SpotPrice)
	if m.SetBy != "" {
		fmt.Fprintf(&b, ", set by %s", m.SetBy)
	}
	if s.config.Market.SecondPrice {
		fmt.Fprintf(&b, ", which pays %v", m.SetterPays)
	}
	b.WriteByte('\n')
	for _, q := range m.Quotes {
		switch {
		case q.Reason.Code != armada.ReasonNone:
			fmt.Fprintf(&b, "%s: at no price: %v\n", q.Shape, q.Reason)
		case q.Free:
			fmt.Fprintf(&b, "%s: any price\n", q.Shape)
		default:
			fmt.Fprintf(&b, "%s: more than %v\n", q.Shape, q.Outbid)
		}
	}
	return b.String(), nil
}

// values tells what the last round reported that queues' parts are worth.
func (s *script) values(*arguments) (string, error) {
	var b strings.Builder
	if m := s.last.Report.Market; m != nil {
		for _, v := range m.Values {
			fmt.Fprintf(&b, "%s: %v, and %v if all nodes were one\n", v.Queue, v.Realised, v.Idealised)
		}
	}
	return cmp.Or(b.String(), "nothing\n"), nil
}

// optimise large=AMOUNTS small=AMOUNTS [better=FRACTION] [interval=D] [jobs=N] [share=FRACTION]
func (s *script) optimise(a *arguments) error {
	rules := &OptimiserRules{MaxJobs: a.number("jobs", 0)}
	amounts := func(key string, otherwise int64) (r armada.Resources, err error) {
		asked, err := s.resources(parseArguments(strings.Split(a.value(key), ",")))
		for i, amount := range asked {
			if r[i] = amount; amount == 0 {
				r[i] = otherwise
			}
		}
		return r, err
	}
	var errs [5]error
	rules.Large, errs[0] = amounts("large", 0)
	rules.Small, errs[1] = amounts("small", Unbounded)
	better, err := strconv.ParseFloat(cmp.Or(a.value("better"), "0"), 64)
	errs[2], rules.Improvement = err, int64(better*1_000_000)
	share, err := strconv.ParseFloat(cmp.Or(a.value("share"), "0"), 64)
	errs[3], rules.MaxShare = err, int64(share*1_000_000)
	rules.Interval, errs[4] = time.ParseDuration(cmp.Or(a.value("interval"), "0s"))
	s.config.Optimiser = rules
	return errors.Join(errs[:]...)
}
