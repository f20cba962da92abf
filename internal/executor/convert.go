package executor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/runs"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// order reads a lease. The second answer are the runs that must have ended
// before this one starts. With an error there is an order still if the lease
// says which run it is for, so that it can be given back.
func order(l *executorapi.JobRunLease) (*runs.Order, []armada.RunID, error) {
	run := armada.RunID(l.GetJobRunId())
	known, ok := run.Job()
	if !ok {
		return nil, nil, fmt.Errorf("a lease names no run: job_run_id is %q", run)
	}
	job, meta := l.GetJob(), l.GetJob().GetObjectMeta()
	spec := job.GetMainObject().GetPodSpec().GetPodSpec()
	if spec == nil {
		return &runs.Order{Run: run, Job: known, Node: l.GetNodeName()}, nil, errors.New("the lease has no job.mainObject.pod_spec")
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec)
	if err != nil {
		return &runs.Order{Run: run, Job: known, Node: l.GetNodeName()}, nil, fmt.Errorf("encoding the pod spec: %w", err)
	}
	var after []armada.RunID
	for _, run := range l.GetAfterRunIds() {
		after = append(after, armada.RunID(run))
	}
	objects, err := objects(job.GetObjects())
	if err != nil {
		return &runs.Order{Run: run, Job: known, Node: l.GetNodeName()}, nil, err
	}
	return &runs.Order{
		Run:         run,
		Job:         known,
		Queue:       l.GetQueue(),
		JobSet:      armada.JobSet(l.GetJobset()),
		Owner:       l.GetUser(),
		Groups:      l.GetGroups(),
		Node:        l.GetNodeName(),
		Pool:        l.GetPool(),
		Namespace:   meta.GetNamespace(),
		Labels:      meta.GetLabels(),
		Annotations: meta.GetAnnotations(),
		Spec:        raw,
		Objects:     objects,
	}, after, nil
}

// objects reads what is to be made beside the pod.
func objects(list []*armadaevents.KubernetesObject) ([]runs.Object, error) {
	var objects []runs.Object
	for i, from := range list {
		meta := from.GetObjectMeta()
		o := runs.Object{Name: meta.GetName(), Labels: meta.GetLabels(), Annotations: meta.GetAnnotations()}
		var spec proto.Message
		var into *[]byte
		switch {
		case from.GetService() != nil:
			spec, into = from.GetService(), &o.Service
		case from.GetIngress() != nil:
			spec, into = from.GetIngress(), &o.Ingress
		default:
			return nil, fmt.Errorf("job.objects[%d] of the lease is neither a service nor an ingress", i)
		}
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec)
		if err != nil {
			return nil, fmt.Errorf("encoding job.objects[%d]: %w", i, err)
		}
		*into = raw
		objects = append(objects, o)
	}
	return objects, nil
}

// nodeInfo describes a node to the server.
func nodeInfo(n *armada.Node, table armada.ResourceTable) *executorapi.NodeInfo {
	info := &executorapi.NodeInfo{
		Name:                 n.Name,
		Labels:               n.Labels,
		AllocatableResources: quantities(n.Allocatable, table),
		TotalResources:       quantities(n.Allocatable, table),
		Unschedulable:        n.Unschedulable,
		NodeType:             n.Type,
		Pool:                 n.Pool,
	}
	for _, t := range n.Taints {
		info.Taints = append(info.Taints, &corev1.Taint{Key: proto.String(t.Key), Value: proto.String(t.Value), Effect: proto.String(string(t.Effect))})
	}
	if len(n.Others) > 0 {
		info.NonArmadaAllocatedResources = map[int32]*executorapi.ComputeResource{}
		for _, o := range n.Others {
			info.NonArmadaAllocatedResources[o.Priority] = &executorapi.ComputeResource{Resources: quantities(o.Used, table)}
		}
	}
	return info
}

func quantities(amounts armada.Resources, table armada.ResourceTable) map[string]*resource.Quantity {
	m := make(map[string]*resource.Quantity, table.Len())
	for i := range table.Len() {
		text := strconv.FormatInt(amounts[i], 10)
		if table.At(i).Milli {
			text += "m"
		}
		m[table.At(i).Name] = &resource.Quantity{String_: &text}
	}
	return m
}

