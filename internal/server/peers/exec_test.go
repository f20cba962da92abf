package peers

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"armada"
	"armada/internal/wire"
)

// none is a replica that holds no stream.
type none struct{ Executors }

func (none) Holds(armada.ExecutorID) bool { return false }

func TestACommandThatCannotBeRunSaysWhose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		is   armada.Executor
		err  error
		code armada.ErrorCode
		says string
	}{
		"of 2020":          {armada.Executor{Kind: armada.Executor2020}, nil, armada.CodePrecondition, `executor "east" is one of the original`},
		"of 2026":          {armada.Executor{Kind: armada.Executor2026}, nil, armada.CodePrecondition, `executor "east" is one of the original`},
		"away":             {armada.Executor{Replica: "a", ReplicaAddr: "127.0.0.1:1"}, nil, armada.CodeUnavailable, `executor "east", which has the container, is not connected`},
		"unknown":          {armada.Executor{}, &armada.Error{Code: armada.CodeNotFound}, armada.CodeUnavailable, `executor "east", which has the container, is not connected`},
		"behind a replica": {armada.Executor{Replica: "b", ReplicaAddr: "127.0.0.1:1"}, nil, armada.CodeUnavailable, `executor "east" is connected to replica "b" (127.0.0.1:1), and the command cannot be run from there`},
	} {
		p := New(Parts{
			Replica: "a", Executors: none{}, Log: slog.New(slog.DiscardHandler),
			Executor: func(context.Context, armada.ExecutorID) (armada.Executor, error) { return c.is, c.err },
		})
		err := p.RunCommand(t.Context(), "east", wire.Exec{Run: "run"}, nil)
		if armada.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s", name, err, c.says)
		}
	}
}
