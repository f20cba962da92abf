package leader

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
	"armada/internal/scheduling"
)

// someBids are bids that a test changes.
type someBids struct {
	latest  armada.Bids
	changed chan struct{}
}

func (b *someBids) Latest() armada.Bids      { return b.latest }
func (b *someBids) Changed() <-chan struct{} { return b.changed }

// set makes the queue of [aJob] bid in the default pool, by band from A on.
func (b *someBids) set(bids ...armada.Price) {
	var q armada.QueueBids
	for i, p := range bids {
		q[i+1] = armada.Bid{Queued: p, Running: p}
	}
	b.latest = armada.Bids{"default": {"physics": q}}
	b.changed <- struct{}{}
}

// gathered are the metrics of what is reported, by name.
func gathered(t *testing.T, x *Explanations) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(reported{x, armada.DefaultResourceTable()}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetGauge().GetValue()
		}
	}
	return values
}

func TestALeaderSellsThePlacesOfAMarket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		e := anExecutor("east")
		e.Lease = time.Hour
		m.acknowledge(e, aNode("n1", 1))
		bids := &someBids{changed: make(chan struct{}, 1)}
		r := start(t, m, "a", func(l *Leader, r *replica) {
			l.bids = bids
			withRules(func(c *scheduling.Config) {
				c.Market = &scheduling.MarketRules{SpotCutoff: 500_000}
			})(l, r)
		})
		bids.set(1_000_000, 2_000_000)
		pass(time.Second)
		low, high := aJob("low"), aJob("high")
		low.Band, high.Band = 1, 2
		m.submit(low)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, low.ID)

		// The bid is not enough, until it is raised.
		bids.set(2_000_000, 2_000_000)
		m.submit(high)
		pass(time.Second)
		wantState(t, m, armada.JobQueued, high.ID)
		waits, _ := m.job(high.ID)
		want := armada.Reason{Code: armada.ReasonOutbid, Pool: "default", Have: 2_000_000, Want: 2_000_000}
		if reasons := r.Explanations().Reasons(waits); len(reasons) != 1 || reasons[0].String() != want.String() {
			t.Errorf("it waits for %v, want %v", reasons, want)
		}
		if market := r.Explanations().Reports()[0].Market; market == nil || market.SpotPrice != 2_000_000 || market.SetBy != "physics" {
			t.Errorf("the market is %+v, want a spot price of 2 set by physics", market)
		}
		if values := gathered(t, r.Explanations()); values["armada_leader_realised_value"] != 2 || values["armada_leader_idealised_value"] != 2 {
			t.Errorf("the metrics tell %v, want that one node is worth 2", values)
		}
		bids.set(2_000_000, 3_000_000)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, high.ID)
		if job, _ := m.job(low.ID); job.Wish.Kind != armada.WishPreempt || job.Wish.For != high.ID {
			t.Errorf("the wish about the job with the lower bid is %+v, want that it goes for the other", job.Wish)
		}
	})
}
