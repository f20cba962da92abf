package armada

// Gang says with which other jobs a job is placed: all of them or none. A gang
// is scoped to its job set. It takes as many members as its cardinality says; one
// that ends without ever having had a run leaves its place to another. The zero
// value is a gang of one.
type Gang struct {
	ID              string
	Cardinality     int    // how many members are placed together; at least 2 when ID is set
	UniformityLabel string // node label whose value all members' nodes share; may be empty
	FailFast        bool   // the job is not tried again, not even when its lease is given back
}

// Alone tells whether the job needs no other job to be placed.
func (g Gang) Alone() bool { return g.ID == "" || g.Cardinality <= 1 }
