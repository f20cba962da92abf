package simulator

import (
	"math"
	"testing"
	"time"
)

func TestTheLogarithmIsThatOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, u := range []uint64{1, 2, 3, 1 << 20, 0x123456789abcdef, 1 << 63, math.MaxUint64} {
		want := 64*math.Ln2 - math.Log(float64(u))
		if got := float64(minusLog(u)) / (1 << logBits); math.Abs(got-want) > 1e-9 {
			t.Errorf("-log(%d/2^64) is %v, want %v", u, got, want)
		}
	}
}

func TestTheTailHasItsMeanAndTheMinimumHolds(t *testing.T) {
	t.Parallel()
	const draws = 100_000
	from, s := source(1, "test"), Spread{Minimum: time.Minute, TailMean: 10 * time.Second}
	var sum time.Duration
	for range draws {
		d := s.draw(from)
		if d < s.Minimum {
			t.Fatalf("%s was drawn", d)
		}
		sum += d
	}
	if mean := sum / draws; mean < 69*time.Second+900*time.Millisecond || mean > 70*time.Second+100*time.Millisecond {
		t.Errorf("the mean is %s, want about 70s", mean)
	}
}
