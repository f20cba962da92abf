package leader

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada/internal/lifecycle"
)

// metrics are what the leader counts. Queue sizes are read from the
// explanations when somebody asks.
type metrics struct {
	rounds    *prometheus.HistogramVec
	commits   prometheus.Histogram
	decisions *prometheus.CounterVec
	leading   prometheus.Gauge
}

// newMetrics registers the metrics; a nil registerer keeps them unseen.
func newMetrics(registerer prometheus.Registerer, x *Explanations) (*metrics, error) {
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
	for _, c := range []prometheus.Collector{m.rounds, m.commits, m.decisions, m.leading, queueSizes{x}} {
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

// queueSizes tells the sizes of the queues as the latest rounds left them.
type queueSizes struct{ x *Explanations }

var queuedJobs = prometheus.NewDesc("armada_leader_queued_jobs", "Jobs that a pool's latest round left queued.", []string{"pool", "queue"}, nil)

// Describe tells the one metric there is.
func (queueSizes) Describe(descs chan<- *prometheus.Desc) { descs <- queuedJobs }

// Collect reads the latest reports.
func (s queueSizes) Collect(metrics chan<- prometheus.Metric) {
	for _, r := range s.x.Reports() {
		for _, q := range r.Queues {
			metrics <- prometheus.MustNewConstMetric(queuedJobs, prometheus.GaugeValue, float64(q.Queued), r.Pool, q.Queue)
		}
	}
}
