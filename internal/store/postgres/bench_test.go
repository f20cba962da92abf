package postgres_test

import (
	"sync"
	"testing"

	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/internal/store/storetest"
)

// benchOf are the benchmarks with so many replicas. The limits are those of
// docs/adr/0011-postgres.md: two cores shared by PostgreSQL, stores and clients.
func benchOf(replicas int) *storetest.Bench {
	var mu sync.Mutex
	urls := map[string]string{}
	return &storetest.Bench{
		Limits: storetest.Limits{Batches: 15000, Singles: 2000, Lives: 1500, Restart: 5}, Replicas: replicas,
		Open: func(b *testing.B, place string) store.Store {
			b.Helper()
			mu.Lock()
			defer mu.Unlock()
			if urls[place] == "" {
				urls[place] = pgtest.Database(b)
			}
			s, err := postgres.Open(b.Context(), postgres.Config{URL: urls[place], IndexedAnnotations: []string{storetest.IndexedAnnotation}})
			if err != nil {
				b.Fatal(err)
			}
			return s
		},
	}
}

// byReplicas runs a benchmark with one store and with two.
func byReplicas(b *testing.B, run func(*storetest.Bench, *testing.B)) {
	b.Run("OneReplica", func(b *testing.B) { run(benchOf(1), b) })
	b.Run("TwoReplicas", func(b *testing.B) { run(benchOf(2), b) })
}

func BenchmarkSubmitBatchesOf200By4Clients(b *testing.B) {
	byReplicas(b, (*storetest.Bench).SubmitBatches)
}

func BenchmarkSubmitSingleJobsBy50Clients(b *testing.B) {
	byReplicas(b, (*storetest.Bench).SubmitSingles)
}

func BenchmarkWholeLives(b *testing.B) { byReplicas(b, (*storetest.Bench).WholeLives) }

func BenchmarkRestartWith200000QueuedJobs(b *testing.B) { benchOf(1).Restart(b) }

func BenchmarkFeedOf1000Changes(b *testing.B) { benchOf(1).FeedOf1000(b) }

func BenchmarkAsking(b *testing.B) { benchOf(1).Asking(b) }
