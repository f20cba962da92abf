package wire_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

func TestARetryPolicyIsTheSameAfterTheWire(t *testing.T) {
	t.Parallel()
	policy := armada.RetryPolicy{Name: "p", Limit: 3, Default: armada.RetryFail, Rules: []armada.RetryRule{
		{Action: armada.RetryFail, Category: "user", Subcategory: "bug"},
		{Action: armada.RetryAgain, ExitCodes: []int32{3, -1}, AvoidNode: true},
		{Action: armada.RetryAgain, Conditions: armada.RetryConditions(), Memory: armada.MemoryGrowth{Factor: 1.5}},
		{Action: armada.RetryAgain, Message: "disk", AvoidNode: true, Memory: armada.MemoryGrowth{Extra: 1536 << 20}},
	}}
	message := wire.RetryPolicyMessage(policy)
	got, wrong := wire.RetryPolicy(message)
	if len(wrong) > 0 {
		t.Fatalf("what is wrong with it: %v", wrong)
	}
	if diff := cmp.Diff(policy, got); diff != "" {
		t.Errorf("the policy differs (-want +got):\n%s", diff)
	}
	if static := message.GetRules()[3].GetMutate().GetResources().GetMemory().GetStatic(); static != "1536Mi" {
		t.Errorf("the added memory is written %q", static)
	}
}

func TestMoreMemoryIsEitherAFactorOrAnAmount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bump *api.RetryResourceBump
		path string
	}{
		{&api.RetryResourceBump{}, ""},
		{&api.RetryResourceBump{Static: "1Gi", Factor: 2}, ""},
		{&api.RetryResourceBump{Static: "much"}, ".static"},
		{&api.RetryResourceBump{Static: "-1Gi"}, ".static"},
		{&api.RetryResourceBump{Static: "0"}, ".static"},
		{&api.RetryResourceBump{Factor: 1}, ".factor"},
		{&api.RetryResourceBump{Factor: -2}, ".factor"},
		{&api.RetryResourceBump{Factor: math.NaN()}, ".factor"},
		{&api.RetryResourceBump{Factor: math.Inf(1)}, ".factor"},
	} {
		_, wrong := wire.RetryPolicy(&api.RetryPolicy{Rules: []*api.RetryRule{{Mutate: &api.RetryMutation{Resources: &api.RetryResourceMutation{Memory: c.bump}}}}})
		if want := "rules[0].mutate.resources.memory" + c.path; len(wrong) != 1 || wrong[0].Path != want {
			t.Errorf("%v: %v, want one at %s", c.bump, wrong, want)
		}
	}
}

// container asks for memory.
func container(request, limit string) *corev1.Container {
	amounts := func(memory string) map[string]*resource.Quantity {
		if memory == "" {
			return nil
		}
		return map[string]*resource.Quantity{"memory": {String_: &memory}, "cpu": {String_: proto.String("1")}}
	}
	return &corev1.Container{Resources: &corev1.ResourceRequirements{Requests: amounts(request), Limits: amounts(limit)}}
}

func TestALeaseHasTheMemoryThatAttemptsHaveTaughtTheJob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sentence string
		growth   armada.MemoryGrowth
		want     []string // of request and limit of each container
	}{
		{"nothing was taught", armada.MemoryGrowth{}, []string{"100", "", "1Ki", "2Ki", "", "3Ki", "", ""}},
		{"a factor is for every container", armada.MemoryGrowth{Factor: 1.5}, []string{"150", "", "1536", "3072", "", "4608", "", ""}},
		{"an amount is for the container with most", armada.MemoryGrowth{Extra: 1000}, []string{"100", "", "1Ki", "2Ki", "", "4072", "", ""}},
	} {
		spec := &corev1.PodSpec{
			InitContainers: []*corev1.Container{container("100", "")},
			Containers:     []*corev1.Container{container("1Ki", "2Ki"), container("", "3Ki"), {}},
		}
		before := proto.CloneOf(spec)
		o := &store.Order{Job: armada.Job{Lessons: &armada.Lessons{Memory: c.growth}}}
		lease := wire.Lease(o, spec, false).GetJob().GetMainObject().GetPodSpec().GetPodSpec()
		var got []string
		for _, each := range slices.Concat(lease.GetInitContainers(), lease.GetContainers()) {
			r := each.GetResources()
			got = append(got, r.GetRequests()["memory"].GetString_(), r.GetLimits()["memory"].GetString_())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.sentence, diff)
		}
		if !proto.Equal(spec, before) {
			t.Errorf("%s: the shared spec was changed", c.sentence)
		}
	}
}
