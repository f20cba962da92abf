package podspec

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
)

// MaxAmount is the largest amount of one resource, in the units of its table:
// 8 PiB, or nine million million cores. Sums over a thousand nodes of that size
// still fit an int64, and every amount is exact as a float64.
const MaxAmount = 1 << 53

var (
	errExponent = errors.New("a quantity's exponent is out of range, 3 digits are enough for any amount")
	errTooLarge = fmt.Errorf("is out of range: amounts go up to %d", int64(MaxAmount))
)

// ParseQuantity reads an amount in Kubernetes' notation ("1500m", "2", "16Gi",
// "1e3") in the units of the resource: thousandths when it is counted so, whole
// units otherwise. What lies between two amounts is rounded up (away from
// nothing: for demands) or down (for what there is). The amount may be negative.
func ParseQuantity(s string, r armada.Resource, up bool) (int64, error) {
	s = strings.TrimSpace(s)
	if err := CheckQuantity(s); err != nil {
		return 0, err
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return 0, err // was checked
	}
	amount, ok := amountOf(q, r, up)
	if !ok {
		return 0, fmt.Errorf("%q %w", clip(s), errTooLarge)
	}
	return amount, nil
}

// FormatQuantity writes an amount in Kubernetes' notation, such that
// [ParseQuantity] reads the same amount.
func FormatQuantity(amount int64, r armada.Resource) string {
	var q *resource.Quantity
	switch {
	case r.Milli:
		q = resource.NewMilliQuantity(amount, resource.DecimalSI)
	case r.Name == armada.Memory, strings.HasSuffix(r.Name, "storage"), strings.HasPrefix(r.Name, "hugepages-"):
		q = resource.NewQuantity(amount, resource.BinarySI)
	default:
		q = resource.NewQuantity(amount, resource.DecimalSI)
	}
	return q.String()
}

// FormatResources writes every amount that is not zero, by resource name.
func FormatResources(amounts armada.Resources, table armada.ResourceTable) map[string]string {
	quantities := make(map[string]string, table.Len())
	for i := range table.Len() {
		if amounts[i] != 0 {
			quantities[table.At(i).Name] = FormatQuantity(amounts[i], table.At(i))
		}
	}
	return quantities
}

// amountOf converts a quantity, and tells false when it is beyond [MaxAmount].
func amountOf(q resource.Quantity, r armada.Resource, up bool) (int64, bool) {
	factor := int64(1)
	if r.Milli {
		factor = 1000
	}
	if whole, ok := q.AsInt64(); ok {
		if whole > MaxAmount/factor || whole < -MaxAmount/factor {
			return 0, false
		}
		return whole * factor, true
	}
	// The value is unscaled / 10^scale. The guards keep the powers small.
	decimal := q.AsDec()
	scale := int64(decimal.Scale())
	number := new(big.Int).Mul(decimal.UnscaledBig(), big.NewInt(factor))
	if scale < -1000 || scale > 1<<20 {
		return 0, false
	}
	if scale <= 0 {
		number.Mul(number, pow10(-scale))
	} else {
		rest := new(big.Int)
		number.QuoRem(number, pow10(scale), rest) // towards zero
		if up && rest.Sign() > 0 {
			number.Add(number, big.NewInt(1))
		} else if !up && rest.Sign() < 0 {
			number.Sub(number, big.NewInt(1))
		}
	}
	if !number.IsInt64() || number.Int64() > MaxAmount || number.Int64() < -MaxAmount {
		return 0, false
	}
	return number.Int64(), true
}

func pow10(n int64) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil) }

// holdsHugeNumber tells whether some number in text has an exponent of four
// digits or more. Kubernetes' parser computes the power, which for 1e999999999
// takes gigabytes and minutes.
func holdsHugeNumber[T string | []byte](text T) bool {
	digit := func(i int) bool { return i < len(text) && '0' <= text[i] && text[i] <= '9' }
	for i := 1; i < len(text); i++ {
		if text[i] != 'e' && text[i] != 'E' || !digit(i-1) && text[i-1] != '.' {
			continue
		}
		from := i + 1
		if from < len(text) && (text[from] == '+' || text[from] == '-') {
			from++
		}
		if digit(from) && digit(from+1) && digit(from+2) && digit(from+3) {
			return true
		}
	}
	return false
}

// boundExponents refuses protobuf bytes that hold such a number where a quantity
// can stand: as field 1 of some message. The rest of the time is one scan.
func boundExponents(raw []byte) error {
	if !holdsHugeNumber(raw) || !hasHugeQuantity(raw, 0) {
		return nil
	}
	return errExponent
}

// hugeQuantity is a number as above and nothing else.
var hugeQuantity = regexp.MustCompile(`^[+-]?[0-9.]+[eE][+-]?[0-9]{4,}$`)

func hasHugeQuantity(message []byte, depth int) bool {
	const deepest = 20 // a pod spec's quantities lie 8 messages deep at most
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		if kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return false
			}
			if number == 1 && hugeQuantity.Match(value) || depth < deepest && hasHugeQuantity(value, depth+1) {
				return true
			}
		}
		n = protowire.ConsumeFieldValue(number, kind, message)
		if n < 0 {
			return false
		}
		message = message[n:]
	}
	return false
}

// clip shortens what a message quotes.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
