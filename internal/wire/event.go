package wire

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/store"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
)

// Event writes one event of a job set as watchers of all years understand it.
// Submitted events carry the job given; it must not be nil for those. An event
// of a kind that has no place on the wire answers nil.
func Event(key store.JobSetKey, e *armada.Event, job *api.Job) *api.EventMessage {
	h := head{job: string(e.Job), set: string(key.JobSet), queue: key.Queue, created: timestamppb.New(e.Created)}
	switch e.Kind {
	case armada.EventSubmitted:
		return &api.EventMessage{Events: &api.EventMessage_Submitted{Submitted: &api.JobSubmittedEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, Job: job,
		}}}
	case armada.EventQueued:
		return &api.EventMessage{Events: &api.EventMessage_Queued{Queued: &api.JobQueuedEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created,
		}}}
	case armada.EventReprioritizing, armada.EventReprioritized, armada.EventCancelling, armada.EventCancelled,
		armada.EventPreempting, armada.EventPreempted:
		return h.wish(e)
	case armada.EventLeased, armada.EventLeaseReturned, armada.EventLeaseExpired:
		return h.lease(e)
	case armada.EventPending, armada.EventRunning, armada.EventSucceeded, armada.EventFailed:
		return h.run(e)
	case armada.EventUtilisation, armada.EventIngressInfo:
		return h.figures(e)
	default:
		return nil
	}
}

// head is what every event begins with.
type head struct {
	job, set, queue string
	created         *timestamppb.Timestamp
}

// wish writes what somebody asked for and what became of it.
func (h head) wish(e *armada.Event) *api.EventMessage {
	switch e.Kind {
	case armada.EventReprioritizing:
		return &api.EventMessage{Events: &api.EventMessage_Reprioritizing{Reprioritizing: &api.JobReprioritizingEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, NewPriority: float64(e.Priority), Requestor: e.By,
		}}}
	case armada.EventReprioritized:
		return &api.EventMessage{Events: &api.EventMessage_Reprioritized{Reprioritized: &api.JobReprioritizedEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, NewPriority: float64(e.Priority), Requestor: e.By,
		}}}
	case armada.EventCancelling:
		return &api.EventMessage{Events: &api.EventMessage_Cancelling{Cancelling: &api.JobCancellingEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, Requestor: e.By, Reason: e.Reason,
		}}}
	case armada.EventCancelled:
		return &api.EventMessage{Events: &api.EventMessage_Cancelled{Cancelled: &api.JobCancelledEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, Requestor: e.By, Reason: e.Reason,
		}}}
	case armada.EventPreempting:
		return &api.EventMessage{Events: &api.EventMessage_Preempting{Preempting: &api.JobPreemptingEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, Requestor: e.By, Reason: e.Reason,
		}}}
	default:
		return &api.EventMessage{Events: &api.EventMessage_Preempted{Preempted: &api.JobPreemptedEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor), RunId: string(e.Run),
			Reason: e.Reason, PreemptingJobId: string(e.For), Requestor: e.By,
		}}}
	}
}

// lease writes the giving and the loss of a lease.
func (h head) lease(e *armada.Event) *api.EventMessage {
	switch e.Kind {
	case armada.EventLeased:
		return &api.EventMessage{Events: &api.EventMessage_Leased{Leased: &api.JobLeasedEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor), Pool: e.Pool,
		}}}
	case armada.EventLeaseReturned:
		return &api.EventMessage{Events: &api.EventMessage_LeaseReturned{LeaseReturned: &api.JobLeaseReturnedEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor), Reason: e.Reason,
			KubernetesId: e.Pod.KubernetesID, PodNumber: e.Pod.Number, RunAttempted: e.Attempted,
		}}}
	default:
		return &api.EventMessage{Events: &api.EventMessage_LeaseExpired{LeaseExpired: &api.JobLeaseExpiredEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created,
		}}}
	}
}

