package podspec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/podspec"
)

func TestViolationsNameTheFieldAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	container := func(resources string) string { return "containers: [{name: main, resources: " + resources + "}]" }
	initContainer := func(resources string) string {
		return "containers: [{name: main}]\ninitContainers: [{name: first, resources: " + resources + "}]"
	}
	term := func(expression string) string {
		return "containers: [{name: main}]\naffinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [" + expression + "]}}}"
	}
	const terms = ".affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	for _, c := range []struct {
		name   string
		spec   string
		change func(*podspec.Config)
		want   []string // path: a part of the message
	}{
		{"an ordinary spec is accepted", ordinary, nil, nil},
		{"a container without resources is accepted", container("{}"), nil, nil},
		{"limits alone are accepted: they are the requests", container("{limits: {cpu: 500m, memory: 1Gi}}"), nil, nil},
		{"equal amounts written differently are accepted", container("{limits: {cpu: 1000m, memory: 1Gi}, requests: {cpu: 1, memory: 1024Mi}}"), nil, nil},
		{"a container name of any form is accepted", "containers: [{name: Container1}, {name: Container1}]", nil, nil},
		{"a spec without containers is refused", "{}", nil, []string{".containers: at least one container"}},
		{
			"requests without limits are refused", container("{requests: {cpu: 2}}"), nil,
			[]string{".containers[0].resources.limits[cpu]: missing while the request is 2, set it to 2"},
		},
		{
			"a limit below the request is refused", container("{requests: {cpu: 2}, limits: {cpu: 500m}}"), nil,
			[]string{".containers[0].resources.limits[cpu]: is 500m, less than the request of 2"},
		},
		{
			"a limit above the request is refused", container("{requests: {cpu: 1}, limits: {cpu: 2}}"), nil,
			[]string{".containers[0].resources.limits[cpu]: is 2, more than the request of 1; the two must be equal"},
		},
		{
			"a limit within the allowed oversubscription is accepted", container("{requests: {cpu: 1}, limits: {cpu: 1500m}}"),
			func(c *podspec.Config) { c.MaxOversubscriptionByResourceRequest = map[string]float64{"cpu": 1.5} }, nil,
		},
		{
			"a limit beyond the allowed oversubscription is refused", container("{requests: {cpu: 1}, limits: {cpu: 1501m}}"),
			func(c *podspec.Config) { c.MaxOversubscriptionByResourceRequest = map[string]float64{"cpu": 1.5} },
			[]string{".containers[0].resources.limits[cpu]: at most 1.5 times the request of 1"},
		},
		{
			"a negative amount is refused once per field", container("{requests: {cpu: -1}, limits: {cpu: -1}}"), nil,
			[]string{".containers[0].resources.requests[cpu]: must not be negative", ".containers[0].resources.limits[cpu]: must not be negative"},
		},
		{
			"an amount beyond all machines is refused", container("{limits: {memory: 16Pi}}"), nil,
			[]string{".containers[0].resources.limits[memory]: out of range"},
		},
		{
			"a resource that is not counted is refused with the known ones", container(`{limits: {"amd.com/gpu": 1}}`), nil,
			[]string{".containers[0].resources.limits[amd.com/gpu]: known are cpu, memory, ephemeral-storage, nvidia.com/gpu"},
		},
		{
			"too little memory is refused", container("{limits: {memory: 1000Ki}}"), nil,
			[]string{".containers[0].resources.limits[memory]: must be at least 1Mi"},
		},
		{
			"an init container with whole cpus is refused", initContainer("{limits: {cpu: 2}}"), nil,
			[]string{".initContainers[0].resources.limits[cpu]: is 2, init containers must not ask for whole cpus because a node may set those apart; use 1900m"},
		},
		{"an init container with a fraction of a cpu is accepted", initContainer("{limits: {cpu: 1500m}}"), nil, nil},
		{
			"whole cpus of init containers are accepted where the installation does not mind", initContainer("{limits: {cpu: 2}}"),
			func(c *podspec.Config) { c.AssertInitContainersRequestFractionalCPU = false }, nil,
		},
		{
			"a pod's own resources follow the same rules", "containers: [{name: main}]\nresources: {requests: {cpu: 2}}", nil,
			[]string{".resources.limits[cpu]: missing"},
		},
		{
			"an overhead is checked", "containers: [{name: main}]\noverhead: {cpu: -1, wine: 1}", nil,
			[]string{".overhead[cpu]: negative", ".overhead[wine]: known are cpu"},
		},
		{
			"an unknown priority class is refused with the known ones", ordinary + "priorityClassName: urgent", nil,
			[]string{".priorityClassName: \"urgent\" is not allowed, use one of armada-default, armada-preemptible"},
		},
		{"a known priority class is accepted", ordinary + "priorityClassName: armada-preemptible", nil, nil},
		{"a grace period of 0 asks for the default", ordinary + "terminationGracePeriodSeconds: 0", nil, nil},
		{
			"a grace period beyond the most is refused", ordinary + "terminationGracePeriodSeconds: 301", nil,
			[]string{".terminationGracePeriodSeconds: is 301, must be 0 for the default or from 1 to 300"},
		},
		{
			"a negative grace period is refused", ordinary + "terminationGracePeriodSeconds: -9223372036854775808", nil,
			[]string{".terminationGracePeriodSeconds: from 1 to 300"},
		},
		{
			"a deadline in the past is refused", ordinary + "activeDeadlineSeconds: 0", nil,
			[]string{".activeDeadlineSeconds: at least 1"},
		},
		{
			"a port named twice is refused", "containers: [{name: a, ports: [{containerPort: 80}]}]\ninitContainers: [{name: b, ports: [{containerPort: 80}]}]", nil,
			[]string{".containers[0].ports[0].containerPort: is 80, which spec.initContainers[0].ports[0].containerPort has already"},
		},
		{
			"a port that is none is refused", "containers: [{name: a, ports: [{containerPort: 0}, {containerPort: 70000}]}]", nil,
			[]string{".containers[0].ports[0].containerPort: from 1 to 65535", ".containers[0].ports[1].containerPort: from 1 to 65535"},
		},
		{
			"a node selector must consist of labels", ordinary + "nodeSelector: {'a b': x, zone: 'c d'}", nil,
			[]string{".nodeSelector[a b]: not a label key", ".nodeSelector[zone]: not a label value"},
		},
		{"tolerations of every taint are accepted", ordinary + "tolerations: [{operator: Exists}]", nil, nil},
		{
			"malformed tolerations are refused", ordinary + `
tolerations:
- {value: x}
- {key: a, operator: Exists, value: x}
- {key: a, operator: Lt, value: "1"}
- {key: a, effect: Sometimes}`, nil,
			[]string{
				".tolerations[0].operator: must be Exists when the key is empty", ".tolerations[1].value: must be empty",
				".tolerations[2].operator: must be Equal or Exists", ".tolerations[3].effect: must be NoSchedule",
			},
		},
		{
			"a restricted toleration is refused", ordinary + "tolerations: [{key: reserved, operator: Exists}]",
			func(c *podspec.Config) { c.RestrictedTolerationKeys = []string{"reserved"} },
			[]string{".tolerations[0].key: \"reserved\" may not be tolerated"},
		},
		{
			"preferred node affinity is refused", ordinary + "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {}}]}}", nil,
			[]string{".affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution: preferences are not honoured"},
		},
		{"required affinity without a term is refused", term(""), nil, []string{terms + ": at least one term"}},
		{"required affinity is accepted", term("{matchExpressions: [{key: zone, operator: In, values: [a, b]}, {key: cores, operator: Gt, values: ['8']}], matchFields: [{key: metadata.name, operator: In, values: [node-1]}]}"), nil, nil},
		{
			"malformed expressions are refused", term("{matchExpressions: [{key: zone, operator: In}, {key: zone, operator: Exists, values: [a]}, {key: n, operator: Gt, values: [many]}, {key: n, operator: Lt}, {key: zone, operator: Like, values: [a]}, {key: '', operator: Exists}]}"), nil,
			[]string{
				terms + "[0].matchExpressions[0].values: at least one value for In", terms + "[0].matchExpressions[1].values: must be empty for Exists",
				terms + "[0].matchExpressions[2].values[0]: must be an integer for Gt", terms + "[0].matchExpressions[3].values: must be one integer for Lt",
				terms + "[0].matchExpressions[4].operator: must be In, NotIn", terms + "[0].matchExpressions[5].key: not a label key",
			},
		},
		{
			"fields other than the node's name are refused", term("{matchFields: [{key: spec.podCIDR, operator: Exists}]}"), nil,
			[]string{
				terms + "[0].matchFields[0].key: must be metadata.name", terms + "[0].matchFields[0].operator: must be In or NotIn",
				terms + "[0].matchFields[0].values: must be one node name",
			},
		},
		{
			"a spec over the size limit is refused", ordinary, func(c *podspec.Config) { c.MaxPodSpecSizeBytes = 50 },
			[]string{": bytes long, at most 50 are taken"},
		},
		{
			"every violation is found", "containers: [{name: a, resources: {requests: {cpu: 1}}}, {name: b, resources: {limits: {wine: 1}}}]\npriorityClassName: urgent", nil,
			[]string{".priorityClassName: urgent", ".containers[0].resources.limits[cpu]: missing", ".containers[1].resources.limits[wine]: known are"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := spec(t, c.spec).Validate(rules(t, c.change), "spec")
			if len(got) != len(c.want) {
				t.Fatalf("got %d violations, want %d: %v", len(got), len(c.want), got)
			}
			for i, want := range c.want {
				path, message, _ := strings.Cut(want, ": ")
				if got[i].Path != "spec"+path || !strings.Contains(got[i].Message, message) {
					t.Errorf("violation %d is %q: %q, want %q: …%q…", i, got[i].Path, got[i].Message, "spec"+path, message)
				}
			}
		})
	}
}

