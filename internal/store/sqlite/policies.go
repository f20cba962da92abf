package sqlite

import (
	"context"
	"slices"

	"armada"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
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
	// What is remembered must not change with the caller's slices.
	if p, err = codec.DecodeRetryPolicy(body, p.Name); err != nil {
		return err
	}
	return s.write(ctx, "put retry policy", 1, func(b *batch) error {
		if _, known := b.w.policies[p.Name]; mustExist && !known {
			return noPolicy(p.Name)
		}
		b.w.policies[p.Name] = p
		_, err := b.w.conn.exec("INSERT INTO retry_policy (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body", p.Name, body)
		return err
	})
}

func noPolicy(name string) error {
	return intake.Coded(armada.CodeNotFound, "retry policy %q does not exist", name)
}

// DeleteRetryPolicy forgets a retry policy, and queues its name.
func (s *Store) DeleteRetryPolicy(ctx context.Context, name string) error {
	return s.write(ctx, "delete retry policy", 1, func(b *batch) error {
		for _, q := range b.w.queues {
			if !slices.Contains(q.queue.RetryPolicies, name) {
				continue
			}
			q.queue.RetryPolicies = slices.DeleteFunc(slices.Clone(q.queue.RetryPolicies), func(n string) bool { return n == name })
			body, err := codec.AppendQueue(nil, &q.queue)
			if err != nil {
				return err
			}
			if _, err := b.w.conn.exec("UPDATE queue SET body = ? WHERE id = ?", body, q.id); err != nil {
				return err
			}
			b.touch(feed.Queue, q.id)
		}
		delete(b.w.policies, name)
		_, err := b.w.conn.exec("DELETE FROM retry_policy WHERE name = ?", name)
		return err
	})
}

// eachPolicy visits the retry policies by name.
func eachPolicy(c *conn, visit func(armada.RetryPolicy)) error {
	return c.each("SELECT name, body FROM retry_policy ORDER BY name", func(r row) error {
		p, err := codec.DecodeRetryPolicy(r.blob(1), r.str(0))
		visit(p)
		return err
	})
}

// RetryPolicies returns all retry policies.
func (s *Store) RetryPolicies(ctx context.Context) ([]armada.RetryPolicy, error) {
	var policies []armada.RetryPolicy
	err := s.read(ctx, "read retry policies", func(c *conn) error {
		return eachPolicy(c, func(p armada.RetryPolicy) { policies = append(policies, p) })
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
	return armada.RetryPolicy{}, noPolicy(name)
}
