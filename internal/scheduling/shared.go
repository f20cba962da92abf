package scheduling

import (
	"slices"
	"time"
)

// Shared is what the pools of an installation have in common: the rates at which
// jobs start, and the budgets of floating resources. One goroutine owns it with
// its pools. It begins with full buckets.
type Shared struct {
	config  Config
	pools   []*Pool
	version uint64 // of what the pools hold of floating resources
	all     bucket
	queues  map[string]bucket // of those that had jobs started
}

// NewShared makes what the pools of a configuration share.
func NewShared(config Config) *Shared {
	return &Shared{config: config, queues: map[string]bucket{}}
}

// NewPool makes an empty pool. It takes the place of one of the same name.
func (s *Shared) NewPool(name string) *Pool {
	p := newPool(name, s)
	s.pools = append(slices.DeleteFunc(s.pools, func(o *Pool) bool { return o.name == name }), p)
	return p
}

// Spend tells that the jobs of an outcome of this pool start, and that its
// preempted runs go, and which nodes it keeps for whom. Rounds only look at the
// rates and at what is kept; whoever takes an outcome spends it.
func (p *Pool) Spend(now time.Time, out Outcome) {
	s := p.shared
	p.reservations = out.Reservations
	var all, moved int64
	byQueue := map[string]int64{}
	for _, d := range out.Decisions {
		all += int64(len(d.Leases))
		for _, l := range d.Preemptions {
			switch l.Cause {
			case ForFairness:
				moved++
			case ForLargeJob:
				p.optimised = now
			case ForUrgency, ForRepair, ForPrice:
			}
		}
		for _, l := range d.Leases {
			if j, ok := p.jobs[l.Job]; ok {
				byQueue[j.queue.name]++
			}
		}
	}
	p.remember(now)
	if r := p.rules.Preemption.Rate; r.milli() > 0 && moved > 0 {
		p.moved = p.moved.spend(r, now, moved)
	}
	if s.config.Rate.milli() > 0 && all > 0 {
		s.all = s.all.spend(s.config.Rate, now, all)
	}
	if s.config.QueueRate.milli() > 0 {
		for queue, jobs := range byQueue {
			s.queues[queue] = s.queues[queue].spend(s.config.QueueRate, now, jobs)
		}
	}
}
