//go:build linux

package process

import (
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/runs"
)

var _ runs.Measurer = (*Runtime)(nil)

// leastWindow is the shortest time of which a sample tells: the kernel counts in
// hundredths of a second where it has no control group.
const leastWindow = time.Second

// meter makes samples of what the supervisor reads. It belongs to one call at a
// time.
type meter struct {
	last    map[armada.RunID]reading
	samples map[armada.RunID]runs.Sample
}

// Usage asks the supervisor what the containers of the living runs have used. The
// first sample of a run is of all of its time; until the next is a second long, it
// stays the latest. Memory is what the kernel could not take back at once: without
// what it read from files that nobody has used for a while.
func (r *Runtime) Usage(ctx context.Context) (map[armada.RunID]runs.Sample, error) {
	r.mu.Lock()
	measures := r.session == nil || r.session.hello.Measures
	r.mu.Unlock()
	if !measures {
		return nil, fmt.Errorf("%w: the living supervisor was started by an earlier version; it ends when it has no runs and no client", runs.ErrNotMeasured)
	}
	r.measuring.Lock()
	defer r.measuring.Unlock()
	rep, err := r.call(ctx, request{Usage: true})
	if err != nil {
		return nil, fmt.Errorf("ask what runs use: %w", err)
	}
	return r.meter.add(rep.Usage), nil
}

// add takes in a reading of each run that lives, and returns the latest samples of
// those runs.
func (m *meter) add(readings map[armada.RunID]reading) map[armada.RunID]runs.Sample {
	last, samples := map[armada.RunID]reading{}, map[armada.RunID]runs.Sample{}
	for run, now := range readings {
		before, known := m.last[run]
		if !known {
			before = reading{At: now.Began}
		}
		window := now.At.Sub(before.At)
		if window < leastWindow {
			if known {
				last[run] = before
			}
			if sample, is := m.samples[run]; is {
				samples[run] = sample
			}
			continue
		}
		last[run] = now
		samples[run] = runs.Sample{
			At: now.At, Window: window, Memory: now.Memory,
			CPU: int64(float64(max(now.CPU-before.CPU, 0)) / window.Seconds()),
		}
	}
	m.last, m.samples = last, samples
	// The caller's copy is its own.
	answer := make(map[armada.RunID]runs.Sample, len(samples))
	for run, sample := range samples {
		answer[run] = sample
	}
	return answer
}
