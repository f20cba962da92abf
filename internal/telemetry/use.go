package telemetry

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
)

// ClusterUse tells, as metrics, what executors say of their clusters' use. What an
// executor said last counts until it was silent for too long. Its methods may be
// called from many goroutines.
//
// The metrics have the names and labels that the original gives them, so that what is
// drawn from those goes on. Each replica tells of the executors that spoke to
// it: one that has changed to another replica is told by both for a while.
type ClusterUse struct {
	resources armada.ResourceTable
	silence   time.Duration

	mu     sync.Mutex
	latest map[armada.ExecutorID]heard
}

type heard struct {
	use armada.ClusterUse
	at  time.Time
}

// NewClusterUse tells of no cluster yet. Amounts are of the table; an executor that
// was silent for the time given is left out.
func NewClusterUse(resources armada.ResourceTable, silence time.Duration) *ClusterUse {
	return &ClusterUse{resources: resources, silence: silence, latest: map[armada.ExecutorID]heard{}}
}

// Put takes what an executor says, in place of what it said before. The use must
// not be changed afterwards.
func (c *ClusterUse) Put(use armada.ClusterUse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	c.latest[use.Executor] = heard{use, time.Now()}
}

// forget forgets executors that are silent. The lock is held.
func (c *ClusterUse) forget() {
	maps.DeleteFunc(c.latest, func(_ armada.ExecutorID, h heard) bool { return time.Since(h.at) >= c.silence })
}

// current are the uses of executors that are not silent.
func (c *ClusterUse) current() []armada.ClusterUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	uses := make([]armada.ClusterUse, 0, len(c.latest))
	for _, h := range c.latest {
		uses = append(uses, h.use)
	}
	return uses
}

var (
	ofCluster = []string{"cluster", "pool", "resourceType"}
	ofQueue   = []string{"cluster", "pool", "queue", "queueName", "resourceType"}

	clusterCapacity = prometheus.NewDesc("armada_cluster_capacity",
		"What all nodes of a cluster have, as its executor says, in cores, bytes or pieces.", ofCluster, nil)
	clusterAvailable = prometheus.NewDesc("armada_cluster_available_capacity",
		"What those nodes of a cluster have that take new pods, as its executor says, in cores, bytes or pieces.", ofCluster, nil)
	queueAsked = prometheus.NewDesc("armada_queue_resource_allocated",
		"What the pods of a queue in a cluster ask for, as its executor says, in cores, bytes or pieces.", ofQueue, nil)
	queueUsed = prometheus.NewDesc("armada_queue_resource_used",
		"What the pods of a queue in a cluster were seen to use, as its executor says, in cores, bytes or pieces.", ofQueue, nil)
)

// Describe tells the metrics there are.
func (*ClusterUse) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{clusterCapacity, clusterAvailable, queueAsked, queueUsed} {
		descs <- d
	}
}

// Collect tells what executors said last.
func (c *ClusterUse) Collect(metrics chan<- prometheus.Metric) {
	for _, use := range c.current() {
		for i := range c.resources.Len() {
			resource := c.resources.At(i)
			if resource.Floating {
				continue // no matter of clusters
			}
			gauge := func(desc *prometheus.Desc, amounts *armada.Resources, labels ...string) {
				value := float64(amounts[i])
				if resource.Milli {
					value /= 1000
				}
				metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append(labels, resource.Name)...)
			}
			cluster := string(use.Executor)
			gauge(clusterCapacity, &use.Capacity, cluster, use.Pool)
			gauge(clusterAvailable, &use.Available, cluster, use.Pool)
			for q := range use.Queues {
				name := use.Queues[q].Queue
				gauge(queueAsked, &use.Queues[q].Asked, cluster, use.Pool, name, name)
				gauge(queueUsed, &use.Queues[q].Used, cluster, use.Pool, name, name)
			}
		}
	}
}
