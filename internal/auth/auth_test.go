package auth_test

import (
	"context"
	"errors"
	"testing"

	"armada"
	"armada/internal/auth"
)

type headers map[string][]string

func (h headers) Values(name string) []string { return h[name] }

// byToken knows the callers whose tokens it holds.
type byToken map[string]auth.Principal

func (b byToken) Authenticate(_ context.Context, c auth.Credentials) (auth.Principal, bool, error) {
	given := c.Values("authorization")
	if len(given) == 0 {
		return auth.Principal{}, false, nil
	}
	p, ok := b[given[0]]
	if !ok {
		return auth.Principal{}, false, &armada.Error{Code: armada.CodeUnauthenticated, Message: "unknown token"}
	}
	return p, true, nil
}

func TestACallWithoutAPrincipalIsNotAuthorized(t *testing.T) {
	t.Parallel()
	_, err := auth.NewAuthorizer().Authorize(t.Context(), armada.VerbSubmit, "q")
	if armada.CodeOf(err) != armada.CodeUnauthenticated {
		t.Errorf("answered %v, want unauthenticated", err)
	}
}

func TestAnonymousMayDoEverything(t *testing.T) {
	t.Parallel()
	p, known, err := auth.Anonymous{}.Authenticate(t.Context(), headers{})
	if err != nil || !known {
		t.Fatal(known, err)
	}
	ctx := auth.With(t.Context(), p)
	for _, verb := range append(armada.Verbs(), auth.VerbCreateQueue, auth.VerbExecuteJobs) {
		got, err := auth.NewAuthorizer().Authorize(ctx, verb, "q")
		if err != nil || got.Name != auth.AnonymousName {
			t.Errorf("%s: %v, %v", verb, got, err)
		}
	}
}

func TestTheFirstAuthenticatorThatKnowsTheCallerAnswers(t *testing.T) {
	t.Parallel()
	chain := auth.Chain{byToken{"secret": {Name: "ada"}}, auth.Anonymous{}}
	for _, c := range []struct {
		token []string
		want  string
	}{{[]string{"secret"}, "ada"}, {nil, auth.AnonymousName}} {
		p, _, err := chain.Authenticate(t.Context(), headers{"authorization": c.token})
		if err != nil || p.Name != c.want {
			t.Errorf("%v: %v, %v; want %s", c.token, p, err, c.want)
		}
	}
}

func TestWrongCredentialsAreNotTakenForNone(t *testing.T) {
	t.Parallel()
	chain := auth.Chain{byToken{}, auth.Anonymous{}}
	_, _, err := chain.Authenticate(t.Context(), headers{"authorization": {"wrong"}})
	var e *armada.Error
	if !errors.As(err, &e) || e.Code != armada.CodeUnauthenticated {
		t.Errorf("answered %v, want unauthenticated", err)
	}
}

func TestACallerWhomNobodyKnowsIsUnauthenticated(t *testing.T) {
	t.Parallel()
	_, known, err := auth.Chain{byToken{}}.Authenticate(t.Context(), headers{})
	if known || armada.CodeOf(err) != armada.CodeUnauthenticated {
		t.Errorf("answered %v, %v; want unauthenticated", known, err)
	}
}
