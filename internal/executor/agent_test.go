package executor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/runs"
)

// forgetful is a runtime that cannot forget at first, and is slow in stopping.
type forgetful struct {
	runs.Runtime
	mu        sync.Mutex // of what follows
	refusals  int
	forgotten []armada.RunID
	stops     []time.Duration // their graces
}

func (r *forgetful) Forget(_ context.Context, run armada.RunID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusals--; r.refusals >= 0 {
		return errors.New("the cluster does not answer")
	}
	r.forgotten = append(r.forgotten, run)
	return nil
}

func (r *forgetful) Stop(_ context.Context, _ armada.RunID, grace time.Duration) error {
	r.mu.Lock()
	r.stops = append(r.stops, grace)
	r.mu.Unlock()
	time.Sleep(10 * time.Second)
	return nil
}

// did tells what was forgotten, and the graces of the stops.
func (r *forgetful) did() ([]armada.RunID, []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.forgotten), slices.Clone(r.stops)
}

// agentOf is an agent whose crews have one hand each.
func agentOf(r runs.Runtime) *Agent {
	config := DefaultConfig()
	config.ID, config.Starts = "e", 1
	agent, err := New(config, armada.DefaultResourceTable(), nil, r, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	return agent
}

func TestARunThatCannotBeForgottenNowIsForgottenLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &forgetful{refusals: 3}
		a := agentOf(r)
		go func() { _ = a.sweepers.work(t.Context()) }()
		a.forget("a-1")
		draining := make(chan error, 1)
		go func() { draining <- a.Drain(t.Context()) }()
		synctest.Wait()
		if forgotten, _ := r.did(); len(forgotten) != 0 || len(draining) != 0 {
			t.Fatalf("%v are forgotten, and draining has returned: %v", forgotten, len(draining) == 1)
		}
		err := <-draining
		if forgotten, _ := r.did(); err != nil || !slices.Equal(forgotten, []armada.RunID{"a-1"}) {
			t.Errorf("%v are forgotten after draining, %v", forgotten, err)
		}
	})
}

func TestAStopThatIsRepeatedWhileItWaitsIsAskedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &forgetful{}
		a := agentOf(r)
		a.ledger.learn([]runs.Status{seen("a-1", runs.Running), seen("b-1", runs.Running)})
		go func() { _ = a.stoppers.work(t.Context()) }()
		a.stop("a-1", 0)
		synctest.Wait() // the only hand has it
		a.stop("b-1", 0)
		for range 5 { // as at every heartbeat
			a.stop("b-1", 0)
		}
		a.stop("b-1", byForce)
		a.stop("b-1", time.Second)
		time.Sleep(time.Minute)
		if _, stops := r.did(); !slices.Equal(stops, []time.Duration{0, 0, byForce}) {
			t.Errorf("the runtime was asked to stop with %v; want twice 0, and once by force", stops)
		}
		a.stop("b-1", 0)
		time.Sleep(time.Minute)
		if _, stops := r.did(); len(stops) != 4 {
			t.Errorf("a stop after all that is not asked for: %v", stops)
		}
	})
}
