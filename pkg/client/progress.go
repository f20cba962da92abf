package client

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/pkg/api"
)

// Progress is how far the jobs of a job set have come, as told by its events.
// The zero value knows no job. It is for one goroutine at a time.
type Progress struct {
	states map[string]armada.JobState
	counts map[armada.JobState]int
}

// Apply takes the next event of the stream into account. Events without a
// bearing on a job's state change nothing.
func (p *Progress) Apply(m *api.EventMessage) {
	next := stateAfter(m)
	id := Head(m).Job
	before, known := p.states[id]
	if next == 0 || known && before.Terminal() {
		return
	}
	if p.states == nil {
		p.states, p.counts = map[string]armada.JobState{}, map[armada.JobState]int{}
	}
	if known {
		p.counts[before]--
	}
	p.states[id] = next
	p.counts[next]++
}

// Count is how many jobs are in a state. Preempted jobs count as failed, which
// is the event that ends them, and so do rejected ones.
func (p *Progress) Count(state armada.JobState) int { return p.counts[state] }

// State is where a job stands; 0 when no event told.
func (p *Progress) State(job string) armada.JobState { return p.states[job] }

// Jobs is how many jobs are known.
func (p *Progress) Jobs() int { return len(p.states) }

// Done tells whether there is a job and every one has ended.
func (p *Progress) Done() bool {
	ended := 0
	for state, n := range p.counts {
		if state.Terminal() {
			ended += n
		}
	}
	return ended > 0 && ended == len(p.states)
}

// stateAfter is the state that an event puts its job into, 0 for none.
func stateAfter(m *api.EventMessage) armada.JobState {
	switch Head(m).Kind {
	case armada.EventSubmitted, armada.EventQueued, armada.EventLeaseReturned, armada.EventLeaseExpired:
		return armada.JobQueued
	case armada.EventLeased:
		return armada.JobLeased
	case armada.EventPending:
		return armada.JobPending
	case armada.EventRunning:
		return armada.JobRunning
	case armada.EventSucceeded:
		return armada.JobSucceeded
	case armada.EventCancelled:
		return armada.JobCancelled
	case armada.EventFailed:
		if m.GetFailed().GetRetryable() {
			return armada.JobQueued
		}
		return armada.JobFailed
	default:
		return 0
	}
}

// EventHead is what every event has.
type EventHead struct {
	// Kind is what happened; 0 for a kind that is newer than this client.
	Kind    armada.EventKind
	Job     string
	Created time.Time
}

// Head returns what every event has.
func Head(m *api.EventMessage) EventHead {
	kind, about := open(m)
	if about == nil {
		return EventHead{}
	}
	return EventHead{Kind: kind, Job: about.GetJobId(), Created: about.GetCreated().AsTime()}
}

type eventBody interface {
	GetJobId() string
	GetCreated() *timestamppb.Timestamp
}

// open returns the event in a message, nil for an unknown one.
func open(m *api.EventMessage) (armada.EventKind, eventBody) {
	switch e := m.GetEvents().(type) {
	case *api.EventMessage_Submitted:
		return armada.EventSubmitted, e.Submitted
	case *api.EventMessage_Queued:
		return armada.EventQueued, e.Queued
	case *api.EventMessage_Leased:
		return armada.EventLeased, e.Leased
	case *api.EventMessage_LeaseReturned:
		return armada.EventLeaseReturned, e.LeaseReturned
	case *api.EventMessage_LeaseExpired:
		return armada.EventLeaseExpired, e.LeaseExpired
	case *api.EventMessage_Pending:
		return armada.EventPending, e.Pending
	case *api.EventMessage_Running:
		return armada.EventRunning, e.Running
	case *api.EventMessage_Failed:
		return armada.EventFailed, e.Failed
	case *api.EventMessage_Succeeded:
		return armada.EventSucceeded, e.Succeeded
	case *api.EventMessage_Reprioritizing:
		return armada.EventReprioritizing, e.Reprioritizing
	case *api.EventMessage_Reprioritized:
		return armada.EventReprioritized, e.Reprioritized
	case *api.EventMessage_Cancelling:
		return armada.EventCancelling, e.Cancelling
	case *api.EventMessage_Cancelled:
		return armada.EventCancelled, e.Cancelled
	case *api.EventMessage_Preempting:
		return armada.EventPreempting, e.Preempting
	case *api.EventMessage_Preempted:
		return armada.EventPreempted, e.Preempted
	case *api.EventMessage_Utilisation:
		return armada.EventUtilisation, e.Utilisation
	case *api.EventMessage_IngressInfo:
		return armada.EventIngressInfo, e.IngressInfo
	default:
		return 0, nil
	}
}
