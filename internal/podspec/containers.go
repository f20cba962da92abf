package podspec

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
)

// Container is one container as a runtime without Kubernetes starts it.
type Container struct {
	Name    string
	Image   string
	Init    bool // runs to its end before those after it start, unless it is a sidecar
	Sidecar bool // an init container that goes on beside the others
	// Command and Args have their $(NAME) references expanded. What runs is
	// Command followed by Args; an empty Command means the image's own.
	Command    []string
	Args       []string
	Env        []Variable // in order; of a name given twice the later one counts
	WorkingDir string
	CPU        int64 // limit in thousandths of a core; 0 is unlimited
	Memory     int64 // limit in bytes; 0 is unlimited
	// Unmet names what the container needs and cannot be had here, such as
	// "env PASSWORD: secret keys". A container with an unmet need must not start.
	Unmet []string
}

// Fields answers what an environment variable may ask about its pod, by
// Kubernetes' path: metadata.name, metadata.namespace, metadata.uid,
// metadata.labels['key'], metadata.annotations['key'], spec.nodeName,
// spec.serviceAccountName, status.hostIP, status.podIP. False for what is not
// known.
type Fields func(path string) (string, bool)

// Containers lists the init containers and then the containers, each in the
// spec's order. A nil fields knows nothing.
func (s *Spec) Containers(fields Fields) []Container {
	containers := make([]Container, 0, len(s.pod.InitContainers)+len(s.pod.Containers))
	for i := range s.pod.InitContainers {
		c := project(&s.pod.InitContainers[i], fields)
		c.Init, c.Sidecar = true, sidecar(&s.pod.InitContainers[i])
		containers = append(containers, c)
	}
	for i := range s.pod.Containers {
		containers = append(containers, project(&s.pod.Containers[i], fields))
	}
	return containers
}

func project(from *corev1.Container, fields Fields) Container {
	c := Container{Name: from.Name, Image: from.Image, WorkingDir: from.WorkingDir}
	c.CPU, _ = amountOf(from.Resources.Limits[corev1.ResourceCPU], armada.Resource{Name: armada.CPU, Milli: true}, true)
	c.Memory, _ = amountOf(from.Resources.Limits[corev1.ResourceMemory], armada.Resource{Name: armada.Memory}, true)

	for _, source := range from.EnvFrom {
		switch {
		case source.ConfigMapRef != nil && !isTrue(source.ConfigMapRef.Optional):
			c.Unmet = append(c.Unmet, fmt.Sprintf("envFrom: config map %q", source.ConfigMapRef.Name))
		case source.SecretRef != nil && !isTrue(source.SecretRef.Optional):
			c.Unmet = append(c.Unmet, fmt.Sprintf("envFrom: secret %q", source.SecretRef.Name))
		}
	}
	known := make(map[string]string, len(from.Env))
	for i := range from.Env {
		v := &from.Env[i]
		value, present, unmet := resolve(v, from, known, fields)
		if unmet != "" {
			c.Unmet = append(c.Unmet, fmt.Sprintf("env %s: %s", v.Name, unmet))
		}
		if present {
			known[v.Name] = value
			c.Env = append(c.Env, Variable{v.Name, value})
		}
	}
	for _, word := range from.Command {
		c.Command = append(c.Command, expand(word, known))
	}
	for _, word := range from.Args {
		c.Args = append(c.Args, expand(word, known))
	}
	return c
}

// resolve finds the value of one variable. Unmet is not empty when it is needed
// and cannot be had.
func resolve(v *corev1.EnvVar, c *corev1.Container, known map[string]string, fields Fields) (value string, present bool, unmet string) {
	from := v.ValueFrom
	switch {
	case from == nil:
		return expand(v.Value, known), true, ""
	case from.FieldRef != nil:
		if fields != nil {
			if value, ok := fields(from.FieldRef.FieldPath); ok {
				return value, true, ""
			}
		}
		return "", false, fmt.Sprintf("field %q", from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		value, ok := resourceField(from.ResourceFieldRef, c)
		if !ok {
			return "", false, fmt.Sprintf("resource field %q", from.ResourceFieldRef.Resource)
		}
		return value, true, ""
	case from.ConfigMapKeyRef != nil:
		if isTrue(from.ConfigMapKeyRef.Optional) {
			return "", false, ""
		}
		return "", false, fmt.Sprintf("key %q of config map %q", from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name)
	case from.SecretKeyRef != nil:
		if isTrue(from.SecretKeyRef.Optional) {
			return "", false, ""
		}
		return "", false, fmt.Sprintf("key %q of secret %q", from.SecretKeyRef.Key, from.SecretKeyRef.Name)
	default:
		return "", false, "a source that is not known"
	}
}

// resourceField answers requests.cpu and the like of the container itself, in
// units of the divisor, rounded up as Kubernetes does.
func resourceField(ref *corev1.ResourceFieldSelector, c *corev1.Container) (string, bool) {
	if ref.ContainerName != "" && ref.ContainerName != c.Name {
		return "", false
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := c.Resources.Limits
	if kind == "requests" {
		list = demand(&c.Resources)
	} else if kind != "limits" {
		return "", false
	}
	q, ok := list[corev1.ResourceName(name)]
	if !ok {
		return "", false
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	// In thousandths both, so that a divisor of 1m works.
	milli := armada.Resource{Milli: true}
	amount, ok := amountOf(q, milli, true)
	unit, ok2 := amountOf(divisor, milli, true)
	if !ok || !ok2 || unit <= 0 {
		return "", false
	}
	return fmt.Sprint((amount + unit - 1) / unit), true
}

// expand replaces $(NAME) by the value of a known variable. $$ stands for one
// dollar sign that begins no reference; a reference to what is not known stays
// as it is.
func expand(text string, known map[string]string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				b.WriteByte('$')
				continue
			}
			reference := text[i : i+end+1]
			if value, ok := known[reference[2:len(reference)-1]]; ok {
				b.WriteString(value)
			} else {
				b.WriteString(reference)
			}
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

func isTrue(b *bool) bool { return b != nil && *b }
