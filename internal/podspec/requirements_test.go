package podspec_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"armada"
	"armada/internal/podspec"
)

// affine says everything that requirements are made of, not in order.
const affine = `
priorityClassName: armada-preemptible
nodeSelector: {zone: b, arch: arm64}
tolerations:
- {key: z, operator: Exists}
- {key: a, value: x, effect: NoSchedule}
- {key: a, operator: Equal, value: x, effect: NoSchedule}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: zone, operator: NotIn, values: [c, a, c]}
        - {key: arch, operator: Exists}
        matchFields:
        - {key: metadata.name, operator: In, values: [node-7]}
      - matchExpressions: [{key: arch, operator: Exists}]
containers:
- {name: main, resources: {limits: {cpu: 1500m, memory: 1Gi}}}
`

func TestRequirementsSayWhatANodeMustHaveInCanonicalOrder(t *testing.T) {
	t.Parallel()
	want := &armada.Requirements{
		PriorityClass: "armada-preemptible",
		Resources:     armada.Resources{1500, 1 << 30},
		NodeSelector:  []armada.Label{{Key: "arch", Value: "arm64"}, {Key: "zone", Value: "b"}},
		Tolerations:   []armada.Toleration{{Key: "a", Value: "x", Effect: armada.NoSchedule}, {Key: "z", Exists: true}},
		Affinity: []armada.NodeTerm{
			{Expressions: []armada.NodeExpression{{Key: "arch", Operator: armada.OpExists}}},
			{Expressions: []armada.NodeExpression{
				{Key: "arch", Operator: armada.OpExists},
				{Key: "metadata.name", Operator: armada.OpIn, Values: []string{"node-7"}, Field: true},
				{Key: "zone", Operator: armada.OpNotIn, Values: []string{"a", "c"}},
			}},
		},
	}
	if diff := cmp.Diff(want, spec(t, affine).Requirements(rules(t, nil))); diff != "" {
		t.Error("requirements (-want +got):\n" + diff)
	}
}

func TestANodeNameIsADemandInEveryTerm(t *testing.T) {
	t.Parallel()
	named := spec(t, affine+"nodeName: node-7").Requirements(rules(t, nil))
	labels := map[string]string{"arch": "arm64", "zone": "b"}
	if !named.Matches(labels, "node-7") || named.Matches(labels, "node-8") {
		t.Errorf("affinity %v", named.Affinity)
	}
	if alone := spec(t, ordinary+"nodeName: node-7").Requirements(rules(t, nil)); !alone.Matches(nil, "node-7") || alone.Matches(nil, "node-8") {
		t.Errorf("affinity %v", alone.Affinity)
	}
}

