package scheduling

import (
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
)

// drawMarket draws a small, mostly full market.
func drawMarket(t *rapid.T) world {
	w := drawFull(t)
	pick := func(label string, of int) int { return rapid.IntRange(0, of-1).Draw(t, label) }
	rules := &MarketRules{SpotCutoff: int64(1+pick("cutoff", 4)) * 250_000, SecondPrice: true}
	for i := range pick("shapes", 3) {
		rules.Shapes = append(rules.Shapes, PricedShape{
			Name: string(rune('a' + i)), Jobs: pick("shape size", 4), UniformityLabel: []string{"", "zone"}[pick("shape label", 2)],
			Requirements: drawRequirements(t, pick),
		})
	}
	w.config.MaxDecision = 0
	w.config.Market = rules
	w.bids = drawBids(t, w)
	for i := range w.jobs {
		w.jobs[i].Band = armada.PriceBand(pick("band", 3))
	}
	return w
}

func drawBids(t *rapid.T, w world) map[string]armada.QueueBids {
	bids := map[string]armada.QueueBids{}
	for _, q := range w.queues {
		var b armada.QueueBids
		for band := range 3 {
			b[band] = armada.Bid{
				Queued:  armada.Price(rapid.IntRange(0, 4).Draw(t, "queued")),
				Running: armada.Price(rapid.IntRange(0, 4).Draw(t, "running")),
			}
		}
		bids[q.Name] = b
	}
	return bids
}

// worth is what a run bids at most, and a waiting job bids no more than asks.
func (w world) worth(j worldJob) armada.Price {
	b := w.bids[j.Queue][j.Band]
	return max(b.Queued, b.Running)
}

func (w world) asks(j worldJob) armada.Price { return w.bids[j.Queue][j.Band].Queued }

func TestNoWaitingJobOfAMarketBidsMoreThanARunThatAloneIsInItsWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawMarket(t)
		out := Round(Input{Pool: w.pool(0)})
		left := w.after(out).ended(whoever)
		cordoned := map[string]bool{}
		for _, q := range w.queues {
			cordoned[q.Name] = q.Cordoned
		}
		for _, j := range left.jobs {
			if j.run != nil || !j.Gang.Alone() || cordoned[j.Queue] {
				continue
			}
			for _, n := range w.nodes {
				if !w.accepts(n, j.needs) {
					continue
				}
				for _, o := range left.jobs {
					if o.run == nil || o.run.Node != n.Name || o.run.Executor != n.Executor || !o.Gang.Alone() || w.worth(o) >= w.asks(j) {
						continue
					}
					if room := left.free(n).Add(o.needs.Resources); j.needs.Resources.Fits(&room) {
						t.Fatalf("%v\n%v\n%s waits and bids %v, and %s on %s bids %v", w, out.Decisions, j.ID, w.asks(j), o.ID, n.Name, w.worth(o))
					}
				}
			}
		}
	})
}

func TestNobodyIsDisplacedWhoBidsAsMuch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawMarket(t)
		jobs := map[armada.JobID]worldJob{}
		for _, j := range w.jobs {
			jobs[j.ID] = j
		}
		for _, d := range Round(Input{Pool: w.pool(0)}).Decisions {
			for _, v := range d.Preemptions {
				if v.Cause == ForRepair {
					continue
				}
				for _, l := range d.Leases {
					if w.asks(jobs[l.Job]) <= w.worth(jobs[v.Job]) {
						t.Fatalf("%v\n%s bids %v and displaces %s, which bids %v", w, l.Job, w.asks(jobs[l.Job]), v.Job, w.worth(jobs[v.Job]))
					}
				}
			}
		}
	})
}

// A reason says what would have to be bid: who bids that gets a place, and who bids
// a little less gets none.
func TestWhoIsOutbidIsToldExactlyWhatWouldDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawMarket(t)
		out := Round(Input{Pool: w.pool(0)})
		w = w.after(out)
		for _, waiting := range out.Waiting {
			if waiting.Reason.Code != armada.ReasonOutbid {
				continue
			}
			for at := range w.jobs {
				if w.jobs[at].ID != waiting.First || !w.jobs[at].Gang.Alone() {
					continue
				}
				if bid := int64(w.asks(w.jobs[at])); bid != waiting.Reason.Have || bid > waiting.Reason.Want {
					t.Fatalf("%v\n%s bids %d: %v", w, waiting.First, bid, waiting.Reason)
				}
				for _, more := range []int64{0, 1} {
					price := armada.Price(waiting.Reason.Want + more)
					if got := w.places(at, price); got != (more > 0) {
						t.Fatalf("%v\n%s bids %v, which places it: %v; %v", w, waiting.First, price, got, waiting.Reason)
					}
				}
			}
		}
	})
}

// places tells whether a waiting job would get a place if it alone waited, at a
// price.
func (w world) places(at int, price armada.Price) bool {
	alone := w
	alone.jobs = nil
	for i, j := range w.jobs {
		if i == at || j.run != nil {
			alone.jobs = append(alone.jobs, j)
		}
	}
	const band = armada.PriceBands
	bids := w.bids[w.jobs[at].Queue]
	bids[band].Queued = price
	alone.bids = map[string]armada.QueueBids{}
	for queue, b := range w.bids {
		alone.bids[queue] = b
	}
	alone.bids[w.jobs[at].Queue] = bids
	for i := range alone.jobs {
		if alone.jobs[i].ID == w.jobs[at].ID {
			alone.jobs[i].Band = band
		}
	}
	for _, d := range Round(Input{Pool: alone.pool(0)}).Decisions {
		for _, l := range d.Leases {
			if l.Job == w.jobs[at].ID {
				return true
			}
		}
	}
	return false
}

