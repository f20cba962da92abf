package scheduling

import (
	"math"
	"math/bits"

	"armada"
)

// bound is the most that there may be of each resource; unbounded stands for no
// bound.
type bound armada.Resources

const unbounded = math.MaxInt64

// exceeded returns a resource that is asked for and of which there would be more
// than the bound allows, with what there would be.
func (b *bound) exceeded(held, asked *armada.Resources) (resource int, would int64, yes bool) {
	for i, most := range b {
		if asked[i] > 0 && held[i] > most-asked[i] {
			return i, held[i] + asked[i], true
		}
	}
	return 0, 0, false
}

// fractions are parts of a pool's capacity in millionths, by the order of the
// resource table; unbounded where nothing is said.
type fractions [armada.MaxResources]int64

// fractionsOf reads fractions by name. Of what is said of a resource the last
// counts; nil when nothing is said of any. Resources that are not counted bound
// nothing.
func fractionsOf(table armada.ResourceTable, said ...map[string]float64) *fractions {
	var out *fractions
	for _, byName := range said {
		for i := range table.Len() {
			f, ok := byName[table.At(i).Name]
			if !ok {
				continue
			}
			if out == nil {
				out = &fractions{}
				for i := range out {
					out[i] = unbounded
				}
			}
			out[i] = unbounded
			if millionths := math.Round(f * 1e6); millionths < 1e12 {
				out[i] = int64(max(millionths, 0))
			}
		}
	}
	return out
}

// of is the bound that the fractions are of a capacity.
func (f *fractions) of(capacity *armada.Resources) bound {
	var b bound
	for i, millionths := range f {
		b[i] = unbounded
		if millionths == unbounded {
			continue
		}
		high, low := bits.Mul64(uint64(max(capacity[i], 0)), uint64(millionths))
		if high < 1_000_000 {
			if part, _ := bits.Div64(high, low, 1_000_000); part < unbounded {
				b[i] = int64(part)
			}
		}
	}
	return b
}

// ledger is what a queue's jobs of one class hold and ask for.
type ledger struct{ held, wanted armada.Resources }

// hold and want count a job's resources, or with a sign of -1 count them no
// longer.
func (p *Pool) hold(j *job, sign int64) {
	j.queue.changesAt(p.now, p.rules.Fairness.UsageHalfLife)
	if j.run.leaves {
		count(&j.queue.leaving, j.shape, sign)
	} else {
		count(&j.queue.held, j.shape, sign)
		count(&j.queue.byClass[j.shape.class].held, j.shape, sign)
	}
	if p.config.Floats(&j.shape.needs.Resources) {
		p.shared.version++
	}
}

func (q *queue) want(s *shape, sign int64) {
	count(&q.wanted, s, sign)
	count(&q.byClass[s.class].wanted, s, sign)
}

func count(sum *armada.Resources, s *shape, sign int64) {
	for i, amount := range s.needs.Resources {
		sum[i] += sign * amount
	}
}

// limit finds what the queue may hold in this pool of each class. What is said
// of the queue goes before what is said of the class, and within each what is
// said of the pool goes first.
func (p *Pool) limit(q *queue) {
	q.limits = q.limits[:0]
	limited := false
	for _, c := range p.config.Classes {
		f := fractionsOf(p.config.Resources, c.QueueLimits.In(p.name), q.settings.Limits[c.Name].In(p.name))
		limited = limited || f != nil
		q.limits = append(q.limits, f)
	}
	if !limited {
		q.limits = q.limits[:0]
	}
}

// classTurn is what a queue has of one class in the current round.
type classTurn struct {
	held  armada.Resources // with what the round gave it
	most  bound
	bound bool
}

// bind begins a round for what bounds it.
func (r *round) bind() {
	s := r.pool.shared
	if r.pool.perRound != nil {
		r.most = r.pool.perRound.of(&r.capacity)
	}
	r.unspent = r.pool.unspent()
	r.tokens = newAllowance(s.config.Rate, s.all, r.in.Now)
	r.moved = newAllowance(r.Preemption.Rate, r.pool.moved, r.in.Now)
}

// bindQueue begins a round for the limits of a queue.
func (r *round) bindQueue(q *queue) {
	t, s := &q.turn, r.pool.shared
	if rate := s.config.QueueRate; rate.milli() > 0 {
		t.tokens = newAllowance(rate, s.queues[q.name], r.in.Now)
	}
	t.classes = t.classes[:0]
	for i, f := range q.limits {
		c := classTurn{held: q.byClass[i].held, bound: f != nil}
		if f != nil {
			c.most = f.of(&r.capacity)
		}
		t.classes = append(t.classes, c)
	}
}

