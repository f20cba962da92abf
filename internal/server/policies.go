package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/auth"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/nearest"
)

// policyService is api.RetryPolicyService.
type policyService struct {
	api.UnimplementedRetryPolicyServiceServer
	auth  *auth.Authorizer
	store store.Store
}

// CreateRetryPolicy creates a policy or replaces it whole.
func (s *policyService) CreateRetryPolicy(ctx context.Context, r *api.RetryPolicy) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.put(ctx, auth.VerbCreateRetryPolicy, r, s.store.PutRetryPolicy)
}

// UpdateRetryPolicy replaces a policy whole; NotFound when there is none.
func (s *policyService) UpdateRetryPolicy(ctx context.Context, r *api.RetryPolicy) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.put(ctx, auth.VerbUpdateRetryPolicy, r, s.store.UpdateRetryPolicy)
}

func (s *policyService) put(ctx context.Context, verb armada.Verb, r *api.RetryPolicy, put func(context.Context, armada.RetryPolicy) error) error {
	if _, err := s.auth.Authorize(ctx, verb, ""); err != nil {
		return err
	}
	policy, found := wire.RetryPolicy(r)
	wrong := violations(append(policy.Validate(), found...))
	if err := wrong.err("the retry policy was not changed"); err != nil {
		return err
	}
	err := put(ctx, policy)
	if armada.CodeOf(err) == armada.CodeNotFound {
		return s.noPolicy(ctx, policy.Name)
	}
	if err != nil {
		return fmt.Errorf("write the retry policy %q: %w", policy.Name, err)
	}
	return nil
}

// noPolicy is the error of a call about a policy that does not exist.
func (s *policyService) noPolicy(ctx context.Context, name string) error {
	all, err := s.store.RetryPolicies(ctx)
	if err != nil {
		return fmt.Errorf("list the retry policies: %w", err)
	}
	return &armada.Error{Code: armada.CodeNotFound, Message: thereIsNoPolicy(name, all)}
}

// thereIsNoPolicy says so, with the names that may have been meant.
func thereIsNoPolicy(name string, all []armada.RetryPolicy) string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	message := fmt.Sprintf("there is no retry policy %q", clip(name, 80))
	if len(name) > longestGuess {
		return message
	}
	near := nearest.Names(name, names)
	for i := range near {
		near[i] = strconv.Quote(near[i])
	}
	if len(near) > 0 {
		message += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return message
}

// DeleteRetryPolicy forgets a policy and takes it off every queue. That there is
// none is fine.
func (s *policyService) DeleteRetryPolicy(ctx context.Context, r *api.RetryPolicyDeleteRequest) (*emptypb.Empty, error) {
	if _, err := s.auth.Authorize(ctx, auth.VerbDeleteRetryPolicy, ""); err != nil {
		return nil, err
	}
	if err := named("name", r.GetName(), "no retry policy was deleted"); err != nil {
		return nil, err
	}
	if err := s.store.DeleteRetryPolicy(ctx, r.GetName()); err != nil {
		return nil, fmt.Errorf("delete the retry policy: %w", err)
	}
	return &emptypb.Empty{}, nil
}

// GetRetryPolicy answers a policy as it was set.
func (s *policyService) GetRetryPolicy(ctx context.Context, r *api.RetryPolicyGetRequest) (*api.RetryPolicy, error) {
	if _, err := auth.Caller(ctx); err != nil {
		return nil, err
	}
	if err := named("name", r.GetName(), "nothing was looked up"); err != nil {
		return nil, err
	}
	policy, err := s.store.RetryPolicy(ctx, r.GetName())
	if armada.CodeOf(err) == armada.CodeNotFound {
		return nil, s.noPolicy(ctx, r.GetName())
	}
	if err != nil {
		return nil, fmt.Errorf("look up the retry policy: %w", err)
	}
	return wire.RetryPolicyMessage(policy), nil
}

// GetRetryPolicies answers all policies by name.
func (s *policyService) GetRetryPolicies(ctx context.Context, _ *api.RetryPolicyListRequest) (*api.RetryPolicyList, error) {
	if _, err := auth.Caller(ctx); err != nil {
		return nil, err
	}
	all, err := s.store.RetryPolicies(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the retry policies: %w", err)
	}
	answer := &api.RetryPolicyList{}
	for _, p := range all {
		answer.RetryPolicies = append(answer.RetryPolicies, wire.RetryPolicyMessage(p))
	}
	return answer, nil
}
