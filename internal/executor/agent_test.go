package executor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/runs"
)

// forgetful is a runtime that cannot forget at first, and is slow in stopping.
type forgetful struct {
	runs.Runtime
	refusals  int
	forgotten []armada.RunID
	stops     []time.Duration // their graces
}

func (r *forgetful) Forget(_ context.Context, run armada.RunID) error {
	if r.refusals--; r.refusals >= 0 {
		return errors.New("the cluster does not answer")
	}
	r.forgotten = append(r.forgotten, run)
	return nil
}

func (r *forgetful) Stop(_ context.Context, _ armada.RunID, grace time.Duration) error {
	r.stops = append(r.stops, grace)
	time.Sleep(10 * time.Second)
	return nil
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
		if len(r.forgotten) != 0 || len(draining) != 0 {
			t.Fatalf("%v are forgotten, and draining has returned: %v", r.forgotten, len(draining) == 1)
		}
		if err := <-draining; err != nil || !slices.Equal(r.forgotten, []armada.RunID{"a-1"}) {
			t.Errorf("%v are forgotten after draining, %v", r.forgotten, err)
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
		if want := []time.Duration{0, 0, byForce}; !slices.Equal(r.stops, want) {
			t.Errorf("the runtime was asked to stop with %v, want %v", r.stops, want)
		}
		a.stop("b-1", 0)
		time.Sleep(time.Minute)
		if len(r.stops) != 4 {
			t.Errorf("a stop after all that is not asked for: %v", r.stops)
		}
	})
}