func TestTextThatIsNotUTF8IsFoundWhereverItHides(t *testing.T) {
	t.Parallel()
	raw := wire(t, `
containers: [{name: main, args: [x, BAD], env: [{name: A, value: BAD}]}]
nodeSelector: {k: BAD}
hostname: fine-é`)
	for i := range len(raw) - 2 {
		if string(raw[i:i+3]) == "BAD" {
			raw[i+1] = 0xff
		}
	}
	s, err := podspec.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, v := range s.Validate(rules(t, nil), "spec") {
		if strings.Contains(v.Message, "UTF-8") {
			paths = append(paths, v.Path)
		}
	}
	want := []string{"spec.containers[0].args[1]", "spec.containers[0].env[0].value", "spec.nodeSelector[k]"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error("paths (-want +got):\n" + diff)
	}
}

func TestAConfigThatContradictsItselfIsRefusedWithItsKey(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*podspec.Config){
		"priorityClasses[0].name":                   func(c *podspec.Config) { c.PriorityClasses[0].Name = "" },
		"defaultGangNodeUniformityLabel":            func(c *podspec.Config) { c.DefaultGangNodeUniformityLabel = "not a key" },
		"defaultPriorityClassName":                  func(c *podspec.Config) { c.DefaultPriorityClassName = "urgent" },
		"maxTerminationGracePeriod":                 func(c *podspec.Config) { c.MaxTerminationGracePeriod = 0 },
		"maxOversubscriptionByResourceRequest[cpu]": func(c *podspec.Config) { c.MaxOversubscriptionByResourceRequest = map[string]float64{"cpu": 0.5} },
		"defaultJobLimits[cpu]":                     func(c *podspec.Config) { c.DefaultJobLimits["cpu"] = "one" },
		"defaultInitContainerLimits[memory]":        func(c *podspec.Config) { c.DefaultInitContainerLimits["memory"] = "-1" },
		"minJobResources[memory]":                   func(c *podspec.Config) { c.MinJobResources["memory"] = "1e99999" },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			config := podspec.DefaultConfig()
			change(&config)
			if _, err := config.Rules(table); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
				t.Errorf("got %v, want an error about %s", err, want)
			}
		})
	}
}

