package server

import (
	"fmt"

	"armada"
)

// elsewhere completes the error of an executor that gives no logs by how the log of
// its pod is read on its own cluster.
func elsewhere(err error, run *armada.Run) error {
	if armada.CodeOf(err) != armada.CodePrecondition {
		return err
	}
	command := "kubectl logs"
	if run.Pod.Name != "" {
		command = fmt.Sprintf("kubectl logs --namespace %s %s", run.Pod.Namespace, run.Pod.Name)
	}
	return &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("%v; ask its cluster: %s", err, command)}
}
