package scheduling

import (
	"slices"
	"strings"

	"armada"
	"armada/internal/scheduling/fairshare"
	"armada/internal/scheduling/placement"
)

// job is what the pool remembers of a job: as little as possible, for there are
// millions.
type job struct {
	id        armada.JobID
	number    int64
	priority  uint32
	band      armada.PriceBand // in a market
	submitted uint32           // in seconds since 1970
	queue     *queue
	shape     *shape
	gang      *gang  // nil for a lone job
	run       *place // nil while it waits
}

// same tells whether nothing that a round looks at has changed.
func (j *job) same(v armada.Job) bool {
	if j.number != v.Number || j.priority != v.Priority || j.queue.name != v.Queue || v.Shape != "" && j.shape.id != v.Shape {
		return false
	}
	if v.Gang.Alone() || j.gang == nil {
		return v.Gang.Alone() == (j.gang == nil)
	}
	return j.gang.key == gangKey{v.Queue, v.JobSet, v.Gang.ID} && j.gang.cardinality == v.Gang.Cardinality && j.gang.label == v.Gang.UniformityLabel
}

// shape is a set of requirements that some job has.
type shape struct {
	id     armada.ShapeID
	needs  *armada.Requirements
	demand *placement.Demand
	rank   int32 // the priority of the class
	loose  bool  // the class is preemptible, or every class is
	class  int   // among those of the configuration; their number for one that is not known
	alone  *kind // the kind of lone jobs of this shape
	jobs   int

	// What runs away from home has a form of the shape of its own, which waits
	// nowhere; and so have guests, who wait. home is the shape itself elsewhere.
	home     *shape
	away     []*shape
	guests   []*shape
	nodeType string            // where it is away
	livesIn  map[string]string // whose guest it is, by the label that a gang must share

	// Whether a queue's run of this shape may be taken for a claim of the round.
	asked   uint64
	askedOf *queue
	owes    bool
}

// queue is one tenant's line in this pool. What waits stands in lanes, one for
// each kind, so that a kind that does not fit is passed over in one step.
type queue struct {
	name     string
	known    bool // otherwise it only keeps the jobs that name it
	settings armada.Queue
	factor   fairshare.Factor
	jobs     int              // queued and running
	queued   int              // of these
	held     armada.Resources // by its runs, but for those that leave
	leaving  armada.Resources // of those
	tenures  []*tenure        // of its runs that may be preempted, the lowest rank first
	wanted   armada.Resources // by its queued jobs
	byClass  []ledger         // the same, by class
	market   bool             // its pool is one
	bids     armada.QueueBids // in a market; otherwise all are 0
	limits   []*fractions     // what it may hold by class, nil for no bound; empty where there is none

	memory  memory
	charges []charge // for jobs that have ended

	lanes      map[laneKey]*lane
	inOrder    []*lane // the same, in order of turn as of the last round
	unsorted   bool    // that has changed since
	moved      []*lane // that are not as at the beginning of a round
	incomplete map[*gang]struct{}

	turn turn // the current round's
}

func queueByName(q *queue, name string) int { return strings.Compare(q.name, name) }

func (q *queue) lane(k *kind, bands bandSet) *lane {
	key := laneKey{k, bands}
	l, ok := q.lanes[key]
	if !ok {
		l = &lane{queue: q, laneKey: key, price: q.priceOf(bands), at: len(q.inOrder), holder: placement.Nobody}
		q.lanes[key], q.unsorted = l, true
		q.inOrder = append(q.inOrder, l)
		k.lanes++
	}
	return l
}

// starts tells whether its queued jobs may be started.
func (q *queue) starts() bool { return q.known && !q.settings.Cordoned }

// dropLane forgets a lane that is empty.
func (q *queue) dropLane(l *lane) {
	delete(q.lanes, l.laneKey)
	q.unsorted = true
	last := len(q.inOrder) - 1
	q.inOrder[l.at] = q.inOrder[last]
	q.inOrder[l.at].at = l.at
	q.inOrder[last] = nil
	q.inOrder = q.inOrder[:last]
}

// sortLanes puts the lanes in order of what they offer next. They mostly are.
func (q *queue) sortLanes() {
	if !q.unsorted {
		return
	}
	q.unsorted = false
	slices.SortFunc(q.inOrder, func(a, b *lane) int {
		switch {
		case a.goesBefore(b):
			return -1
		case b.goesBefore(a):
			return 1
		}
		return 0
	})
	for i, l := range q.inOrder {
		l.at = i
	}
}

// lane is what waits in one queue of one kind and at one price, in order. Gangs
// stand at the turn of their last member. Rounds look at all lanes: what they read
// of each lies together, and what stays the same is not written again.
type lane struct {
	line
	laneKey
	price armada.Price // 0 outside markets
	taken int          // how far the current round has come
	next  entry        // what it offers next; without job when nothing is left
	named armada.JobID // the id of what was next when it was last told
	of    *job         // that is its id
	queue *queue
	at    int // in queue.inOrder

	// The current round's.
	block, offset int
	moved         bool   // it is among the queue's moved
	holder        int32  // of nodes kept for it
	swapless      uint64 // the round in which no swap was found for it
}

func (l *lane) insert(e entry) {
	l.line.insert(e)
	l.begins()
}

func (l *lane) remove(e entry) {
	l.line.remove(e)
	if l.count > 0 {
		l.begins()
	}
}

// begins offers what stands first.
func (l *lane) begins() {
	if first := l.blocks[0][0]; first != l.next {
		l.next, l.queue.unsorted = first, true
	}
}

// move notes that a round changes the lane, and rewind undoes that.
func (l *lane) move() {
	if !l.moved {
		l.moved = true
		l.queue.moved = append(l.queue.moved, l)
	}
}

func (q *queue) rewind() {
	for _, l := range q.moved {
		l.moved, l.holder, l.block, l.offset, l.taken = false, placement.Nobody, 0, 0, 0
		l.begins()
	}
	clear(q.moved)
	q.moved = q.moved[:0]
}

// first is the id of the job that the lane offers next.
func (l *lane) first() armada.JobID {
	if l.of != l.next.job {
		l.of, l.named = l.next.job, l.next.job.id
	}
	return l.named
}

// take goes one further and tells whether there is more.
func (l *lane) take() bool {
	l.move()
	l.taken++
	if l.offset++; l.offset == len(l.blocks[l.block]) {
		l.block, l.offset = l.block+1, 0
	}
	if l.block == len(l.blocks) {
		l.next.job = nil
		return false
	}
	l.next = l.blocks[l.block][l.offset]
	return true
}

// laneKey tells the lanes of a queue apart.
type laneKey struct {
	kind  *kind
	bands bandSet // in which the members bid
}

// goesBefore orders the lanes of a queue by what they offer next: the higher
// price first, then the higher class, then as within a lane.
func (l *lane) goesBefore(o *lane) bool {
	if l.price != o.price {
		return l.price > o.price
	}
	if l.kind.rank != o.kind.rank {
		return l.kind.rank > o.kind.rank
	}
	if l.next.priority != o.next.priority {
		return l.next.priority < o.next.priority
	}
	if l.next.number != o.next.number {
		return l.next.number < o.next.number
	}
	return l.next.job != nil && o.next.job != nil && l.next.job.id < o.next.job.id
}
