package witness

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

// Binary is the path of a built binary.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("ARMADA_BIN")
	if dir == "" {
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir = here; filepath.Base(dir) != "test"; dir = filepath.Dir(dir) {
			if dir == filepath.Dir(dir) {
				t.Fatalf("%s is not below the folder test", here)
			}
		}
		dir = filepath.Join(filepath.Dir(dir), "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built: run `make build` first: %v", name, err)
	}
	return path
}

// Knows waits until the server knows the nodes of an executor, as many as there
// are.
func Knows(t testing.TB, c *client.Client, patience time.Duration, executor string, nodes int) {
	t.Helper()
	Await(t, patience, "the nodes of executor "+executor, func() bool {
		list, err := c.Lookout.ListExecutors(t.Context(), &lookout.ListExecutorsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.GetExecutors(), func(e *lookout.ExecutorSummary) bool {
			return e.GetExecutor() == executor && len(e.GetNodes()) == nodes
		})
	})
}
