package main

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	"armada/pkg/api/lookout"
)

func job(i int) string { return fmt.Sprintf("01jd000000000000000000000%d", i) }

func at(seconds float64) *timestamppb.Timestamp {
	return timestamppb.New(noon.Add(-time.Minute + time.Duration(seconds*float64(time.Second))))
}

// history is every kind of event, and ends with every job ended.
func history() []*api.EventMessage {
	a, b, c := job(0), job(1), job(2)
	var all []*api.EventMessage
	for i, id := range []string{a, b, c} {
		all = append(all,
			&api.EventMessage{Events: &api.EventMessage_Submitted{Submitted: &api.JobSubmittedEvent{JobId: id, Created: at(0), Job: &api.Job{Priority: float64(i)}}}},
			&api.EventMessage{Events: &api.EventMessage_Queued{Queued: &api.JobQueuedEvent{JobId: id, Created: at(0)}}})
	}
	return append(all,
		&api.EventMessage{Events: &api.EventMessage_Leased{Leased: &api.JobLeasedEvent{JobId: a, Created: at(1), ClusterId: "local", Pool: "default"}}},
		&api.EventMessage{Events: &api.EventMessage_LeaseReturned{LeaseReturned: &api.JobLeaseReturnedEvent{JobId: a, Created: at(1.5), ClusterId: "local", Reason: "no room"}}},
		&api.EventMessage{Events: &api.EventMessage_LeaseExpired{LeaseExpired: &api.JobLeaseExpiredEvent{JobId: a, Created: at(2)}}},
		&api.EventMessage{Events: &api.EventMessage_Pending{Pending: &api.JobPendingEvent{JobId: a, Created: at(2), ClusterId: "local", PodName: "armada-a-0"}}},
		&api.EventMessage{Events: &api.EventMessage_Running{Running: &api.JobRunningEvent{JobId: a, Created: at(2.25), NodeName: "node-1", PodName: "armada-a-0"}}},
		&api.EventMessage{Events: &api.EventMessage_Utilisation{Utilisation: &api.JobUtilisationEvent{
			JobId: a, Created: at(2.5),
			MaxResourcesForPeriod: map[string]*resource.Quantity{"cpu": {String_: proto.String("1500m")}, "memory": {String_: proto.String("1536Mi")}},
		}}},
		&api.EventMessage{Events: &api.EventMessage_IngressInfo{IngressInfo: &api.JobIngressInfoEvent{JobId: a, Created: at(2.5), IngressAddresses: map[int32]string{80: "a.example.com"}}}},
		&api.EventMessage{Events: &api.EventMessage_Succeeded{Succeeded: &api.JobSucceededEvent{JobId: a, Created: at(3), NodeName: "node-1"}}},
		&api.EventMessage{Events: &api.EventMessage_Reprioritizing{Reprioritizing: &api.JobReprioritizingEvent{JobId: b, Created: at(3), NewPriority: 7, Requestor: "alice"}}},
		&api.EventMessage{Events: &api.EventMessage_Reprioritized{Reprioritized: &api.JobReprioritizedEvent{JobId: b, Created: at(3), NewPriority: 7, Requestor: "alice"}}},
		&api.EventMessage{Events: &api.EventMessage_Failed{Failed: &api.JobFailedEvent{
			JobId: b, Created: at(4), Reason: "out of\n\x1b[31mmemory", Retryable: true, NodeName: "node-1", Cause: api.Cause_OOM,
		}}},
		&api.EventMessage{Events: &api.EventMessage_Preempting{Preempting: &api.JobPreemptingEvent{JobId: b, Created: at(5), Requestor: "bob", Reason: "room"}}},
		&api.EventMessage{Events: &api.EventMessage_Preempted{Preempted: &api.JobPreemptedEvent{JobId: b, Created: at(5), PreemptingJobId: c}}},
		&api.EventMessage{Events: &api.EventMessage_Failed{Failed: &api.JobFailedEvent{
			JobId: b, Created: at(5), Reason: "container main ended with exit code 3", NodeName: "node-1",
			ContainerStatuses: []*api.ContainerStatus{{Name: "main", ExitCode: 3}, {Name: "side", ExitCode: 0}},
		}}},
		&api.EventMessage{Events: &api.EventMessage_Cancelling{Cancelling: &api.JobCancellingEvent{JobId: c, Created: at(6), Requestor: "alice", Reason: "enough"}}},
		&api.EventMessage{Events: &api.EventMessage_Cancelled{Cancelled: &api.JobCancelledEvent{JobId: c, Created: at(7.001), Requestor: "alice", Reason: "enough"}}},
	)
}

// jobs are those of the history, before the last was cancelled.
func jobs() []*lookout.Job {
	three := int32(3)
	return []*lookout.Job{
		{JobId: job(2), Queue: "demo", JobSet: "first", State: api.JobState_QUEUED, Priority: 2, Submitted: at(0), Reason: "no node has 8 free cpu"},
		{
			JobId: job(1), Queue: "demo", JobSet: "first", Owner: "alice", Namespace: "default", State: api.JobState_FAILED, Priority: 7,
			PriorityClass: "armada-default", Resources: map[string]string{"memory": "1Gi", "cpu": "1"}, Annotations: map[string]string{"a": "b"},
			Submitted: at(0), LastTransition: at(5), Reason: "container main ended with exit code 3",
			Runs: []*lookout.Run{
				{RunId: "r1", Executor: "local", Pool: "default", Node: "node-1", State: api.JobRunState_RUNS_STATE_LEASE_RETURNED, Leased: at(1), Finished: at(1.5), Reason: "no room"},
				{
					RunId: "r2", Executor: "local", Pool: "default", Node: "node-1", State: api.JobRunState_RUN_STATE_FAILED,
					Leased: at(2), Pending: at(2), Started: at(2.25), Finished: at(5), ExitCode: &three, Category: "user", Subcategory: "exit",
					Containers: []*lookout.Container{{Name: "main", ExitCode: 3, Reason: "Error", Message: "it broke"}, {Name: "side", Reason: "Completed"}},
				},
			},
		},
		{JobId: job(0), Queue: "demo", JobSet: "first", State: api.JobState_SUCCEEDED, Submitted: at(-200000), Runs: []*lookout.Run{{Node: "node-1"}}},
	}
}
