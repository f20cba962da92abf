package armada

// Standing is where a queued job stands among those that wait.
type Standing struct {
	Place  int // in its queue, from 1
	Queued int // how many wait in the queue
	Pools  []PoolStanding
}

// PoolStanding is what a queue has of a pool and what it is owed, in millionths
// of the pool.
type PoolStanding struct {
	Pool      string
	Queues    int // how many hold or want something of it
	Share     int64
	FairShare int64
}
