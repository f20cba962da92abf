package sqlite_test

import (
	"path/filepath"
	"testing"

	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/internal/store/storetest"
)

func TestTheSQLiteFormKeepsAllPromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, openForm)
}

// openForm opens the file of a place.
func openForm(t *testing.T, c storetest.Config) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{
		Path: filepath.Join(c.Place, "armada.db"), Clock: c.Clock, Resources: c.Resources,
		ClientIDRetention: c.ClientIDRetention, MaxQueuedPerQueue: c.MaxQueuedPerQueue, Retries: c.Retries, Readers: 2,
		IndexedAnnotations: c.IndexedAnnotations,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
