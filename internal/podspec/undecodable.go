package podspec

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
)

// The numbers of the fields on the way to quantities, in Kubernetes' protobuf.
const (
	fieldContainers     = 2 // of PodSpec
	fieldInitContainers = 20
	fieldOverhead       = 32
	fieldPodResources   = 40
	fieldResources      = 8 // of Container
	fieldLimits         = 1 // of ResourceRequirements
	fieldRequests       = 2
)

// Undecodable tells where [Decode] failed on the bytes of a pod spec: at every
// quantity that is none, otherwise at the whole. Paths begin with path, as those
// of [Spec.Validate].
func Undecodable(raw []byte, decoding error, path string) []armada.Violation {
	v := &validation{}
	counts := map[protowire.Number]int{}
	names := map[protowire.Number]string{fieldContainers: "containers", fieldInitContainers: "initContainers"}
	EachField(raw, func(field protowire.Number, message []byte) {
		switch int(field) {
		case fieldContainers, fieldInitContainers:
			at := fmt.Sprintf("%s.%s[%d].resources", path, names[field], counts[field])
			counts[field]++
			EachField(message, func(field protowire.Number, message []byte) {
				if field == fieldResources {
					v.badQuantities(message, at)
				}
			})
		case fieldOverhead:
			v.badQuantity(message, path+".overhead")
		case fieldPodResources:
			v.badQuantities(message, path+".resources")
		}
	})
	if len(v.violations) == 0 {
		v.add(path, "%s", decoding)
	}
	return v.violations
}

// badQuantities looks through the bytes of a ResourceRequirements.
func (v *validation) badQuantities(requirements []byte, path string) {
	EachField(requirements, func(field protowire.Number, entry []byte) {
		switch int(field) {
		case fieldLimits:
			v.badQuantity(entry, path+".limits")
		case fieldRequests:
			v.badQuantity(entry, path+".requests")
		}
	})
}

// badQuantity looks at an entry of a map of quantities: the name, then a message
// with the text.
func (v *validation) badQuantity(entry []byte, path string) {
	var name, text string
	EachField(entry, func(field protowire.Number, value []byte) {
		switch int(field) {
		case 1:
			name = string(value)
		case 2:
			EachField(value, func(field protowire.Number, value []byte) {
				if field == 1 {
					text = string(value)
				}
			})
		}
	})
	if err := CheckQuantity(text); err != nil {
		v.add(fmt.Sprintf("%s[%s]", path, clip(name)), "%s", err)
	}
}

// CheckQuantity tells what is wrong with a text that should be an amount in
// Kubernetes' notation, and what would be right.
func CheckQuantity(text string) error {
	if holdsHugeNumber(text) {
		return fmt.Errorf("%q: %w", clip(text), errExponent)
	}
	if _, err := resource.ParseQuantity(text); err != nil {
		return fmt.Errorf("%q is not a quantity: write a number with an optional suffix, like 2, 500m, 1.5 or 16Gi", clip(text))
	}
	return nil
}

// EachField calls f with the fields of a message that have a length, as far
// as the bytes can be read.
func EachField(message []byte, f func(field protowire.Number, value []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		if kind == protowire.BytesType {
			if value, n := protowire.ConsumeBytes(message); n >= 0 {
				f(number, value)
			}
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return
		}
		message = message[n:]
	}
}
