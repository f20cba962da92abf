//go:build linux

package process

import (
	"fmt"

	"armada"
	"armada/internal/runs"
)

// concludeBroken is for an order that can never work.
func (r *run) concludeBroken(reason string) runs.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Phase = runs.Failed
	r.status.End = armada.RunEnd{Reason: reason}
	return r.status
}

// conclude decides how the run ended. Success beats everything: when all
// containers ended with 0, a stop came too late. Otherwise a run that was
// interrupted ended because of that, even where its containers chose their own
// exit codes; one that was over before keeps its own failure.
func (r *run) conclude(results []result, proper bool) runs.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killer != nil {
		r.killer.Stop()
	}
	end := armada.RunEnd{}
	bad := -1
	for i, res := range results {
		end.Containers = append(end.Containers, res.end)
		if res.failed && (bad < 0 || (res.oom && !results[bad].oom)) {
			bad = i
		}
	}
	complete := proper && bad < 0 && !r.skipped
	s := &r.status
	s.Stopping = false
	switch {
	case complete:
		s.Phase = runs.Succeeded
	case r.interrupted && r.halted == haltStop:
		s.Phase, end.Reason = runs.Stopped, "stopped"
	case r.interrupted && r.halted == haltDeadline:
		s.Phase, end.Reason, end.Cause = runs.Failed, "it ran longer than its active deadline", armada.CauseDeadlineExceeded
	case r.interrupted && r.halted == haltShutdown:
		s.Phase, end.Reason = runs.Failed, "the supervisor of this machine was told to end"
	default:
		s.Phase, end.Reason, end.Cause = runs.Failed, "a container failed", armada.CauseError
		if bad >= 0 {
			end.Reason, end.Cause = describe(results[bad].end), results[bad].end.Cause
		}
	}
	s.End = end
	return *s
}

// describe says how a container failed to a person.
func describe(c armada.ContainerEnd) string {
	text := fmt.Sprintf("container %s ended with exit code %d", c.Name, c.ExitCode)
	if c.Cause == armada.CauseOutOfMemory {
		text += ", killed at its memory limit"
	}
	if c.Message != "" {
		text += ": " + c.Message
	}
	return text
}
