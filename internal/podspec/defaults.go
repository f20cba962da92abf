package podspec

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
)

// Default fills in what the user left out of a valid spec. What is there stays,
// except the restart policy: a job's containers run once. A second call changes
// nothing, and the result is valid under the same rules.
func (s *Spec) Default(rules *Rules) {
	pod := &s.pod
	pod.RestartPolicy = corev1.RestartPolicyNever
	if pod.PriorityClassName == "" {
		pod.PriorityClassName = rules.config.DefaultPriorityClassName
	}
	for i := range pod.InitContainers {
		fillResources(&pod.InitContainers[i].Resources, rules.limits[1], pod.Resources)
	}
	for i := range pod.Containers {
		fillResources(&pod.Containers[i].Resources, rules.limits[0], pod.Resources)
	}
	if pod.Resources != nil {
		fillResources(pod.Resources, nil, nil)
	}
	if grace := pod.TerminationGracePeriodSeconds; grace == nil || *grace == 0 {
		pod.TerminationGracePeriodSeconds = new(int64(rules.config.MinTerminationGracePeriod.Seconds()))
	}
	asked := s.asked()
	if pod.ActiveDeadlineSeconds == nil {
		s.defaultDeadline(rules, asked)
	}
	s.tolerate(rules.config.DefaultTolerations)
	s.tolerate(rules.config.DefaultTolerationsByPriorityClass[pod.PriorityClassName])
	for _, name := range rules.tolerate {
		if asked[corev1.ResourceName(name)] {
			s.tolerate(rules.config.DefaultTolerationsByResourceRequest[name])
		}
	}
}

// fillResources makes requests and limits name the same resources, and gives
// what neither names its default, unless the pod as a whole says how much of it
// there is.
func fillResources(r *corev1.ResourceRequirements, defaults map[string]resource.Quantity, whole *corev1.ResourceRequirements) {
	set := func(list *corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
		if _, there := (*list)[name]; there {
			return
		}
		if *list == nil {
			*list = make(corev1.ResourceList)
		}
		(*list)[name] = q.DeepCopy()
	}
	for name, q := range r.Limits {
		set(&r.Requests, name, q)
	}
	for name, q := range defaults {
		name := corev1.ResourceName(name)
		if whole != nil && names(whole, name) {
			continue
		}
		if _, asked := r.Requests[name]; !asked {
			set(&r.Requests, name, q)
			set(&r.Limits, name, q)
		}
	}
}

func names(r *corev1.ResourceRequirements, name corev1.ResourceName) bool {
	_, requested := r.Requests[name]
	_, limited := r.Limits[name]
	return requested || limited
}

// asked tells which resources some container asks for.
func (s *Spec) asked() map[corev1.ResourceName]bool {
	asked := make(map[corev1.ResourceName]bool)
	add := func(r *corev1.ResourceRequirements) {
		for name, q := range demand(r) {
			if !q.IsZero() {
				asked[name] = true
			}
		}
	}
	for i := range s.pod.InitContainers {
		add(&s.pod.InitContainers[i].Resources)
	}
	for i := range s.pod.Containers {
		add(&s.pod.Containers[i].Resources)
	}
	if s.pod.Resources != nil {
		add(s.pod.Resources)
	}
	return asked
}

func (s *Spec) defaultDeadline(rules *Rules, asked map[corev1.ResourceName]bool) {
	deadline, special := rules.config.DefaultActiveDeadline, false
	for _, name := range rules.deadline {
		own := rules.config.DefaultActiveDeadlineByResourceRequest[name]
		if asked[corev1.ResourceName(name)] && (!special || own > deadline) {
			deadline, special = own, true
		}
	}
	if deadline > 0 {
		s.pod.ActiveDeadlineSeconds = new(int64(deadline.Seconds()))
	}
}

// tolerate appends the tolerations that the spec does not have yet.
func (s *Spec) tolerate(tolerations []armada.Toleration) {
	for _, t := range tolerations {
		want := corev1.Toleration{Key: t.Key, Operator: corev1.TolerationOpEqual, Value: t.Value, Effect: corev1.TaintEffect(t.Effect)}
		if t.Exists {
			want.Operator = corev1.TolerationOpExists
		}
		if !slices.ContainsFunc(s.pod.Tolerations, func(have corev1.Toleration) bool { return toleration(have) == t }) {
			s.pod.Tolerations = append(s.pod.Tolerations, want)
		}
	}
}
