package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eight are eight preemptible jobs of one core which live for an hour.
func eight(t *testing.T, queue string) string {
	t.Helper()
	text := "queue: " + queue + "\njobSetId: sharing\njobs:\n" + strings.Repeat(`
  - annotations: {armadaproject.io/simulate-runtime: 1h}
    podSpec:
      priorityClassName: armada-preemptible
      containers:
        - {name: works, image: made-up, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 1, memory: 1Gi}}}
`, 8)
	path := filepath.Join(t.TempDir(), queue+".yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAQueueThatComesLateGetsItsShareByPreemption(t *testing.T) {
	t.Parallel()
	u := startUp(t, t.TempDir(), "--simulate", "1x2:cpu=4,memory=16Gi")
	states := func(queue, state string) int {
		return len(strings.Fields(u.mustCtl(t, "get", "jobs", "--queue", queue, "--state", state, "-o", "name")))
	}
	u.mustCtl(t, "create", "queue", "early")
	u.mustCtl(t, "create", "queue", "late")
	u.mustCtl(t, "submit", eight(t, "early"))
	until(t, "the early queue has all", func() bool { return states("early", "running") == 8 })

	u.mustCtl(t, "submit", eight(t, "late"))
	until(t, "the late queue has half", func() bool { return states("late", "running") == 4 })
	until(t, "four are preempted", func() bool { return states("early", "preempted") == 4 })
	if running, queued := states("early", "running"), states("late", "queued"); running != 4 || queued != 4 {
		t.Errorf("of the early queue %d jobs run on, and of the late one %d wait; want four of each", running, queued)
	}
	lost := strings.Fields(u.mustCtl(t, "get", "jobs", "--queue", "early", "--state", "preempted", "-o", "name"))[0]
	if told := u.mustCtl(t, "describe", "job", lost); !strings.Contains(told, "fair share: queue early held") {
		t.Errorf("the preempted job is told:\n%s", told)
	}
	waits := strings.Fields(u.mustCtl(t, "get", "jobs", "--queue", "late", "--state", "queued", "-o", "name"))[0]
	until(t, "the job that waits is told why", func() bool {
		return strings.Contains(u.mustCtl(t, "describe", "job", waits), "held by queues to which it is owed")
	})
}
