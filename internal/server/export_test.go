package server

import (
	"context"
	"time"

	"armada"
	"armada/internal/auth"
)

// Access is an entry of the list of methods.
type Access struct {
	Kind     string // of the limit that its calls count for: submit, change, ask or free
	Verb     armada.Verb
	Unsigned bool
}

// Methods is the list of methods.
func Methods() map[string]Access {
	all := make(map[string]Access, len(methods))
	for method, a := range methods {
		all[method] = Access{callKindNames[a.kind], a.verb, a.unsigned}
	}
	return all
}

// Let lets in a call of a method, or refuses it, where everybody may do everything.
func Let(ctx context.Context, method string) error {
	return (&calls{authorizer: auth.NewAuthorizer(nil)}).let(ctx, method)
}

// Guard guards a command that says nothing, of a caller who may run it as long as ask
// does not fail, and returns what ended it.
func Guard(ctx context.Context, ask func(context.Context) error) error {
	may, err := permitted(ctx, time.Now, ask)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	(&conversation{may: may}).guard(ctx, nil, cancel)
	return context.Cause(ctx)
}
