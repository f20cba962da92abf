package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"armada/pkg/api"
)

var submittedLine = regexp.MustCompile(`Submitted job with id (\S+) to job set`)

// submitDemo submits the example job set with armadactl and returns the ids of
// the job that computes, the one that fails, and the one that is cancelled.
func submitDemo(t *testing.T, u *up) [3]string {
	t.Helper()
	u.mustCtl(t, "create", "queue", "demo")
	out := u.mustCtl(t, "submit", filepath.Join("..", "..", "examples", "demo.yaml"))
	var ids [3]string
	found := submittedLine.FindAllStringSubmatch(out, -1)
	if len(found) != len(ids) {
		t.Fatalf("armadactl submit tells of %d jobs:\n%s", len(found), out)
	}
	for i := range ids {
		ids[i] = found[i][1]
	}
	return ids
}

// until polls a condition, and fails with what is false.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// restEvents reads the demo's events with plain HTTP.
func (u *up) restEvents(t *testing.T) []map[string]any {
	t.Helper()
	return u.restEventsOf(t, "demo/first-steps")
}

// restEventsOf reads the events of QUEUE/JOB-SET.
func (u *up) restEventsOf(t *testing.T, set string) []map[string]any {
	t.Helper()
	response, err := http.Post("http://"+u.http+"/api/v1/job-set/"+set, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var events []map[string]any
	for d := json.NewDecoder(response.Body); ; {
		var line struct {
			Result struct {
				Message map[string]any `json:"message"`
			} `json:"result"`
		}
		if err := d.Decode(&line); err == io.EOF {
			return events
		} else if err != nil {
			t.Fatal(err)
		}
		events = append(events, line.Result.Message)
	}
}

// kinds lists a job's kinds of events, as REST tells them, but for what its runs use:
// whether that is told hangs on how long they are.
func kinds(events []map[string]any, job string) []string {
	var list []string
	for _, e := range events {
		for kind, body := range e {
			if kind != "utilisation" && body.(map[string]any)["jobId"] == job {
				list = append(list, kind)
			}
		}
	}
	return list
}

func TestTheExampleRunsFailsAndIsCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	ids := submitDemo(t, u)
	computes, fails, cancelled := ids[0], ids[1], ids[2]

	has := func(job, kind string) bool { return strings.Contains(fmt.Sprint(kinds(u.restEvents(t), job)), kind) }
	until(t, "the sleeping job runs", func() bool { return has(cancelled, "running") })
	u.mustCtl(t, "cancel", "job", "demo", "first-steps", cancelled)
	until(t, "all jobs end", func() bool {
		return has(computes, "succeeded") && has(fails, "failed") && has(cancelled, "cancelled")
	})

	events := u.restEvents(t)
	for _, c := range []struct{ job, want string }{
		{computes, "[submitted queued leased pending running succeeded]"},
		{fails, "[submitted queued leased pending running failed]"},
		{cancelled, "[submitted queued leased pending running cancelling cancelled]"},
	} {
		if got := fmt.Sprint(kinds(events, c.job)); got != c.want {
			t.Errorf("REST tells %s, want %s", got, c.want)
		}
	}

	for _, e := range events {
		if failed, ok := e["failed"].(map[string]any); ok && fmt.Sprint(failed["exitCodes"]) != "map[fails:3]" {
			t.Errorf("REST tells the exit codes %v, want 3", failed["exitCodes"])
		}
	}
	if out := u.mustCtl(t, "describe", "job", fails); !strings.Contains(out, "Exit code:      3") {
		t.Errorf("armadactl does not tell the exit code:\n%s", out)
	}

	over, active := demoEnds(t, u)
	if active != 0 {
		t.Errorf("gRPC tells of %d jobs without an end", active)
	}
	if got := over[fails].GetFailed().GetExitCodes()["fails"]; got != 3 {
		t.Errorf("gRPC tells the exit code %d, want 3", got)
	}
	if got := over[fails].GetFailed().GetContainerStatuses()[0].GetExitCode(); got != 3 {
		t.Errorf("gRPC tells the container's exit code %d, want 3", got)
	}

	for job, want := range map[string]string{
		computes:  "the first 500 primes add up to 824693",
		fails:     "this one ends with exit code 3",
		cancelled: "sleeping until somebody cancels me",
	} {
		if out := u.mustCtl(t, "logs", job); !strings.Contains(out, want) {
			t.Errorf("armadactl logs prints %q, want %q", out, want)
		}
		answer, err := http.Post("http://"+u.http+"/api/v1/lookout/logs", "application/json", strings.NewReader(`{"jobId": "`+job+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, answer); !strings.Contains(text, want) {
			t.Errorf("the log over REST is %q, want %q", text, want)
		}
	}
	table := u.mustCtl(t, "get", "jobs", "--queue", "demo")
	for job, state := range map[string]string{computes: "succeeded", fails: "failed", cancelled: "cancelled"} {
		if !regexp.MustCompile(`(?im)^.*` + job + `.*` + state + `.*$`).MatchString(table) {
			t.Errorf("armadactl get jobs does not show %s as %s:\n%s", job, state, table)
		}
	}
}

// demoEnds reads the demo's events over gRPC.
func demoEnds(t *testing.T, u *up) (map[string]*api.EventMessage, int) {
	t.Helper()
	return endsOf(t, api.NewEventClient(u.dial(t)), "demo", "first-steps")
}

func TestAnInterruptQueuesRunningJobsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	ids := submitDemo(t, u)
	runs := func(u *up, times int) func() bool {
		return func() bool {
			return strings.Count(fmt.Sprint(kinds(u.restEvents(t), ids[2])), "running") == times
		}
	}
	until(t, "the sleeping job runs", runs(u, 1))
	u.interrupt(t)
	if !strings.Contains(u.output.String(), "queued again") {
		t.Errorf("armada does not say that jobs are queued again:\n%s", u.output)
	}

	u = startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	until(t, "the sleeping job runs again", runs(u, 2))
	u.mustCtl(t, "cancel", "job-set", "demo", "first-steps")
	until(t, "the job is cancelled", func() bool {
		return strings.Contains(fmt.Sprint(kinds(u.restEvents(t), ids[2])), "cancelled")
	})
}

