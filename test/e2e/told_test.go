package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"armada/pkg/api"
)

// container is a container in YAML's flow style.
func container(name, rest, cpu string) string {
	amounts := fmt.Sprintf("{cpu: %s, memory: 32Mi}", cpu)
	return fmt.Sprintf("{name: %s, %s, resources: {requests: %s, limits: %s}}", name, rest, amounts, amounts)
}

// jobsFile writes a file of jobs for the queue "told" and returns its path.
func jobsFile(t *testing.T, set string, jobs ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), set+".yaml")
	text := "queue: told\njobSetId: " + set + "\njobs:\n"
	for _, job := range jobs {
		text += "  - " + job + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAJobThatWaitsSaysWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	u.mustCtl(t, "create", "queue", "told")
	one := container("a", "command: [echo]", "1")
	member := "{podSpec: {containers: [%s]}, annotations: {armadaproject.io/gangId: g, armadaproject.io/gangCardinality: \"3\"}}"
	for set, c := range map[string]struct {
		jobs []string
		want string
	}{
		"elsewhere":  {[]string{"{podSpec: {nodeSelector: {kubernetes.io/hostname: another}, containers: [" + one + "]}}"}, "no node matches the node selector"},
		"incomplete": {[]string{fmt.Sprintf(member, one), fmt.Sprintf(member, one)}, "waits for its other members (2 of 3"},
		"gang":       {slices.Repeat([]string{fmt.Sprintf(member, container("a", "command: [echo]", "3"))}, 3), "does not fit as a whole (2 of 3"},
	} {
		id := submittedLine.FindStringSubmatch(u.mustCtl(t, "submit", jobsFile(t, set, c.jobs...)))[1]
		until(t, set+" waits because "+c.want, func() bool {
			told := u.mustCtl(t, "describe", "job", id)
			return strings.Contains(told, "State:          queued") && strings.Contains(told, c.want)
		})
	}
}

func TestWhatARunningJobUsesIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi",
		"--set", "executor.utilisation.sampleEvery=1s", "--set", "executor.utilisation.reportEvery=1s")
	u.mustCtl(t, "create", "queue", "told")
	works := container("a", `command: [sh, -c, "while :; do :; done"]`, "1")
	id := submittedLine.FindStringSubmatch(u.mustCtl(t, "submit", jobsFile(t, "uses", "{podSpec: {containers: ["+works+"]}}")))[1]
	until(t, "what the job uses of processors and memory", func() bool {
		for _, e := range u.restEventsOf(t, "told/uses") {
			used, is := e["utilisation"].(map[string]any)
			if !is || used["jobId"] != id {
				continue
			}
			most, _ := used["MaxResourcesForPeriod"].(map[string]any)
			total, _ := used["totalCumulativeUsage"].(map[string]any)
			return most["memory"] != "0" && most["cpu"] != "0" && total["cpu"] != "0" && len(most) == 2 && len(total) == 1
		}
		return false
	})
	u.mustCtl(t, "cancel", "job", id)
}

