package executor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"armada"
	"armada/internal/runs"
)

// mostUsages bounds how many runs' usage is reported after one look: with many
// runs the reports are further apart than they should be, and the server has time
// for other things.
const mostUsages = 1000

// measure looks at what the runs use, and has it reported now and then.
func (a *Agent) measure(ctx context.Context) error {
	runtime, can := a.runtime.(runs.Measurer)
	if !can || a.config.UsageReport == 0 {
		return nil
	}
	told := false
	for {
		samples, err := runtime.Usage(ctx)
		pause := a.config.UsageSample
		switch {
		case err == nil:
			for run, u := range a.meter.add(samples, a.ledger.running(), a.config.UsageReport, time.Now()) {
				a.ledger.used(run, u)
			}
			a.news.raise()
		case ctx.Err() != nil:
		case errors.Is(err, runs.ErrNotMeasured):
			pause = a.config.UsageReport
			if !told {
				a.log.Info("the usage of runs is not reported", "why", err)
			}
			told = true
		default:
			pause = a.config.UsageReport
			a.log.Warn("what the runs use cannot be measured", "error", err, "retry", pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// measured is what a run has used: the period since the last report, and all of
// the time.
type measured struct {
	latest   time.Time // the end of the last sample
	reported time.Time // when the period began
	samples  int64     // of the period
	cpu      amount    // billionths of a core
	memory   amount    // bytes
	total    float64   // core-seconds, since the agent follows the run
}

// amount is what was seen of one resource in a period.
type amount struct{ max, sum int64 }

func (a *amount) add(seen int64) { a.max, a.sum = max(a.max, seen), a.sum+seen }

// meter gathers samples of runs that run. It may be used by many goroutines.
type meter struct {
	mu   sync.Mutex
	runs map[armada.RunID]*measured
}

func newMeter() *meter { return &meter{runs: map[armada.RunID]*measured{}} }

// add takes in samples of the runs that run; others are forgotten. It returns the
// usage of those whose last report is so long ago, the longest first, and no more
// than mostUsages of them.
func (m *meter) add(samples map[armada.RunID]runs.Sample, running map[armada.RunID]bool, every time.Duration, now time.Time) map[armada.RunID]*armada.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.runs, func(run armada.RunID, _ *measured) bool { return !running[run] })
	for run, sample := range samples {
		if running[run] {
			m.take(run, sample, now)
		}
	}
	var due []armada.RunID
	for run, u := range m.runs {
		if u.samples > 0 && now.Sub(u.reported) >= every {
			due = append(due, run)
		}
	}
	slices.SortFunc(due, func(a, b armada.RunID) int { return m.runs[a].reported.Compare(m.runs[b].reported) })
	usages := map[armada.RunID]*armada.Usage{}
	for _, run := range due[:min(len(due), mostUsages)] {
		usages[run] = m.runs[run].close(now)
	}
	return usages
}

// take takes in a sample, unless it was taken before.
func (m *meter) take(run armada.RunID, s runs.Sample, now time.Time) {
	u := m.runs[run]
	if u == nil {
		u = &measured{reported: now, latest: s.At.Add(-s.Window)}
		m.runs[run] = u
	}
	if !s.At.After(u.latest) {
		return
	}
	u.total += float64(s.CPU) / 1e9 * s.At.Sub(u.latest).Seconds()
	u.latest, u.samples = s.At, u.samples+1
	u.cpu.add(s.CPU)
	u.memory.add(s.Memory)
}

// end returns what there is to report of a run that has ended, nil if nothing,
// and forgets it.
func (m *meter) end(run armada.RunID) *armada.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.runs[run]
	delete(m.runs, run)
	if u == nil || u.samples == 0 {
		return nil
	}
	return u.close(u.latest)
}

// close returns the usage of the period, and begins another one.
func (u *measured) close(now time.Time) *armada.Usage {
	usage := &armada.Usage{
		Max:        map[string]string{armada.CPU: cores(u.cpu.max), armada.Memory: strconv.FormatInt(u.memory.max, 10)},
		Average:    map[string]string{armada.CPU: cores(u.cpu.sum / u.samples), armada.Memory: strconv.FormatInt(u.memory.sum/u.samples, 10)},
		Cumulative: map[string]string{armada.CPU: cores(int64(u.total * 1e9))},
	}
	u.reported, u.samples, u.cpu, u.memory = now, 0, amount{}, amount{}
	return usage
}

// cores writes billionths as Kubernetes writes processors, in thousandths, rounded
// up.
func cores(billionths int64) string {
	return strconv.FormatInt((billionths+999_999)/1_000_000, 10) + "m"
}
