package app

import (
	"context"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"armada/internal/lifecycle"
	"armada/internal/store"
)

// decided is a store whose transitions end attempts about which policies decide.
type decided struct{ store.Store }

func (decided) Transition(context.Context, store.Fence, []store.Unit) ([]store.UnitResult, error) {
	again := lifecycle.RetryDecision{Policy: "patient", Outcome: lifecycle.RetryGranted, Category: "infrastructure"}
	return []store.UnitResult{{Retries: []lifecycle.RetryDecision{again}}, {}, {Retries: []lifecycle.RetryDecision{
		again, {Outcome: lifecycle.RetryNotAsked},
	}}}, nil
}

func TestWhatRetryPoliciesDecideIsCounted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	kept, err := countRetries(decided{}, registry)
	if err != nil {
		t.Fatal(err)
	}
	if results, err := kept.Transition(t.Context(), store.Fence{}, nil); err != nil || len(results) != 3 {
		t.Fatalf("the answers are %v, %v", results, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := family.GetName()
			for _, l := range m.GetLabel() {
				labels += " " + l.GetName() + "=" + l.GetValue()
			}
			got[labels] = m.GetCounter().GetValue()
		}
	}
	if diff := gocmp.Diff(map[string]float64{
		"armada_retry_decisions_total category= decision=not_asked policy=":                  1,
		"armada_retry_decisions_total category=infrastructure decision=retry policy=patient": 2,
	}, got); diff != "" {
		t.Errorf("counted is (-want +got):\n%s", diff)
	}
}
