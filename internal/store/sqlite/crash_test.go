package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/internal/store/storetest"
)

func openPath(ctx context.Context, path string) (store.Store, error) {
	return sqlite.Open(ctx, sqlite.Config{Path: path})
}

func TestMain(m *testing.M) {
	if storetest.CrashChild(openPath) {
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestWhatWasAcknowledgedSurvivesKill9AtRandomMoments(t *testing.T) {
	t.Parallel()
	storetest.SurviveKill9(t, filepath.Join(t.TempDir(), "crash.db"), openPath)
}
