package armada

import (
	"fmt"
	"slices"
	"strconv"
)

// MaxResources is how many kinds of resources an installation may count.
const MaxResources = 8

// Resources is an amount of every counted resource, in the order and units of
// a [ResourceTable]. Amounts may be negative in the middle of a computation.
type Resources [MaxResources]int64

// Add returns r + o.
func (r Resources) Add(o Resources) Resources {
	for i := range r {
		r[i] += o[i]
	}
	return r
}

// Sub returns r - o.
func (r Resources) Sub(o Resources) Resources {
	for i := range r {
		r[i] -= o[i]
	}
	return r
}

// Fits tells whether no amount of r exceeds that of room.
func (r *Resources) Fits(room *Resources) bool {
	for i := range r {
		if r[i] > room[i] {
			return false
		}
	}
	return true
}

// IsZero tells whether every amount is zero.
func (r Resources) IsZero() bool { return r == Resources{} }

// Resource is one counted resource.
type Resource struct {
	Name string
	// Milli tells that amounts are counted in thousandths (cpu); otherwise in
	// whole units (bytes, devices).
	Milli bool
	// Floating tells that the resource is no part of nodes: there is a budget of
	// it that pools share, such as licences.
	Floating bool
}

// Format writes an amount for people, rounded to four digits: 16, 0.5, 15.25Gi.
func (r Resource) Format(amount int64) string {
	value, unit := float64(amount), ""
	switch r.Name {
	case Memory, EphemeralStorage:
		for _, unit = range []string{"", "Ki", "Mi", "Gi", "Ti"} {
			if value < 1024 || unit == "Ti" {
				break
			}
			value /= 1024
		}
	}
	if r.Milli {
		value /= 1000
	}
	if value >= 1000 {
		return strconv.FormatFloat(value, 'f', 0, 64) + unit
	}
	return strconv.FormatFloat(value, 'g', 4, 64) + unit
}

// The names of resources that every installation counts.
const (
	CPU              = "cpu"
	Memory           = "memory"
	EphemeralStorage = "ephemeral-storage"
	NvidiaGPU        = "nvidia.com/gpu"
)

// Pods is the resource that counts the pods of a node, where an installation
// counts them: every job takes one.
const Pods = "pods"

// ResourceTable fixes the order and the units of [Resources]. It does not
// change while a process lives; what is stored carries names and not positions.
type ResourceTable struct{ resources []Resource }

// DefaultResourceTable counts cpu, memory, ephemeral-storage and nvidia.com/gpu.
func DefaultResourceTable() ResourceTable {
	return ResourceTable{[]Resource{{Name: CPU, Milli: true}, {Name: Memory}, {Name: EphemeralStorage}, {Name: NvidiaGPU}}}
}

// NewResourceTable makes a table of 1 to [MaxResources] distinct resources.
func NewResourceTable(resources []Resource) (ResourceTable, error) {
	if len(resources) == 0 || len(resources) > MaxResources {
		return ResourceTable{}, fmt.Errorf("resources: %d given, 1 to %d can be counted", len(resources), MaxResources)
	}
	for i, r := range resources {
		if r.Name == "" {
			return ResourceTable{}, fmt.Errorf("resources[%d].name: must not be empty", i)
		}
		for _, earlier := range resources[:i] {
			if earlier.Name == r.Name {
				return ResourceTable{}, fmt.Errorf("resources[%d].name: %q is given twice", i, r.Name)
			}
		}
	}
	return ResourceTable{slices.Clone(resources)}, nil
}

// Len is how many resources are counted; entries of [Resources] from Len on
// are zero.
func (t ResourceTable) Len() int { return len(t.resources) }

// At returns the i-th resource, 0 <= i < Len.
func (t ResourceTable) At(i int) Resource { return t.resources[i] }

// Index returns the position of a resource, and false when it is not counted.
func (t ResourceTable) Index(name string) (int, bool) {
	for i := range t.resources {
		if t.resources[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// Names lists the counted resources in order.
func (t ResourceTable) Names() []string {
	names := make([]string, len(t.resources))
	for i, r := range t.resources {
		names[i] = r.Name
	}
	return names
}
