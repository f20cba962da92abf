package podspec_test

import (
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armada"
	"armada/internal/podspec"
)

var (
	cpu    = armada.Resource{Name: armada.CPU, Milli: true}
	memory = armada.Resource{Name: armada.Memory}
	gpu    = armada.Resource{Name: armada.NvidiaGPU}
)

func TestQuantitiesAreReadInTheUnitsOfTheirResource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text     string
		resource armada.Resource
		down, up int64
	}{
		{"2", cpu, 2000, 2000},
		{"500m", cpu, 500, 500},
		{"1.5", cpu, 1500, 1500},
		{"0.0001", cpu, 0, 1},
		{"1n", cpu, 0, 1},
		{"-0.0001", cpu, -1, 0},
		{"-2", cpu, -2000, -2000},
		{"16Gi", memory, 16 << 30, 16 << 30},
		{"1e3", memory, 1000, 1000},
		{"1.5e3", memory, 1500, 1500},
		{"100m", memory, 0, 1},
		{"1.0001Ki", memory, 1024, 1025},
		{" 4 ", gpu, 4, 4},
		{"0", memory, 0, 0},
		{"0e999", memory, 0, 0},
		{"1e-999", memory, 0, 1},
		{"8Pi", memory, podspec.MaxAmount, podspec.MaxAmount},
	} {
		down, err := podspec.ParseQuantity(c.text, c.resource, false)
		if err != nil || down != c.down {
			t.Errorf("%q of %s rounded down: got %d, %v, want %d", c.text, c.resource.Name, down, err, c.down)
		}
		up, err := podspec.ParseQuantity(c.text, c.resource, true)
		if err != nil || up != c.up {
			t.Errorf("%q of %s rounded up: got %d, %v, want %d", c.text, c.resource.Name, up, err, c.up)
		}
	}
}

func TestBadQuantitiesAreRefusedInNoTime(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	for _, text := range []string{
		"", "one", "1 2", "1Zi", "0x10", "NaN", "Inf", "--1", "1e", "8.1Pi", "1e16", "-1e16", "1e999",
		"1e2147483647", "1E999999999", "1.e-100000000", "12345678901234567890123e999999999", "0e2147483647",
		strings.Repeat("9", 5000),
	} {
		if amount, err := podspec.ParseQuantity(text, memory, true); err == nil {
			t.Errorf("%.20q was read as %d", text, amount)
		} else if len(err.Error()) > 300 {
			t.Errorf("%.20q: the message is %d bytes long", text, len(err.Error()))
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestFormattedQuantitiesReadAsTheSameAmount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(-podspec.MaxAmount, podspec.MaxAmount).Draw(t, "amount")
		r := rapid.SampledFrom([]armada.Resource{cpu, memory, gpu}).Draw(t, "resource")
		text := podspec.FormatQuantity(amount, r)
		for _, up := range []bool{false, true} {
			if got, err := podspec.ParseQuantity(text, r, up); err != nil || got != amount {
				t.Fatalf("%d of %s is written %q and read as %d, %v", amount, r.Name, text, got, err)
			}
		}
	})
}

func TestResourcesGoThroughTextUnchanged(t *testing.T) {
	t.Parallel()
	want := armada.Resources{1500, 3 << 30, 0, 4}
	texts := podspec.FormatResources(want, table)
	if texts["cpu"] != "1500m" || texts["memory"] != "3Gi" || texts["nvidia.com/gpu"] != "4" || len(texts) != 3 {
		t.Errorf("written as %v", texts)
	}
	for i := range table.Len() {
		text, written := texts[table.At(i).Name]
		if !written {
			continue
		}
		if got, err := podspec.ParseQuantity(text, table.At(i), false); err != nil || got != want[i] {
			t.Errorf("%s: got %d, %v, want %d", table.At(i).Name, got, err, want[i])
		}
	}
	if _, err := podspec.ParseQuantity("much", table.At(0), false); err == nil || !strings.Contains(err.Error(), "much") {
		t.Errorf("got %v, want an error about %q", err, "much")
	}
}

func FuzzQuantitiesAreReadExactlyOrRefused(f *testing.F) {
	for _, text := range []string{"1", "500m", "1.5", "16Gi", "1e3", "1E", "-1", "0.1n", "9223372036854775807", "1e999", "12345678901234567890123e9999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		down, err := podspec.ParseQuantity(text, cpu, false)
		up, err2 := podspec.ParseQuantity(text, cpu, true)
		if err != nil || err2 != nil {
			return
		}
		if up-down != 0 && up-down != 1 {
			t.Fatalf("%q lies between %d and %d", text, down, up)
		}
		// Plain decimal numbers have an independent reading.
		exact, ok := new(big.Rat).SetString(strings.TrimSpace(text))
		if !ok || strings.ContainsAny(text, "eE/_xXpPbBoO") || len(text) > 15 {
			return
		}
		milli, _ := new(big.Rat).Mul(exact, big.NewRat(1000, 1)).Float64()
		// Kubernetes reads nothing finer than a billionth, and rounds that up.
		if math.Floor(milli) != float64(down) && math.Floor(milli+1e-6) != float64(down) {
			t.Fatalf("%q thousandfold is %v, read as %d", text, milli, down)
		}
	})
}
