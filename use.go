package armada

// ClusterUse is what an executor says of the use of its whole cluster. Nothing is
// decided by it: the scheduler counts what it has placed itself.
type ClusterUse struct {
	Executor  ExecutorID
	Pool      string
	Capacity  Resources // of all its nodes
	Available Resources // of the nodes that take new pods
	Queues    []QueueUse
}

// QueueUse is what the pods of a queue have of a cluster.
type QueueUse struct {
	Queue string
	Asked Resources // what they ask for, so that nobody else has it
	Used  Resources // what they were last seen to use
}
