package simulator

import (
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
	"time"
)

// source makes a stream of random numbers that depends on the seed and on what
// it is for, and on nothing else that is drawn.
func source(seed uint64, purpose ...string) *rand.PCG {
	h := fnv.New64a()
	for _, word := range purpose {
		h.Write([]byte(word))
		h.Write([]byte{0})
	}
	return rand.NewPCG(seed, h.Sum64())
}

// draw takes a time from the spread, in whole milliseconds.
func (s Spread) draw(from *rand.PCG) time.Duration {
	if s.TailMean == 0 {
		return s.Minimum
	}
	// The inverse of the distribution function of a uniform number in (0, 1].
	high, low := bits.Mul64(uint64(s.TailMean), minusLog(from.Uint64()|1))
	tail := time.Duration(high<<(64-logBits) | low>>logBits)
	return (s.Minimum + tail).Round(time.Millisecond)
}

// logBits is how many binary places minusLog has.
const logBits = 40

// ln2 is the natural logarithm of 2, times 2^64.
const ln2 = 12786308645202655660

// minusLog returns -ln(u / 2^64) times 2^40, for u > 0. It is computed in
// integers, one binary place of the logarithm per squaring: a processor that
// rounds differently would simulate something else.
func minusLog(u uint64) uint64 {
	whole := bits.Len64(u) - 1
	m := u << (63 - whole) // in [1, 2), times 2^63
	log2 := uint64(whole)
	for range logBits {
		high, low := bits.Mul64(m, m)
		log2 <<= 1
		if high >= 1<<63 {
			m, log2 = high, log2|1
		} else {
			m = high<<1 | low>>63
		}
	}
	scaled, _ := bits.Mul64(64<<logBits-log2, ln2)
	return scaled
}
