package simulator_test

import (
	"testing"
	"time"

	"armada/internal/simulator"
)

// BenchmarkTwoQueues plays 20,000 small jobs and 200 that take a node
// each. The limit is 1.5 s, with a makespan of at most 13,090 s.
func BenchmarkTwoQueues(b *testing.B) {
	s := scenario(b, nodes(100, "32", "1024Gi"), `
queues:
  - name: A
    jobTemplates:
      - number: 20000
        priorityClassName: loose
        requirements: {resourceRequirements: {requests: {cpu: 1, memory: 8Gi}}}
        runtimeDistribution: {minimum: 6m, tailMean: 36s}
  - name: B
    jobTemplates:
      - number: 200
        priorityClassName: firm
        earliestSubmitTime: 10m
        requirements: {resourceRequirements: {requests: {cpu: 32, memory: 256Gi}}}
        runtimeDistribution: {minimum: 60m, tailMean: 6m}
`)
	var result *simulator.Result
	for b.Loop() {
		result = play(b, s)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/simulation(limit:1.5)")
	b.ReportMetric(result.End.Round(time.Second).Seconds(), "s-makespan(limit:13090)")
	b.ReportMetric(float64(result.Summary().Preemptions), "preemptions")
}
