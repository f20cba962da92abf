package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"armada"
)

// configured loads a file of settings.
func configured(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "armada.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := LoadConfig(file, nil, nil)
	return c, err
}

func TestNodeTypesAreReadAsKindsThatTheLeaderKnows(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
scheduling:
  nodeTypes:
    - name: big
      labels: {zone: e}
      taints: [{key: gpu, value: "yes", effect: NoSchedule}]
      capacity: {cpu: 64, memory: 256Gi, nvidia.com/gpu: "8"}
    - {name: burst, pool: burst, capacity: {cpu: 500m}}
`)
	if err != nil {
		t.Fatal(err)
	}
	kinds := c.leader().NodeTypes
	if len(kinds) != 2 || kinds[0].NodeType != "big" || kinds[0].Pool != armada.DefaultPool || kinds[1].Pool != "burst" ||
		kinds[0].Labels["zone"] != "e" || len(kinds[0].Taints) != 1 ||
		kinds[0].Allocatable != (armada.Resources{64000, 256 << 30, 0, 8}) || kinds[1].Allocatable != (armada.Resources{500}) {
		t.Errorf("the leader knows %+v", kinds)
	}
}

func TestEverythingThatIsWrongWithANodeTypeIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
scheduling:
  nodeTypes:
    - {name: a, capacity: {cpu: lots, fpga: "1", memory: "-1"}, taints: [{key: k, effect: Never}]}
    - {name: a}
`)
	if err == nil {
		t.Fatal("it is accepted")
	}
	for _, want := range []string{
		"scheduling.nodeTypes[0].capacity.cpu: ", `scheduling.nodeTypes[0].capacity: "fpga" is not counted`,
		"scheduling.nodeTypes[0].capacity.memory: must not be negative", "scheduling.nodeTypes[0].taints[0].effect: must be NoSchedule",
		`scheduling.nodeTypes[1].name: "a" is empty or given twice`, "scheduling.nodeTypes[1].capacity: must say",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestQueuesMayKeepTheirFinishedJobsForATimeOfTheirOwn(t *testing.T) {
	t.Parallel()
	c, err := configured(t, "store: {keepFinished: 48h, keepFinishedOf: {nightly: 720h}}")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	keep := c.Store.keep(now)
	for queue, want := range map[string]time.Duration{"nightly": 720 * time.Hour, "other": 48 * time.Hour} {
		if got := now.Sub(keep.Of(queue)); got != want {
			t.Errorf("jobs of queue %s are kept for %s, want %s", queue, got, want)
		}
	}
	_, err = configured(t, "store: {keepFinishedOf: {nightly: 0s, 'no queue': 1h}}")
	for _, want := range []string{"store.keepFinishedOf.nightly: must be longer than 0", "store.keepFinishedOf.no queue: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestErrorCategoriesAreReadAsOfTheOriginal(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
executor:
  errorCategories:
    defaultCategory: user
    categories:
      - name: resources
        rules:
          - {onConditions: [OOMKilled], subcategory: memory, hint: ask for more}
          - {onExitCodes: {operator: NotIn, values: [1, 2]}, containerName: main}
      - name: data
        rules:
          - {onTerminationMessage: {pattern: "no such (table|file)"}}
          - {onPodError: {pattern: unbound}}
          - {onPodEvents: {pattern: ^FailedMount}}
`)
	if err != nil {
		t.Fatal(err)
	}
	read := c.agent("east").Categories
	if read.DefaultCategory != "user" || len(read.Categories) != 2 || len(read.Categories[1].Rules) != 3 ||
		read.Categories[0].Rules[0].Subcategory != "memory" || read.Categories[0].Rules[1].OnExitCodes.Values[1] != 2 ||
		!read.Categories[1].Rules[0].OnTerminationMessage.Pattern.MatchString("no such file") {
		t.Errorf("the agent knows %+v", read)
	}
	_, err = configured(t, `{executor: {errorCategories: {categories: [{name: data, rules: [{onPodError: {pattern: "("}}, {hint: what}]}]}}}`)
	if err == nil || !strings.Contains(err.Error(), "executor.errorCategories.categories[0].rules[0].onPodError.pattern") {
		t.Errorf("a pattern that is none: %v", err)
	}
	_, err = configured(t, `{executor: {errorCategories: {categories: [{name: data, rules: [{hint: what}]}]}}}`)
	if err == nil || !strings.Contains(err.Error(), "executor.errorCategories: categories[0].rules[0]: must have exactly one of") {
		t.Errorf("a rule without a matcher: %v", err)
	}
}

func TestTheKeysOfTheBucketOfLogsAreReadFromFilesAndNotShown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret-key")
	if err := os.WriteFile(file, []byte("of-the-bucket\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configured(t, `{executor: {kubernetes: {keepLogsIn: {bucket: logs, endpoint: "http://127.0.0.1:9000", accessKey: a, secretKey: "file://`+file+`"}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	in := c.Executor.Kubernetes.KeepLogsIn
	if in.SecretKey.Reveal() != "of-the-bucket" || in.Region != "us-east-1" || in.Bucket != "logs" {
		t.Errorf("read as %+v", in)
	}
	if shown := fmt.Sprintf("%#v %+v", in, in); strings.Contains(shown, "of-the-bucket") {
		t.Errorf("it is shown: %s", shown)
	}
	_, err = configured(t, `{executor: {kubernetes: {keepLogsIn: {bucket: logs, endpoint: "127.0.0.1:9000"}}}}`)
	if err == nil || !strings.Contains(err.Error(), "executor.kubernetes: keepLogsIn.endpoint: must be a URL") {
		t.Errorf("an endpoint that is no URL: %v", err)
	}
}

func TestCommandsAreRunOnlyWhereTheConfigurationSaysSoAndSoManyAtATime(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if agent := c.agent("east"); agent.Exec || agent.MaxExecs != 32 {
		t.Errorf("by default the agent runs commands: %v, %d at a time", agent.Exec, agent.MaxExecs)
	}
	if c, err = configured(t, `{executor: {exec: true, maxExecs: 3}}`); err != nil {
		t.Fatal(err)
	}
	if agent := c.agent("east"); !agent.Exec || agent.MaxExecs != 3 {
		t.Errorf("the agent runs commands: %v, %d at a time", agent.Exec, agent.MaxExecs)
	}
	if _, err := configured(t, `{executor: {maxExecs: 0}}`); err == nil || !strings.Contains(err.Error(), "executor.maxExecs: must be at least 1, is 0") {
		t.Errorf("none at a time: %v", err)
	}
}

func TestUtilisationIsLookedAtAtLeastAsOftenAsItIsTold(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `{executor: {utilisation: {sampleEvery: 30s, reportEvery: 2m}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if agent := c.agent("east"); agent.UsageSample != 30*time.Second || agent.UsageReport != 2*time.Minute {
		t.Errorf("the agent looks every %s and tells every %s", agent.UsageSample, agent.UsageReport)
	}
	if _, err := configured(t, `{executor: {utilisation: {reportEvery: 0s}}}`); err != nil {
		t.Errorf("never telling is refused: %v", err)
	}
	for text, want := range map[string]string{
		`{sampleEvery: 10ms}`: "executor.utilisation.sampleEvery: must be at least 1s, is 10ms",
		`{reportEvery: 14s}`:  "executor.utilisation.reportEvery: must be 0, for never, or no shorter than sampleEvery, which is 15s, is 14s",
		`{reportEvery: -1s}`:  "executor.utilisation.reportEvery: must be 0",
	} {
		if _, err := configured(t, `{executor: {utilisation: `+text+`}}`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
