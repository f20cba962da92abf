package wire

import (
	"strconv"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/podspec"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// grown returns a pod spec with the memory that a job's attempts have taught it to
// ask for: in all not more than the scheduler counts. The spec itself stays as it
// is, and is returned when there is nothing to change.
func grown(spec *corev1.PodSpec, lessons *armada.Lessons) *corev1.PodSpec {
	if lessons == nil || lessons.Memory == (armada.MemoryGrowth{}) {
		return spec
	}
	growth := lessons.Memory
	spec = proto.CloneOf(spec)
	grow(spec.GetResources(), growth)
	if growth.Factor == 0 {
		grow(hungriest(spec.GetContainers()).GetResources(), growth)
		return spec
	}
	for _, containers := range [][]*corev1.Container{spec.GetInitContainers(), spec.GetContainers()} {
		for _, c := range containers {
			grow(c.GetResources(), growth)
		}
	}
	return spec
}

// hungriest is the container that asks for most memory, the first of them; nil when
// none does.
func hungriest(containers []*corev1.Container) *corev1.Container {
	var most int64
	var found *corev1.Container
	for _, c := range containers {
		r := c.GetResources()
		asks, asked := memoryOf(r.GetRequests())
		if !asked {
			asks, _ = memoryOf(r.GetLimits())
		}
		if asks > most {
			most, found = asks, c
		}
	}
	return found
}

// grow changes request and limit.
func grow(r *corev1.ResourceRequirements, growth armada.MemoryGrowth) {
	for _, amounts := range []map[string]*resource.Quantity{r.GetRequests(), r.GetLimits()} {
		if bytes, asked := memoryOf(amounts); asked {
			amounts[armada.Memory] = &resource.Quantity{String_: proto.String(strconv.FormatInt(growth.Grow(bytes), 10))}
		}
	}
}

// memoryOf is how much memory is among amounts, and false when none is.
func memoryOf(amounts map[string]*resource.Quantity) (int64, bool) {
	q, asked := amounts[armada.Memory]
	if !asked {
		return 0, false
	}
	bytes, err := podspec.ParseQuantity(q.GetString_(), armada.Resource{Name: armada.Memory}, true)
	return bytes, err == nil
}