func TestAJobThatNobodyCanEverRunIsRejected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	u.mustCtl(t, "create", "queue", "told")
	one := container("a", "command: [echo]", "1")
	for set, c := range map[string]struct{ spec, want string }{
		"large":    {"{containers: [" + container("a", "command: [echo]", "1000") + "]}", "it asks for 1000 cpu, the largest node has 8"},
		"selector": {"{nodeSelector: {disk: ssd}, containers: [" + one + "]}", "no node matches its node selector or affinity"},
	} {
		want := "no known node fits: cluster local, pool default: " + c.want
		out, err := u.ctl(t, "submit", "--wait", jobsFile(t, set, "{podSpec: "+c.spec+"}"))
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, want) {
			t.Errorf("submit --wait ends with %v, want the exit code 1 and %q:\n%s", err, want, out)
		}
		id := submittedLine.FindStringSubmatch(out)[1]
		if told := u.mustCtl(t, "describe", "job", id); !strings.Contains(told, "State:          rejected") || !strings.Contains(told, want) {
			t.Errorf("describe job says:\n%s", told)
		}
		if told := u.mustCtl(t, "get", "jobs", "--job-set", set, "-o", "json"); !strings.Contains(told, `"REJECTED"`) || !strings.Contains(told, want) {
			t.Errorf("get jobs says:\n%s", told)
		}
		if told := u.mustCtl(t, "watch", "told", set, "--exit-if-inactive"); !strings.Contains(told, want) {
			t.Errorf("watch says:\n%s", told)
		}
		answer, err := http.Post("http://"+u.http+"/api/v1/job-set/told/"+set, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if events := body(t, answer); !strings.Contains(events, want) || !strings.Contains(events, `"cause":"Rejected"`) {
			t.Errorf("the events over REST are:\n%s", events)
		}
		states, err := api.NewJobsClient(u.dial(t)).GetJobErrors(t.Context(), &api.JobErrorsRequest{JobIds: []string{id}})
		if err != nil || states.GetJobErrors()[id] != want {
			t.Errorf("GetJobErrors answers %v, %v", states, err)
		}
	}
}

func TestAJobThatFitsOnAConfiguredNodeTypeWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi",
		"--set", "scheduling.nodeTypes=[{name: big, capacity: {cpu: 64, memory: 64Gi, ephemeral-storage: 512Gi}}]")
	u.mustCtl(t, "create", "queue", "told")
	large := func(cpu string) string {
		return "{podSpec: {containers: [" + container("a", "command: [echo]", cpu) + "]}}"
	}
	waits := submittedLine.FindStringSubmatch(u.mustCtl(t, "submit", jobsFile(t, "waits", large("32"))))[1]
	out, _ := u.ctl(t, "submit", "--wait", jobsFile(t, "fails", large("128"))) // its text is looked at
	if !strings.Contains(out, "node type big, pool default: it asks for 128 cpu, the largest node has 64") {
		t.Errorf("the larger job is told:\n%s", out)
	}
	if told := u.mustCtl(t, "describe", "job", waits); !strings.Contains(told, "State:          queued") || !strings.Contains(told, "no node is large enough") {
		t.Errorf("describe job says:\n%s", told)
	}
}

func TestAJobThatCannotRunSaysWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	u.mustCtl(t, "create", "queue", "told")
	for set, c := range map[string]struct{ container, want string }{
		"image":   {"image: busybox", "has no command: this runtime runs commands of"},
		"missing": {"command: [/no/such/thing]", `command "/no/such/thing"`},
		"signal":  {`command: [sh, -c, "kill -SEGV $$$$"]`, "signal 11"},
	} {
		id := submittedLine.FindStringSubmatch(u.mustCtl(t, "submit", jobsFile(t, set, "{podSpec: {containers: ["+container("a", c.container, "1")+"]}}")))[1]
		until(t, set+" fails because "+c.want, func() bool {
			told := u.mustCtl(t, "describe", "job", id)
			return strings.Contains(told, "State:          failed") && strings.Contains(told, c.want)
		})
	}
}

func TestARefusedRequestNamesEveryViolationByItsPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir)
	u.mustCtl(t, "create", "queue", "told")
	good := `{"podSpec": {"containers": [{"name": "a", "command": ["true"], "resources": {"requests": {"cpu": "1", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "32Mi"}}}]}}`
	bad := strings.Replace(good, `"limits": {"cpu": "1"`, `"limits": {"cpu": "500m"`, 1)
	request := `{"queue": "told", "jobSetId": "s", "jobRequestItems": [` + strings.Join([]string{good, `{"podSpec": {"containers": []}}`, good, bad}, ",") + `]}`
	answer, err := http.Post("http://"+u.http+"/api/v1/job/submit", "application/json", strings.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	text := body(t, answer)
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("the answer is %s", answer.Status)
	}
	for _, want := range []string{"job_request_items[1].pod_spec.containers", "job_request_items[3].pod_spec.containers[0].resources.limits[cpu]"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not named: %s", want, text)
		}
	}
	if out := u.mustCtl(t, "get", "jobs", "--queue", "told"); !strings.Contains(out, "No jobs") {
		t.Errorf("something was submitted:\n%s", out)
	}
}