func equalNodes(a, b []*executorapi.NodeInfo) bool {
	return slices.EqualFunc(a, b, func(x, y *executorapi.NodeInfo) bool { return proto.Equal(x, y) })
}

// sequences turns reports into event sequences, one per neighbouring reports of
// a job set.
func sequences(reports []report, pool string) []*armadaevents.EventSequence {
	var list []*armadaevents.EventSequence
	for i := range reports {
		r := &reports[i]
		var last *armadaevents.EventSequence
		if len(list) > 0 {
			last = list[len(list)-1]
		}
		if last == nil || last.GetQueue() != r.status.Queue || last.GetJobSetName() != string(r.status.JobSet) {
			last = &armadaevents.EventSequence{Queue: r.status.Queue, JobSetName: string(r.status.JobSet)}
			list = append(list, last)
		}
		last.Events = append(last.Events, events(r, pool)...)
	}
	return list
}

// events tells what the server does not know yet of one run, in order.
func events(r *report, pool string) []*armadaevents.EventSequence_Event {
	s := &r.status
	var list []*armadaevents.EventSequence_Event
	add := func(at time.Time, e *armadaevents.EventSequence_Event) {
		if !at.IsZero() {
			e.Created = timestamppb.New(at)
		}
		list = append(list, e)
	}
	if r.known < runs.Pending && !s.Pending.IsZero() {
		add(s.Pending, &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunAssigned{
			JobRunAssigned: &armadaevents.JobRunAssigned{JobId: string(s.Job), RunId: string(s.Run), ResourceInfos: podInfo(s), Pool: pool},
		}})
	}
	if r.known < runs.Running && !s.Running.IsZero() {
		add(s.Running, &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunRunning{
			JobRunRunning: &armadaevents.JobRunRunning{JobId: string(s.Job), RunId: string(s.Run), ResourceInfos: podInfo(s), Pool: pool},
		}})
	}
	if r.stuck {
		add(time.Time{}, stuck(s))
	}
	if r.reached {
		add(s.Running, &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_StandaloneIngressInfo{StandaloneIngressInfo: addresses(s)}})
	}
	if r.usage != nil {
		add(time.Time{}, utilisation(s, r.usage))
	}
	if s.Phase.Ended() {
		add(s.Ended, ending(r))
	}
	return list
}

// addresses tells where the ports of a run are reached.
func addresses(s *runs.Status) *armadaevents.StandaloneIngressInfo {
	info := &armadaevents.StandaloneIngressInfo{
		JobId: string(s.Job), RunId: string(s.Run), NodeName: s.Node, PodNumber: s.Pod.Number,
		PodName: s.Pod.Name, PodNamespace: s.Pod.Namespace, ObjectMeta: objectMeta(s), IngressAddresses: map[int32]string{},
	}
	for port, address := range s.Addresses {
		info.IngressAddresses[int32(port)] = address
	}
	return info
}

// stuck tells why a run does not begin, or by an empty message that it gets on.
func stuck(s *runs.Status) *armadaevents.EventSequence_Event {
	return &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunStuck{
		JobRunStuck: &armadaevents.JobRunStuck{JobId: string(s.Job), RunId: string(s.Run), Message: text(s.Stuck)},
	}}
}

// utilisation tells what a run has used.
func utilisation(s *runs.Status, u *armada.Usage) *armadaevents.EventSequence_Event {
	amounts := func(of map[string]string) map[string]*resource.Quantity {
		m := make(map[string]*resource.Quantity, len(of))
		for name, text := range of {
			m[name] = &resource.Quantity{String_: &text}
		}
		return m
	}
	return &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_ResourceUtilisation{
		ResourceUtilisation: &armadaevents.ResourceUtilisation{
			JobId: string(s.Job), RunId: string(s.Run), ResourceInfo: podInfo(s)[0],
			MaxResourcesForPeriod: amounts(u.Max), AvgResourcesForPeriod: amounts(u.Average), TotalCumulativeUsage: amounts(u.Cumulative),
		},
	}}
}

