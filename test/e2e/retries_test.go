package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armada/pkg/api"
)

// written writes a file of the test and returns its path.
func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// threes is a policy that repeats exit code 3, twice.
const threes = `kind: RetryPolicy
name: threes
retryLimit: 2
defaultAction: Fail
rules:
  - action: Retry
    onExitCodes: [3]
`

// attempts is a job set of one job that counts its attempts in a file and fails
// with the exit code 3 until it has begun so many times.
func attempts(t *testing.T, set string, enough int) (jobs, counter string) {
	t.Helper()
	counter = filepath.Join(t.TempDir(), "attempts")
	return written(t, "jobs.yaml", fmt.Sprintf(`queue: demo
jobSetId: %s
jobs:
  - podSpec:
      containers:
        - name: main
          image: none
          command: [sh, -c, 'echo begun >> %s; [ "$(wc -l < %s)" -ge %d ] || exit 3']
          resources: {limits: {cpu: 100m, memory: 64Mi}, requests: {cpu: 100m, memory: 64Mi}}
`, set, counter, counter, enough)), counter
}

func TestAJobThatFailsTwiceSucceedsByItsQueuesRetryPolicy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	u.mustCtl(t, "create", "retry-policy", "-f", written(t, "policy.yaml", threes))
	u.mustCtl(t, "create", "queue", "demo", "--retry-policies", "threes")

	jobs, counter := attempts(t, "first-steps", 3)
	id := strings.TrimSpace(u.mustCtl(t, "submit", jobs, "-o", "name", "--wait"))
	begun, err := os.ReadFile(counter)
	if err != nil || strings.Count(string(begun), "begun") != 3 {
		t.Errorf("it began %q, %v", begun, err)
	}
	want := "[submitted queued" + strings.Repeat(" leased pending running failed", 2) + " leased pending running succeeded]"
	if got := fmt.Sprint(kinds(u.restEvents(t), id)); got != want {
		t.Errorf("REST tells %s, want %s", got, want)
	}
	for _, e := range u.restEvents(t) {
		if failed, is := e["failed"].(map[string]any); is && failed["retryable"] != true {
			t.Errorf("a failed event that another attempt follows: %v", failed)
		}
	}
	if out := u.mustCtl(t, "get", "retry-policy", "threes"); !strings.Contains(out, "retryLimit: 2") {
		t.Errorf("armadactl shows the policy:\n%s", out)
	}

	jobs, _ = attempts(t, "hopeless", 99)
	out, err := u.ctl(t, "submit", jobs, "--wait")
	if err == nil {
		t.Errorf("a job that always fails succeeded:\n%s", out)
	}
	failed := strings.TrimSpace(u.mustCtl(t, "get", "jobs", "--job-set", "hopeless", "-o", "name"))
	described := u.mustCtl(t, "describe", "job", failed)
	for _, said := range []string{`tried again 2 times, as often as the retry policy "threes" allows`, "Run 3 of 3"} {
		if !strings.Contains(described, said) {
			t.Errorf("armadactl does not tell %q:\n%s", said, described)
		}
	}

	u.mustCtl(t, "create", "-f", written(t, "elsewhere.yaml", strings.NewReplacer("threes", "elsewhere", "onExitCodes: [3]", "onExitCodes: [3]\n    mutate: {affinity: {avoidSameNode: true}}").Replace(threes)))
	u.mustCtl(t, "update", "queue", "demo", "--retry-policies", "elsewhere,threes")
	jobs, _ = attempts(t, "elsewhere", 2)
	if out, err = u.ctl(t, "submit", jobs, "--wait"); err == nil || !strings.Contains(out, "no node is left for another attempt, not again on") {
		t.Errorf("there is one node, and the job must not run there again:\n%s", out)
	}

	u.mustCtl(t, "delete", "retry-policy", "threes")
	if out := u.mustCtl(t, "get", "queue", "demo"); strings.Contains(out, "threes") {
		t.Errorf("the queue still names the policy:\n%s", out)
	}
}

func TestAPreemptedJobRunsAgainWhenItsQueuesPolicySaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	policy := "kind: RetryPolicy\nname: keep\nretryLimit: 1\ndefaultAction: Fail\nrules: [{action: Retry, onConditions: [Preempted]}]\n"
	u.mustCtl(t, "create", "-f", written(t, "policy.yaml", policy))
	u.mustCtl(t, "create", "queue", "demo", "--retry-policies", "keep")
	id := strings.TrimSpace(u.mustCtl(t, "submit", "-o", "name", written(t, "jobs.yaml", `queue: demo
jobSetId: first-steps
jobs:
  - podSpec:
      priorityClassName: armada-preemptible
      terminationGracePeriodSeconds: 5
      containers:
        - name: main
          image: none
          command: [sh, -c, 'exec sleep 36000']
          resources: {limits: {cpu: 100m, memory: 64Mi}, requests: {cpu: 100m, memory: 64Mi}}
`)))
	told := func() string { return fmt.Sprint(kinds(u.restEvents(t), id)) }
	submit := api.NewSubmitClient(u.dial(t))
	for _, want := range []string{
		"[submitted queued leased pending running preempting preempted failed leased pending running]",
		"[submitted queued leased pending running preempting preempted failed leased pending running preempting preempted failed]",
	} {
		until(t, "the job runs", func() bool { return strings.HasSuffix(told(), "running]") })
		if _, err := submit.PreemptJobs(t.Context(), &api.JobPreemptRequest{JobIds: []string{id}, Queue: "demo", JobSetId: "first-steps", Reason: "room"}); err != nil {
			t.Fatal(err)
		}
		until(t, "the events are "+want, func() bool { return told() == want })
	}
}
