package runs

import (
	"fmt"
	"math"
	"math/big"
	"strings"

	"armada"
)

// units are the suffixes of amounts, as Kubernetes writes quantities.
var units = map[string]*big.Rat{
	"m": big.NewRat(1, 1000), "": big.NewRat(1, 1),
	"k": power(1000, 1), "M": power(1000, 2), "G": power(1000, 3), "T": power(1000, 4), "P": power(1000, 5),
	"Ki": power(1024, 1), "Mi": power(1024, 2), "Gi": power(1024, 3), "Ti": power(1024, 4), "Pi": power(1024, 5),
}

func power(base, exponent int64) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil))
}

// ParseCapacity reads amounts as in "cpu=32,memory=256Gi" in the units of a
// table. What is not mentioned is taken from base. Errors name the part.
func ParseCapacity(table armada.ResourceTable, base armada.Resources, text string) (armada.Resources, error) {
	for part := range strings.SplitSeq(text, ",") {
		name, amount, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found {
			return base, fmt.Errorf("capacity %q: must be resource=amount", part)
		}
		i, counted := table.Index(name)
		if !counted {
			return base, fmt.Errorf("capacity %q: the resource is not one of %s", part, strings.Join(table.Names(), ", "))
		}
		value, err := parseAmount(amount, table.At(i).Milli)
		if err != nil {
			return base, fmt.Errorf("capacity %q: %w", part, err)
		}
		base[i] = value
	}
	return base, nil
}

// parseAmount reads one amount, rounded down to the unit that is counted.
func parseAmount(text string, milli bool) (int64, error) {
	digits := strings.TrimRight(text, "mkMGTPi")
	unit, known := units[text[len(digits):]]
	if !known || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is no amount such as 4, 500m or 16Gi", text)
	}
	value, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, fmt.Errorf("%q is no amount such as 4, 500m or 16Gi", text)
	}
	value.Mul(value, unit)
	if milli {
		value.Mul(value, big.NewRat(1000, 1))
	}
	whole := new(big.Int).Quo(value.Num(), value.Denom())
	if !whole.IsInt64() || whole.Int64() == math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return whole.Int64(), nil
}
