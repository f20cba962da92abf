package executor2020

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// metrics are those of clusters' use, a line each, without those of other resources than cpu.
func (w *world) metrics() []string {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	ok(w.t, registry.Register(w.use))
	families, err := registry.Gather()
	ok(w.t, err)
	var lines []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["resourceType"] == "cpu" && labels["queue"] == labels["queueName"] {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s/%s %g %s",
					strings.TrimPrefix(family.GetName(), "armada_"), labels["cluster"], labels["pool"], metric.GetGauge().GetValue(), labels["queue"])))
			}
		}
	}
	return lines
}

// tellsMetrics fails unless the metrics are these.
func (w *world) tellsMetrics(want ...string) {
	w.t.Helper()
	if got := w.metrics(); !slices.Equal(got, want) {
		w.t.Errorf("the metrics are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func cpu(amount string) quantities {
	return of(map[string]string{"cpu": amount, "memory": "1Gi", "example.com/odd": "3"})
}

func TestTheUseOfAClusterIsAmongTheMetricsUntilItsExecutorIsSilent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.tellsMetrics()
		ok(t, w.usage(t.Context(), usageReport{
			ClusterID: "gpus", Capacity: cpu("64"), Available: cpu("32"),
			Queues: []queueUsage{{Name: "q", Asked: cpu("3"), Used: cpu("1200m")}, {Name: "gone", Asked: cpu("1"), Used: cpu("0")}},
		}))
		ofGPUs := []string{
			"cluster_available_capacity gpus/gpu 32", "cluster_capacity gpus/gpu 64",
			"queue_resource_allocated gpus/gpu 1 gone", "queue_resource_allocated gpus/gpu 3 q",
			"queue_resource_used gpus/gpu 0 gone", "queue_resource_used gpus/gpu 1.2 q",
		}
		w.tellsMetrics(ofGPUs...)
		pause(40 * time.Second)
		// What is said again takes the place of what was, and odd queues are left out.
		ok(t, w.usage(t.Context(), usageReport{
			ClusterID: "gpus", Capacity: cpu("64"), Available: cpu("no amount"),
			Queues: []queueUsage{{Name: "no/queue", Used: cpu("1")}, {Name: "q", Used: cpu("2")}, {Name: "q", Used: cpu("5")}},
		}))
		ok(t, w.usage(t.Context(), usageReport{ClusterID: "east", Capacity: cpu("8"), Available: cpu("8")}))
		pause(40 * time.Second)
		ok(t, w.usage(t.Context(), usageReport{ClusterID: "east", Capacity: cpu("4"), Available: cpu("3")}))
		w.tellsMetrics(
			"cluster_available_capacity east/default 3", "cluster_available_capacity gpus/gpu 0", "cluster_capacity east/default 4", "cluster_capacity gpus/gpu 64",
			"queue_resource_allocated gpus/gpu 0 q", "queue_resource_used gpus/gpu 2 q",
		)
		pause(30 * time.Second)
		w.tellsMetrics("cluster_available_capacity east/default 3", "cluster_capacity east/default 4")
		pause(30 * time.Second)
		w.tellsMetrics()
	})
}

func TestAReportOfUseWithoutAClusterIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if err := w.usage(t.Context(), usageReport{}); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "cluster_id") {
			t.Errorf("it is answered with %v", err)
		}
		w.tellsMetrics()
	})
}
