package wire

import (
	"armada"
	"armada/pkg/api"
)

// JobState names a state on the wire.
func JobState(s armada.JobState) api.JobState {
	switch s {
	case armada.JobQueued:
		return api.JobState_QUEUED
	case armada.JobLeased:
		return api.JobState_LEASED
	case armada.JobPending:
		return api.JobState_PENDING
	case armada.JobRunning:
		return api.JobState_RUNNING
	case armada.JobSucceeded:
		return api.JobState_SUCCEEDED
	case armada.JobFailed:
		return api.JobState_FAILED
	case armada.JobCancelled:
		return api.JobState_CANCELLED
	case armada.JobPreempted:
		return api.JobState_PREEMPTED
	case armada.JobRejected:
		return api.JobState_REJECTED
	default:
		return api.JobState_UNKNOWN
	}
}

// StateOf returns the state that a wire state stands for, and false for those
// that stand for none. SUBMITTED is a job that nobody has looked at: queued.
func StateOf(s api.JobState) (armada.JobState, bool) {
	if s == api.JobState_SUBMITTED {
		return armada.JobQueued, true
	}
	for _, state := range armada.JobStates() {
		if JobState(state) == s {
			return state, true
		}
	}
	return 0, false
}

// RunState names the state of a run on the wire, where a run that nobody saw
// end either lost its lease or failed.
func RunState(r *armada.Run) api.JobRunState {
	switch r.State {
	case armada.RunLeased:
		return api.JobRunState_RUN_STATE_LEASED
	case armada.RunPending:
		return api.JobRunState_RUN_STATE_PENDING
	case armada.RunRunning:
		return api.JobRunState_RUN_STATE_RUNNING
	case armada.RunSucceeded:
		return api.JobRunState_RUN_STATE_SUCCEEDED
	case armada.RunFailed:
		return api.JobRunState_RUN_STATE_FAILED
	case armada.RunCancelled:
		return api.JobRunState_RUN_STATE_CANCELLED
	case armada.RunPreempted:
		return api.JobRunState_RUN_STATE_PREEMPTED
	case armada.RunReturned:
		return api.JobRunState_RUNS_STATE_LEASE_RETURNED
	case armada.RunLost:
		if r.End.Subcategory == armada.SubcategoryLeaseExpired {
			return api.JobRunState_RUN_STATE_LEASE_EXPIRED
		}
		return api.JobRunState_RUN_STATE_FAILED
	default:
		return api.JobRunState_RUN_STATE_UNKNOWN
	}
}

// cause names a cause of failure on the wire.
func cause(c armada.Cause) api.Cause {
	switch c {
	case armada.CauseEvicted:
		return api.Cause_Evicted
	case armada.CauseOutOfMemory:
		return api.Cause_OOM
	case armada.CauseDeadlineExceeded:
		return api.Cause_DeadlineExceeded
	case armada.CauseRejected:
		return api.Cause_Rejected
	case armada.CauseError:
		return api.Cause_Error
	default:
		return api.Cause_Error
	}
}
