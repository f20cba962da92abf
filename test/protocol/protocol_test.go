// Package protocol checks the protocol of leases, sessions and leadership
// exhaustively, with everything that its model knows. The quick part, and the
// proof that each of its rules is needed, are the tests of
// internal/lifecycle/modelcheck.
package protocol

import (
	"testing"

	"armada/internal/lifecycle/modelcheck"
)

func TestEveryInterleavingOfOneJobKeepsThePromises(t *testing.T) {
	t.Parallel()
	r := modelcheck.Check(modelcheck.Protocol(modelcheck.Flawless, modelcheck.Everything), 4_000_000)
	if r.Violation != "" {
		t.Fatalf("after %d states:\n%s", r.States, r.Story(modelcheck.Describe))
	}
	if r.States < 1_000_000 {
		t.Errorf("only %d states: the model does not do what it is for", r.States)
	}
	t.Logf("%d states, %d transitions", r.States, r.Transitions)
}
