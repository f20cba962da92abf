package telemetry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
	"armada/internal/telemetry"
)

// told are all metrics of a collector, a line each.
func told(t *testing.T, c prometheus.Collector) []string {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			lines = append(lines, fmt.Sprintf("%s %s %.1f", family.GetName(), strings.Join(labels, " "), metric.GetGauge().GetValue()))
		}
	}
	return lines
}

func TestTheUseOfClustersIsToldInCoresBytesAndPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table, err := armada.NewResourceTable([]armada.Resource{{Name: "cpu", Milli: true}, {Name: "memory"}, {Name: "licence", Floating: true}})
		if err != nil {
			t.Fatal(err)
		}
		use := telemetry.NewClusterUse(table, time.Minute)
		use.Put(armada.ClusterUse{
			Executor: "east", Pool: "gpu", Capacity: armada.Resources{4000, 1 << 30, 7}, Available: armada.Resources{2500, 1 << 20, 7},
			Queues: []armada.QueueUse{{Queue: "q", Asked: armada.Resources{1000, 3}, Used: armada.Resources{100, 2}}},
		})
		want := []string{
			"armada_cluster_available_capacity east gpu cpu 2.5", "armada_cluster_available_capacity east gpu memory 1048576.0",
			"armada_cluster_capacity east gpu cpu 4.0", "armada_cluster_capacity east gpu memory 1073741824.0",
			"armada_queue_resource_allocated east gpu q q cpu 1.0", "armada_queue_resource_allocated east gpu q q memory 3.0",
			"armada_queue_resource_used east gpu q q cpu 0.1", "armada_queue_resource_used east gpu q q memory 2.0",
		}
		if got := told(t, use); !slices.Equal(got, want) {
			t.Errorf("told is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		time.Sleep(time.Minute) // virtual
		if got := told(t, use); len(got) > 0 {
			t.Errorf("of an executor that is silent is told\n%s", strings.Join(got, "\n"))
		}
	})
}
