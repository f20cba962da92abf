package lifecycle

import (
	"testing"

	"armada"
)

func TestEveryRuleDecidesAboutSomething(t *testing.T) {
	t.Parallel()
	used := make(map[*Rule]bool)
	for _, kind := range ChangeKinds() {
		for _, state := range armada.JobStates() {
			for _, wish := range []armada.WishKind{armada.WishNone, armada.WishCancel, armada.WishPreempt} {
				for attempts := range 3 {
					for variant := range 16 {
						job := armada.Job{State: state, Wish: armada.Wish{Kind: wish}, Attempts: attempts, Gang: armada.Gang{FailFast: variant&1 != 0}}
						c := Change{Kind: kind, MaxAttempts: variant >> 1 & 1, Retrying: Retrying{Most: variant >> 2 & 1, Policies: always(3)}, Again: variant>>3 != 0}
						retry := judge(&job, &c)
						if r, found := rule(&job, &c, &retry); found {
							used[r] = true
							if state.Terminal() {
								t.Errorf("%s has a rule for a job that is %s", kind, state)
							}
						}
					}
				}
			}
		}
	}
	for i := range rules {
		if !used[&rules[i]] {
			t.Errorf("rule %d, for %s, is hidden by those before it", i, rules[i].On)
		}
	}
}

func TestTheEndOfARunIsTheEndOfItsJobOrPutsItBack(t *testing.T) {
	t.Parallel()
	for i, r := range rules {
		if r.Run.Terminal() != (r.On != Cancel && r.On != Reject && r.On != Abandon && r.To.Terminal() || r.To == armada.JobQueued) {
			t.Errorf("rule %d, for %s: the run becomes %s and the job %s", i, r.On, r.Run, r.To)
		}
	}
}
