package podspec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
)

// Validate returns everything that is wrong with a spec as the user sent it,
// nothing when it can be taken. Paths begin with path and name fields as
// Kubernetes' JSON does.
func (s *Spec) Validate(rules *Rules, path string) []armada.Violation {
	v := &validation{rules: rules}
	v.size(s, path)
	if pod := reflect.ValueOf(&s.pod).Elem(); !validText(pod) {
		v.text(pod, path)
	}
	v.class(&s.pod, path)
	v.times(&s.pod, path)
	v.containers(&s.pod, path)
	v.placement(&s.pod, path)
	return v.violations
}

// validation collects violations.
type validation struct {
	rules      *Rules
	violations []armada.Violation
}

func (v *validation) add(path, format string, args ...any) {
	v.violations = append(v.violations, armada.Violation{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (v *validation) size(s *Spec, path string) {
	size := s.size
	if size == 0 {
		size = s.pod.Size()
	}
	if most := v.rules.config.MaxPodSpecSizeBytes; size > most {
		v.add(path, "is %d bytes long, at most %d are taken", size, most)
	}
}

// validText tells whether every string of a value is valid UTF-8. It is what
// text finds out, without the price of naming places that nobody will read.
func validText(value reflect.Value) bool {
	switch value.Kind() {
	case reflect.String:
		return utf8.ValidString(value.String())
	case reflect.Pointer:
		return value.IsNil() || validText(value.Elem())
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return true
		}
		for i := range value.Len() {
			if !validText(value.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for entries := value.MapRange(); entries.Next(); {
			if !validText(entries.Key()) || !validText(entries.Value()) {
				return false
			}
		}
	case reflect.Struct:
		if value.Type() == quantityType {
			return true // was parsed
		}
		for i := range value.NumField() {
			if !validText(value.Field(i)) {
				return false
			}
		}
	default:
	}
	return true
}

var quantityType = reflect.TypeFor[resource.Quantity]()

// text finds strings that are not valid UTF-8: Kubernetes' decoder lets them
// pass, and those that the spec is shown to later would not.
func (v *validation) text(value reflect.Value, path string) {
	switch value.Kind() {
	case reflect.String:
		if !utf8.ValidString(value.String()) {
			v.add(path, "is not valid UTF-8")
		}
	case reflect.Pointer:
		if !value.IsNil() {
			v.text(value.Elem(), path)
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range value.Len() {
			v.text(value.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			entry := fmt.Sprintf("%s[%s]", path, strings.ToValidUTF8(key.String(), "\uFFFD"))
			if !utf8.ValidString(key.String()) {
				v.add(entry, "has a key that is not valid UTF-8")
			}
			v.text(value.MapIndex(key), entry)
		}
	case reflect.Struct:
		t := value.Type()
		for i := range t.NumField() {
			if field := t.Field(i); field.IsExported() {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				if name == "" {
					v.text(value.Field(i), path) // embedded: its fields are its parent's
				} else {
					v.text(value.Field(i), path+"."+name)
				}
			}
		}
	default:
	}
}

func (v *validation) class(pod *corev1.PodSpec, path string) {
	if _, ok := v.rules.PriorityClass(pod.PriorityClassName); !ok {
		v.add(path+".priorityClassName", "%q is not allowed, use one of %s or leave it out for %s",
			clip(pod.PriorityClassName), strings.Join(v.rules.ClassNames(), ", "), v.rules.config.DefaultPriorityClassName)
	}
}

func (v *validation) times(pod *corev1.PodSpec, path string) {
	c := &v.rules.config
	if grace := pod.TerminationGracePeriodSeconds; grace != nil && *grace != 0 {
		if given := seconds(*grace); given < c.MinTerminationGracePeriod || given > c.MaxTerminationGracePeriod {
			v.add(path+".terminationGracePeriodSeconds", "is %d, must be 0 for the default or from %g to %g",
				*grace, c.MinTerminationGracePeriod.Seconds(), c.MaxTerminationGracePeriod.Seconds())
		}
	}
	if deadline := pod.ActiveDeadlineSeconds; deadline != nil && *deadline < 1 {
		v.add(path+".activeDeadlineSeconds", "is %d, must be at least 1; leave it out for the default of %s", *deadline, c.DefaultActiveDeadline)
	}
}

// containers checks every container, and the ports of all of them together.
func (v *validation) containers(pod *corev1.PodSpec, path string) {
	if len(pod.Containers) == 0 {
		v.add(path+".containers", "must have at least one container")
	}
	ports := make(map[int32]string)
	check := func(c *corev1.Container, at string, init bool) {
		v.resources(&c.Resources, at+".resources", init)
		for i, port := range c.Ports {
			here := fmt.Sprintf("%s.ports[%d].containerPort", at, i)
			if port.ContainerPort < 1 || port.ContainerPort > 65535 {
				v.add(here, "is %d, must be from 1 to 65535", port.ContainerPort)
			} else if first, taken := ports[port.ContainerPort]; taken {
				v.add(here, "is %d, which %s has already; a port may be named once in a pod", port.ContainerPort, first)
			} else {
				ports[port.ContainerPort] = here
			}
		}
	}
	for i := range pod.InitContainers {
		check(&pod.InitContainers[i], fmt.Sprintf("%s.initContainers[%d]", path, i), true)
	}
	for i := range pod.Containers {
		check(&pod.Containers[i], fmt.Sprintf("%s.containers[%d]", path, i), false)
	}
	if pod.Resources != nil {
		v.resources(pod.Resources, path+".resources", false)
	}
	for _, name := range sortedNames(pod.Overhead) {
		v.amount(pod.Overhead, name, path+".overhead")
	}
}

// resources checks requests and limits against each other and the rules.
func (v *validation) resources(r *corev1.ResourceRequirements, path string, init bool) {
	for _, name := range sortedNames(r.Requests, r.Limits) {
		requestAt, limitAt := path+".requests["+string(name)+"]", path+".limits["+string(name)+"]"
		request, limit := r.Requests[name], r.Limits[name]
		_, requested := r.Requests[name]
		_, limited := r.Limits[name]
		want, ok := v.amount(r.Requests, name, path+".requests")
		most, ok2 := v.amount(r.Limits, name, path+".limits")
		if !ok || !ok2 {
			continue
		}
		ratio := v.rules.ratio(string(name))
		switch {
		case !limited:
			v.add(limitAt, "is missing while the request is %s, set it to %s", request.String(), request.String())
			most = want
		case !requested: // the limit is the request, as in Kubernetes
			want, requestAt = most, limitAt
		case limit.Cmp(request) < 0:
			v.add(limitAt, "is %s, less than the request of %s; it must be at least that", limit.String(), request.String())
		case float64(most) > ratio*float64(want):
			if ratio == 1 {
				v.add(limitAt, "is %s, more than the request of %s; the two must be equal", limit.String(), request.String())
			} else {
				v.add(limitAt, "is %s, at most %g times the request of %s is allowed", limit.String(), ratio, request.String())
			}
		}
		if least := v.rules.least[string(name)]; want < least {
			v.add(requestAt, "must be at least %s", FormatQuantity(least, v.counted(name)))
		}
		if init && name == corev1.ResourceCPU && v.rules.config.AssertInitContainersRequestFractionalCPU {
			v.fractional(want, requestAt)
			if most != want {
				v.fractional(most, limitAt)
			}
		}
	}
}

// fractional refuses amounts of cpu that a kubelet may pin.
func (v *validation) fractional(milli int64, path string) {
	if milli > 0 && milli%1000 == 0 {
		v.add(path, "is %d, init containers must not ask for whole cpus because a node may set those apart; use %dm",
			milli/1000, milli-100)
	}
}

// amount returns what list says of a resource, 0 when nothing, and false when
// that was a violation.
func (v *validation) amount(list corev1.ResourceList, name corev1.ResourceName, path string) (int64, bool) {
	q, present := list[name]
	if !present {
		return 0, true
	}
	path += "[" + string(name) + "]"
	i, counted := v.rules.table.Index(string(name))
	if !counted {
		v.add(path, "is not a resource that is counted here; known are %s", strings.Join(v.rules.table.Names(), ", "))
		return 0, false
	}
	if q.Sign() < 0 {
		v.add(path, "is %s, must not be negative", clip(q.String()))
		return 0, false
	}
	amount, ok := amountOf(q, v.rules.table.At(i), true)
	if !ok {
		v.add(path, "%s", errTooLarge)
	}
	return amount, ok
}

func (v *validation) counted(name corev1.ResourceName) armada.Resource {
	i, _ := v.rules.table.Index(string(name))
	return v.rules.table.At(i)
}

// sortedNames lists the resources that any of the lists names, each once.
func sortedNames(lists ...corev1.ResourceList) []corev1.ResourceName {
	var names []corev1.ResourceName
	for _, list := range lists {
		for name := range list {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