// run writes how far a run has come.
func (h head) run(e *armada.Event) *api.EventMessage {
	switch e.Kind {
	case armada.EventPending:
		return &api.EventMessage{Events: &api.EventMessage_Pending{Pending: &api.JobPendingEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor), Pool: e.Pool,
			KubernetesId: e.Pod.KubernetesID, PodNumber: e.Pod.Number, PodName: e.Pod.Name, PodNamespace: e.Pod.Namespace,
		}}}
	case armada.EventRunning:
		return &api.EventMessage{Events: &api.EventMessage_Running{Running: &api.JobRunningEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor), Pool: e.Pool,
			NodeName: e.Node, KubernetesId: e.Pod.KubernetesID, PodNumber: e.Pod.Number, PodName: e.Pod.Name, PodNamespace: e.Pod.Namespace,
		}}}
	case armada.EventSucceeded:
		return &api.EventMessage{Events: &api.EventMessage_Succeeded{Succeeded: &api.JobSucceededEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor),
			NodeName: e.Node, KubernetesId: e.Pod.KubernetesID, PodNumber: e.Pod.Number, PodName: e.Pod.Name, PodNamespace: e.Pod.Namespace,
		}}}
	default:
		return &api.EventMessage{Events: &api.EventMessage_Failed{Failed: h.failed(e)}}
	}
}

// failed writes exit codes twice: by name for watchers of 2020, and with
// everything else about the containers.
func (h head) failed(e *armada.Event) *api.JobFailedEvent {
	out := &api.JobFailedEvent{
		JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor), Reason: e.Reason,
		NodeName: e.Node, KubernetesId: e.Pod.KubernetesID, PodNumber: e.Pod.Number, PodName: e.Pod.Name, PodNamespace: e.Pod.Namespace,
		Retryable: e.Retryable,
	}
	if e.End == nil {
		return out
	}
	out.Cause, out.FailureCategory, out.FailureSubcategory = cause(e.End.Cause), e.End.Category, e.End.Subcategory
	for _, c := range e.End.Containers {
		if out.ExitCodes == nil { // watchers of 2020 read it
			out.ExitCodes = map[string]int32{} // likewise
		}
		out.ExitCodes[c.Name] = c.ExitCode // likewise
		out.ContainerStatuses = append(out.ContainerStatuses, &api.ContainerStatus{
			Name: c.Name, ExitCode: c.ExitCode, Message: c.Message, Reason: c.Reason, Cause: cause(c.Cause),
		})
	}
	return out
}

// figures writes what is told of a run while it goes on.
func (h head) figures(e *armada.Event) *api.EventMessage {
	if e.Kind == armada.EventIngressInfo {
		return &api.EventMessage{Events: &api.EventMessage_IngressInfo{IngressInfo: &api.JobIngressInfoEvent{
			JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor), IngressAddresses: e.Addresses,
			NodeName: e.Node, KubernetesId: e.Pod.KubernetesID, PodNumber: e.Pod.Number, PodName: e.Pod.Name, PodNamespace: e.Pod.Namespace,
		}}}
	}
	usage := armada.Usage{}
	if e.Usage != nil {
		usage = *e.Usage
	}
	return &api.EventMessage{Events: &api.EventMessage_Utilisation{Utilisation: &api.JobUtilisationEvent{
		JobId: h.job, JobSetId: h.set, Queue: h.queue, Created: h.created, ClusterId: string(e.Executor),
		NodeName: e.Node, KubernetesId: e.Pod.KubernetesID, PodNumber: e.Pod.Number, PodName: e.Pod.Name, PodNamespace: e.Pod.Namespace,
		MaxResourcesForPeriod: quantities(usage.Max), AvgResourcesForPeriod: quantities(usage.Average), TotalCumulativeUsage: quantities(usage.Cumulative),
	}}}
}

func quantities(amounts map[string]string) map[string]*resource.Quantity {
	if len(amounts) == 0 {
		return nil
	}
	out := make(map[string]*resource.Quantity, len(amounts))
	for name, amount := range amounts {
		out[name] = &resource.Quantity{String_: &amount}
	}
	return out
}

func amounts(quantities map[string]*resource.Quantity) map[string]string {
	if len(quantities) == 0 {
		return nil
	}
	out := make(map[string]string, len(quantities))
	for name, q := range quantities {
		out[Text(name)] = Text(q.GetString_())
	}
	return out
}
