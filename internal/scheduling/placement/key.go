package placement

import "armada"

// keyer condenses free amounts into one number by which nodes are ordered, so
// that best fit is the lowest number that fits. The most significant part are
// devices (whatever is not cpu, memory or storage), so that jobs which need
// none leave them to those that do; then cpu, memory and storage, each cut to
// a resolution below which nodes count as equal.
type keyer struct {
	resources int
	parts     [armada.MaxResources]keyPart
}

// keyPart says where an amount goes: shifted right by resolution, cut at max,
// and shifted left to its place.
type keyPart struct {
	resolution, place uint
	max               uint64
	device            bool
}

const (
	deviceBits  = 12
	cpuBits     = 20
	memoryBits  = 22
	storageBits = 10
)

func newKeyer(table armada.ResourceTable) keyer {
	k := keyer{resources: table.Len()}
	for i := range table.Len() {
		p := keyPart{place: cpuBits + memoryBits + storageBits, max: 1<<deviceBits - 1, device: true}
		switch r := table.At(i); r.Name {
		case armada.CPU:
			p = keyPart{place: memoryBits + storageBits, max: 1<<cpuBits - 1}
			if r.Milli {
				p.resolution = 7 // an eighth of a core
			}
		case armada.Memory:
			p = keyPart{resolution: 26, place: storageBits, max: 1<<memoryBits - 1} // 64Mi
		case armada.EphemeralStorage:
			p = keyPart{resolution: 34, max: 1<<storageBits - 1} // 16Gi
		}
		k.parts[i] = p
	}
	return k
}

// key is monotonic: what fits into a node has no greater key than the node.
func (k *keyer) key(free *armada.Resources) uint64 {
	var key, devices uint64
	for i := range k.parts[:k.resources] {
		if free[i] <= 0 {
			continue
		}
		p := &k.parts[i]
		amount := uint64(free[i]) >> p.resolution
		if p.device {
			devices += min(amount, p.max)
			continue
		}
		key |= min(amount, p.max) << p.place
	}
	return key | min(devices, 1<<deviceBits-1)<<(cpuBits+memoryBits+storageBits)
}
