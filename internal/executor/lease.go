package executor

import (
	"context"
	"sync"
	"time"
)

// lease counts how long the agent's runs may live. Times are monotonic.
type lease struct {
	mu    sync.Mutex
	sent  map[uint64]time.Time // unanswered requests of the present session
	until time.Time
	kick  chan struct{} // receives when until has moved
}

func newLease(until time.Time) *lease {
	return &lease{sent: map[uint64]time.Time{}, until: until, kick: make(chan struct{}, 1)}
}

// begin starts a session: acknowledgements of an older one count no more.
func (l *lease) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.sent)
}

// requested notes when a request was sent. It must be called before sending.
func (l *lease) requested(sequence uint64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[sequence] = at
}

// acknowledged renews the lease for a length from the sending of the request.
// It tells whether the request was one of the present session's.
func (l *lease) acknowledged(sequence uint64, length time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, known := l.sent[sequence]
	if !known {
		return false
	}
	for earlier := range l.sent {
		if earlier <= sequence {
			delete(l.sent, earlier)
		}
	}
	if until := at.Add(length); until.After(l.until) {
		l.until = until
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
	return true
}

func (l *lease) end() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// over tells whether the lease is within margin of its end: then nothing may be
// started, and what runs is to be stopped.
func (l *lease) over(margin time.Duration) bool {
	return !time.Now().Before(l.end().Add(-margin))
}

// insist is how often runs are stopped again while the lease is over: one that
// was being started at the first time is caught by the second.
const insist = time.Second

// watch calls stop when the lease comes within margin of its end without having
// been renewed, and again and again until it is renewed.
func (l *lease) watch(ctx context.Context, margin time.Duration, stop func(context.Context)) error {
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
			stop(ctx)
			timer.Reset(insist)
		} else {
			timer.Reset(time.Until(l.end().Add(-margin)))
		}
	}
}
