package scheduling

import (
	"time"

	"armada"
	"armada/internal/scheduling/fairshare"
)

// Config is what an installation decides about scheduling.
type Config struct {
	Resources armada.ResourceTable
	Classes   []armada.PriorityClass
	// FairnessMultipliers weigh the resources for dominant resource fairness,
	// in the order of the table, in thousandths; 0 leaves a resource out. All 0
	// count every resource alike.
	FairnessMultipliers [armada.MaxResources]int64
	// Limits of one round; 0 is none.
	MaxLeasesPerRound int
	MaxQueueLookback  int // jobs looked at per queue and round
	// MaxDecision bounds the leases and preemptions of one decision as far as
	// preemption makes it larger; 0 is no bound.
	MaxDecision int
	// PoolRules hold in every pool that Pools does not name.
	PoolRules
	Pools map[string]PoolRules
	// RoundLimits bounds what one round hands out of a pool.
	RoundLimits armada.ResourceFractions
	// Rate bounds how fast jobs start in all pools, and QueueRate those of each
	// queue.
	Rate, QueueRate Rate
	// Budgets are of the floating resources of the table. A pool that no budget
	// covers has nothing of the resource; one that several cover has them all.
	Budgets []Budget
	// Away is where jobs may run besides, in the order in which that is tried.
	Away []Away
	// AwayPools are by pool the others whose nodes its jobs may use as guests. Each
	// is shared by fairness.
	AwayPools map[string][]string
}

// PoolRules are what may differ from pool to pool.
type PoolRules struct {
	Fairness     FairnessRules
	Preemption   PreemptionRules
	Reservations ReservationRules
	// Market makes places go to who bids most; nil for a pool that is shared by
	// fairness. In a market only Repair of all other rules counts.
	Market *MarketRules
	// Optimiser makes room for large jobs where FairShare is off; nil for none.
	Optimiser *OptimiserRules
}

// MarketRules say how a market-driven pool tells its prices.
type MarketRules struct {
	// SpotCutoff is the fraction of the pool, in millionths, of which the holders
	// that bid most pay the spot price: the bid of the one with whom more than that
	// is held.
	SpotCutoff int64
	// SecondPrice lets the queue that sets the spot price pay what others bid.
	SecondPrice bool
	// Shapes are those for which the report tells what a job would have to bid.
	Shapes []PricedShape
}

// PricedShape is so many jobs of equal requirements, to be placed together.
type PricedShape struct {
	Name            string
	Jobs            int    // 0 is one
	UniformityLabel string // whose value their nodes share; may be empty
	Requirements    *armada.Requirements
}

// PreemptionRules say which runs of preemptible classes may lose their places. The
// zero value preempts nothing.
type PreemptionRules struct {
	// FairShare lets queues that are owed more take the room of those that hold
	// more than their protected share.
	FairShare bool
	// Urgency lets jobs of a higher class priority take the room of lower ones,
	// whatever their queues hold.
	Urgency bool
	// Repair takes the lowest runs off nodes that have less than their runs hold,
	// because they shrank or because others use them.
	Repair bool
	// ProtectedShare is how much of its fair share, in millionths, a queue cannot
	// lose to fairness. Where queues ask for less than their share, the adjusted
	// share counts if it is larger; and with ProtectUncapped what it would be if the
	// queue asked for everything.
	ProtectedShare  int64
	ProtectUncapped bool
	// MaxPerRound bounds the runs that one round preempts for fairness, and Rate
	// how many in the course of time; zero is no bound. What needs more at once
	// than a bound allows goes when nothing else has.
	MaxPerRound int
	Rate        Rate
}

// rules are what holds in a pool.
func (c Config) rules(pool string) PoolRules {
	rules, ok := c.Pools[pool]
	if !ok {
		rules = c.PoolRules
	}
	if rules.Market != nil {
		return PoolRules{Market: rules.Market, Preemption: PreemptionRules{Repair: rules.Preemption.Repair}}
	}
	return rules
}

// Input is what a round decides from. The round reads and changes nothing.
type Input struct {
	Now  time.Time
	Pool *Pool
}

