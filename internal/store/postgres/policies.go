package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

// PutRetryPolicy creates or replaces a retry policy.
func (s *Store) PutRetryPolicy(ctx context.Context, p armada.RetryPolicy) error {
	return s.putRetryPolicy(ctx, p, false)
}

// UpdateRetryPolicy replaces a retry policy.
func (s *Store) UpdateRetryPolicy(ctx context.Context, p armada.RetryPolicy) error {
	return s.putRetryPolicy(ctx, p, true)
}

func (s *Store) putRetryPolicy(ctx context.Context, p armada.RetryPolicy, mustExist bool) error {
	body, err := codec.AppendRetryPolicy(nil, &p)
	if err != nil {
		return &armada.Error{Code: armada.CodeInvalid, Message: "retry policy " + p.Name, Cause: err}
	}
	return s.call(ctx, "put retry policy", nil, callOf("armada.put_retry_policy", 4), s.clock.given(), p.Name, body, mustExist)
}

// DeleteRetryPolicy forgets a retry policy, and queues its name.
func (s *Store) DeleteRetryPolicy(ctx context.Context, name string) error {
	if err := s.call(ctx, "delete retry policy", nil, callOf("armada.delete_retry_policy", 2), s.clock.given(), name); err != nil {
		return err
	}
	s.touched()
	return nil
}

const selectPolicies = "SELECT name, body FROM armada.retry_policy ORDER BY name"

// scanPolicy reads a row of selectPolicies.
func scanPolicy(r pgx.Rows) (armada.RetryPolicy, error) {
	var name string
	var body []byte
	if err := r.Scan(&name, &body); err != nil {
		return armada.RetryPolicy{}, err
	}
	return codec.DecodeRetryPolicy(body, name)
}

// RetryPolicies returns all retry policies.
func (s *Store) RetryPolicies(ctx context.Context) ([]armada.RetryPolicy, error) {
	var policies []armada.RetryPolicy
	err := s.read(ctx, "read retry policies", func(ctx context.Context) error {
		return s.each(ctx, func(r pgx.Rows) error {
			p, err := scanPolicy(r)
			policies = append(policies, p)
			return err
		}, selectPolicies)
	})
	return policies, err
}

// RetryPolicy returns one retry policy.
func (s *Store) RetryPolicy(ctx context.Context, name string) (armada.RetryPolicy, error) {
	policies, err := s.RetryPolicies(ctx) // there are few
	if err != nil {
		return armada.RetryPolicy{}, err
	}
	for _, p := range policies {
		if p.Name == name {
			return p, nil
		}
	}
	return armada.RetryPolicy{}, intake.Coded(armada.CodeNotFound, "retry policy %q does not exist", name)
}
