package simulator

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"armada"
	"armada/internal/scheduling"
)

// Summary is a simulation in a few figures. Times are seconds, shares and
// utilisations fractions.
type Summary struct {
	Clusters        string            `json:"clusters"`
	Workload        string            `json:"workload"`
	Seed            uint64            `json:"seed"`
	Makespan        float64           `json:"makespanSeconds"` // when the last job ended
	Stopped         bool              `json:"stopped"`         // the end of the simulated time came first
	Rounds          int               `json:"rounds"`
	Submitted       int               `json:"submitted"` // jobs, those submitted again too
	States          map[string]int    `json:"states"`    // how many jobs ended or were left in which state
	NotSubmitted    int               `json:"notSubmitted"`
	Preemptions     int               `json:"preemptions"`
	WastedCoreHours float64           `json:"wastedCoreHours"` // of preempted runs
	Pools           []PoolSummary     `json:"pools"`
	Queues          []QueueSummary    `json:"queues"`
	Waiting         []WaitSummary     `json:"waiting,omitempty"`
	makespan        time.Duration     // exact
	states          []armada.JobState // those that occur, in order
}

// PoolSummary is how well a pool was used from the beginning to the makespan.
type PoolSummary struct {
	Pool        string             `json:"pool"`
	Nodes       int                `json:"nodes"`
	Utilisation map[string]float64 `json:"utilisation"` // by resource that the pool has
	Shares      []ShareSummary     `json:"shares"`
}

// ShareSummary is what a queue held of a pool while it wanted something of it,
// averaged over time, and what it was owed: its fair share after idle queues
// gave theirs away.
type ShareSummary struct {
	Queue string  `json:"queue"`
	Held  float64 `json:"held"`
	Owed  float64 `json:"owed"`
}

// QueueSummary is how a queue's jobs fared. Waits are those of jobs that got a
// place, from their submission to the lease.
type QueueSummary struct {
	Queue           string  `json:"queue"`
	Jobs            int     `json:"jobs"`
	Succeeded       int     `json:"succeeded"`
	Preempted       int     `json:"preempted"`
	CoreHours       float64 `json:"coreHours"`
	WastedCoreHours float64 `json:"wastedCoreHours"`
	WaitMean        float64 `json:"waitMeanSeconds"`
	WaitP50         float64 `json:"waitP50Seconds"`
	WaitP99         float64 `json:"waitP99Seconds"`

	waits []time.Duration // sorted
}

// WaitSummary is why jobs were still queued at the end.
type WaitSummary struct {
	Pool   string `json:"pool"`
	Queue  string `json:"queue"`
	Jobs   int    `json:"jobs"`
	Reason string `json:"reason"`
}

// Summary puts the result together.
func (r *Result) Summary() Summary {
	s := Summary{
		Clusters: r.Clusters, Workload: r.Workload, Seed: r.Seed, Makespan: r.End.Seconds(), Stopped: r.stopped, Rounds: r.Rounds,
		Submitted: len(r.lives), States: map[string]int{}, NotSubmitted: r.unsubmitted, makespan: r.End,
	}
	for _, state := range armada.JobStates() {
		for _, l := range r.lives {
			if l.job.State == state {
				s.States[state.String()]++
			}
		}
		if s.States[state.String()] > 0 {
			s.states = append(s.states, state)
		}
	}
	for _, name := range r.queues {
		q := r.queueSummary(name)
		s.Preemptions += q.Preempted
		s.WastedCoreHours += q.WastedCoreHours
		s.Queues = append(s.Queues, q)
	}
	for _, c := range r.pools {
		s.Pools = append(s.Pools, PoolSummary{Pool: c.pool, Nodes: c.nodes, Utilisation: r.utilisation(c), Shares: r.shares(c.pool)})
	}
	for _, w := range r.waits {
		s.Waiting = append(s.Waiting, waitSummary(w))
	}
	return s
}

func waitSummary(w scheduling.Waiting) WaitSummary {
	return WaitSummary{Pool: w.Reason.Pool, Queue: w.Queue, Jobs: w.Jobs, Reason: w.Reason.String()}
}

func (r *Result) queueSummary(name string) QueueSummary {
	q := QueueSummary{Queue: name}
	cpu, _ := r.table.Index(armada.CPU) // every table has it; else the first resource stands for it
	var total time.Duration
	for _, l := range r.lives {
		if l.job.Queue != name {
			continue
		}
		q.Jobs++
		hours := coreHours(l.of.needs.Resources[cpu], r.runFor(l))
		q.CoreHours += hours
		switch l.job.State {
		case armada.JobSucceeded:
			q.Succeeded++
		case armada.JobPreempted:
			q.Preempted++
			q.WastedCoreHours += hours
		default:
		}
		if !l.run.Leased.IsZero() {
			wait := l.run.Leased.Sub(l.job.Submitted)
			total += wait
			q.waits = append(q.waits, wait)
		}
	}
	slices.Sort(q.waits)
	if n := len(q.waits); n > 0 {
		q.WaitMean = (total / time.Duration(n)).Seconds()
		q.WaitP50, q.WaitP99 = percentile(q.waits, 50).Seconds(), percentile(q.waits, 99).Seconds()
	}
	return q
}

