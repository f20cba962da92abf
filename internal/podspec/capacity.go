package podspec

import (
	"fmt"
	"strings"

	"armada"
)

// ParseCapacity reads amounts as "cpu=32,memory=256Gi", in the units of a
// table. What the text does not mention is taken from base; an empty text
// mentions nothing. The error names the part that cannot be read.
func ParseCapacity(text string, table armada.ResourceTable, base armada.Resources) (armada.Resources, error) {
	if text == "" {
		return base, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, amount, found := strings.Cut(strings.TrimSpace(part), "=")
		i, counted := table.Index(name)
		if !found || !counted {
			return base, fmt.Errorf("capacity %q: must be resource=amount, where the resource is one of %s", part, strings.Join(table.Names(), ", "))
		}
		value, err := ParseQuantity(amount, table.At(i), false)
		if err != nil {
			return base, fmt.Errorf("capacity %q: %w", part, err)
		}
		if value < 0 {
			return base, fmt.Errorf("capacity %q: must not be negative", part)
		}
		base[i] = value
	}
	return base, nil
}
