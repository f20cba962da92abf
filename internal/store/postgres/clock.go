package postgres

import (
	"sync"
	"time"
)

// clock is the store's clock: the database's, which this process knows from its
// answers, or that of a test.
type clock struct {
	test func() time.Time

	mu   sync.Mutex
	at   time.Time // what the database's clock showed, at the latest, when...
	seen time.Time // ...its answer came in, by the monotonic clock of the process
}

// fresh is how long an answer is preferred to those that were longer under way.
const fresh = 10 * time.Second

// learn takes an answer over: the database's clock showed this before now. The
// answer that was under way for the shortest time is the best.
func (c *clock) learn(shown int64) {
	now, at := time.Now(), fromMicros(shown)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen.IsZero() || now.Sub(c.seen) > fresh || at.After(c.at.Add(now.Sub(c.seen))) {
		c.at, c.seen = at, now
	}
}

// now is what the clock shows, and false when nothing is known of it yet.
func (c *clock) now() (time.Time, bool) {
	if c.test != nil {
		return c.test().UTC().Truncate(time.Microsecond), true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen.IsZero() {
		return time.Time{}, false
	}
	return c.at.Add(time.Since(c.seen)).Truncate(time.Microsecond), true
}

// given is the time that functions of the lane are given: that of a test, else
// nil, and they ask the database's clock themselves.
func (c *clock) given() any {
	if c.test == nil {
		return nil
	}
	return micros(c.test().UTC())
}
