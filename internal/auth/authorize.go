package auth

import (
	"context"

	"armada"
)

// The verbs that are not about the jobs of one queue.
const (
	VerbCreateQueue    armada.Verb = "create_queue" // replaces and updates too
	VerbDeleteQueue    armada.Verb = "delete_queue"
	VerbCordonQueue    armada.Verb = "cordon_queue"
	VerbCordonNodes    armada.Verb = "cordon_nodes"
	VerbSeeQueues      armada.Verb = "see_queues" // their settings and figures
	VerbSeeJobs        armada.Verb = "see_jobs"   // states and details of any job
	VerbExecuteJobs    armada.Verb = "execute_jobs"
	VerbUpdateExecutor armada.Verb = "update_executor_settings"

	VerbCreateRetryPolicy armada.Verb = "create_retry_policy" // replaces too
	VerbUpdateRetryPolicy armada.Verb = "update_retry_policy"
	VerbDeleteRetryPolicy armada.Verb = "delete_retry_policy"
)

// Authorizer decides what callers may do. Its methods may be called from many
// goroutines.
type Authorizer struct{}

// NewAuthorizer makes an authorizer that allows everything to every principal.
func NewAuthorizer() *Authorizer { return &Authorizer{} }

// Authorize returns the principal of the call if it may do what the verb says;
// the queue is empty for verbs that concern none. A call without a principal
// fails with code Unauthenticated, one that is not allowed with code Denied.
func (*Authorizer) Authorize(ctx context.Context, verb armada.Verb, queue string) (Principal, error) {
	p, ok := From(ctx)
	if !ok {
		return Principal{}, &armada.Error{Code: armada.CodeUnauthenticated, Message: "the call was not authenticated"}
	}
	return p, nil
}