// preempts tells whether a round takes somebody's place.
func preempts(out Outcome) bool {
	return slices.ContainsFunc(out.Decisions, func(d Decision) bool { return len(d.Preemptions) > 0 })
}

func TestAnUnchangedMarketStaysAsItIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawMarket(t)
		p := w.pool(0)
		out := Round(Input{Pool: p})
		if diff := gocmp.Diff(out, Round(Input{Pool: w.pool(rapid.Uint64Min(1).Draw(t, "seed"))})); diff != "" {
			t.Fatalf("%v\nthe order of patches shows:\n%s", w, diff)
		}
		if diff := gocmp.Diff(out, Round(Input{Pool: p})); diff != "" {
			t.Fatalf("%v\na round has changed the pool:\n%s", w, diff)
		}
		w = w.after(out)
		tell(p, w)
		second := Round(Input{Pool: p})
		if len(second.Decisions) > 0 {
			t.Fatalf("%v\nthe second round decided %v", w, second.Decisions)
		}
		was, is := *out.Report.Market, *second.Report.Market
		for i := range was.Quotes { // who leaves may leave more room than was taken
			if preempts(out) && is.Quotes[i].Outbid <= was.Quotes[i].Outbid {
				is.Quotes[i] = was.Quotes[i]
			}
		}
		if preempts(out) { // who leaves counted at first
			is.Values = was.Values
		}
		if diff := gocmp.Diff(was, is); diff != "" {
			t.Fatalf("%v\nprices have changed:\n%s", w, diff)
		}
	})
}

func TestAMarketWhoseBidsChangeDecidesLikeOneBuiltAnew(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawMarket(t)
		p := w.pool(0)
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "bids change") {
				w.bids = drawBids(t, w)
				before := p.Version()
				changed := p.SetBids(w.bids)
				if same := p.Version() == before; same == changed || p.SetBids(w.bids) {
					t.Fatalf("the version is the same: %v; changed: %v", same, changed)
				}
			}
			w = patch(t, w, p)
			out := Round(Input{Now: time.Unix(1, 0), Pool: p})
			if diff := gocmp.Diff(Round(Input{Now: time.Unix(1, 0), Pool: w.pool(0)}), out); diff != "" {
				t.Fatalf("%v\noutcomes (-built anew +patched):\n%s", w, diff)
			}
			w = w.after(out)
			tell(p, w)
		}
	})
}

// Outside markets nobody asks for a price.
func TestAPoolThatIsNoMarketHasNoUseForBids(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawMarket(t)
		w.config.Market = nil
		p, other := w.pool(0), w
		if other.bids = nil; p.SetBids(w.bids) {
			t.Fatal("the bids matter")
		}
		if diff := gocmp.Diff(Round(Input{Pool: other.pool(0)}), Round(Input{Pool: p})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTheIdealValueIsThatOfTheHighestPrices(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string, of int) int { return rapid.IntRange(0, of-1).Draw(t, label) }
		p := NewPool("default", Config{Resources: armada.DefaultResourceTable(), PoolRules: PoolRules{Market: &MarketRules{SpotCutoff: 900_000}}})
		const nodes, cores = 5, 4 // of which a job is a twentieth
		for i := range nodes {
			p.SetNode(armada.Node{Executor: "e", Name: string(rune('a' + i)), Labels: map[string]string{"odd": string(rune('0' + i%2))}, Allocatable: armada.Resources{cores}})
		}
		bids := map[string]armada.QueueBids{}
		for _, q := range []string{"a", "b"} {
			p.SetQueue(armada.Queue{Name: q, PriorityFactor: 1})
			var b armada.QueueBids
			for band := range 4 {
				b[band].Queued = armada.Price(pick("bid", 6)) * 1_000_000
			}
			bids[q] = b
		}
		p.SetBids(bids)
		var prices []armada.Price
		for i := range pick("jobs", 40) {
			j := armada.Job{ID: armada.JobID([]byte{'j', byte('0' + i/10), byte('0' + i%10)}), Number: int64(i), Queue: []string{"a", "b"}[pick("queue", 2)], Band: armada.PriceBand(pick("band", 4))}
			needs := &armada.Requirements{Resources: armada.Resources{1}}
			if pick("selects", 3) == 0 {
				needs.NodeSelector = []armada.Label{{Key: "odd", Value: "1"}}
			}
			prices = append(prices, bids[j.Queue][j.Band].Queued)
			if pick("runs", 4) == 0 && i < cores {
				p.Occupy(j, armada.Run{ID: armada.NewRunID(j.ID, 1), Executor: "e", Node: "b"}, needs)
			} else {
				p.Enqueue(j, needs)
			}
		}
		slices.Sort(prices)
		slices.Reverse(prices)
		want := armada.Price(0)
		for _, price := range prices[:min(len(prices), nodes*cores)] {
			want += price / (nodes * cores)
		}
		var ideal, real armada.Price
		for _, v := range Round(Input{Pool: p}).Report.Market.Values {
			ideal, real = ideal+v.Idealised, real+v.Realised
		}
		if ideal != want || real > ideal {
			t.Fatalf("the ideal value is %v, want %v of prices %v; %v is realised", ideal, want, prices, real)
		}
	})
}