func TestAPodTakesWhatItsContainersTakeAtTheSameTime(t *testing.T) {
	t.Parallel()
	uses := func(cpu string, more string) string {
		return fmt.Sprintf("{name: x, %s resources: {limits: {cpu: %s}}}", more, cpu)
	}
	const sidecar = "restartPolicy: Always,"
	for _, c := range []struct {
		name string
		spec string
		want int64 // thousandths of a cpu
	}{
		{"containers add up", "containers: [" + uses("1", "") + "," + uses("500m", "") + "]", 1500},
		{"a small init container takes nothing more", "containers: [" + uses("2", "") + "]\ninitContainers: [" + uses("1", "") + "]", 2000},
		{"the largest init container counts, not their sum", "containers: [" + uses("1", "") + "]\ninitContainers: [" + uses("2", "") + "," + uses("3", "") + "]", 3000},
		{"a sidecar runs beside the containers", "containers: [" + uses("1", "") + "]\ninitContainers: [" + uses("2", sidecar) + "]", 3000},
		{"an init container runs beside the sidecars before it", "containers: [" + uses("1", "") + "]\ninitContainers: [" + uses("2", sidecar) + "," + uses("3", "") + "]", 5000},
		{"an init container does not run beside a later sidecar", "containers: [" + uses("1", "") + "]\ninitContainers: [" + uses("3", "") + "," + uses("2", sidecar) + "]", 3000},
		{"the overhead comes on top", "containers: [" + uses("1", "") + "]\ninitContainers: [" + uses("2", "") + "]\noverhead: {cpu: 250m}", 2250},
		{"the pod's own resources stand in place of the containers'", "containers: [" + uses("1", "") + "]\nresources: {limits: {cpu: 4}}\noverhead: {cpu: 250m}", 4250},
		{"fractions of a thousandth are rounded up", "containers: [" + uses("100u", "") + "]", 1},
		{"requests count and not limits", "containers: [{name: x, resources: {requests: {cpu: 1}, limits: {cpu: 2}}}]", 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := spec(t, c.spec).Requirements(rules(t, nil)).Resources[0]; got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestATotalBeyondAllMachinesStaysThere(t *testing.T) {
	t.Parallel()
	text := "containers:\n"
	for range 1100 { // the sum of the amounts is beyond an int64
		text += "- {name: x, resources: {limits: {memory: 8Pi}}}\n"
	}
	if got := spec(t, text).Requirements(rules(t, nil)).Resources[1]; got != podspec.MaxAmount {
		t.Errorf("got %d, want %d", got, int64(podspec.MaxAmount))
	}
}

func TestDefaultsFillInWhatTheUserLeftOut(t *testing.T) {
	t.Parallel()
	s := spec(t, `
containers:
- {name: nothing}
- {name: memory-only, resources: {limits: {memory: 2Gi}}}
- {name: devices, resources: {limits: {nvidia.com/gpu: 1}}}
initContainers:
- {name: first}
restartPolicy: Always
`)
	s.Default(rules(t, nil))
	want := spec(t, `
containers:
- {name: nothing, resources: {limits: {cpu: 1, memory: 1Gi, ephemeral-storage: 8Gi}, requests: {cpu: 1, memory: 1Gi, ephemeral-storage: 8Gi}}}
- {name: memory-only, resources: {limits: {cpu: 1, memory: 2Gi, ephemeral-storage: 8Gi}, requests: {cpu: 1, memory: 2Gi, ephemeral-storage: 8Gi}}}
- {name: devices, resources: {limits: {cpu: 1, memory: 1Gi, ephemeral-storage: 8Gi, nvidia.com/gpu: 1}, requests: {cpu: 1, memory: 1Gi, ephemeral-storage: 8Gi, nvidia.com/gpu: 1}}}
initContainers:
- {name: first, resources: {limits: {cpu: 900m, memory: 1Gi, ephemeral-storage: 8Gi}, requests: {cpu: 900m, memory: 1Gi, ephemeral-storage: 8Gi}}}
restartPolicy: Never
priorityClassName: armada-default
terminationGracePeriodSeconds: 1
activeDeadlineSeconds: 1209600
tolerations:
- {key: armadaproject.io/armada, operator: Equal, value: "true", effect: NoSchedule}
- {key: armadaproject.io/pc-armada-default, operator: Equal, value: "true", effect: NoSchedule}
- {key: armadaproject.io/gpu, operator: Equal, value: "true", effect: NoSchedule}
`)
	got, _ := s.JSON()
	wanted, _ := want.JSON()
	if diff := cmp.Diff(string(wanted), string(got)); diff != "" {
		t.Error("spec (-want +got):\n" + diff)
	}
	if deadline, _ := s.ActiveDeadline(); deadline != 336*time.Hour {
		t.Errorf("deadline %s", deadline)
	}
}

func TestDefaultsLeaveAloneWhatTheUserSaid(t *testing.T) {
	t.Parallel()
	s := spec(t, ordinary+`
priorityClassName: armada-preemptible
terminationGracePeriodSeconds: 60
activeDeadlineSeconds: 5
tolerations: [{key: armadaproject.io/armada, value: "true", effect: NoSchedule}]
`)
	s.Default(rules(t, nil))
	deadline, _ := s.ActiveDeadline()
	class := s.Requirements(rules(t, nil)).PriorityClass
	if s.GracePeriod() != time.Minute || deadline != 5*time.Second || class != "armada-preemptible" {
		t.Errorf("grace %s, deadline %s, class %s", s.GracePeriod(), deadline, class)
	}
	if got := s.Requirements(rules(t, nil)).Tolerations; len(got) != 2 {
		t.Errorf("tolerations %v", got)
	}
}

func TestWhatThePodAsksForAsAWholeIsNotAddedToItsContainers(t *testing.T) {
	t.Parallel()
	s := spec(t, "containers: [{name: a}, {name: b}]\nresources: {limits: {cpu: 1}}")
	s.Default(rules(t, nil))
	if got := s.Requirements(rules(t, nil)).Resources; got != (armada.Resources{1000, 2 << 30, 16 << 30}) {
		t.Errorf("resources %v", got)
	}
	for _, c := range s.Containers(nil) {
		if c.CPU != 0 {
			t.Errorf("container %s got a cpu limit of its own", c.Name)
		}
	}
}

// podSpecs generates valid pod specs.
func podSpecs() *rapid.Generator[*corev1.PodSpec] {
	return rapid.Custom(func(t *rapid.T) *corev1.PodSpec {
		pod := &corev1.PodSpec{
			PriorityClassName: rapid.SampledFrom([]string{"", "armada-default", "armada-preemptible"}).Draw(t, "class"),
			NodeSelector:      rapid.MapOfN(word, word, 0, 4).Draw(t, "selector"),
			Tolerations:       rapid.SliceOfN(tolerations, 0, 4).Draw(t, "tolerations"),
			Containers:        rapid.SliceOfN(containers(true), 1, 3).Draw(t, "containers"),
			InitContainers:    rapid.SliceOfN(containers(false), 0, 2).Draw(t, "init containers"),
		}
		if terms := rapid.SliceOfN(terms, 0, 3).Draw(t, "terms"); len(terms) > 0 {
			pod.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
			}}
		}
		return pod
	})
}

var (
	word        = rapid.StringMatching(`[a-c]{1,2}`)
	expressions = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{
			Key: word.Draw(t, "key"), Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn"}).Draw(t, "operator"),
			Values: rapid.SliceOfN(word, 1, 3).Draw(t, "values"),
		}
	})
	terms = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: rapid.SliceOfN(expressions, 1, 3).Draw(t, "expressions")}
	})
	tolerations = rapid.Custom(func(t *rapid.T) corev1.Toleration {
		toleration := corev1.Toleration{Key: word.Draw(t, "key"), Operator: "Exists"}
		if rapid.Bool().Draw(t, "equal") {
			toleration.Operator, toleration.Value = "Equal", word.Draw(t, "value")
		}
		return toleration
	})
)