func TestKeptJobsAreFoundByTheNextArmada(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi", "--keep-running")
	ids := submitDemo(t, u)
	told := func(u *up) string { return fmt.Sprint(kinds(u.restEvents(t), ids[2])) }
	until(t, "the sleeping job runs", func() bool { return strings.Contains(told(u), "running") })
	u.interrupt(t)

	u = startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	u.mustCtl(t, "cancel", "job", "demo", "first-steps", ids[2])
	until(t, "the job is cancelled", func() bool { return strings.Contains(told(u), "cancelled") })
	if got := told(u); strings.Count(got, "running") != 1 {
		t.Errorf("the job was not adopted but repeated: %s", got)
	}
}

func TestADataFolderInUseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	startUp(t, dir)
	second, err := tryUp(t, dir)
	if err == nil {
		t.Fatal("a second armada uses the same data folder")
	}
	for _, want := range []string{dir, "in use", "--data-dir"} {
		if !strings.Contains(second.output.String(), want) {
			t.Errorf("the message does not say %q:\n%s", want, second.output)
		}
	}
}

func TestAPortInUseIsRefusedByName(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir); killProcessesOf(other) })
	first := startUp(t, dir)
	second, err := tryUp(t, other, "--grpc-addr", first.grpc)
	if err == nil {
		t.Fatal("a second armada serves on the same port")
	}
	for _, want := range []string{first.grpc, "--grpc-addr"} {
		if !strings.Contains(second.output.String(), want) {
			t.Errorf("the message does not say %q:\n%s", want, second.output)
		}
	}
}
