package sessions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"armada"
	"armada/internal/store/sqlite"
)

// TestMain uses the store once before there is a bubble of virtual time: what
// its packers share among all stores must not belong to the first bubble.
func TestMain(m *testing.M) {
	if err := warmUp(); err != nil {
		fmt.Fprintln(os.Stderr, "using a store:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func warmUp() error {
	dir, err := os.MkdirTemp("", "sessions")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	kept, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "armada.db")})
	if err != nil {
		return err
	}
	return errors.Join(
		kept.OpenSession(ctx, armada.Executor{ID: "east", Session: "1"}),
		kept.PutNodes(ctx, "east", "1", []armada.Node{{Name: "n"}}),
		read(ctx, kept), kept.Close(),
	)
}

func read(ctx context.Context, kept *sqlite.Store) error {
	_, err := kept.Executors(ctx)
	return err
}
