package armada

// PriorityClass ranks jobs of all queues: a higher priority goes first, and
// only jobs of a preemptible class may lose their place.
type PriorityClass struct {
	Name        string
	Priority    int32
	Preemptible bool
	// QueueLimits bounds what each queue may hold by jobs of this class; a queue
	// may have limits of its own.
	QueueLimits ResourceFractions
}
