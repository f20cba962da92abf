package simulator

import (
	"time"

	"armada"
	"armada/internal/scheduling"
)

// Scenario is what is simulated. It is not changed by [Run].
type Scenario struct {
	Rules
	Clusters Clusters
	Workload Workload
	// RoundEvery is the time between two rounds.
	RoundEvery time.Duration
	// Until bounds the simulated time: what happens later does not.
	Until time.Duration
}

// Rules are what an installation decides.
type Rules struct {
	Scheduling scheduling.Config
	// DefaultClass is the priority class of jobs that name none.
	DefaultClass string
	// Bids are what queues bid in market-driven pools, all the time.
	Bids armada.Bids
}

// Clusters are the machines of a scenario, as their file has them.
type Clusters struct {
	Name     string
	Clusters []Cluster
	// WorkflowManagerDelayDistribution is how long after the end of a job what
	// depends on it is submitted, and a preempted job is submitted again.
	WorkflowManagerDelayDistribution Spread
	// PendingDelayDistribution is how long after its lease a run starts.
	PendingDelayDistribution Spread
}

// Cluster is one executor's nodes.
type Cluster struct {
	Name          string // of its executor; distinct
	Pool          string // the default pool when empty
	NodeTemplates []NodeTemplate
}

// NodeTemplate is a number of nodes alike, called cluster-template-number.
type NodeTemplate struct {
	Number         int
	Labels         map[string]string
	Taints         []Taint
	TotalResources struct {
		Resources map[string]string // quantities by name
	}
}

// Taint is a taint as Kubernetes writes it.
type Taint struct{ Key, Value, Effect string }

// Workload is what is submitted, as its file has it.
type Workload struct {
	Name       string
	RandomSeed uint64
	Queues     []Queue
}

// Queue is a queue with all that is submitted to it.
type Queue struct {
	Name         string
	Weight       float64 // its claim relative to others, more than 0; 1 when left out
	JobTemplates []JobTemplate
}

// SetDefaults gives a queue the weight of one that says nothing.
func (q *Queue) SetDefaults() { q.Weight = 1 }

// JobTemplate is a number of jobs alike.
type JobTemplate struct {
	ID                string // what dependencies name; unique in the file, queue-position when empty
	Number            int    // of jobs; with a gang cardinality, a multiple of it
	JobSet            string // the queue's name when empty
	QueuePriority     uint32 // order within the queue, low first
	PriorityClassName string
	PriceBand         string // A to H, in which it bids in market-driven pools; may be empty
	Requirements      Requirements
	// Dependencies are the ids of templates of any queue whose jobs must all
	// have succeeded before these are submitted.
	Dependencies []string
	// EarliestSubmitTime counts from the beginning,
	// EarliestSubmitTimeFromDependencyCompletion from when the last dependency
	// is done; the later moment is that of the first wave.
	EarliestSubmitTime                         time.Duration
	EarliestSubmitTimeFromDependencyCompletion time.Duration
	RuntimeDistribution                        Spread
	GangCardinality                            int    // how many are placed together; alone when 0 or 1
	GangNodeUniformityLabel                    string // whose value a gang's nodes share
	Repeat                                     Repeat
}

// SetDefaults makes it one job.
func (t *JobTemplate) SetDefaults() { t.Number = 1 }

// Requirements are what a job asks of a node, in the words of a pod spec.
type Requirements struct {
	ResourceRequirements struct {
		Requests map[string]string // quantities by name
	}
	NodeSelector map[string]string
	Tolerations  []Toleration
}

// Toleration is a toleration as Kubernetes writes it.
type Toleration struct{ Key, Operator, Value, Effect string }

// Spread is a distribution of times: never shorter than the minimum, and an
// exponential tail of this mean beyond it. The zero value is no time at all.
type Spread struct{ Minimum, TailMean time.Duration }

// Repeat has a template submitted again.
type Repeat struct {
	NumTimes int           // how often in all; 0 is once
	Period   time.Duration // from one wave to the next
}
