package scheduling

import (
	"math"
	"slices"

	"armada"
	"armada/internal/scheduling/fairshare"
	"armada/internal/scheduling/placement"
)

// book is what queues that hold more than their protected share offer back: their
// runs that may be preempted, in reverse fair order. The lowest class goes first,
// then the queue that costs most, as if what it has offered were gone, and of a
// queue the run that kept its place last. In a market it is all runs, and the
// lowest price goes first, then the latest lease. It is written only as far as somebody
// reads: whoever looks for room takes the first page on which it finds enough, so
// that the rest being offered or not makes no difference.
type book struct {
	number  uint64
	open    bool
	clean   bool // nobody had lost a place when it was opened
	offers  []offer
	latest  []int32            // by node: the last offer there
	on      []armada.Resources // by node: what is offered there and was not taken
	sellers []*queue           // heap: who offers next
	// whole makes it be written at once; tests show that nothing changes by that.
	whole bool
	// spent is the least cost at which a claim was found to be owed nothing, and
	// spentWithin that of one that stays within its queue's share.
	spent, spentWithin uint64
}

// offer is a run that may be taken.
type offer struct {
	job    *job
	node   int32 // -1 while it is not known
	before int32 // the offer before it on the same node, -1 for none
}

// seller is a queue's part in the book.
type seller struct {
	left                  armada.Resources // what it would hold without its offers
	cost                  uint64           // of that
	tenure, block, offset int              // of the next run that it offers
}

// openBook begins to write the book, from what queues hold now.
func (r *round) openBook() {
	b := &r.book
	if b.open {
		return
	}
	b.number++
	b.open, b.clean = true, len(r.victims) == 0
	b.refill()
	for len(b.latest) < r.pool.space.Nodes() {
		b.latest, b.on = append(b.latest, -1), append(b.on, armada.Resources{})
	}
	for _, q := range r.pool.byName {
		if len(q.tenures) == 0 || r.Market == nil && !r.overShare(q) {
			continue
		}
		s := &q.turn.seller
		*s = seller{left: q.turn.held, cost: r.cost(q, &q.turn.held), tenure: -1, block: -1, offset: -1}
		if r.nextRun(q) {
			b.sellers = append(b.sellers, q)
		}
	}
	heapify(b.sellers, (*queue).offersBefore)
	for b.whole && r.writeOffer(true) {
	}
}

// refill forgets that nothing was owed: a queue got something.
func (b *book) refill() { b.spent, b.spentWithin = math.MaxUint64, math.MaxUint64 }

// spend notes that nothing is owed to a claim, and so to none that costs more.
func (b *book) spend(c *claim) {
	b.spent = min(b.spent, c.cost)
	if c.owed {
		b.spentWithin = min(b.spentWithin, c.cost)
	}
}

// isSpent tells whether a claim is known to be owed nothing.
func (b *book) isSpent(c *claim) bool {
	return c.cost >= b.spentWithin || !c.owed && c.cost >= b.spent
}

// closeBook makes the next reader begin a new one.
func (r *round) closeBook() {
	b := &r.book
	for _, o := range b.offers {
		if o.node >= 0 {
			b.latest[o.node], b.on[o.node] = -1, armada.Resources{}
		}
	}
	clear(b.offers)
	clear(b.sellers)
	b.open, b.offers, b.sellers = false, b.offers[:0], b.sellers[:0]
}

// protected is the share that fairness leaves to a queue in any case.
func (r *round) protected(s fairshare.Shares) int64 {
	most := max(s.Fair, s.Adjusted)
	if r.Preemption.ProtectUncapped {
		most = max(most, s.Uncapped)
	}
	return most * r.Preemption.ProtectedShare / fairshare.One
}

// overShare tells whether a queue holds more than what fairness must leave it.
func (r *round) overShare(q *queue) bool {
	return r.scale.Share(&q.turn.held) > q.turn.protected
}

// nextRun moves a seller to the next run that it may offer.
func (r *round) nextRun(q *queue) bool {
	s := &q.turn.seller
	for {
		if s.offset--; s.offset < 0 {
			if s.block--; s.block < 0 {
				if s.tenure++; s.tenure == len(q.tenures) {
					return false
				}
				s.block = len(q.tenures[s.tenure].blocks) - 1
			}
			s.offset = len(q.tenures[s.tenure].blocks[s.block]) - 1
		}
		if r.book.clean {
			return true
		}
		// Who was lost before the book was opened is not part of what the queue holds.
		if run := q.nextOffer().run; run.lost != r.number || run.lostIn == r.book.number {
			return true
		}
	}
}

func (q *queue) nextOffer() *job {
	s := &q.turn.seller
	return q.tenures[s.tenure].blocks[s.block][s.offset].job
}

// offersBefore orders the sellers.
func (q *queue) offersBefore(o *queue) bool {
	a, b := q.tenures[q.turn.seller.tenure], o.tenures[o.turn.seller.tenure]
	if a.price != b.price {
		return a.price < b.price
	}
	if q.market {
		if a, b := q.nextOffer().run.since, o.nextOffer().run.since; a != b {
			return a > b
		}
	}
	if a.rank != b.rank {
		return a.rank < b.rank
	}
	if q.turn.seller.cost != o.turn.seller.cost {
		return q.turn.seller.cost > o.turn.seller.cost
	}
	return q.name > o.name
}

