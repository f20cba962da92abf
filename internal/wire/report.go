package wire

import (
	"cmp"

	"armada"
	"armada/internal/lifecycle"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
)

// Reports reads what an executor tells about its runs, in order. Kinds that
// change nothing are left out. The executor is the list's, and where an executor
// of 2026 sends none the one that its pods' metadata name.
func Reports(list *executorapi.EventList) []lifecycle.Change {
	var changes []lifecycle.Change
	for _, sequence := range list.GetEvents() {
		for _, event := range sequence.GetEvents() {
			change, known := Report(event)
			if !known {
				continue
			}
			if id := list.GetExecutorId(); id != "" {
				change.Executor = armada.ExecutorID(id)
			}
			changes = append(changes, change)
		}
	}
	return changes
}

// Report reads one thing that an executor tells, and answers false for what
// changes nothing.
func Report(event *armadaevents.EventSequence_Event) (lifecycle.Change, bool) {
	c := lifecycle.Change{At: instant(event.GetCreated())}
	switch e := event.GetEvent().(type) {
	case *armadaevents.EventSequence_Event_JobRunAssigned:
		c.Kind = lifecycle.ReportPending
		about(&c, e.JobRunAssigned)
		pod(&c, e.JobRunAssigned.GetResourceInfos())
	case *armadaevents.EventSequence_Event_JobRunRunning:
		c.Kind = lifecycle.ReportRunning
		about(&c, e.JobRunRunning)
		pod(&c, e.JobRunRunning.GetResourceInfos())
	case *armadaevents.EventSequence_Event_JobRunSucceeded:
		c.Kind = lifecycle.ReportSucceeded
		about(&c, e.JobRunSucceeded)
		pod(&c, e.JobRunSucceeded.GetResourceInfos())
	case *armadaevents.EventSequence_Event_JobRunErrors:
		about(&c, e.JobRunErrors)
		failure(&c, e.JobRunErrors.GetErrors())
	case *armadaevents.EventSequence_Event_JobRunCancelled:
		c.Kind = lifecycle.ReportStopped
		about(&c, e.JobRunCancelled)
		c.End.Reason = Text(e.JobRunCancelled.GetReason())
	case *armadaevents.EventSequence_Event_JobRunOutcomeUnknown:
		c.Kind = lifecycle.ReportUnknown
		about(&c, e.JobRunOutcomeUnknown)
		c.End.Reason = Text(e.JobRunOutcomeUnknown.GetMessage())
	case *armadaevents.EventSequence_Event_JobRunStuck:
		c.Kind, c.Mark = lifecycle.ReportMark, lifecycle.MarkStuck
		about(&c, e.JobRunStuck)
		c.End.Reason = Text(e.JobRunStuck.GetMessage())
	case *armadaevents.EventSequence_Event_StandaloneIngressInfo:
		ingress(&c, e.StandaloneIngressInfo)
	case *armadaevents.EventSequence_Event_ResourceUtilisation:
		usage(&c, e.ResourceUtilisation)
	case *armadaevents.EventSequence_Event_JobRunTerminatedDebugInfo:
		c.Kind = lifecycle.ReportDebug
		about(&c, e.JobRunTerminatedDebugInfo)
		c.End.Debug = Text(e.JobRunTerminatedDebugInfo.GetDebugMessage())
	default:
		return lifecycle.Change{}, false
	}
	return c, true
}

// about takes over which run a report speaks of: its id names the job too.
func about(c *lifecycle.Change, ids interface {
	GetJobId() string
	GetRunId() string
},
) {
	c.Job, c.Run = armada.JobID(ids.GetJobId()), armada.RunID(ids.GetRunId())
	if job, named := c.Run.Job(); named {
		c.Job = job
	}
}

// pod takes over what the first object of a report tells about the pod.
func pod(c *lifecycle.Change, infos []*armadaevents.KubernetesResourceInfo) {
	if len(infos) == 0 {
		return
	}
	meta(c, infos[0].GetObjectMeta(), infos[0].GetPodInfo().GetPodNumber())
	c.Node = Text(infos[0].GetPodInfo().GetNodeName())
}

func meta(c *lifecycle.Change, m *armadaevents.ObjectMeta, number int32) {
	c.Executor = armada.ExecutorID(m.GetExecutorId())
	c.Pod = armada.Pod{
		Name: Text(m.GetName()), Namespace: Text(m.GetNamespace()), KubernetesID: Text(m.GetKubernetesId()), Number: max(number, 0),
	}
}

