//go:build linux

package process

import (
	"context"
	"slices"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
)

// BenchmarkStartToRunning is what a user waits for after the scheduler has
// decided, on an idle machine; with a memory limit, as most jobs have one.
func BenchmarkStartToRunning(b *testing.B) {
	w := &world{dir: b.TempDir()}
	r := w.open(b)
	c := container{Name: "main", Command: []string{"true"}, Resources: map[string]limits{"limits": {"memory": "64Mi"}}}
	p := pod{Containers: []container{c}}
	var toRunning, toEnd []time.Duration
	n := 0
	for b.Loop() {
		n++
		o := p.order(b, n)
		begun := time.Now()
		if err := r.Start(context.Background(), o); err != nil {
			b.Fatal(err)
		}
		ran := false
		for {
			s, _ := r.ledger.Get(o.Run)
			if !ran && !s.Running.IsZero() {
				ran = true
				toRunning = append(toRunning, time.Since(begun))
			}
			if s.Phase.Ended() {
				if s.Phase != runs.Succeeded {
					b.Fatalf("it ended so: %+v", s)
				}
				break
			}
			<-r.Updates()
		}
		toEnd = append(toEnd, time.Since(begun))
		if err := r.Forget(context.Background(), o.Run); err != nil {
			b.Fatal(err)
		}
	}
	for name, took := range map[string][]time.Duration{"running": toRunning, "ended": toEnd} {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), name+"-p99-us")
	}
	if err := r.Quit(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkManyAtOnce is how many empty jobs per second the machine takes.
func BenchmarkManyAtOnce(b *testing.B) {
	w := &world{dir: b.TempDir()}
	r := w.open(b)
	p := pod{Containers: []container{{Name: "main", Command: []string{"true"}}}}
	orders := make([]runs.Order, b.N)
	for n := range orders {
		orders[n] = p.order(b, n)
	}
	b.ResetTimer()
	room := make(chan struct{}, 64)
	go func() {
		for _, o := range orders {
			room <- struct{}{}
			go func() {
				if err := r.Start(context.Background(), o); err != nil {
					b.Error(err)
				}
			}()
		}
	}()
	ended := make(map[armada.RunID]bool, b.N)
	for cursor := runs.Cursor(0); len(ended) < b.N; <-r.Updates() {
		var changed []runs.Status
		changed, cursor = r.Changed(cursor)
		for _, s := range changed {
			if s.Phase.Ended() && !ended[s.Run] {
				ended[s.Run] = true
				<-room
			}
		}
		if len(ended) == b.N {
			break
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
	if err := r.Quit(context.Background()); err != nil {
		b.Fatal(err)
	}
}
