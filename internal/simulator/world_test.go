package simulator_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/simulator"
)

// rules are those of an installation with a class that may be preempted.
func rules() simulator.Rules {
	c := scheduling.Config{
		Resources: armada.DefaultResourceTable(),
		Classes:   []armada.PriorityClass{{Name: "firm", Priority: 1}, {Name: "loose", Priority: 1, Preemptible: true}},
	}
	for i := range c.Resources.Len() {
		c.FairnessMultipliers[i] = 1000
	}
	return simulator.Rules{Scheduling: c, DefaultClass: "firm"}
}

// file writes a file and returns where it is.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// scenario reads clusters and a workload, with a round every ten seconds.
func scenario(t testing.TB, clusters, workload string) simulator.Scenario {
	t.Helper()
	s := simulator.Scenario{Rules: rules(), RoundEvery: 10 * time.Second, Until: 100 * time.Hour}
	var err error
	if s.Clusters, err = simulator.LoadClusters(file(t, "clusters.yaml", clusters), s.Rules); err != nil {
		t.Fatal(err)
	}
	if s.Workload, err = simulator.LoadWorkload(file(t, "workload.yaml", workload), s.Rules); err != nil {
		t.Fatal(err)
	}
	return s
}

func play(t testing.TB, s simulator.Scenario) *simulator.Result {
	t.Helper()
	r, err := simulator.Run(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// nodes is a file of one cluster.
func nodes(number int, cpu, memory string) string {
	return fmt.Sprintf("clusters: [{name: c, nodeTemplates: [{number: %d, totalResources: {resources: {cpu: %s, memory: %s}}}]}]\n", number, cpu, memory)
}

// small asks for a core and a gibibyte.
const small = "requirements: {resourceRequirements: {requests: {cpu: 1, memory: 1Gi}}}"

// rows is the table of jobs, by column name.
func rows(t testing.TB, write func(io.Writer) error) []map[string]string {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, cell := range record {
			row[records[0][i]] = cell
		}
		all = append(all, row)
	}
	return all
}