// demand is what the queue's runs hold and what its queued jobs ask for, as far
// as its limits let it have that.
func (r *round) demand(q *queue) armada.Resources {
	if !q.starts() {
		return q.held
	}
	demand := q.held.Add(q.wanted)
	for i := range q.turn.classes {
		c, l := &q.turn.classes[i], &q.byClass[i]
		if !c.bound {
			continue
		}
		for at, most := range c.most {
			if with := l.held[at] + l.wanted[at]; with > most {
				demand[at] -= with - max(most, l.held[at])
			}
		}
	}
	return demand
}

// overLimit tells whether the lane's next gang, and so every one of its kind,
// would give its queue more than it may hold, and why.
func (r *round) overLimit(l *lane) (armada.Reason, bool) {
	classes := l.queue.turn.classes
	if len(classes) == 0 {
		return armada.Reason{}, false
	}
	for _, part := range l.kind.byClass {
		if part.class >= len(classes) || !classes[part.class].bound {
			continue
		}
		c := &classes[part.class]
		if i, would, yes := c.most.exceeded(&c.held, &part.total); yes {
			return r.short(armada.ReasonQueueLimit, i, c.most[i], would), true
		}
	}
	return armada.Reason{}, false
}

// barred tells whether the lane has nothing more to offer in this round: its kind
// has no place, or its queue holds what it may.
func (r *round) barred(l *lane) bool {
	if r.refused(l.queue, l.kind) {
		return true
	}
	_, over := r.overLimit(l)
	return over
}

// short is a reason about one resource.
func (r *round) short(code armada.ReasonCode, resource int, have, want int64) armada.Reason {
	return armada.Reason{
		Code: code, Pool: r.pool.name, Resource: r.pool.config.Resources.At(resource), Have: have, Want: want,
	}
}

// ends tells whether the gang would exceed what one round may place, or what may
// start at once, and notes why. Then the round is over: the queue whose turn it
// is must not be passed over for one that asks for less. A gang larger than the
// limit has a round for itself.
func (r *round) ends(k *kind) bool {
	if most := r.pool.config.MaxLeasesPerRound; most > 0 && r.leases > 0 && r.leases+k.size > most {
		r.full = armada.Reason{Code: armada.ReasonRoundLimit, Pool: r.pool.name}
		return true
	}
	if r.pool.perRound != nil && r.leases > 0 {
		if i, would, yes := r.most.exceeded(&r.given, &k.total); yes {
			r.full = r.short(armada.ReasonRoundLimit, i, r.most[i], would)
			return true
		}
	}
	if !r.tokens.allow(k.size) {
		r.full = r.tokens.reason(armada.ReasonGlobalRate, r.pool.name, k.size)
		r.wakeAt(r.tokens.when(k.size))
		return true
	}
	return false
}

// lose counts a run that loses its place, or with a sign of 1 keeps it after all.
func (r *round) lose(j *job, sign int64) {
	t := &j.queue.turn
	r.owing.known = false
	count(&t.held, j.shape, sign)
	if j.shape.class < len(t.classes) {
		count(&t.classes[j.shape.class].held, j.shape, sign)
	}
	t.robbed = true
}

// give counts a gang that got its place.
func (r *round) give(q *queue, k *kind) {
	t := &q.turn
	r.owing.known = false
	for i := range t.held {
		t.held[i] += k.total[i]
		r.given[i] += k.total[i]
	}
	for _, part := range k.byClass {
		if part.class < len(t.classes) {
			c := &t.classes[part.class]
			c.held = c.held.Add(part.total)
		}
	}
	t.given += k.size
	r.leases += k.size
	r.book.refill()
	t.tokens.given += int64(k.size)
	r.tokens.given += int64(k.size)
}

// classTotal is what a gang asks for by its members of one class.
type classTotal struct {
	class int
	total armada.Resources
}

// totals adds up what the members ask for by class.
func totals(members []member) []classTotal {
	var sums []classTotal
	for _, m := range members {
		at := 0
		for at < len(sums) && sums[at].class != m.shape.class {
			at++
		}
		if at == len(sums) {
			sums = append(sums, classTotal{class: m.shape.class})
		}
		for range m.count {
			sums[at].total = sums[at].total.Add(m.shape.needs.Resources)
		}
	}
	return sums
}
