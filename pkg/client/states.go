package client

import (
	"strings"

	"armada"
	"armada/pkg/api"
)

// StateOf is the state that a message of a server names; 0 for one that this
// client does not know. A job that nobody has looked at yet is queued.
func StateOf(s api.JobState) armada.JobState {
	if s == api.JobState_SUBMITTED {
		return armada.JobQueued
	}
	for _, state := range armada.JobStates() {
		if wireState(state) == s {
			return state
		}
	}
	return 0
}

// wireState is a state as messages name it: by the same word.
func wireState(s armada.JobState) api.JobState {
	return api.JobState(api.JobState_value[strings.ToUpper(s.String())])
}

func wireStates(states []armada.JobState) []api.JobState {
	var all []api.JobState
	for _, s := range states {
		all = append(all, wireState(s))
	}
	return all
}