func TestRulesLeaveOutWhatTheInstallationDoesNotCount(t *testing.T) {
	t.Parallel()
	small, err := armada.NewResourceTable([]armada.Resource{{Name: "memory"}, {Name: "cpu", Milli: true}})
	if err != nil {
		t.Fatal(err)
	}
	r := podspec.DefaultRules(small)
	s := spec(t, "containers: [{name: main}]")
	s.Default(r)
	if wrong := s.Validate(r, "spec"); len(wrong) > 0 {
		t.Errorf("after the defaults: %v", wrong)
	}
	if got := s.Requirements(r).Resources; got != (armada.Resources{1 << 30, 1000}) {
		t.Errorf("resources %v", got)
	}
	if wrong := spec(t, "containers: [{name: main, resources: {limits: {nvidia.com/gpu: 1}}}]").Validate(r, "spec"); len(wrong) != 1 {
		t.Errorf("a gpu where none is counted: %v", wrong)
	}
}

func TestPriorityClassesAreFoundByNameAndTheEmptyNameIsTheDefault(t *testing.T) {
	t.Parallel()
	r := rules(t, nil)
	if class, ok := r.PriorityClass(""); !ok || class.Name != "armada-default" || class.Priority != 1000 || class.Preemptible {
		t.Errorf("the default is %+v, %v", class, ok)
	}
	if class, ok := r.PriorityClass("armada-preemptible"); !ok || !class.Preemptible {
		t.Errorf("armada-preemptible is %+v, %v", class, ok)
	}
	if _, ok := r.PriorityClass("urgent"); ok {
		t.Error("an unknown class was found")
	}
}
