package leader

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
	"armada/internal/lifecycle"
)

// metrics are what the leader counts. What is told of pools and queues is read
// from the explanations when somebody asks.
type metrics struct {
	rounds    *prometheus.HistogramVec
	commits   prometheus.Histogram
	decisions *prometheus.CounterVec
	leading   prometheus.Gauge
}

// newMetrics registers the metrics; a nil registerer keeps them unseen.
func newMetrics(registerer prometheus.Registerer, x *Explanations, resources armada.ResourceTable) (*metrics, error) {
	buckets := prometheus.ExponentialBuckets(0.0005, 2, 14)
	m := &metrics{
		rounds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "armada_leader_round_seconds", Help: "Time that rounds took.", Buckets: buckets,
		}, []string{"pool"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "armada_leader_commit_seconds", Help: "Time that transitions of decisions took.", Buckets: buckets,
		}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armada_leader_decisions_total", Help: "Changes that were decided, by kind and by whether they lost a race.",
		}, []string{"pool", "kind", "lost"}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "armada_leader_leading", Help: "1 while this replica leads.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.rounds, m.commits, m.decisions, m.leading, reported{x, resources}} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the leader's metrics: %w", err)
		}
	}
	return m, nil
}

// round counts a round.
func (m *metrics) round(pool string, took time.Duration) {
	m.rounds.WithLabelValues(pool).Observe(took.Seconds())
}

// committed counts a transition and what it held.
func (m *metrics) committed(a answer) {
	m.commits.Observe(a.took.Seconds())
	for i, p := range a.proposals {
		lost := "no"
		if a.results[i].Verdict == lifecycle.Refused {
			lost = "yes"
		}
		for j := range p.unit {
			m.decisions.WithLabelValues(p.pool, p.unit[j].Kind.String(), lost).Inc()
		}
	}
}

// reported tells what the latest round of every pool saw: who waits, who holds
// how much, and what they are entitled to.
type reported struct {
	x         *Explanations
	resources armada.ResourceTable
}

var (
	queuedJobs = prometheus.NewDesc("armada_leader_queued_jobs",
		"Jobs that a pool's latest round left queued.", []string{"pool", "queue"}, nil)
	poolCapacity = prometheus.NewDesc("armada_leader_pool_capacity",
		"What the nodes of a pool offer, in cores, bytes or pieces.", []string{"pool", "resource"}, nil)
	queueAllocated = prometheus.NewDesc("armada_leader_queue_allocated",
		"What the jobs of a queue hold after the latest round, in cores, bytes or pieces.", []string{"pool", "queue", "resource"}, nil)
	queueShare = prometheus.NewDesc("armada_leader_queue_share",
		"The fraction of the pool that a queue holds, of its dominant resource.", []string{"pool", "queue"}, nil)
	queueFairShare = prometheus.NewDesc("armada_leader_queue_fair_share",
		"The fraction of the pool that a queue is entitled to, with what idle queues gave away.", []string{"pool", "queue"}, nil)
	spotPrice = prometheus.NewDesc("armada_leader_spot_price",
		"The spot price of a market-driven pool.", []string{"pool"}, nil)
	setterPays = prometheus.NewDesc("armada_leader_spot_price_of_setter",
		"What the queue whose bid is the spot price pays itself.", []string{"pool", "queue"}, nil)
	indicativePrice = prometheus.NewDesc("armada_leader_indicative_price",
		"The bid to be exceeded for a shape to be placed now; 0 where there is room, nothing where no bid would do.", []string{"pool", "shape"}, nil)
	realisedValue = prometheus.NewDesc("armada_leader_realised_value",
		"What a queue bids for what it holds of a market-driven pool: prices times fractions of the pool.", []string{"pool", "queue"}, nil)
	idealisedValue = prometheus.NewDesc("armada_leader_idealised_value",
		"What a queue would bid for what it held of a market-driven pool if all its nodes were one.", []string{"pool", "queue"}, nil)
	indicativePlaceable = prometheus.NewDesc("armada_leader_indicative_price_exists",
		"1 if a shape could be placed at some price.", []string{"pool", "shape"}, nil)
)

// Describe tells the metrics there are.
func (reported) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queuedJobs, poolCapacity, queueAllocated, queueShare, queueFairShare, spotPrice, setterPays, indicativePrice, indicativePlaceable, realisedValue, idealisedValue} {
		descs <- d
	}
}

// Collect reads the latest reports.
func (c reported) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	amounts := func(desc *prometheus.Desc, held armada.Resources, labels ...string) {
		for i, name := range c.resources.Names() {
			value := float64(held[i])
			if c.resources.At(i).Milli {
				value /= 1000
			}
			gauge(desc, value, append(slices.Clone(labels), name)...)
		}
	}
	const millionths = 1e6
	for _, r := range c.x.Reports() {
		amounts(poolCapacity, r.Capacity, r.Pool)
		for _, q := range r.Queues {
			gauge(queuedJobs, float64(q.Queued), r.Pool, q.Queue)
			amounts(queueAllocated, q.Allocated, r.Pool, q.Queue)
			gauge(queueShare, float64(q.Share)/millionths, r.Pool, q.Queue)
			gauge(queueFairShare, float64(q.AdjustedShare)/millionths, r.Pool, q.Queue)
		}
		if m := r.Market; m != nil {
			gauge(spotPrice, m.SpotPrice.Amount(), r.Pool)
			if m.SetBy != "" {
				gauge(setterPays, m.SetterPays.Amount(), r.Pool, m.SetBy)
			}
			for _, v := range m.Values {
				gauge(realisedValue, v.Realised.Amount(), r.Pool, v.Queue)
				gauge(idealisedValue, v.Idealised.Amount(), r.Pool, v.Queue)
			}
			for _, q := range m.Quotes {
				placeable := 0.0
				if q.Reason.Code == armada.ReasonNone {
					placeable = 1
					gauge(indicativePrice, q.Outbid.Amount(), r.Pool, q.Shape)
				}
				gauge(indicativePlaceable, placeable, r.Pool, q.Shape)
			}
		}
	}
}
