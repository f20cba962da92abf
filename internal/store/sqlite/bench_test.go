package sqlite_test

import (
	"path/filepath"
	"testing"

	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/internal/store/storetest"
)

// The limits are those of docs/adr/0004-store.md.
var bench = storetest.Bench{
	Limits: storetest.Limits{Batches: 20000, Singles: 2000, Lives: 10000, Restart: 5},
	Open: func(b *testing.B, place string) store.Store {
		b.Helper()
		s, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(place, "db"), IndexedAnnotations: []string{storetest.IndexedAnnotation}})
		if err != nil {
			b.Fatal(err)
		}
		return s
	},
}

func BenchmarkSubmitBatchesOf200By4Clients(b *testing.B) { bench.SubmitBatches(b) }
func BenchmarkSubmitSingleJobsBy50Clients(b *testing.B)  { bench.SubmitSingles(b) }
func BenchmarkWholeLives(b *testing.B)                   { bench.WholeLives(b) }
func BenchmarkRestartWith200000QueuedJobs(b *testing.B)  { bench.Restart(b) }
func BenchmarkFeedOf1000Changes(b *testing.B)            { bench.FeedOf1000(b) }
func BenchmarkAsking(b *testing.B)                       { bench.Asking(b) }
