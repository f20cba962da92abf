package armada

// PriorityClass ranks jobs of all queues: a higher priority goes first, and
// only jobs of a preemptible class may lose their place.
type PriorityClass struct {
	Name        string
	Priority    int32
	Preemptible bool
}
