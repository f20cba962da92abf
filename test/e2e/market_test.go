package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoBidsMoreTakesThePlacesOfAMarket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".next", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".next", path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bids := write("bids.yaml", "pools: {default: {poor: {B: 1.5}, rich: {B: 1.5}}}")
	config := write("armada.yaml", fmt.Sprintf(
		"scheduling: {pricing: {file: %q, refresh: 50ms}, pools: {default: {marketDriven: true, market: {shapes: [{name: core, resources: cpu=1}]}}}}", bids))
	four := func(queue string) string {
		return write(queue+".yaml", "queue: "+queue+"\njobSetId: sales\njobs:\n"+strings.Repeat(`
  - annotations: {armadaproject.io/simulate-runtime: 1h, armadaproject.io/priceBand: B}
    podSpec:
      containers:
        - {name: works, image: made-up, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 1, memory: 1Gi}}}
`, 4))
	}

	u := startUp(t, t.TempDir(), "--config", config, "--simulate", "1x1:cpu=4,memory=16Gi")
	in := func(queue, state string) []string {
		return strings.Fields(u.mustCtl(t, "get", "jobs", "--queue", queue, "--state", state, "-o", "name"))
	}
	u.mustCtl(t, "create", "queue", "poor")
	u.mustCtl(t, "create", "queue", "rich")
	u.mustCtl(t, "submit", four("poor"))
	until(t, "the first queue has all", func() bool { return len(in("poor", "running")) == 4 })
	u.mustCtl(t, "submit", four("rich"))
	until(t, "the second queue has bid no more", func() bool {
		waiting := in("rich", "queued")
		return len(waiting) == 4 && strings.Contains(u.mustCtl(t, "describe", "job", waiting[0]), "it bids 1.5, and more than 1.5 would do")
	})

	write("bids.yaml", "pools: {default: {poor: {B: 1.5}, rich: {B: 2/2.5}}}")
	until(t, "the second queue has all", func() bool { return len(in("rich", "running")) == 4 && len(in("poor", "preempted")) == 4 })
	if told := u.mustCtl(t, "describe", "job", in("poor", "preempted")[0]); !strings.Contains(told, "of queue rich bids 2, this one 1.5, and gets the room") {
		t.Errorf("the displaced job is told:\n%s", told)
	}
	until(t, "the report tells the price", func() bool {
		report := u.mustCtl(t, "get", "scheduling-report", "-v")
		return strings.Contains(report, "the spot price is 2.5, set by queue rich") && strings.Contains(report, "shape core: a bid of more than 2.5 would do")
	})
}