// ending tells how a run ended.
func ending(r *report) *armadaevents.EventSequence_Event {
	s := &r.status
	switch {
	case s.Phase == runs.Succeeded:
		return &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunSucceeded{
			JobRunSucceeded: &armadaevents.JobRunSucceeded{JobId: string(s.Job), RunId: string(s.Run), ResourceInfos: podInfo(s)},
		}}
	case s.Phase == runs.Unknown:
		return &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunOutcomeUnknown{
			JobRunOutcomeUnknown: &armadaevents.JobRunOutcomeUnknown{JobId: string(s.Job), RunId: string(s.Run), Message: text(s.End.Reason)},
		}}
	case s.Phase == runs.Stopped && r.returned == nil:
		return &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunCancelled{
			JobRunCancelled: &armadaevents.JobRunCancelled{JobId: string(s.Job), RunId: string(s.Run), Reason: text(s.End.Reason)},
		}}
	default:
		return &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunErrors{
			JobRunErrors: &armadaevents.JobRunErrors{JobId: string(s.Job), RunId: string(s.Run), Errors: []*armadaevents.Error{failure(r)}},
		}}
	}
}

func failure(r *report) *armadaevents.Error {
	s := &r.status
	if back := r.returned; back != nil {
		e := &armadaevents.Error{Terminal: true, Reason: &armadaevents.Error_PodLeaseReturned{PodLeaseReturned: &armadaevents.PodLeaseReturned{
			ObjectMeta: objectMeta(s), Message: text(back.reason), RunAttempted: back.attempted,
		}}, FailureCategory: s.End.Category, FailureSubcategory: s.End.Subcategory}
		if back.subcategory != "" {
			e.FailureCategory, e.FailureSubcategory = armada.CategoryInternal, back.subcategory
		}
		return e
	}
	pod := &armadaevents.PodError{
		ObjectMeta: objectMeta(s), Message: text(s.End.Reason), NodeName: s.Node, PodNumber: s.Pod.Number,
		KubernetesReason: kubernetesReason(s.End.Cause), DebugMessage: text(s.End.Debug),
	}
	for _, c := range s.End.Containers {
		pod.ContainerErrors = append(pod.ContainerErrors, &armadaevents.ContainerError{
			ObjectMeta: &armadaevents.ObjectMeta{Name: c.Name}, ExitCode: c.ExitCode,
			Message: text(c.Message), Reason: text(c.Reason), KubernetesReason: kubernetesReason(c.Cause),
		})
	}
	return &armadaevents.Error{
		Terminal: true, Reason: &armadaevents.Error_PodError{PodError: pod},
		FailureCategory: s.End.Category, FailureSubcategory: s.End.Subcategory,
	}
}

func podInfo(s *runs.Status) []*armadaevents.KubernetesResourceInfo {
	return []*armadaevents.KubernetesResourceInfo{{
		ObjectMeta: objectMeta(s),
		Info:       &armadaevents.KubernetesResourceInfo_PodInfo{PodInfo: &armadaevents.PodInfo{NodeName: s.Node, PodNumber: s.Pod.Number}},
	}}
}

func objectMeta(s *runs.Status) *armadaevents.ObjectMeta {
	return &armadaevents.ObjectMeta{Namespace: s.Pod.Namespace, Name: s.Pod.Name, KubernetesId: s.Pod.KubernetesID}
}

func kubernetesReason(c armada.Cause) armadaevents.KubernetesReason {
	switch c {
	case armada.CauseEvicted:
		return armadaevents.KubernetesReason_Evicted
	case armada.CauseOutOfMemory:
		return armadaevents.KubernetesReason_OOM
	case armada.CauseDeadlineExceeded:
		return armadaevents.KubernetesReason_DeadlineExceeded
	case armada.CauseError, armada.CauseRejected:
		return armadaevents.KubernetesReason_AppError
	}
	return armadaevents.KubernetesReason_AppError
}

// text makes a string fit for the wire: jobs may print anything.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
