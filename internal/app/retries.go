package app

import (
	"errors"
	"fmt"

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

func (r Retries) store() store.Retries { return store.Retries{Most: r.Most, Default: r.DefaultPolicy} }
