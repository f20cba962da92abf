package podspec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/podspec"
)

// about answers fields of one pod.
func about(path string) (string, bool) {
	value, ok := map[string]string{"metadata.name": "armada-1", "metadata.labels['tier']": "gold"}[path]
	return value, ok
}

func TestReferencesToVariablesAreExpandedAsKubernetesDoes(t *testing.T) {
	t.Parallel()
	s := spec(t, `
containers:
- name: main
  command: ["/bin/$(TOOL)", "$(TOOL", "$", "$$(TOOL)", "$$$(TOOL)", "a$b", "$(MISSING)", "$()", "100$"]
  args: ["--name=$(NAME) $(GREETING)"]
  env:
  - {name: EARLY, value: "$(TOOL)"}
  - {name: TOOL, value: echo}
  - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  - {name: GREETING, value: "hello $(NAME)"}
  - {name: TOOL, value: "$(TOOL)2"}
`)
	got := s.Containers(about)[0]
	want := podspec.Container{
		Name:    "main",
		Command: []string{"/bin/echo2", "$(TOOL", "$", "$(TOOL)", "$echo2", "a$b", "$(MISSING)", "$()", "100$"},
		Args:    []string{"--name=armada-1 hello armada-1"},
		Env:     []podspec.Variable{{"EARLY", "$(TOOL)"}, {"TOOL", "echo"}, {"NAME", "armada-1"}, {"GREETING", "hello armada-1"}, {"TOOL", "echo2"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("container (-want +got):\n" + diff)
	}
}

func TestContainersAreListedInTheOrderTheyStart(t *testing.T) {
	t.Parallel()
	s := spec(t, `
containers: [{name: main, image: busybox, workingDir: /w, resources: {limits: {cpu: 1500m, memory: 1Gi}}}]
initContainers: [{name: first}, {name: beside, restartPolicy: Always}]
`)
	want := []podspec.Container{
		{Name: "first", Init: true},
		{Name: "beside", Init: true, Sidecar: true},
		{Name: "main", Image: "busybox", WorkingDir: "/w", CPU: 1500, Memory: 1 << 30},
	}
	if diff := cmp.Diff(want, s.Containers(nil)); diff != "" {
		t.Error("containers (-want +got):\n" + diff)
	}
}

func TestWhatAVariableNeedsAndCannotHaveIsNamed(t *testing.T) {
	t.Parallel()
	s := spec(t, `
containers:
- name: main
  resources: {limits: {cpu: 1500m, memory: 1Gi}}
  envFrom: [{configMapRef: {name: maybe, optional: true}}, {secretRef: {name: surely}}]
  env:
  - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
  - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
  - {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
  - {name: MILLIS, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
  - {name: MIB, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
  - {name: DISK, valueFrom: {resourceFieldRef: {resource: limits.ephemeral-storage}}}
  - {name: PASSWORD, valueFrom: {secretKeyRef: {name: keys, key: password}}}
  - {name: MAYBE, valueFrom: {secretKeyRef: {name: keys, key: password, optional: true}}}
  - {name: SETTING, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
`)
	got := s.Containers(about)[0]
	if diff := cmp.Diff([]podspec.Variable{{"TIER", "gold"}, {"CPUS", "2"}, {"MILLIS", "1500"}, {"MIB", "1024"}}, got.Env); diff != "" {
		t.Error("env (-want +got):\n" + diff)
	}
	want := []string{
		`envFrom: secret "surely"`, `env IP: field "status.podIP"`, `env DISK: resource field "limits.ephemeral-storage"`,
		`env PASSWORD: key "password" of secret "keys"`, `env SETTING: key "color" of config map "settings"`,
	}
	if diff := cmp.Diff(want, got.Unmet); diff != "" {
		t.Error("unmet needs (-want +got):\n" + diff)
	}
}

func TestAddedVariablesComeFirstAndNeverReplaceTheUsers(t *testing.T) {
	t.Parallel()
	s := spec(t, `
containers: [{name: main, args: ["$(ARMADA_QUEUE)"], env: [{name: ARMADA_JOB_ID, value: mine}, {name: SEEN, value: "$(ARMADA_QUEUE)"}]}]
initContainers: [{name: first}]
`)
	s.AddEnv([]podspec.Variable{{"ARMADA_JOB_ID", "01"}, {"ARMADA_QUEUE", "blue"}})
	got := s.Containers(nil)
	if diff := cmp.Diff([]podspec.Variable{{"ARMADA_JOB_ID", "01"}, {"ARMADA_QUEUE", "blue"}}, got[0].Env); diff != "" {
		t.Error("env of the init container (-want +got):\n" + diff)
	}
	want := []podspec.Variable{{"ARMADA_QUEUE", "blue"}, {"ARMADA_JOB_ID", "mine"}, {"SEEN", "blue"}}
	if diff := cmp.Diff(want, got[1].Env); diff != "" {
		t.Error("env of the container (-want +got):\n" + diff)
	}
	if got[1].Args[0] != "blue" {
		t.Errorf("args %v", got[1].Args)
	}
}

func TestGangsAreReadFromAnnotations(t *testing.T) {
	t.Parallel()
	const id, cardinality, uniformity, failFast = podspec.AnnotationGangID, podspec.AnnotationGangCardinality,
		podspec.AnnotationGangUniformity, podspec.AnnotationFailFast
	for _, c := range []struct {
		name        string
		annotations map[string]string
		want        armada.Gang
		wrong       []string // paths
	}{
		{"no annotations, no gang", nil, armada.Gang{}, nil},
		{"an empty id is no gang", map[string]string{id: "", cardinality: "many"}, armada.Gang{}, nil},
		{"a gang of one is no gang", map[string]string{id: "g", cardinality: "1"}, armada.Gang{}, nil},
		{"a lone job fails fast when it says so", map[string]string{failFast: "true"}, armada.Gang{FailFast: true}, nil},
		{"a gang of one is a lone job", map[string]string{id: "g", cardinality: "1", failFast: "true"}, armada.Gang{FailFast: true}, nil},
		{"a gang fails fast by default", map[string]string{id: "g", cardinality: "2"}, armada.Gang{ID: "g", Cardinality: 2, FailFast: true}, nil},
		{
			"everything can be said",
			map[string]string{id: "g", cardinality: "3", uniformity: "example.com/zone", failFast: "false"},
			armada.Gang{ID: "g", Cardinality: 3, UniformityLabel: "example.com/zone"},
			nil,
		},
		{"a gang without cardinality is refused", map[string]string{id: "g"}, armada.Gang{}, []string{"annotations[" + cardinality + "]"}},
		{"a cardinality of 0 is refused", map[string]string{id: "g", cardinality: "0"}, armada.Gang{}, []string{"annotations[" + cardinality + "]"}},
		{"a cardinality beyond all bounds is refused", map[string]string{id: "g", cardinality: "99999999999999999999"}, armada.Gang{}, []string{"annotations[" + cardinality + "]"}},
		{
			"every bad annotation is found",
			map[string]string{id: "g", cardinality: "x", uniformity: "a b", failFast: "yes"},
			armada.Gang{},
			[]string{"annotations[" + failFast + "]", "annotations[" + cardinality + "]", "annotations[" + uniformity + "]"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, violations := podspec.ParseGang(c.annotations, "annotations")
			var wrong []string
			for _, v := range violations {
				wrong = append(wrong, v.Path)
			}
			if got != c.want || !cmp.Equal(wrong, c.wrong) {
				t.Errorf("got %+v, violations %v", got, violations)
			}
		})
	}
}
