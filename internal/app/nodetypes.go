package app

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"armada"
	"armada/internal/podspec"
	"armada/internal/scheduling"
)

// NodeType is a kind of nodes that may come.
type NodeType struct {
	Name     string
	Pool     string // empty is the default pool
	Labels   map[string]string
	Taints   []armada.Taint
	Capacity map[string]string // what a node offers to jobs: cpu: 64, memory: 256Gi
}

// nodeTypes returns the configured node types, and what is wrong with them.
func (c Config) nodeTypes() ([]scheduling.KnownKind, error) {
	var kinds []scheduling.KnownKind
	var errs []error
	table := c.resources()
	for i, t := range c.Scheduling.NodeTypes {
		path := fmt.Sprintf("scheduling.nodeTypes[%d]", i)
		wrong := func(field, format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s.%s: "+format, append([]any{path, field}, args...)...))
		}
		k := scheduling.KnownKind{NodeType: t.Name, NodeKind: armada.NodeKind{
			Pool: cmp.Or(t.Pool, armada.DefaultPool), Labels: t.Labels, Taints: t.Taints,
		}}
		if t.Name == "" || slices.ContainsFunc(kinds, func(o scheduling.KnownKind) bool { return o.NodeType == t.Name }) {
			wrong("name", "%q is empty or given twice", t.Name)
		}
		for j, taint := range t.Taints {
			if err := checkEffect(taint.Effect); err != nil {
				wrong(fmt.Sprintf("taints[%d].effect", j), "%v", err)
			}
		}
		if len(t.Capacity) == 0 {
			wrong("capacity", "must say what a node offers, such as cpu: 64")
		}
		for _, name := range slices.Sorted(maps.Keys(t.Capacity)) {
			at, counted := table.Index(name)
			if !counted {
				wrong("capacity", "%q is not counted; %s are", name, strings.Join(table.Names(), ", "))
				continue
			}
			amount, err := podspec.ParseQuantity(t.Capacity[name], table.At(at), false)
			if err == nil && amount < 0 {
				err = errors.New("must not be negative")
			}
			if err != nil {
				wrong("capacity."+name, "%v", err)
			}
			k.Allocatable[at] = amount
		}
		kinds = append(kinds, k)
	}
	return kinds, errors.Join(errs...)
}
