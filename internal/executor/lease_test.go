package executor

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestALeaseCountsFromTheSendingOfTheAcknowledgedRequest(t *testing.T) {
	t.Parallel()
	start := time.Now()
	l := newLease(start)
	l.requested(1, start.Add(10*time.Second))
	if !l.acknowledged(1, time.Minute) {
		t.Fatal("a request of the session is not known")
	}
	if got := l.end().Sub(start); got != 70*time.Second {
		t.Errorf("the lease ends after %s, want 70s", got)
	}
	l.requested(2, start.Add(20*time.Second))
	if l.acknowledged(1, time.Minute) {
		t.Error("the answer to an earlier request renewed the lease")
	}
	if !l.acknowledged(2, time.Minute) || l.end().Sub(start) != 80*time.Second {
		t.Errorf("the lease ends after %s, want 80s", l.end().Sub(start))
	}
}

func TestAnAcknowledgementOfAnOlderSessionDoesNotRenew(t *testing.T) {
	t.Parallel()
	start := time.Now()
	l := newLease(start)
	l.requested(1, start)
	l.begin()
	if l.acknowledged(1, time.Minute) || !l.end().Equal(start) {
		t.Errorf("the lease was renewed to %s", l.end().Sub(start))
	}
}

func TestAnAcknowledgementCountsOnce(t *testing.T) {
	t.Parallel()
	l := newLease(time.Now())
	l.requested(1, time.Now())
	l.acknowledged(1, time.Minute)
	if l.acknowledged(1, time.Hour) {
		t.Error("a repeated acknowledgement renewed the lease")
	}
}

func TestWithinASessionALeaseNeverGetsShorter(t *testing.T) {
	t.Parallel()
	start := time.Now()
	l := newLease(start.Add(time.Hour))
	l.requested(1, start)
	l.acknowledged(1, time.Minute)
	if got := l.end().Sub(start); got != time.Minute {
		t.Errorf("after the first answer the lease ends after %s, want what it says: 1m", got)
	}
	l.requested(2, start.Add(time.Second))
	l.acknowledged(2, 30*time.Second)
	if got := l.end().Sub(start); got != time.Minute {
		t.Errorf("after the second answer the lease ends after %s, want 1m", got)
	}
	l.begin()
	l.requested(1, start.Add(2*time.Second))
	l.acknowledged(1, 30*time.Second)
	if got := l.end().Sub(start); got != 32*time.Second {
		t.Errorf("after the first answer of the next session the lease ends after %s, want 32s", got)
	}
}

func TestNothingIsStartedBeforeALeaseWasGranted(t *testing.T) {
	t.Parallel()
	l := newLease(time.Now().Add(time.Hour))
	if l.allows(time.Second) || l.over(time.Second) {
		t.Error("before the first answer runs that were found live, and others do not start")
	}
	l.requested(1, time.Now())
	l.acknowledged(1, time.Minute)
	if !l.allows(time.Second) || l.allows(2*time.Minute) {
		t.Error("a granted lease allows to start until its margin")
	}
}

func TestRunsAreStoppedAMarginBeforeTheLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		l := newLease(start.Add(time.Minute))
		var stops atomic.Int32
		var at time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = l.watch(ctx, 15*time.Second, func() {
				if stops.Add(1) == 1 {
					at = time.Since(start)
				}
			})
		}()

		time.Sleep(40 * time.Second)
		l.requested(1, time.Now())
		l.acknowledged(1, time.Minute) // until 100 s
		time.Sleep(44 * time.Second)   // 84 s
		synctest.Wait()
		if n := stops.Load(); n != 0 {
			t.Fatalf("a renewed lease was ended after %s", at)
		}
		time.Sleep(2 * time.Second) // 86 s
		synctest.Wait()
		if n := stops.Load(); n < 2 || at != 85*time.Second {
			t.Fatalf("runs were stopped %d times, first after %s; want first after 85s and again", n, at)
		}
		l.requested(2, time.Now())
		l.acknowledged(2, time.Minute)
		synctest.Wait()
		before := stops.Load()
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if n := stops.Load(); n != before {
			t.Errorf("runs were stopped %d times more although the lease is renewed", n-before)
		}
		cancel()
		<-done
	})
}