func containers(whole bool) *rapid.Generator[corev1.Container] {
	return rapid.Custom(func(t *rapid.T) corev1.Container {
		c := corev1.Container{Name: word.Draw(t, "name")}
		limits := corev1.ResourceList{}
		add := func(r armada.Resource, amount int64) {
			if rapid.Bool().Draw(t, "with "+r.Name) {
				limits[corev1.ResourceName(r.Name)] = quantity(podspec.FormatQuantity(amount, r))
			}
		}
		milli := rapid.Int64Range(1, 5000).Draw(t, "cpu")
		if !whole && milli%1000 == 0 {
			milli++
		}
		add(cpu, milli)
		add(memory, rapid.Int64Range(1<<20, 1<<40).Draw(t, "memory"))
		add(gpu, rapid.Int64Range(0, 8).Draw(t, "gpu"))
		c.Resources.Limits = limits
		if rapid.Bool().Draw(t, "requests too") {
			c.Resources.Requests = limits.DeepCopy()
		}
		return c
	})
}

func TestDefaultingTwiceIsDefaultingOnceAndStaysValid(t *testing.T) {
	t.Parallel()
	r := rules(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		s := decoded(t, podSpecs().Draw(t, "pod"))
		if wrong := s.Validate(r, "spec"); len(wrong) > 0 {
			t.Fatalf("the generated spec is not valid: %v", wrong)
		}
		s.Default(r)
		once := s.Canonical()
		if wrong := s.Validate(r, "spec"); len(wrong) > 0 {
			t.Fatalf("not valid after defaulting: %v", wrong)
		}
		s.Default(r)
		if !bytes.Equal(once, s.Canonical()) {
			t.Fatal("the second defaulting changed something")
		}
	})
}

func TestEqualNeedsInAnotherOrderAreTheSameShape(t *testing.T) {
	t.Parallel()
	r := rules(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		pod := podSpecs().Draw(t, "pod")
		want := decoded(t, pod).Requirements(r)

		other := pod.DeepCopy()
		other.Tolerations = rapid.Permutation(other.Tolerations).Draw(t, "tolerations")
		other.Containers = rapid.Permutation(other.Containers).Draw(t, "containers")
		other.InitContainers = rapid.Permutation(other.InitContainers).Draw(t, "init containers")
		if other.Affinity != nil {
			required := other.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
			required.NodeSelectorTerms = rapid.Permutation(required.NodeSelectorTerms).Draw(t, "terms")
			for i := range required.NodeSelectorTerms {
				term := &required.NodeSelectorTerms[i]
				term.MatchExpressions = rapid.Permutation(term.MatchExpressions).Draw(t, "expressions")
				for j := range term.MatchExpressions {
					e := &term.MatchExpressions[j]
					e.Values = rapid.Permutation(append(e.Values, e.Values[0])).Draw(t, "values")
				}
			}
		}
		got := decoded(t, other).Requirements(r)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal("requirements (-want +got):\n" + diff)
		}
		if want.Shape(table) != got.Shape(table) {
			t.Fatal("equal requirements, different shapes")
		}

		got.Resources[0]++
		if want.Shape(table) == got.Shape(table) {
			t.Fatal("different requirements, one shape")
		}
	})
}