// Outcome is what a round decided. Its slices belong to the caller, and the
// pool keeps none of them.
type Outcome struct {
	Decisions []Decision // in the order in which they were taken
	Waiting   []Waiting  // why others wait; one entry per shape and queue
	// Wake is when a round should run although nothing has changed; zero for
	// never (a rate that refills, a reservation that ends).
	Wake         time.Time
	Reservations []Reservation // what is kept from now on; the last outcome's does not count any more
	Report       Report
}

// Decision is a unit: a gang's leases and the preemptions that make room for
// them, to be taken wholly or not at all.
type Decision struct {
	Leases      []Lease
	Preemptions []Preemption
}

// Lease places one job.
type Lease struct {
	Job      armada.JobID
	Executor armada.ExecutorID
	Node     string
	Away     string         // the type of the node where the job is not at home, or of a guest where it is; else empty
	After    []armada.RunID // victims whose end it waits for
}

// Preemption takes one run's place away.
type Preemption struct {
	Job    armada.JobID
	Run    armada.RunID
	For    armada.JobID // who gets the room; empty for a repair
	Cause  Cause
	Reason string // for people
}

// Cause is why a run is preempted.
type Cause uint8

// The causes.
const (
	ForFairness Cause = iota // its queue holds more than it is owed
	ForUrgency               // a job of a higher class needs the room
	ForRepair                // its node has less than its runs hold
	ForPrice                 // a job that bids more needs the room
	ForLargeJob              // the optimiser makes room for a large job
)

// Waiting tells why queued jobs of one queue and shape were not placed. Members
// of an incomplete gang have an entry of their own, which names the gang; for
// the members of a complete one of several shapes there is an entry per shape.
type Waiting struct {
	Queue  string
	Shape  armada.ShapeID
	JobSet armada.JobSet // of the incomplete gang; otherwise empty
	Gang   string        // the id of the incomplete gang; otherwise empty
	Jobs   int           // how many
	First  armada.JobID  // the one whose turn came first
	Reason armada.Reason // entries of one shape may share what Excluded points to
}

// Report explains a round to people.
type Report struct {
	Pool     string
	At       time.Time
	Capacity armada.Resources
	Queues   []QueueReport // by name
	Kept     []Reservation // the outcome's
	Market   *Market       // nil for a pool that is shared by fairness
}

// Market is what a round found of prices. A price of 0 is that of a pool that is
// not in demand.
type Market struct {
	SpotPrice armada.Price
	SetBy     string // the queue whose bid the spot price is; empty for a price of 0
	// SetterPays is what that queue pays itself: the spot price or, where the rules
	// say so, the most that any other queue bids up to it.
	SetterPays armada.Price
	Quotes     []Quote // of the shapes that the rules name
	Values     []QueueValue
}

// Quote is what a job of a shape would have to bid to be placed now.
type Quote struct {
	Shape string
	// Outbid is the bid of the dearest run that would lose its place: more than
	// that would do.
	Outbid armada.Price
	Free   bool          // nobody would have to lose a place: any bid would do
	Reason armada.Reason // why no bid would do; none when one would
}

// QueueReport is one queue's part in a round. Shares are fractions of the pool
// in millionths.
type QueueReport struct {
	Queue         string
	Weight        float64
	FairShare     int64 // by weight among the queues with demand
	AdjustedShare int64 // after idle queues gave theirs away
	UncappedShare int64 // the same if it asked for everything
	Demand        int64 // what all its jobs together would hold; queued ones do not count while cordoned
	Share         int64 // what it holds after the round, of its dominant resource
	Allocated     armada.Resources
	Queued        int
	Placed        int
	// Cost is its weighted share, with what else it is charged for, by which queues
	// take turns; fairshare.Unit is the whole pool at factor 1.
	Cost    uint64
	Stopped armada.Reason // why its next job was not placed
}

// RelativeCost is the queue's cost with that of the whole pool at factor 1 as 1.
func (q *QueueReport) RelativeCost() float64 { return float64(q.Cost) / fairshare.Unit }
