package podspec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
)

// placement checks what says on which nodes the pod may be.
func (v *validation) placement(pod *corev1.PodSpec, path string) {
	for _, key := range slices.Sorted(maps.Keys(pod.NodeSelector)) {
		at := fmt.Sprintf("%s.nodeSelector[%s]", path, clip(key))
		v.labelKey(key, at)
		v.labelValue(pod.NodeSelector[key], at)
	}
	for i := range pod.Tolerations {
		v.toleration(&pod.Tolerations[i], fmt.Sprintf("%s.tolerations[%d]", path, i))
	}
	if pod.Affinity == nil || pod.Affinity.NodeAffinity == nil {
		return
	}
	path += ".affinity.nodeAffinity"
	if len(pod.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) > 0 {
		v.add(path+".preferredDuringSchedulingIgnoredDuringExecution",
			"preferences are not honoured; leave them out or use requiredDuringSchedulingIgnoredDuringExecution")
	}
	required := pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		return
	}
	path += ".requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	if len(required.NodeSelectorTerms) == 0 {
		v.add(path, "must have at least one term; no node matches none")
	}
	for i := range required.NodeSelectorTerms {
		term, at := &required.NodeSelectorTerms[i], fmt.Sprintf("%s[%d]", path, i)
		for j := range term.MatchExpressions {
			v.expression(&term.MatchExpressions[j], fmt.Sprintf("%s.matchExpressions[%d]", at, j))
		}
		for j := range term.MatchFields {
			v.field(&term.MatchFields[j], fmt.Sprintf("%s.matchFields[%d]", at, j))
		}
	}
}

func (v *validation) toleration(t *corev1.Toleration, path string) {
	if t.Key != "" {
		v.labelKey(t.Key, path+".key")
		if slices.Contains(v.rules.config.RestrictedTolerationKeys, t.Key) {
			v.add(path+".key", "%q may not be tolerated", t.Key)
		}
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		if t.Key == "" {
			v.add(path+".operator", "must be Exists when the key is empty, which tolerates every taint")
		}
		v.labelValue(t.Value, path+".value")
	case corev1.TolerationOpExists:
		if t.Value != "" {
			v.add(path+".value", "is %q, must be empty when the operator is Exists", clip(t.Value))
		}
	default:
		v.add(path+".operator", "is %q, must be Equal or Exists", clip(string(t.Operator)))
	}
	switch t.Effect {
	case "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
	default:
		v.add(path+".effect", "is %q, must be NoSchedule, PreferNoSchedule, NoExecute, or empty for all of them", clip(string(t.Effect)))
	}
}

// expression checks a demand on a node's label.
func (v *validation) expression(e *corev1.NodeSelectorRequirement, path string) {
	v.labelKey(e.Key, path+".key")
	switch e.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(e.Values) == 0 {
			v.add(path+".values", "must have at least one value for %s", e.Operator)
		}
		for i, value := range e.Values {
			v.labelValue(value, fmt.Sprintf("%s.values[%d]", path, i))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(e.Values) > 0 {
			v.add(path+".values", "must be empty for %s", e.Operator)
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(e.Values) != 1 {
			v.add(path+".values", "must be one integer for %s", e.Operator)
		} else if _, err := strconv.ParseInt(e.Values[0], 10, 64); err != nil {
			v.add(path+".values[0]", "is %q, must be an integer for %s", clip(e.Values[0]), e.Operator)
		}
	default:
		v.add(path+".operator", "is %q, must be In, NotIn, Exists, DoesNotExist, Gt or Lt", clip(string(e.Operator)))
	}
}

// field checks a demand on a node's name.
func (v *validation) field(e *corev1.NodeSelectorRequirement, path string) {
	if e.Key != nodeNameField {
		v.add(path+".key", "is %q, must be %s", clip(e.Key), nodeNameField)
	}
	if e.Operator != corev1.NodeSelectorOpIn && e.Operator != corev1.NodeSelectorOpNotIn {
		v.add(path+".operator", "is %q, must be In or NotIn", clip(string(e.Operator)))
	}
	if len(e.Values) != 1 {
		v.add(path+".values", "must be one node name")
	}
}

func (v *validation) labelKey(key, path string) {
	if wrong := content.IsLabelKey(key); len(wrong) > 0 {
		v.add(path, "%q is not a label key: %s", clip(key), strings.Join(wrong, "; "))
	}
}

func (v *validation) labelValue(value, path string) {
	if wrong := content.IsLabelValue(value); len(wrong) > 0 {
		v.add(path, "%q is not a label value: %s", clip(value), strings.Join(wrong, "; "))
	}
}
