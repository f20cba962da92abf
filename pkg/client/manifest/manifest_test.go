package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
	"armada/pkg/api"
)

const good = `queue: demo
jobSetId: first
jobs:
  - priority: 1
    annotations: {"a.b/c[d]": e}
    podSpec:
      containers:
        - name: one
          resources:
            requests: {cpu: 100m, memory: 32Mi}
            limits: {cpu: 100m, memory: 32Mi}
`

func TestTheExampleOfTheRepositoryIsFine(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "demo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := ReadJobs(data)
	if err != nil {
		t.Fatal(err)
	}
	if jobs.Queue != "demo" || jobs.JobSet != "first-steps" || len(jobs.Items) != 3 || jobs.Items[1].GetPriority() != 1 {
		t.Errorf("%+v", jobs)
	}
	if err := jobs.Check(); err != nil {
		t.Error(err)
	}
}

// problems are the lines of what is wrong with a file of jobs.
func problems(t *testing.T, text string) string {
	t.Helper()
	jobs, err := ReadJobs([]byte(text))
	if err == nil {
		err = jobs.Check()
	}
	var wrong *Error
	if err != nil && !errors.As(err, &wrong) {
		t.Errorf("not an Error: %v", err)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestEveryMistakeIsNamedWithItsLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"a key of the file", "jobSetId", "jobset", "line 1: jobSetId: is missing\nline 2: jobset: unknown field, the nearest known one is jobSetId"},
		{"a key of a job", "priority: 1", "priorty: 1", "line 4: jobs[0].priorty: unknown field, the nearest known one is priority"},
		{"a key of a pod spec", "- name: one", "- name: one\n          comand: [x]", "line 9: jobs[0].podSpec.containers[0].comand: unknown field, the nearest known one is command"},
		{"a key deep down", "requests: {", "request: {", "line 10: jobs[0].podSpec.containers[0].resources.request: unknown field, the nearest known one is requests"},
		{"a key given twice", "priority: 1", "priority: 1\n    priority: 2", `line 5: the key "priority" is given twice`},
		{"a value of another kind", "priority: 1", "priority: soon", `line 4: jobs[0].priority: "soon" is not a number`},
		{"a list that is none", "- name: one", "  name: one", "line 7: jobs[0].podSpec.containers: must be a list, not an object"},
		{"a quantity that is none", "cpu: 100m, memory: 32Mi}\n            limits", "cpu: lots, memory: 32Mi}\n            limits", "line 10: jobs[0].podSpec.containers[0].resources.requests[cpu]: "},
		{"a number where text belongs", "jobSetId: first", "jobSetId: 7", "line 2: jobSetId: must be a string, not 7; put it in quotes"},
		{"no jobs", good, "queue: a\njobSetId: b\njobs: []\n", "line 3: jobs: must not be empty"},
		{"a list at the top", good, "- a\n", "line 1: must have the keys queue, jobSetId and jobs"},
		{"no YAML", "jobs:", "jobs: [", "line "},
		{"an empty file", good, "", "there is nothing in it"},
		{"a second document", good, good + "---\nqueue: b\n", "line 12: a second document begins here, only one is read"},
		{"what a server would refuse", "limits: {cpu: 100m,", "limits: {cpu: 90m,", "line 11: jobs[0].podSpec.containers[0].resources.limits[cpu]: is 90m, less than the request of 100m; it must be at least that"},
		{"a gang without size", `"a.b/c[d]": e`, "armadaproject.io/gangId: g", "line 5: jobs[0].annotations[armadaproject.io/gangCardinality]: is missing"},
		{"the name of a queue", "queue: demo", "queue: a b", "line 1: queue: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := problems(t, strings.Replace(good, c.old, c.new, 1))
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAllMistakesAreNamedAtOnceInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	text := "queue: q\njobSetId: s\njobs:\n  - {podSpc: {}}\n  - {priority: x}\n  - {}\n"
	want := "line 4: jobs[0].podSpc: unknown field, the nearest known one is podSpec\n" +
		"line 5: jobs[1].priority: \"x\" is not a number\n" +
		"line 6: jobs[2].podSpec: is missing: it says what to run"
	if got := problems(t, text); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestJSONIsReadTooWithTabsAndLines(t *testing.T) {
	t.Parallel()
	text := "{\n\t\"queue\": \"q\",\n\t\"jobSetId\": \"s\",\n\t\"jobs\": [\n\t\t{\"podSpc\": {}}\n\t]\n}\n"
	want := "line 5: jobs[0].podSpc: unknown field, the nearest known one is podSpec"
	if got := problems(t, text); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	fine := strings.Replace(text, `"podSpc": {}`, `"podSpec": {"containers": [{"name": "a"}]}`, 1)
	if got := problems(t, fine); got != "" {
		t.Errorf("refused: %s", got)
	}
}

func TestLinesBehindAnAliasAreThatOfTheAlias(t *testing.T) {
	t.Parallel()
	text := "queue: q\njobSetId: s\njobs:\n  - podSpec: &spec\n      containers:\n        - {name: a, imge: b}\n  - podSpec: *spec\n"
	want := "line 6: jobs[0].podSpec.containers[0].imge: unknown field, the nearest known one is image\n" +
		"line 7: jobs[1].podSpec.containers[0].imge: unknown field, the nearest known one is image"
	if got := problems(t, text); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestWhatAServerFindsWrongHasTheLinesOfTheFile(t *testing.T) {
	t.Parallel()
	jobs, err := ReadJobs([]byte(good + strings.SplitAfterN(good, "jobs:\n", 2)[1]))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"job_request_items[0].pod_spec.containers[0].resources.limits[cpu]": "line 19: jobs[1].podSpec.containers[0].resources.limits[cpu]: is wrong",
		"job_request_items[0].annotations[a.b/c[d]]":                        "line 13: jobs[1].annotations[a.b/c[d]]: is wrong",
		"job_request_items[0].client_id":                                    "line 12: jobs[1].clientId: is wrong",
		"job_request_items[0]":                                              "line 12: jobs[1]: is wrong",
		"job_set_id":                                                        "line 2: jobSetId: is wrong",
		"queue":                                                             "line 1: queue: is wrong",
	} {
		got := jobs.Locate([]armada.Violation{{Path: path, Message: "is wrong"}}, 1)[0].String()
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", path, got, want)
		}
	}
}

func TestAPodSpecIsTheSameFromYAMLAndFromGo(t *testing.T) {
	t.Parallel()
	read, err := ReadPodSpec([]byte("containers:\n- name: a\n  resources: {limits: {cpu: 100m, nvidia.com/gpu: 1}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := FromKubernetes(&corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Resources: corev1.ResourceRequirements{
		Limits: corev1.ResourceList{"cpu": resource.MustParse("100m"), "nvidia.com/gpu": resource.MustParse("1")},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(read, made) {
		t.Errorf("%v\n%v", read, made)
	}
	_, err = ReadPodSpec([]byte("containers:\n- nam: a\n"))
	if err == nil || err.Error() != "line 2: containers[0].nam: unknown field, the nearest known one is name" {
		t.Errorf("%v", err)
	}
}

func TestAFileDescribesAQueueOrARetryPolicy(t *testing.T) {
	t.Parallel()
	policy := "kind: RetryPolicy\nname: p\nretryLimit: 2\ndefaultAction: fail\nrules: [{action: Retry, onExitCodes: [3], mutate: {resources: {memory: {factor: 1.5}}}}]\n"
	for _, read := range []func([]byte) (Thing, error){Read, func(data []byte) (Thing, error) { return ReadRetryPolicy(data) }} {
		thing, err := read([]byte(policy))
		p, is := thing.(*api.RetryPolicy)
		if err != nil || !is || p.GetName() != "p" || p.GetRules()[0].GetOnExitCodes()[0] != 3 || p.GetRules()[0].GetMutate().GetResources().GetMemory().GetFactor() != 1.5 {
			t.Errorf("%v, %v", thing, err)
		}
	}
	if thing, err := Read([]byte("kind: Queue\nname: a\n")); err != nil || thing.GetName() != "a" {
		t.Errorf("%v, %v", thing, err)
	}
	for text, want := range map[string]string{
		"name: a\n": "kind: is missing, must be Queue or RetryPolicy",
		"kind: RetryPolicy\nname: p\nretrylimit: x\n":              "line 3: retrylimit: \"x\" is not a whole number",
		"kind: RetryPolicy\nname: p\nrules: [{onExitCode: [3]}]\n": "line 3: rules[0].onExitCode: unknown field, the nearest known one is onExitCodes",
	} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAQueueIsReadStrictlyToo(t *testing.T) {
	t.Parallel()
	queue, err := ReadQueue([]byte("apiVersion: armadaproject.io/v1beta1\nkind: Queue\nname: a\npriorityFactor: 2\nlabels: {x: z}\n"))
	if err != nil || queue.GetName() != "a" || queue.GetPriorityFactor() != 2 || queue.GetLabels()["x"] != "z" {
		t.Errorf("%v, %v", queue, err)
	}
	for text, want := range map[string]string{
		"name: a\n":                         "kind: is missing, must be Queue",
		"kind: Pod\nname: a\n":              `line 1: kind: is "Pod", must be Queue`,
		"kind: Queue\nnme: a\n":             "line 2: nme: unknown field, the nearest known one is name",
		"kind: Queue\n":                     "name: is missing",
		"kind: Queue\nname: 1\n":            "line 2: name: must be a string, not the number 1",
		"apiVersion: v1\nkind: Queue\n":     `line 1: apiVersion: is "v1", must be armadaproject.io/v1beta1`,
		"kind: Queue\nname: a\nlabels: x\n": "line 3: labels: must be an object",
	} {
		if _, err := ReadQueue([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
