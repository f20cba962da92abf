package scheduling

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"armada"
)

// FairnessRules say what queues are charged for besides what they hold, and whose
// gang goes first. The zero value charges nothing more, and the lowest cost goes
// first.
type FairnessRules struct {
	// UsageHalfLife makes queues pay for what they held before as well: the average
	// of what they held in the past, where a moment this long ago weighs half. 0
	// remembers nothing.
	UsageHalfLife time.Duration
	// ShortJobPenalty is how long after its start a job is charged to its queue even
	// though it has ended, unless it was preempted; 0 charges nothing.
	ShortJobPenalty time.Duration
	// PreferLargeJobs makes queues whose next gang stays within their share take
	// turns by what they hold without it, the larger gang first: a large gang does
	// not go later because it is large.
	PreferLargeJobs bool
}

// memory is what a queue held in the past, on average, as of a moment.
type memory struct {
	amounts armada.Resources
	at      time.Time // zero for nothing remembered
}

// charge is what an ended job costs its queue until a moment.
type charge struct {
	amounts armada.Resources
	until   time.Time
}

// At tells the moment of the changes that follow. Only what queues are remembered
// to have held depends on it.
func (p *Pool) At(now time.Time) { p.now = now }

// Ended tells that a run has ended, before its job is removed.
func (p *Pool) Ended(v armada.Job, run armada.Run) {
	cutoff := p.rules.Fairness.ShortJobPenalty
	j, ok := p.jobs[v.ID]
	switch {
	case !ok || cutoff <= 0 || run.Started.IsZero() || v.State == armada.JobPreempted:
	case run.Finished.Before(run.Started.Add(cutoff)):
		j.queue.charges = append(j.queue.charges, charge{j.shape.needs.Resources, run.Started.Add(cutoff)})
		p.version++
	}
}

// wakeForCharges asks for a round when a queue that waits is charged for less, if
// that could get it the room of others.
func (r *round) wakeForCharges(q *queue) {
	if !r.Preemption.FairShare || q.queued == 0 {
		return
	}
	for _, c := range q.charges {
		if c.until.After(r.in.Now) {
			r.wakeAt(c.until)
		}
	}
}

// extra is what the queue is charged for at a moment besides what it holds.
func (q *queue) extra(rules FairnessRules, now time.Time) armada.Resources {
	var sum armada.Resources
	for _, c := range q.charges {
		if c.until.After(now) {
			sum = sum.Add(c.amounts)
		}
	}
	if rules.UsageHalfLife > 0 {
		sum = sum.Add(q.remembered(rules.UsageHalfLife, now))
	}
	return sum
}

// remembered is the average of what the queue held up to a moment. A queue that is
// new remembers what it holds.
func (q *queue) remembered(halfLife time.Duration, now time.Time) armada.Resources {
	if q.memory.at.IsZero() {
		return q.held
	}
	keep := halved(now.Sub(q.memory.at), halfLife)
	var sum armada.Resources
	for i := range sum {
		sum[i] = part(q.memory.amounts[i], keep) + part(q.held[i], one-keep)
	}
	return sum
}

// remember takes what a moment shows over into what is remembered.
func (p *Pool) remember(now time.Time) {
	for _, q := range p.byName {
		if halfLife := p.rules.Fairness.UsageHalfLife; halfLife > 0 {
			q.memory = memory{q.remembered(halfLife, now), now}
		}
		q.charges = slices.DeleteFunc(q.charges, func(c charge) bool { return !c.until.After(now) })
	}
}

// changesAt takes what the queue held until now over, because it is about to hold
// something else. Before the first round nothing is remembered.
func (q *queue) changesAt(now time.Time, halfLife time.Duration) {
	if halfLife > 0 && q.memory.at.Before(now) && !q.memory.at.IsZero() {
		q.memory = memory{q.remembered(halfLife, now), now}
	}
}

// one is the whole, in units of 2^-32.
const one = uint64(1) << 32

// part is a fraction of an amount, in integers: floating point differs between
// machines.
func part(amount int64, fraction uint64) int64 {
	high, low := bits.Mul64(uint64(max(amount, 0)), fraction)
	return int64(high<<32 | low>>32)
}

// roots are 2^32 × 2^(-1/2), 2^(-1/4), 2^(-1/8) and so on.
var roots = func() (roots [32]uint64) {
	root := one / 2
	for i := range roots {
		// What has 53 bits is exact in floating point, and its root is rounded alike
		// everywhere.
		root = uint64(math.Sqrt(float64(root << 32 >> 11 << 11)))
		roots[i] = root
	}
	return roots
}()

// halved is what is left of the whole after a time in which half of it is lost
// every half-life.
func halved(after, halfLife time.Duration) uint64 {
	if after <= 0 {
		return one
	}
	times := after / halfLife
	if times >= 32 {
		return 0
	}
	fraction, _ := bits.Div64(uint64(after%halfLife)>>32, uint64(after%halfLife)<<32, uint64(halfLife))
	left := one
	for i, root := range roots {
		if fraction&(1<<(31-i)) != 0 {
			left = left * root >> 32
		}
	}
	return left >> times
}
