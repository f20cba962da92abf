package client

import (
	"context"
	"fmt"

	"armada/pkg/api"
)

// CreateRetryPolicy creates a retry policy, or replaces it whole when it exists.
func (c *Client) CreateRetryPolicy(ctx context.Context, policy *api.RetryPolicy) error {
	if _, err := c.Policies.CreateRetryPolicy(ctx, policy); err != nil {
		return fmt.Errorf("create the retry policy %q: %w", policy.GetName(), err)
	}
	return nil
}

// UpdateRetryPolicy replaces a retry policy whole; NOT_FOUND when there is none of
// that name.
func (c *Client) UpdateRetryPolicy(ctx context.Context, policy *api.RetryPolicy) error {
	if _, err := c.Policies.UpdateRetryPolicy(ctx, policy); err != nil {
		return fmt.Errorf("update the retry policy %q: %w", policy.GetName(), err)
	}
	return nil
}

// DeleteRetryPolicy deletes a retry policy and takes it off every queue. One that
// does not exist is no error.
func (c *Client) DeleteRetryPolicy(ctx context.Context, name string) error {
	if _, err := c.Policies.DeleteRetryPolicy(ctx, &api.RetryPolicyDeleteRequest{Name: name}); err != nil {
		return fmt.Errorf("delete the retry policy %q: %w", name, err)
	}
	return nil
}

// RetryPolicy returns a retry policy; NOT_FOUND when there is none of that name.
func (c *Client) RetryPolicy(ctx context.Context, name string) (*api.RetryPolicy, error) {
	policy, err := c.Policies.GetRetryPolicy(ctx, &api.RetryPolicyGetRequest{Name: name})
	if err != nil {
		return nil, fmt.Errorf("get the retry policy %q: %w", name, err)
	}
	return policy, nil
}

// RetryPolicies returns all retry policies by name.
func (c *Client) RetryPolicies(ctx context.Context) ([]*api.RetryPolicy, error) {
	list, err := c.Policies.GetRetryPolicies(ctx, &api.RetryPolicyListRequest{})
	if err != nil {
		return nil, fmt.Errorf("get all retry policies: %w", err)
	}
	return list.GetRetryPolicies(), nil
}