// failure reads how a run ended badly, or that its lease is given back: that
// error, too, is called terminal by those who send it.
func failure(c *lifecycle.Change, errors []*armadaevents.Error) {
	c.Kind = lifecycle.ReportFailed
	if len(errors) == 0 {
		return
	}
	e := errors[0]
	c.End.Category, c.End.Subcategory = Text(e.GetFailureCategory()), Text(e.GetFailureSubcategory())
	switch reason := e.GetReason().(type) {
	case *armadaevents.Error_PodLeaseReturned:
		r := reason.PodLeaseReturned
		c.Kind = lifecycle.ReportReturned
		meta(c, r.GetObjectMeta(), r.GetPodNumber())
		c.End.Reason, c.End.Debug, c.Attempted = Text(r.GetMessage()), Text(r.GetDebugMessage()), r.GetRunAttempted()
	case *armadaevents.Error_PodError:
		podFailure(c, reason.PodError)
	case *armadaevents.Error_ContainerError:
		c.End.Containers = []armada.ContainerEnd{container(reason.ContainerError)}
		c.End.Reason = cmp.Or(c.End.Containers[0].Message, c.End.Containers[0].Reason)
	default:
		c.End.Reason = Text(otherReason(e))
	}
}

// maxContainers bounds how many containers' ends are kept; with all their texts they
// stay below what one message may hold.
const maxContainers = 50

func podFailure(c *lifecycle.Change, e *armadaevents.PodError) {
	meta(c, e.GetObjectMeta(), e.GetPodNumber())
	c.Node = Text(e.GetNodeName())
	c.End.Reason, c.End.Debug, c.End.Cause = Text(e.GetMessage()), Text(e.GetDebugMessage()), causeOf(e.GetKubernetesReason())
	for i, each := range e.GetContainerErrors() {
		if i == maxContainers {
			break
		}
		c.End.Containers = append(c.End.Containers, container(each))
	}
}

func container(e *armadaevents.ContainerError) armada.ContainerEnd {
	return armada.ContainerEnd{
		Name: Text(e.GetObjectMeta().GetName()), ExitCode: e.GetExitCode(), Cause: causeOf(e.GetKubernetesReason()),
		Reason: Text(e.GetReason()), Message: Text(e.GetMessage()),
	}
}

// otherReason says in words what executors do not normally send.
func otherReason(e *armadaevents.Error) string {
	switch reason := e.GetReason().(type) {
	case *armadaevents.Error_KubernetesError:
		return "Kubernetes refused the " + reason.KubernetesError.GetResourceType()
	case *armadaevents.Error_MaxRunsExceeded:
		return reason.MaxRunsExceeded.GetMessage()
	case *armadaevents.Error_JobRunPreemptedError:
		return reason.JobRunPreemptedError.GetReason()
	case *armadaevents.Error_GangJobUnschedulable:
		return reason.GangJobUnschedulable.GetMessage()
	case *armadaevents.Error_JobRejected:
		return reason.JobRejected.GetMessage()
	case *armadaevents.Error_ReconciliationError:
		return reason.ReconciliationError.GetMessage()
	default:
		return ""
	}
}

func causeOf(r armadaevents.KubernetesReason) armada.Cause {
	switch r {
	case armadaevents.KubernetesReason_Evicted:
		return armada.CauseEvicted
	case armadaevents.KubernetesReason_OOM:
		return armada.CauseOutOfMemory
	case armadaevents.KubernetesReason_DeadlineExceeded:
		return armada.CauseDeadlineExceeded
	case armadaevents.KubernetesReason_AppError:
		return armada.CauseError
	default:
		return armada.CauseError
	}
}

func ingress(c *lifecycle.Change, e *armadaevents.StandaloneIngressInfo) {
	c.Kind = lifecycle.ReportIngress
	about(c, e)
	meta(c, e.GetObjectMeta(), e.GetPodNumber())
	c.Pod.Name, c.Pod.Namespace = Text(cmp.Or(e.GetPodName(), c.Pod.Name)), Text(cmp.Or(e.GetPodNamespace(), c.Pod.Namespace))
	c.Node = Text(e.GetNodeName())
	c.Addresses = make(map[int32]string, len(e.GetIngressAddresses()))
	for port, address := range e.GetIngressAddresses() {
		c.Addresses[port] = Text(address)
	}
}

func usage(c *lifecycle.Change, e *armadaevents.ResourceUtilisation) {
	c.Kind = lifecycle.ReportUsage
	about(c, e)
	pod(c, []*armadaevents.KubernetesResourceInfo{e.GetResourceInfo()})
	c.Usage = &armada.Usage{
		Max: amounts(e.GetMaxResourcesForPeriod()), Average: amounts(e.GetAvgResourcesForPeriod()), Cumulative: amounts(e.GetTotalCumulativeUsage()),
	}
}
