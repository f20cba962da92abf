package auth

import (
	"context"

	"armada"
)

// Principal is a caller.
type Principal struct {
	Name   string
	Groups []string
}

// AnonymousName is the name of callers who prove nothing.
const AnonymousName = "anonymous"

// Credentials is what a call carries to prove who makes it.
type Credentials interface {
	// Values returns what the call says under a header name in lower case, in
	// the order in which it was said; nil when it says nothing.
	Values(header string) []string
}

// Authenticator tells who makes a call.
type Authenticator interface {
	// Authenticate returns the principal; false when the credentials are none of
	// this authenticator's business, an error with code Unauthenticated when
	// they are and prove nothing.
	Authenticate(ctx context.Context, c Credentials) (Principal, bool, error)
}

// Anonymous takes every caller for the same person.
type Anonymous struct{}

// Authenticate returns the principal called [AnonymousName].
func (Anonymous) Authenticate(context.Context, Credentials) (Principal, bool, error) {
	return Principal{Name: AnonymousName}, true, nil
}

// Chain asks authenticators in order and takes the first answer.
type Chain []Authenticator

// Authenticate fails with code Unauthenticated when nobody knows the caller.
func (chain Chain) Authenticate(ctx context.Context, c Credentials) (Principal, bool, error) {
	for _, a := range chain {
		if p, known, err := a.Authenticate(ctx, c); known || err != nil {
			return p, known, err
		}
	}
	return Principal{}, false, &armada.Error{Code: armada.CodeUnauthenticated, Message: "no accepted credentials were given"}
}

type contextKey struct{}

// With returns a context that carries the principal.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal of a call, and false for a context that no
// authenticator has seen.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}
