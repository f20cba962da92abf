package armada

// DefaultPool is the pool of nodes that name none.
const DefaultPool = "default"