// coreHours is an amount of thousandths of cores over a time.
func coreHours(milli int64, d time.Duration) float64 {
	return float64(float64(milli)*float64(d.Milliseconds())) / (1000 * 3_600_000)
}

// percentile is the smallest value that p of a hundred do not exceed; the
// values are sorted and there is one.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}

// utilisation is the part of each resource of a pool that runs held.
func (r *Result) utilisation(c capacity) map[string]float64 {
	var used [armada.MaxResources]float64
	for _, l := range r.lives {
		if l.run.Pool != c.pool {
			continue
		}
		held := float64(r.runFor(l).Milliseconds())
		for i := range r.table.Len() {
			used[i] += float64(float64(l.of.needs.Resources[i]) * held)
		}
	}
	utilisation := map[string]float64{}
	for i := range r.table.Len() {
		if c.has[i] > 0 {
			utilisation[r.table.At(i).Name] = used[i] / max(1, float64(float64(c.has[i])*float64(r.End.Milliseconds())))
		}
	}
	return utilisation
}

// shares averages what the queues held of a pool over the rounds, each of which
// counts until the next.
func (r *Result) shares(pool string) []ShareSummary {
	type sum struct{ held, owed, time float64 }
	sums := make([]sum, len(r.queues))
	end := r.End
	var later time.Duration // of the rounds after this one
	for i := len(r.held) - 1; i >= 0; i-- {
		h := &r.held[i]
		if h.pool != pool {
			continue
		}
		if i == len(r.held)-1 || later != h.at {
			end, later = cmp.Or(later, end), h.at
		}
		if h.demand == 0 {
			continue
		}
		lasted := float64(max(0, end-h.at).Milliseconds())
		q := &sums[slices.Index(r.queues, h.queue)]
		q.held += float64(float64(h.share) * lasted)
		q.owed += float64(float64(h.adjusted) * lasted)
		q.time += lasted
	}
	var shares []ShareSummary
	for i, name := range r.queues {
		if q := sums[i]; q.time > 0 {
			shares = append(shares, ShareSummary{Queue: name, Held: q.held / q.time / 1e6, Owed: q.owed / q.time / 1e6})
		}
	}
	return shares
}

// WriteText writes the summary for people.
func (s Summary) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s, seed %d: ", cmp.Or(s.Workload, "The workload"), cmp.Or(s.Clusters, "the clusters"), s.Seed)
	if s.Stopped {
		fmt.Fprintf(&b, "stopped at %s with work left\n\n", brief(s.makespan))
	} else {
		fmt.Fprintf(&b, "all over after %s\n\n", brief(s.makespan))
	}
	var states []string
	for _, state := range s.states {
		states = append(states, fmt.Sprintf("%d %s", s.States[state.String()], state))
	}
	if s.NotSubmitted > 0 {
		states = append(states, fmt.Sprintf("%d not submitted", s.NotSubmitted))
	}
	fmt.Fprintf(&b, "  jobs         %s\n", strings.Join(states, ", "))
	fmt.Fprintf(&b, "  preemptions  %d, which wasted %.1f core hours\n", s.Preemptions, s.WastedCoreHours)
	fmt.Fprintf(&b, "  rounds       %d\n\n", s.Rounds)

	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "QUEUE\tJOBS\tSUCCEEDED\tPREEMPTED\tCORE HOURS\tWASTED\tWAIT MEAN\tP50\tP99")
	for _, q := range s.Queues {
		waits := "-\t-\t-"
		if len(q.waits) > 0 {
			mean := time.Duration(q.WaitMean * float64(time.Second))
			waits = fmt.Sprintf("%s\t%s\t%s", brief(mean), brief(percentile(q.waits, 50)), brief(percentile(q.waits, 99)))
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%s\n", q.Queue, q.Jobs, q.Succeeded, q.Preempted, q.CoreHours, q.WastedCoreHours, waits)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range s.Pools {
		var used []string
		for _, name := range sortedNames(p.Utilisation) {
			used = append(used, fmt.Sprintf("%.1f%% of %s", 100*p.Utilisation[name], name))
		}
		fmt.Fprintf(&b, "\nPool %s, %d nodes, used %s\n", p.Pool, p.Nodes, strings.Join(used, ", "))
		fmt.Fprintln(t, "QUEUE\tHELD\tOWED")
		for _, q := range p.Shares {
			fmt.Fprintf(t, "%s\t%.1f%%\t%.1f%%\n", q.Queue, 100*q.Held, 100*q.Owed)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for i, wait := range s.Waiting {
		if i == 0 {
			b.WriteString("\nStill queued:\n")
		}
		fmt.Fprintf(&b, "  %d of %s in pool %s: %s\n", wait.Jobs, wait.Queue, wait.Pool, wait.Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// brief writes a time to the second, or to the millisecond when it is short.
func brief(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
