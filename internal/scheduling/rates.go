package scheduling

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"armada"
)

// Rate bounds how fast jobs are started: at most Burst at once, and PerSecond of
// them in the long run. The zero value bounds nothing.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Validate tells what is wrong with the rate.
func (r Rate) Validate() error {
	switch {
	case r == Rate{}:
		return nil
	case !(r.PerSecond >= 0.001 && r.PerSecond <= 1e6):
		return fmt.Errorf("perSecond: must be from 0.001 to 1000000, or 0 with a burst of 0 for no bound, is %v", r.PerSecond)
	case r.Burst < 1 || r.Burst > 1e9:
		return fmt.Errorf("burst: must be from 1 to 1000000000, is %d", r.Burst)
	}
	return nil
}

// milli is how many jobs may start in a thousand seconds; 0 is no bound.
func (r Rate) milli() uint64 { return uint64(math.Round(r.PerSecond * 1000)) }

// bucket is a bucket of tokens, one for each job that may start. It is kept as
// the moment at which it was empty: what has dripped in since then is in it, up
// to the burst. A moment to come is a debt, which a gang larger than the burst
// leaves behind.
type bucket struct{ empty time.Time }

// toFill is how long it takes until that many tokens have dripped in, rounded up
// to nanoseconds, so that nothing starts too early.
func (r Rate) toFill(tokens int64) time.Duration {
	high, low := bits.Mul64(uint64(max(tokens, 0)), 1e12)
	rate := r.milli()
	if high >= rate {
		return math.MaxInt64
	}
	quotient, rest := bits.Div64(high, low, rate)
	if rest > 0 {
		quotient++
	}
	return time.Duration(min(quotient, math.MaxInt64))
}

// tokens is how many jobs may start.
func (b bucket) tokens(r Rate, now time.Time) int64 {
	since := now.Sub(b.empty)
	switch {
	case b.empty.IsZero() || since >= r.toFill(int64(r.Burst)):
		return int64(r.Burst)
	case since <= 0:
		return 0
	}
	high, low := bits.Mul64(uint64(since), r.milli())
	tokens, _ := bits.Div64(high, low, 1e12)
	return int64(tokens)
}

// spend takes tokens, more than there are if need be.
func (b bucket) spend(r Rate, now time.Time, tokens int64) bucket {
	if full := now.Add(-r.toFill(int64(r.Burst))); b.empty.Before(full) {
		b.empty = full
	}
	return bucket{b.empty.Add(r.toFill(tokens))}
}

// allowance is what one round may start by a rate.
type allowance struct {
	rate   Rate
	bucket bucket
	now    time.Time
	there  int64 // at the beginning of the round
	given  int64
}

func newAllowance(r Rate, b bucket, now time.Time) allowance {
	a := allowance{rate: r, bucket: b, now: now}
	if r.milli() > 0 {
		a.there = b.tokens(r, now)
	}
	return a
}

// needs is how many tokens a gang must find; one that is larger than the burst
// must find the bucket full.
func (a *allowance) needs(size int) int64 { return min(int64(size), int64(a.rate.Burst)) }

// allow tells whether a gang may start.
func (a *allowance) allow(size int) bool {
	return a.rate.milli() == 0 || a.there-a.given >= a.needs(size)
}

// when is the moment at which a gang may start if nothing else does.
func (a *allowance) when(size int) time.Time {
	after := a.bucket.spend(a.rate, a.now, a.given)
	return after.empty.Add(a.rate.toFill(a.needs(size)))
}

// reason tells how many may start, and how many must together.
func (a *allowance) reason(code armada.ReasonCode, pool string, size int) armada.Reason {
	return armada.Reason{Code: code, Pool: pool, Have: max(a.there-a.given, 0), Want: a.needs(size)}
}

// tooFast tells whether the queue's rate keeps its next gang back, and notes
// why. Then nothing else of the queue goes first, so that a large gang gets its
// tokens together.
func (r *round) tooFast(q *queue, k *kind) bool {
	t := &q.turn
	if t.tokens.allow(k.size) {
		return false
	}
	t.stopped = t.tokens.reason(armada.ReasonQueueRate, r.pool.name, k.size)
	r.wakeAt(t.tokens.when(k.size))
	return true
}

// wakeAt asks for a round at a moment, should nothing happen before.
func (r *round) wakeAt(at time.Time) {
	if r.wake.IsZero() || at.Before(r.wake) {
		r.wake = at
	}
}
