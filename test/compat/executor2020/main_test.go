package executor2020

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"armada"
	"armada/internal/runs/process"
	"armada/internal/store/sqlite"
)

// TestMain lets the test binary be the supervisor of armada up, and uses the store
// once before there is a bubble of virtual time: what its packers share among all
// stores must not belong to the first bubble.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.SupervisorCommand {
		os.Exit(process.SupervisorMain(os.Args[2:]))
	}
	messages()
	if err := warmUp(); err != nil {
		fmt.Fprintln(os.Stderr, "using a store:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func warmUp() error {
	dir, err := os.MkdirTemp("", "executor2020")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	kept, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "armada.db")})
	if err != nil {
		return err
	}
	err = errors.Join(
		kept.OpenSession(ctx, armada.Executor{ID: "east", Session: "1"}),
		kept.PutNodes(ctx, "east", "1", []armada.Node{{Name: "n"}}),
	)
	_, read := kept.Executors(ctx)
	return errors.Join(err, read, kept.Close())
}
