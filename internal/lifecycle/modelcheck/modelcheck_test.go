package modelcheck_test

import (
	"strings"
	"testing"

	"armada/internal/lifecycle/modelcheck"
)

// limit is far above the number of states, and keeps a mistake in the model
// from taking all memory.
const limit = 4_000_000

func TestEveryInterleavingKeepsThePromises(t *testing.T) {
	t.Parallel()
	r := modelcheck.Check(modelcheck.Protocol(modelcheck.Flawless), limit)
	if r.Violation != "" {
		t.Fatalf("after %d states:\n%s", r.States, r.Story(modelcheck.Describe))
	}
	if r.States < 100_000 {
		t.Errorf("only %d states: the model does not do what it is for", r.States)
	}
	t.Logf("%d states, %d transitions", r.States, r.Transitions)
}

func TestEveryRuleOfTheProtocolIsNeeded(t *testing.T) {
	t.Parallel()
	const givenUp, two = "the store has given it up", "two attempts run at a time"
	for _, c := range []struct {
		name string
		flaw modelcheck.Flaw
		want string
	}{
		{"without the fence a deposed leader decides", modelcheck.NoFence, "deposed leader"},
		{"without the session in the fence a run that came back is given up", modelcheck.NoSessionFence, givenUp},
		{"without its margin the executor stops too late", modelcheck.NoMarginOfExecutor, givenUp},
		{"without its margin the server gives up too early", modelcheck.NoMarginOfServer, givenUp},
		{"a lease that any acknowledgement renews lasts too long", modelcheck.AnyAckRenews, givenUp},
		{"a lease that counts from its receipt lasts too long", modelcheck.CountsFromReceipt, givenUp},
		{"an old push starts a run again", modelcheck.TakesOldPushes, givenUp},
		{"a late push starts a run after the lease", modelcheck.StartsWithoutLease, givenUp},
		{"a start that is overtaken by its stop goes through", modelcheck.NoTombstones, givenUp},
		{"a repeated push starts an ended run again", modelcheck.ForgetsEndedRuns, givenUp},
		{"a session that comes back starts what was given up", modelcheck.RevivesSessions, givenUp},
		{"a cancel that is not remembered is not granted", modelcheck.ForgetsCancels, "cancel was acknowledged"},
		{"a lease that is returned too early is given to another", modelcheck.ReportsWithoutPause, givenUp},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := modelcheck.Check(modelcheck.Protocol(c.flaw), limit)
			if !strings.Contains(r.Violation, c.want) && !(c.want == givenUp && r.Violation == two) {
				t.Fatalf("after %d states: %q, want %q", r.States, r.Violation, c.want)
			}
			t.Logf("after %d states:\n%s", r.States, r.Story(modelcheck.Describe))
		})
	}
}
