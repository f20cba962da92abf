package armada_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"armada"
)

func TestEverythingWrongWithARetryPolicyIsListed(t *testing.T) {
	t.Parallel()
	good := armada.RetryPolicy{Name: "a-1", Limit: 3, Default: armada.RetryFail, Rules: []armada.RetryRule{
		{Action: armada.RetryAgain, Category: "infra", Subcategory: "node", ExitCodes: []int32{-1}, Conditions: armada.RetryConditions(), Message: "^a", AvoidNode: true},
	}}
	if wrong := good.Validate(); len(wrong) > 0 {
		t.Errorf("a good policy: %v", wrong)
	}
	bad := armada.RetryPolicy{Name: "A_b", Rules: []armada.RetryRule{
		{},
		{Action: armada.RetryFail, Subcategory: "node", ExitCodes: []int32{1, 0}, Conditions: []armada.RetryCondition{"Bored"}, Message: "(", AvoidNode: true},
		{Action: 9, Category: "c"},
	}}
	var paths []string
	for _, v := range bad.Validate() {
		paths = append(paths, v.Path)
		if v.Message == "" {
			t.Errorf("nothing is said about %s", v.Path)
		}
	}
	want := []string{
		"name", "default_action", "rules[0].action", "rules[0].on_category",
		"rules[1].on_subcategory", "rules[1].on_exit_codes[1]", "rules[1].on_conditions[0]", "rules[1].on_termination_message", "rules[1].mutate",
		"rules[2].action",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	for name, fine := range map[string]bool{"": false, "a": true, "-a": false, "a-": false, strings.Repeat("x", 63): true, strings.Repeat("x", 64): false, "a.b": false} {
		p := armada.RetryPolicy{Name: name, Default: armada.RetryFail}
		if got := len(p.Validate()) == 0; got != fine {
			t.Errorf("the name %q is fine: %t, want %t", name, got, fine)
		}
	}
}

func TestMemoryGrowsWithinBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		growth       armada.MemoryGrowth
		amount, want int64
	}{
		{armada.MemoryGrowth{}, 7, 7},
		{armada.MemoryGrowth{Factor: 1.5}, 7, 10},
		{armada.MemoryGrowth{Extra: 5}, 7, 12},
		{armada.MemoryGrowth{Factor: 2}, 0, 0},
		{armada.MemoryGrowth{Extra: 5}, 0, 0},
		{armada.MemoryGrowth{Factor: math.MaxFloat64}, 7, 1 << 53},
		{armada.MemoryGrowth{Extra: math.MaxInt64}, 1 << 53, 1 << 54},
	} {
		if got := c.growth.Grow(c.amount); got != c.want {
			t.Errorf("%d grows by %+v to %d, want %d", c.amount, c.growth, got, c.want)
		}
	}
}

func TestAJobHasOneKindOfMemoryGrowth(t *testing.T) {
	t.Parallel()
	double, gi := armada.RetryRule{Memory: armada.MemoryGrowth{Factor: 2}}, armada.RetryRule{Memory: armada.MemoryGrowth{Extra: 1 << 30}}
	for _, c := range []struct {
		rules []armada.RetryRule
		want  armada.MemoryGrowth
	}{
		{[]armada.RetryRule{double, double, gi}, armada.MemoryGrowth{Factor: 4}},
		{[]armada.RetryRule{gi, double, gi}, armada.MemoryGrowth{Extra: 2 << 30}},
		{[]armada.RetryRule{{}, gi}, armada.MemoryGrowth{Extra: 1 << 30}},
	} {
		var l *armada.Lessons
		for i := range c.rules {
			l = l.WithRetry("n", &c.rules[i], true)
		}
		if l.Memory != c.want || l.Retried != len(c.rules) {
			t.Errorf("after %v: %+v, want %+v", c.rules, l, c.want)
		}
	}
}

func TestLessonsSayWhatTheNextAttemptDoesOtherwise(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]*armada.Lessons{
		"":               nil,
		"not again on a": {Avoid: []string{"a"}},
		"not again on a, b, c, d, e and 2 more, with 1.5 times the memory": {Avoid: []string{"a", "b", "c", "d", "e", "f", "g"}, Memory: armada.MemoryGrowth{Factor: 1.5}},
		"with 1.5Gi more memory": {Returned: 1, Memory: armada.MemoryGrowth{Extra: 3 << 29}},
	} {
		if got := l.String(); got != want {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
}

func TestLessonsChangeWhatIsRequiredAndItsName(t *testing.T) {
	t.Parallel()
	table := armada.DefaultResourceTable()
	term := func(key string) armada.NodeTerm {
		return armada.NodeTerm{Expressions: []armada.NodeExpression{{Key: key, Operator: armada.OpExists}}}
	}
	plain := &armada.Requirements{PriorityClass: "c", Resources: armada.Resources{1000, 1 << 30}}
	choosy := &armada.Requirements{Affinity: []armada.NodeTerm{term("a"), {}, term("b")}}
	shape := plain.Shape(table)

	var none *armada.Lessons
	counted := none.WithRetry("n1", &armada.RetryRule{}, false)
	for _, l := range []*armada.Lessons{none, {}, counted} {
		if l.Shape(shape) != shape || l.Apply(plain, table) != plain {
			t.Errorf("%+v change something", l)
		}
	}
	taught := none.WithReturn("n2").WithReturn("n1").WithRetry("n1", &armada.RetryRule{AvoidNode: true, Memory: armada.MemoryGrowth{Factor: 2}}, true)
	got := taught.Apply(plain, table)
	if got.Resources != (armada.Resources{1000, 2 << 30}) || plain.Resources[1] != 1<<30 || plain.Affinity != nil {
		t.Errorf("resources %v of %v", got.Resources, plain)
	}
	for _, node := range []string{"n1", "n2", "n3"} {
		if fits := got.Matches(nil, node); fits != (node == "n3") {
			t.Errorf("node %s fits: %t", node, fits)
		}
		if fits := taught.Apply(choosy, table).Matches(map[string]string{"b": ""}, node); fits != (node == "n3") {
			t.Errorf("node %s with the label fits: %t", node, fits)
		}
		if taught.Apply(choosy, table).Matches(nil, node) {
			t.Errorf("node %s fits without the label", node)
		}
	}
	same := &armada.Lessons{Avoid: []string{"n1", "n2"}, Memory: armada.MemoryGrowth{Factor: 2}}
	names := []armada.ShapeID{
		shape, taught.Shape(shape), taught.Shape("other"),
		(&armada.Lessons{Avoid: []string{"n1"}}).Shape(shape), (&armada.Lessons{Avoid: []string{"n1 n2"}}).Shape(shape),
		(&armada.Lessons{Memory: armada.MemoryGrowth{Factor: 2}}).Shape(shape), (&armada.Lessons{Memory: armada.MemoryGrowth{Extra: 2}}).Shape(shape),
	}
	if same.Shape(shape) != taught.Shape(shape) {
		t.Error("the order in which nodes were tried makes another shape")
	}
	if slices.Sort(names); len(slices.Compact(names)) != 7 {
		t.Errorf("different requirements have one name: %v", names)
	}
}
