package scheduling

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"armada"
)

// arguments are what follows a command's name: words, and key=value in any
// order. What nobody asked for is an error.
type arguments struct {
	plain []string
	pairs [][2]string
	used  map[string]bool
}

func parseArguments(words []string) *arguments {
	a := &arguments{used: map[string]bool{}}
	for _, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok {
			a.pairs = append(a.pairs, [2]string{key, value})
		} else {
			a.plain = append(a.plain, w)
		}
	}
	return a
}

func (a *arguments) word(i int) string {
	if i >= len(a.plain) {
		return ""
	}
	a.used[a.plain[i]] = true
	return a.plain[i]
}

func (a *arguments) words() []string {
	for _, w := range a.plain {
		a.used[w] = true
	}
	return a.plain
}

func (a *arguments) flag(name string) bool {
	a.used[name] = true
	return slices.Contains(a.plain, name)
}

func (a *arguments) values(key string) []string {
	var values []string
	for _, p := range a.pairs {
		if p[0] == key {
			a.used[key+"="] = true
			values = append(values, p[1])
		}
	}
	return values
}

func (a *arguments) value(key string) string {
	if values := a.values(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (a *arguments) number(key string, otherwise int) int {
	n, err := strconv.Atoi(a.value(key))
	if err != nil {
		return otherwise
	}
	return n
}

func (a *arguments) prefixed(prefix string) map[string]string {
	m := map[string]string{}
	for _, p := range a.pairs {
		if key, ok := strings.CutPrefix(p[0], prefix); ok {
			a.used[p[0]+"="] = true
			m[key] = p[1]
		}
	}
	return m
}

func (a *arguments) rest() error {
	for _, w := range a.plain {
		if !a.used[w] {
			return fmt.Errorf("%q is not understood", w)
		}
	}
	for _, p := range a.pairs {
		if !a.used[p[0]+"="] {
			return fmt.Errorf("%q is not understood", p[0]+"=")
		}
	}
	return nil
}

// resources reads cpu=1 memory=1Gi gpu=1 storage=1Gi.
func (s *script) resources(a *arguments) (armada.Resources, error) {
	var r armada.Resources
	for i := range s.config.Resources.Len() {
		resource := s.config.Resources.At(i)
		text := a.value(resource.Name)
		if short := shortNames[resource.Name]; short != "" && text == "" {
			text = a.value(short)
		}
		if text == "" {
			continue
		}
		amount, err := quantity(text, resource.Milli)
		if err != nil {
			return r, err
		}
		r[i] = amount
	}
	return r, nil
}

var shortNames = map[string]string{armada.NvidiaGPU: "gpu", armada.EphemeralStorage: "storage"}

var suffixes = map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}

func quantity(text string, milli bool) (int64, error) {
	factor := int64(1)
	for suffix, f := range suffixes {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			text, factor = number, f
		}
	}
	value, err := strconv.ParseFloat(text, 64)
	if milli {
		value *= 1000
	}
	return int64(value * float64(factor)), err
}

func (s *script) describe(r armada.Resources) string {
	var parts []string
	for i := range s.config.Resources.Len() {
		if r[i] != 0 {
			name := s.config.Resources.At(i).Name
			parts = append(parts, name+"="+s.amount(name, r[i]))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " ")
}

func (s *script) amount(resource string, amount int64) string {
	i, _ := s.config.Resources.Index(resource)
	switch {
	case s.config.Resources.At(i).Milli:
		return strconv.FormatFloat(float64(amount)/1000, 'g', -1, 64)
	case amount%(1<<30) == 0 && amount != 0:
		return strconv.FormatInt(amount>>30, 10) + "Gi"
	case amount%(1<<20) == 0 && amount != 0:
		return strconv.FormatInt(amount>>20, 10) + "Mi"
	}
	return strconv.FormatInt(amount, 10)
}

// requirements reads class=C cpu=1 … select.LABEL=VALUE tolerate=KEY[=VALUE]
// affinity=KEY:OPERATOR[:VALUE,…][&…].
func (s *script) requirements(a *arguments) (*armada.Requirements, error) {
	amounts, err := s.resources(a)
	needs := &armada.Requirements{PriorityClass: a.value("class"), Resources: amounts}
	for key, value := range a.prefixed("select.") {
		needs.NodeSelector = append(needs.NodeSelector, armada.Label{Key: key, Value: value})
	}
	slices.SortFunc(needs.NodeSelector, func(a, b armada.Label) int { return strings.Compare(a.Key, b.Key) })
	needs.MoreThanPod = a.flag("more-than-pod")
	for _, t := range a.values("tolerate") {
		key, value, equal := strings.Cut(t, "=")
		if key == "*" {
			key = ""
		}
		needs.Tolerations = append(needs.Tolerations, armada.Toleration{Key: key, Value: value, Exists: !equal})
	}
	for _, text := range a.values("affinity") {
		var term armada.NodeTerm
		for _, expression := range strings.Split(text, "&") {
			parts := strings.SplitN(expression, ":", 3)
			if len(parts) < 2 {
				return nil, fmt.Errorf("affinity %q has no operator", expression)
			}
			e := armada.NodeExpression{Operator: armada.NodeOperator(parts[1])}
			e.Key, e.Field = strings.CutPrefix(parts[0], "field.")
			if len(parts) == 3 {
				e.Values = strings.Split(parts[2], ",")
			}
			term.Expressions = append(term.Expressions, e)
		}
		needs.Affinity = append(needs.Affinity, term)
	}
	return needs, err
}
