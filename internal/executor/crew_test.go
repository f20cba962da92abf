package executor

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestACrewDoesEverythingABoundedNumberAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := newCrew(3)
		worked := make(chan error)
		var now, most, done atomic.Int32
		for range 10 {
			c.give(func(context.Context) {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				done.Add(1)
			})
		}
		go func() { worked <- c.work(ctx) }()
		begun := time.Now()
		for done.Load() < 10 {
			time.Sleep(time.Millisecond)
		}
		if most.Load() != 3 || time.Since(begun) > 4*time.Second+10*time.Millisecond {
			t.Errorf("%d at a time, in %s; want 3 in 4 s", most.Load(), time.Since(begun))
		}
		c.give(func(context.Context) { time.Sleep(time.Minute); done.Add(1) })
		synctest.Wait()
		cancel()
		if err := <-worked; err == nil || done.Load() != 11 {
			t.Errorf("the crew left with %v and %d tasks done", err, done.Load())
		}
	})
}
