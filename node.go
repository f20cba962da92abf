package armada

import (
	"maps"
	"time"
)

// LabelHostname is the label that tells nodes apart.
const LabelHostname = "kubernetes.io/hostname"

// Node is a machine of a cluster as the scheduler sees it.
type Node struct {
	Name          string
	Executor      ExecutorID
	Pool          string
	Type          string // the operator's name for machines alike; may be empty
	Labels        map[string]string
	Taints        []Taint
	Allocatable   Resources       // what Armada's jobs may use in all
	MinimumJob    Resources       // jobs that ask for less of any resource are not wanted here
	PodsOnly      bool            // its executor makes pods and nothing else: no [Requirements.MoreThanPod]
	Unschedulable bool            // nothing new is placed here
	Others        []PriorityUsage // used by what is not Armada's, by priority
}

// NodeKind is what nodes alike have in common, as far as it decides which jobs
// could ever run there: no name, nothing that is in use, no cordon.
type NodeKind struct {
	Pool        string
	Labels      map[string]string // without [LabelHostname]
	Taints      []Taint
	Allocatable Resources
	MinimumJob  Resources
	PodsOnly    bool
	// Gone is when the last node of the kind was seen to be there no more; zero
	// while there is one.
	Gone time.Time
}

// Kind returns the kind of the node.
func (n *Node) Kind() NodeKind {
	labels := n.Labels
	if _, named := labels[LabelHostname]; named {
		labels = maps.Clone(labels)
		delete(labels, LabelHostname)
	}
	if len(labels) == 0 {
		labels = nil
	}
	return NodeKind{Pool: n.Pool, Labels: labels, Taints: n.Taints, Allocatable: n.Allocatable, MinimumJob: n.MinimumJob, PodsOnly: n.PodsOnly}
}

// PriorityUsage is an amount in use at one priority.
type PriorityUsage struct {
	Priority int32
	Used     Resources
}

// TaintEffect is what a taint does to jobs that do not tolerate it.
type TaintEffect string

// The effects, named as in Kubernetes.
const (
	NoSchedule       TaintEffect = "NoSchedule"
	PreferNoSchedule TaintEffect = "PreferNoSchedule"
	NoExecute        TaintEffect = "NoExecute"
)

// Taint keeps jobs off a node unless they tolerate it.
type Taint struct {
	Key    string
	Value  string
	Effect TaintEffect
}

// Executor is the agent of one cluster.
type Executor struct {
	ID      ExecutorID
	Kind    ExecutorKind
	Session SessionID     // the current session; older ones are void
	Lease   time.Duration // how long an acknowledgement keeps its runs alive
	// Acknowledged is when the server last committed to hear from it, by the
	// store's clock; written at most every third of a lease.
	Acknowledged time.Time
	Replica      string // the server replica that holds its stream
	ReplicaAddr  string // where other replicas reach that one
	Cordoned     bool   // gets nothing new
	CordonReason string
}

// ExecutorKind tells which protocol an executor speaks, and so how far it can
// be trusted to stop its runs.
type ExecutorKind uint8

// The kinds.
const (
	ExecutorNative ExecutorKind = iota // ours: sessions, pushes, stops its runs when its lease ends
	Executor2026                       // original executors of 2026: polls, never stops by itself
	Executor2020                       // original executors of 2020: leases by job, renews by id
)