// writeOffer puts the next run into the book, and returns false when there is none
// that the claim may take, or with all, none at all.
func (r *round) writeOffer(all bool) bool {
	b := &r.book
	if len(b.sellers) == 0 {
		return false
	}
	q := b.sellers[0]
	j := q.nextOffer()
	if !all && !r.outranks(j, r.bookCause()) {
		return false
	}
	o := offer{job: j, node: -1, before: -1}
	if at := r.pool.position(j.run.site); at >= 0 {
		o.node, o.before = at, b.latest[at]
		b.latest[at] = int32(len(b.offers))
		r.count(j, at)
	}
	b.offers = append(b.offers, o)
	s := &q.turn.seller
	s.left = s.left.Sub(j.shape.needs.Resources)
	s.cost = r.cost(q, &s.left)
	if r.nextRun(q) {
		sink(b.sellers, 0, (*queue).offersBefore)
	} else {
		b.sellers = pop(b.sellers, (*queue).offersBefore)
	}
	return true
}

// count adds a run on a node to what is offered there, and those of its gang, for
// who takes one takes all.
func (r *round) count(j *job, at int32) {
	b := &r.book
	mates := r.one(j)
	if j.gang != nil {
		mates = j.gang.running
	}
	for _, m := range mates {
		if m.run.site == j.run.site && m.run.offered != b.number && m.loose() && (m.run.lost != r.number || m.run.lostIn == b.number) {
			m.run.offered = b.number
			b.on[at] = b.on[at].Add(*m.shape.demand.Resources())
		}
	}
}

// one is a gang of one.
func (r *round) one(j *job) []*job {
	r.mates = append(r.mates[:0], j)
	return r.mates
}

// taken tells the book that a run on a node was taken.
func (b *book) taken(j *job, at int32) {
	if b.open && j.run.offered == b.number {
		b.on[at] = b.on[at].Sub(*j.shape.demand.Resources())
	}
}

// givenBack tells the book that a run on a node was not taken after all.
func (b *book) givenBack(j *job, at int32) {
	if b.open && j.run.offered == b.number {
		b.on[at] = b.on[at].Add(*j.shape.demand.Resources())
	}
}

// fromBook finds room for a member of the claim in what is offered: on the node
// whose offers suffice first.
func (r *round) fromBook(part int) (int32, bool) {
	c := &r.claim
	m, d := &c.kind.members[part], c.kind.parts[part].Demand
	r.openBook()
	b := &r.book
	if b.isSpent(c) {
		return 0, false
	}
	if _, could := r.pool.space.Search(d, r.atMost(c.kind.rank)); !could {
		return 0, false
	}
	if m.book != b.number || c.cost < m.cost || c.kind.uniform.Label != "" {
		m.book, m.page, m.seen = b.number, 0, len(r.victims)
	}
	for m.seen = min(m.seen, len(r.victims)); m.seen < len(r.victims); m.seen++ {
		if page, ok := r.firstOfferBeside(r.victims[m.seen].job); ok {
			m.page = min(m.page, page)
		}
	}
	market := r.Market != nil
	owing := market || m.page > 0
	for m.cost = c.cost; ; m.page++ {
		if m.page == len(b.offers) && !r.writeOffer(false) {
			if !owing {
				b.spend(c)
			}
			return 0, false
		}
		o := &b.offers[m.page]
		if market && !r.outranks(o.job, ForPrice) {
			return 0, false // nor does it anything that comes after
		}
		if o.job.run.lost == r.number || !market && !r.owes(o.job) {
			continue
		}
		owing = true
		if o.node < 0 || !r.enoughOffered(d, o.node) {
			continue
		}
		r.candidates = r.candidates[:0]
		for at := int32(m.page); at >= 0; at = b.offers[at].before {
			r.candidates = append(r.candidates, b.offers[at].job)
		}
		slices.Reverse(r.candidates)
		if r.makeRoom(d.Resources(), o.node, r.bookCause()) {
			return o.node, true
		}
	}
}

// firstOfferBeside finds the first of the offers on a victim's node that were not
// taken: now that the victim goes, they may be enough.
func (r *round) firstOfferBeside(victim *job) (page int, ok bool) {
	node := r.pool.position(victim.run.site)
	if node < 0 {
		return 0, false
	}
	for at := r.book.latest[node]; at >= 0; at = r.book.offers[at].before {
		if r.book.offers[at].job.run.lost != r.number {
			page, ok = int(at), true
		}
	}
	return page, ok
}

// owes tells whether a run that is not of a gang may be taken for the claim; for
// one of a gang it is looked at later. For runs of one shape the answer is the same
// until something is taken.
func (r *round) owes(j *job) bool {
	if j.gang != nil {
		return true
	}
	s, c := j.shape, &r.claim
	if s.asked != c.number || s.askedOf != j.queue {
		after := j.queue.turn.held.Sub(s.needs.Resources)
		s.asked, s.askedOf, s.owes = c.number, j.queue, r.isOwed(j.queue, &after)
	}
	return s.owes
}

// enoughOffered tells whether a node may be used and would have room if all that
// it offers were gone.
func (r *round) enoughOffered(d *placement.Demand, node int32) bool {
	needs, room, more := d.Resources(), r.pool.space.Room(1, node), &r.book.on[node]
	for i := range needs {
		if needs[i] > room[i]+more[i] {
			return false
		}
	}
	return r.pool.space.Usable(d, node)
}

// somebodyOwes tells whether a queue holds more than its share and costs more than
// the claim would.
func (r *round) somebodyOwes() bool {
	if !r.owing.known {
		r.owing = owing{known: true}
		for _, q := range r.pool.byName {
			if len(q.tenures) > 0 && r.overShare(q) {
				r.owing.most = max(r.owing.most, r.cost(q, &q.turn.held))
			}
		}
	}
	return r.owing.most > r.claim.cost
}

// owing is the most that a queue costs which holds more than its share, 0 for none.
type owing struct {
	known bool // for what queues hold now
	most  uint64
}
