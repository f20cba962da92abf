package executor

import (
	"context"
	"sync"
	"time"
)

// lease counts how long the agent's runs may live. Times are monotonic.
type lease struct {
	mu      sync.Mutex
	until   time.Time
	granted bool          // by an acknowledgement; before, until is the agent's own idea
	renewed bool          // in the present session
	request uint64        // the session's request that waits for its answer; 0 for none
	sent    time.Time     // that request
	kick    chan struct{} // receives when until has moved
}

// newLease makes a lease that was not granted, but lets runs that are found
// live until then.
func newLease(until time.Time) *lease {
	return &lease{until: until, kick: make(chan struct{}, 1)}
}

// begin starts a session: acknowledgements of an older one count no more.
func (l *lease) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.request, l.renewed = 0, false
}

// requested notes when a request was sent. It must be called before sending.
// Numbers begin with 1.
func (l *lease) requested(sequence uint64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.request, l.sent = sequence, at
}

// acknowledged renews the lease for a length from the sending of the request.
// It tells whether that is the one that waits for its answer; others change
// nothing. A session's first answer may shorten the lease, because the server
// may count with another length than before.
func (l *lease) acknowledged(sequence uint64, length time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sequence == 0 || sequence != l.request {
		return false
	}
	l.request = 0
	if until := l.sent.Add(length); !l.renewed || until.After(l.until) {
		l.until = until
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
	l.granted, l.renewed = true, true
	return true
}

func (l *lease) end() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// over tells whether the lease is within margin of its end: then what runs is
// to be stopped.
func (l *lease) over(margin time.Duration) bool {
	return !time.Now().Before(l.end().Add(-margin))
}

// allows tells whether something may be started: the lease was granted and is
// not over.
func (l *lease) allows(margin time.Duration) bool {
	l.mu.Lock()
	granted := l.granted
	l.mu.Unlock()
	return granted && !l.over(margin)
}

// insist is how often runs are stopped again while the lease is over: one that
// was being started at the first time is caught by the second.
const insist = time.Second

// watch calls stop when the lease comes within margin of its end without having
// been renewed, and again and again until it is renewed.
func (l *lease) watch(ctx context.Context, margin time.Duration, stop func()) error {
	timer := time.NewTimer(time.Until(l.end().Add(-margin)))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.kick:
		case <-timer.C:
		}
		if l.over(margin) {
			stop()
			timer.Reset(insist)
		} else {
			timer.Reset(time.Until(l.end().Add(-margin)))
		}
	}
}
