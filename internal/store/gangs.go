package store

import (
	"fmt"

	"armada"
)

// GangError is the answer to a submission with a job for which its gang has no
// place, or which does not agree with the gang. Its code is Precondition.
type GangError struct {
	Job         int // which of the submission's jobs
	Gang        armada.Gang
	Members     int // how many the gang has, with those before the job
	Cardinality int // how many those say that it has
}

// Disagrees tells that the job says another cardinality than the members that
// there are.
func (e *GangError) Disagrees() bool { return e.Gang.Cardinality != e.Cardinality }

// Why tells what is wrong and what would be right.
func (e *GangError) Why() string {
	if e.Disagrees() {
		return fmt.Sprintf("is %d, but %d for the members of the gang %q that were submitted to the job set before", e.Gang.Cardinality, e.Cardinality, e.Gang.ID)
	}
	return fmt.Sprintf("the gang %q of the job set has all of its %d members already, also if they have finished: choose another gang id, or submit to another job set",
		e.Gang.ID, e.Cardinality)
}

// Error names the job.
func (e *GangError) Error() string {
	return fmt.Sprintf("job %d of the submission: %s", e.Job, e.Why())
}

// Unwrap gives the code.
func (e *GangError) Unwrap() error { return &armada.Error{Code: armada.CodePrecondition} }