func TestACommandLineThatMakesNoSenseNamesTheHelp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"upp"}, 2, []string{`no command "armada upp"`, "did you mean up?"}},
		{[]string{"up", "--grpcaddr", "x"}, 2, []string{"--grpcaddr", "armada up --help"}},
		{[]string{"up", "--set", "executor.lease=1m"}, 1, []string{"executor.lease: unknown key", "executors.lease"}},
		{[]string{"up", "--set", "executors.lease=long"}, 1, []string{`"long" is not a duration`}},
		{[]string{"up", "--log-level", "loud"}, 1, []string{"debug, info, warn or error"}},
		{[]string{"up", "--capacity", "cores=3"}, 1, []string{"capacity", "one of cpu, memory"}},
		{[]string{"up", "--simulate", "3by100"}, 1, []string{"3by100", "such as 3x100"}},
		{[]string{"config", "--config", "/no/such/file"}, 1, []string{"/no/such/file"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), binary(t, "armada"), c.args...)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME=", "ARMADA_SERVER_GRPC_ADDR=127.0.0.1:0",
				"ARMADA_SERVER_HTTP_ADDR=127.0.0.1:0", "ARMADA_TELEMETRY_METRICS_ADDR=127.0.0.1:0")
			out, _ := cmd.CombinedOutput() // the exit code is looked at
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("the exit code is %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

func TestSimulatedJobsLiveAsTheirAnnotationsSay(t *testing.T) {
	t.Parallel()
	u := startUp(t, t.TempDir(), "--simulate", "3x100")
	u.mustCtl(t, "create", "queue", "told")
	job := "{podSpec: {containers: [" + container("a", "image: x", "30") + "]}, annotations: {armadaproject.io/simulate-runtime: 500ms, armadaproject.io/simulate-exit-code: \"%d\"}}"
	jobs := append(slices.Repeat([]string{fmt.Sprintf(job, 0)}, 300), slices.Repeat([]string{fmt.Sprintf(job, 7)}, 20)...)
	u.mustCtl(t, "submit", jobsFile(t, "s", jobs...))
	out := u.mustCtl(t, "watch", "told", "s", "--exit-if-inactive")
	if got := strings.Count(out, "  succeeded "); got != 300 {
		t.Errorf("%d jobs succeeded, want 300", got)
	}
	if got := strings.Count(out, "ended with exit code 7"); got != 20 {
		t.Errorf("%d jobs failed with exit code 7, want 20", got)
	}
	for _, node := range []string{"simulated-1-node-", "simulated-2-node-", "simulated-3-node-"} {
		if !strings.Contains(out, node) {
			t.Errorf("nothing ran on %s…", node)
		}
	}
}

func TestASecondInterruptDoesNotWaitForGracePeriods(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	u.mustCtl(t, "create", "queue", "told")
	stubborn := container("a", `command: [sh, -c, "trap : TERM; echo ready; while :; do sleep 0.1; done"]`, "1")
	id := submittedLine.FindStringSubmatch(u.mustCtl(t, "submit", jobsFile(t, "s", "{podSpec: {terminationGracePeriodSeconds: 300, containers: ["+stubborn+"]}}")))[1]
	until(t, "the job ignores SIGTERM", func() bool {
		out, err := u.ctl(t, "logs", id)
		return err == nil && strings.Contains(out, "ready")
	})
	if err := u.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	until(t, "armada says that it waits", func() bool { return strings.Contains(u.output.String(), "Ctrl-C again stops it at once") })
	u.interrupt(t)
}

// body reads an answer to its end.
func body(t *testing.T, answer *http.Response) string {
	t.Helper()
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
