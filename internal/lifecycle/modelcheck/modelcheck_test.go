package modelcheck_test

import (
	"strings"
	"testing"

	"armada/internal/lifecycle/modelcheck"
)

// limit is far above the number of states, and keeps a mistake in the model
// from taking all memory.
const limit = 4_000_000

// Everything that may happen is checked by test/protocol: it takes too long
// under the race detector.
func TestWithoutDeathsEveryInterleavingKeepsThePromises(t *testing.T) {
	t.Parallel()
	r := modelcheck.Check(modelcheck.Protocol(modelcheck.Flawless, modelcheck.Scope{}), limit)
	if r.Violation != "" {
		t.Fatalf("after %d states:\n%s", r.States, r.Story(modelcheck.Describe))
	}
	if r.States < 50_000 {
		t.Errorf("only %d states: the model does not do what it is for", r.States)
	}
	t.Logf("%d states, %d transitions", r.States, r.Transitions)
}

func TestNoAttemptIsRepeatedBesideTheOneBefore(t *testing.T) {
	t.Parallel()
	plain := modelcheck.Check(modelcheck.Protocol(modelcheck.Flawless, modelcheck.Scope{Preemptions: true}), limit)
	r := modelcheck.Check(modelcheck.Protocol(modelcheck.Flawless, modelcheck.Scope{Preemptions: true, Retries: true}), limit)
	if r.Violation != "" {
		t.Fatalf("after %d states:\n%s", r.States, r.Story(modelcheck.Describe))
	}
	if r.States <= plain.States {
		t.Errorf("%d states, and %d without retries: nothing is repeated", r.States, plain.States)
	}
	t.Logf("%d states, %d transitions", r.States, r.Transitions)
}

func TestEveryRuleOfTheProtocolIsNeeded(t *testing.T) {
	t.Parallel()
	// An attempt that the store has given up is found before the next one runs
	// beside it: that takes further steps.
	const givenUp = "the store has given it up"
	for _, c := range []struct {
		name string
		flaw modelcheck.Flaw
		want string
		// scope is what has to happen for the flaw to show.
		scope modelcheck.Scope
	}{
		{"without the fence a deposed leader decides", modelcheck.NoFence, "deposed leader", modelcheck.Scope{Takeover: true}},
		{"without the session in the fence a run that came back is given up", modelcheck.NoSessionFence, givenUp, modelcheck.Scope{}},
		{"without its margin the executor stops too late", modelcheck.NoMarginOfExecutor, givenUp, modelcheck.Scope{}},
		{"without its margin the server gives up too early", modelcheck.NoMarginOfServer, givenUp, modelcheck.Scope{}},
		{"a lease that any acknowledgement renews lasts too long", modelcheck.AnyAckRenews, givenUp, modelcheck.Scope{}},
		{"a lease that counts from its receipt lasts too long", modelcheck.CountsFromReceipt, givenUp, modelcheck.Scope{}},
		{"an old push starts a run again", modelcheck.TakesOldPushes, givenUp, modelcheck.Scope{}},
		{"a late push starts a run after the lease", modelcheck.StartsWithoutLease, givenUp, modelcheck.Scope{}},
		{"a start that is overtaken by its stop goes through", modelcheck.NoTombstones, givenUp, modelcheck.Scope{}},
		{"a repeated push starts an ended run again", modelcheck.ForgetsEndedRuns, givenUp, modelcheck.Scope{}},
		{"a session that comes back starts what was given up", modelcheck.RevivesSessions, givenUp, modelcheck.Scope{}},
		{"an executor that is back adopts what was given up", modelcheck.AdoptsUnasked, givenUp, modelcheck.Scope{Deaths: true}},
		{"a cancel that is not remembered is not granted", modelcheck.ForgetsCancels, "cancel was acknowledged", modelcheck.Scope{}},
		{"a lease that is returned too early is given to another", modelcheck.ReportsWithoutPause, givenUp, modelcheck.Scope{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := modelcheck.Check(modelcheck.Protocol(c.flaw, c.scope), limit)
			if !strings.Contains(r.Violation, c.want) {
				t.Fatalf("after %d states: %q, want %q", r.States, r.Violation, c.want)
			}
			t.Logf("after %d states:\n%s", r.States, r.Story(modelcheck.Describe))
		})
	}
}
