package executor2026

import (
	"log/slog"
	"path/filepath"
	"testing"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/server/executors"
	"armada/internal/store"
	"armada/internal/store/sqlite"
)

// BenchmarkRequest measures whole requests of an executor with 10,000 runs, over
// gRPC: with all of them listed, and with none, so that a hundred are leased.
func BenchmarkRequest(b *testing.B) {
	const many = 10_000
	kept, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "armada.db"), Resources: resources()})
	w := &world{TB: b, store: kept, log: slog.New(slog.DiscardHandler)}
	w.ok(err)
	b.Cleanup(func() { w.ok(kept.Close()) })
	w.ok(kept.PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}))
	w.conn = w.serve(executors.DefaultConfig())
	var runs []string
	for len(runs) < many {
		units := make([]store.Unit, store.MaxTransition)
		for i, id := range w.submitMany(job{}, len(units)) {
			units[i] = store.Unit{{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: "east", Node: "n1", Pool: "default"}}}
			runs = append(runs, string(id)+"-1")
		}
		_, err := kept.Transition(b.Context(), store.Fence{}, units)
		w.ok(err)
	}
	b.Run("10000 listed", func(b *testing.B) {
		for b.Loop() {
			if a := w.polls("east", runs...); len(a.Leases)+len(a.Cancels) > 0 {
				b.Fatalf("%d leases and %d cancels", len(a.Leases), len(a.Cancels))
			}
		}
	})
	b.Run("100 of 10000 leased", func(b *testing.B) {
		for b.Loop() {
			if a := w.polls("east"); len(a.Leases) != 100 {
				b.Fatalf("%d leases", len(a.Leases))
			}
		}
	})
}
