package wire

import (
	"fmt"
	"math"
	"strconv"

	"armada"
	"armada/internal/podspec"
	"armada/pkg/api"
)

// RetryPolicy turns a retry policy of the wire into ours. What it cannot turn is
// among the violations; whether the policy makes sense is asked of it then.
func RetryPolicy(p *api.RetryPolicy) (armada.RetryPolicy, []armada.Violation) {
	out := armada.RetryPolicy{
		Name: p.GetName(), Limit: int(min(p.GetRetryLimit(), math.MaxInt32)), Default: retryAction(p.GetDefaultAction()),
	}
	var wrong []armada.Violation
	for i, r := range p.GetRules() {
		rule := armada.RetryRule{
			Action: retryAction(r.GetAction()), Category: r.GetOnCategory(), Subcategory: r.GetOnSubcategory(),
			ExitCodes: r.GetOnExitCodes(), Message: r.GetOnTerminationMessage(),
			AvoidNode: r.GetMutate().GetAffinity().GetAvoidSameNode(),
		}
		for _, c := range r.GetOnConditions() {
			rule.Conditions = append(rule.Conditions, armada.RetryCondition(c))
		}
		if bump := r.GetMutate().GetResources().GetMemory(); bump != nil {
			growth, v := memoryGrowth(bump)
			if v != nil {
				v.Path = fmt.Sprintf("rules[%d].mutate.resources.memory%s", i, v.Path)
				wrong = append(wrong, *v)
			}
			rule.Memory = growth
		}
		out.Rules = append(out.Rules, rule)
	}
	return out, wrong
}

// memoryGrowth reads how much more memory there is, or what is wrong with that.
func memoryGrowth(b *api.RetryResourceBump) (armada.MemoryGrowth, *armada.Violation) {
	switch factor := b.GetFactor(); {
	case b.GetStatic() != "" && factor != 0:
		return armada.MemoryGrowth{}, &armada.Violation{Message: "has both static and factor, must have one of them"}
	case b.GetStatic() != "":
		extra, err := podspec.ParseQuantity(b.GetStatic(), armada.Resource{Name: armada.Memory}, true)
		if err == nil && extra <= 0 {
			err = fmt.Errorf("is %q, must be more than nothing", b.GetStatic())
		}
		if err != nil {
			return armada.MemoryGrowth{}, &armada.Violation{Path: ".static", Message: err.Error()}
		}
		return armada.MemoryGrowth{Extra: extra}, nil
	case factor == 0:
		return armada.MemoryGrowth{}, &armada.Violation{Message: "has neither static, a quantity such as 1Gi that is added, nor factor, by which it is multiplied, and must have one of them"}
	case !(factor > 1) || math.IsInf(factor, 0):
		return armada.MemoryGrowth{}, &armada.Violation{Path: ".factor", Message: fmt.Sprintf("is %v, must be a number above 1", factor)}
	default:
		return armada.MemoryGrowth{Factor: factor}, nil
	}
}

// RetryPolicyMessage turns a retry policy into that of the wire.
func RetryPolicyMessage(p armada.RetryPolicy) *api.RetryPolicy {
	out := &api.RetryPolicy{Name: p.Name, RetryLimit: uint32(p.Limit), DefaultAction: retryActionMessage(p.Default)} //nolint:gosec // it came from one
	for i := range p.Rules {
		r := &p.Rules[i]
		rule := &api.RetryRule{
			Action: retryActionMessage(r.Action), OnCategory: r.Category, OnSubcategory: r.Subcategory,
			OnExitCodes: r.ExitCodes, OnTerminationMessage: r.Message,
		}
		for _, c := range r.Conditions {
			rule.OnConditions = append(rule.OnConditions, string(c))
		}
		if r.AvoidNode || r.Memory != (armada.MemoryGrowth{}) {
			rule.Mutate = &api.RetryMutation{}
		}
		if r.AvoidNode {
			rule.Mutate.Affinity = &api.RetryAffinityMutation{AvoidSameNode: true}
		}
		if r.Memory != (armada.MemoryGrowth{}) {
			bump := &api.RetryResourceBump{Factor: r.Memory.Factor}
			if r.Memory.Extra > 0 {
				bump.Static = quantity(r.Memory.Extra)
			}
			rule.Mutate.Resources = &api.RetryResourceMutation{Memory: bump}
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

// quantity writes bytes in the largest unit of which they are a multiple.
func quantity(bytes int64) string {
	unit := ""
	for _, larger := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if bytes%1024 != 0 {
			break
		}
		bytes, unit = bytes/1024, larger
	}
	return strconv.FormatInt(bytes, 10) + unit
}

func retryAction(a api.RetryAction) armada.RetryAction {
	switch a {
	case api.RetryAction_RETRY_ACTION_FAIL:
		return armada.RetryFail
	case api.RetryAction_RETRY_ACTION_RETRY:
		return armada.RetryAgain
	default:
		return 0
	}
}

func retryActionMessage(a armada.RetryAction) api.RetryAction {
	switch a {
	case armada.RetryFail:
		return api.RetryAction_RETRY_ACTION_FAIL
	case armada.RetryAgain:
		return api.RetryAction_RETRY_ACTION_RETRY
	default:
		return api.RetryAction_RETRY_ACTION_UNSPECIFIED
	}
}
