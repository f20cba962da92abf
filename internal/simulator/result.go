package simulator

import (
	"cmp"
	"slices"
	"time"

	"armada"
	"armada/internal/scheduling"
)

// Result is what a simulation remembers. Its methods write it in several forms
// and change nothing.
type Result struct {
	Clusters string // name of the set of clusters
	Workload string // name of the workload
	Seed     uint64
	Rounds   int           // ticks at which a round ran
	End      time.Duration // when the last job ended, or the bound that was reached

	RoundEvery time.Duration

	table       armada.ResourceTable
	stopped     bool // the bound was reached before the end
	unsubmitted int  // jobs that were never submitted
	queues      []string
	pools       []capacity // by name
	lives       []*life    // in the order in which they ended; then what had not
	held        []holding  // by time, then pool, then queue
	waits       []scheduling.Waiting
	lastEnd     time.Duration
}

// capacity is what a pool has.
type capacity struct {
	pool  string
	nodes int
	has   armada.Resources
}

// holding is a queue's part in one round of a pool. Shares are millionths.
type holding struct {
	at        time.Duration
	pool      string
	queue     string
	fair      int64
	adjusted  int64
	demand    int64
	share     int64
	allocated armada.Resources
	queued    int64
	placed    int64
	lost      int64 // runs preempted
}

func (r *Result) addNode(pool string, has armada.Resources) {
	at, known := slices.BinarySearchFunc(r.pools, pool, func(c capacity, name string) int { return cmp.Compare(c.pool, name) })
	if !known {
		r.pools = slices.Insert(r.pools, at, capacity{pool: pool})
	}
	r.pools[at].nodes++
	r.pools[at].has = r.pools[at].has.Add(has)
}

// addRound remembers a round; losses are its preemptions by queue.
func (r *Result) addRound(at time.Duration, report *scheduling.Report, losses map[string]int64) {
	for _, q := range report.Queues {
		r.held = append(r.held, holding{
			at: at, pool: report.Pool, queue: q.Queue,
			fair: q.FairShare, adjusted: q.AdjustedShare, demand: q.Demand, share: q.Share, allocated: q.Allocated,
			queued: int64(q.Queued), placed: int64(q.Placed), lost: losses[q.Queue],
		})
	}
}

// record remembers a job as it is now.
func (s *simulation) record(l *life) {
	s.result.lives = append(s.result.lives, l)
	if l.job.State.Terminal() {
		s.result.lastEnd = max(s.result.lastEnd, s.now)
	}
}

// runFor is how long the latest run of a job held its place, at the end of the
// simulation if it had not ended; 0 if there was none.
func (r *Result) runFor(l *life) time.Duration {
	switch {
	case l.run.Leased.IsZero():
		return 0
	case l.run.Finished.IsZero():
		return r.End - l.run.Leased.Sub(began)
	}
	return l.run.Finished.Sub(l.run.Leased)
}
