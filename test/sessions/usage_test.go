package sessions

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/executor"
	"armada/internal/runs"
	"armada/internal/store"
)

// measuring is a runtime whose runs use two cores and 3 MB, whether they run or
// not; now and then nobody knows.
type measuring struct {
	runs.Runtime

	asks atomic.Int64
}

func (m *measuring) Usage(ctx context.Context) (map[armada.RunID]runs.Sample, error) {
	if m.asks.Add(1) == 3 {
		return nil, errors.New("come back later")
	}
	statuses, err := m.Statuses(ctx)
	samples := map[armada.RunID]runs.Sample{}
	for i := range statuses {
		samples[statuses[i].Run] = runs.Sample{At: time.Now(), Window: 15 * time.Second, CPU: 2e9, Memory: 3e6}
	}
	return samples, err
}

// usages are what the events tell of a job's use.
func (w *world) usages(id armada.JobID) []*armada.Usage {
	w.t.Helper()
	events, _, err := w.store.ReadEvents(w.t.Context(), store.JobSetKey{Queue: "q", JobSet: "set"}, store.Cursor{}, 1000)
	ok(w.t, err)
	var usages []*armada.Usage
	for i := range events {
		if events[i].Job == id && events[i].Kind == armada.EventUtilisation {
			usages = append(usages, events[i].Usage)
		}
	}
	return usages
}

func TestWhatARunUsesIsToldNowAndThenAndBeforeItsEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{wrap: func(r runs.Runtime) runs.Runtime { return &measuring{Runtime: r} }})
		id := w.submit(life{runtime: "12m5s"})
		w.lease(id, "east")
		w.becomes(id, armada.JobSucceeded)
		w.tells(id, "queued leased pending running utilisation utilisation utilisation succeeded")
		usages := w.usages(id)
		most := map[string]string{"cpu": "2000m", "memory": "3000000"}
		for i, u := range usages {
			if diff := cmp.Diff(most, u.Max) + cmp.Diff(most, u.Average); diff != "" {
				t.Errorf("usage %d: %s", i+1, diff)
			}
		}
		if last := usages[len(usages)-1].Cumulative["cpu"]; last != "1440000m" { // two cores, until the last sample after 12 minutes
			t.Errorf("it used %s core-seconds", last)
		}
		pause(time.Hour)
		if n := len(w.usages(id)); n != 3 {
			t.Errorf("after its end there are %d events of its use", n)
		}
	})
}

func TestUsageIsNotToldWhenNobodyAsksForItOrNobodyMeasures(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := &measuring{}
		w.cluster("east", options{
			config: func(c *executor.Config) { c.UsageReport = 0 },
			wrap:   func(r runs.Runtime) runs.Runtime { m.Runtime = r; return m },
		})
		w.cluster("west", options{})
		east, west := w.submit(life{runtime: "12m"}), w.submit(life{runtime: "12m"})
		w.lease(east, "east")
		w.lease(west, "west")
		for _, id := range []armada.JobID{east, west} {
			w.becomes(id, armada.JobSucceeded)
			w.tells(id, "queued leased pending running succeeded")
		}
		if n := m.asks.Load(); n != 0 {
			t.Errorf("the runtime was asked %d times", n)
		}
	})
}
