package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
	"armada/internal/store"
)

// Retries sets how retry policies repeat attempts that ended badly.
type Retries struct {
	// Most bounds the attempts that policies give to a job, whatever they say; 0
	// repeats nothing.
	Most int
	// DefaultPolicy is the retry policy of queues that name none; empty is none.
	DefaultPolicy string
}

func (r Retries) validate() error {
	var errs []error
	if r.Most < 0 {
		errs = append(errs, fmt.Errorf("retries.most: must not be negative, is %d", r.Most))
	}
	if r.DefaultPolicy != "" {
		if err := armada.ValidateRetryPolicyName(r.DefaultPolicy); err != nil {
			errs = append(errs, fmt.Errorf("retries.defaultPolicy: %w", err))
		}
	}
	return errors.Join(errs...)
}

// counting is a store that counts what retry policies decide.
type counting struct {
	store.Store
	decisions *prometheus.CounterVec
}

func countRetries(kept store.Store, registry prometheus.Registerer) (store.Store, error) {
	c := counting{kept, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "armada_retry_decisions_total",
		Help: "What was decided about attempts that ended badly, by the policy that decided, the decision and the category of the end.",
	}, []string{"policy", "decision", "category"})}
	if err := registry.Register(c.decisions); err != nil {
		return nil, fmt.Errorf("registering the metric of retries: %w", err)
	}
	return c, nil
}

// Transition counts what was decided once it is committed.
func (c counting) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	results, err := c.Store.Transition(ctx, fence, units)
	for i := range results {
		for _, d := range results[i].Retries {
			c.decisions.WithLabelValues(d.Policy, string(d.Outcome), d.Category).Inc()
		}
	}
	return results, err
}

func (r Retries) store() store.Retries { return store.Retries{Most: r.Most, Default: r.DefaultPolicy} }
