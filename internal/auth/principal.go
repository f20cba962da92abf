package auth

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"armada"
)

// Principal is a caller.
type Principal struct {
	Name   string
	Groups []string
	Scopes []string // of a token
	Claims []string // names of a token's claims
	Method string   // how the caller proved who it is: one of the names of methods

	// Answer is what the header www-authenticate of the answer says, for methods by
	// which the server proves who it is; empty otherwise.
	Answer string

	// only is the one verb of callers that are parts of the installation; empty for
	// everybody else.
	only armada.Verb
}

// The names of methods.
const (
	MethodAnonymous   = "anonymous"
	MethodBasic       = "basic"
	MethodOpenID      = "openIdConnect"
	MethodKerberos    = "kerberos"
	MethodKubernetes  = "kubernetes"
	MethodCertificate = "clientCertificate"
	MethodInside      = "inside" // a part of this installation
)

// AnonymousName is the name of callers who prove nothing.
const AnonymousName = "anonymous"

// Everyone is the group of all callers.
const Everyone = "everyone"

// In tells whether the principal is in a group.
func (p *Principal) In(group string) bool {
	return group == Everyone || slices.Contains(p.Groups, group)
}

// OwnExecutor is the executor that lives in the server's own process.
func OwnExecutor() Principal {
	return Principal{Name: "armada", Method: MethodInside, only: VerbExecuteJobs}
}

// Replica is another replica of the server, which has shown the secret that they
// share.
func Replica() Principal {
	return Principal{Name: "armada", Method: MethodInside, only: VerbAskReplica}
}

// Credentials are what a call carries to prove who makes it.
type Credentials struct {
	// Authorization is what the call says in its header authorization; nil when it
	// says nothing.
	Authorization []string
	// Certificate is the one of the caller's end of the connection, verified
	// against the authorities that the server trusts; nil without.
	Certificate *x509.Certificate
	// From is the address of the caller, without its port.
	From string
}

// Authenticator tells who makes a call.
type Authenticator interface {
	// Authenticate returns the principal; an error with code Unauthenticated when
	// the credentials prove nothing, and with code Unavailable when that cannot be
	// found out at the moment.
	Authenticate(ctx context.Context, c Credentials) (Principal, error)
	// Challenges are what the header www-authenticate says to a caller who was not
	// authenticated.
	Challenges() []string
}

// Anonymous takes every caller without credentials for the same person.
type Anonymous struct{}

// Authenticate returns the principal called [AnonymousName].
func (Anonymous) Authenticate(_ context.Context, c Credentials) (Principal, error) {
	if len(c.Authorization) > 0 {
		return Principal{}, refused("this server takes no credentials: leave the header authorization out")
	}
	return Principal{Name: AnonymousName, Method: MethodAnonymous}, nil
}

// Challenges has none.
func (Anonymous) Challenges() []string { return nil }

// refused is the error of credentials that prove nothing.
func refused(format string, args ...any) error {
	return &armada.Error{Code: armada.CodeUnauthenticated, Message: fmt.Sprintf(format, args...)}
}

// unknowable is the error of credentials that cannot be examined at the moment.
func unknowable(format string, args ...any) error {
	return &armada.Error{Code: armada.CodeUnavailable, Message: fmt.Sprintf(format, args...)}
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
