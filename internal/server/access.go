package server

import (
	"context"
	"fmt"
	"strings"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	olderpb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"armada"
	"armada/internal/auth"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/lookout"
	"armada/pkg/api/peers"
	"armada/pkg/api/schedulerobjects"
)

// access is what a method takes of its caller.
type access struct {
	kind callKind // how its calls count, and whether they change something
	// verb is the right that a call takes. It is empty where every caller will do
	// whom the server knows, who sees in the answer what it may see and nothing else.
	verb armada.Verb
	// unsigned lets in callers without credentials, so that whoever looks whether a
	// server is alive needs none.
	unsigned bool
}

// methods is the one list of methods. A call of one that is not in it is refused,
// so that none can be open because it was forgotten here. REST calls are calls of
// these methods. What a verb takes is said by auth.Rules.
var methods = map[string]access{
	api.Submit_SubmitJobs_FullMethodName:       {kind: callSubmit, verb: armada.VerbSubmit},
	api.Submit_CancelJobs_FullMethodName:       {kind: callChange, verb: armada.VerbCancel},
	api.Submit_CancelJobSet_FullMethodName:     {kind: callChange, verb: armada.VerbCancel},
	api.Submit_ReprioritizeJobs_FullMethodName: {kind: callChange, verb: armada.VerbReprioritize},
	api.Submit_PreemptJobs_FullMethodName:      {kind: callChange, verb: armada.VerbPreempt},
	api.Submit_CreateQueue_FullMethodName:      {kind: callChange, verb: auth.VerbCreateQueue},
	api.Submit_CreateQueues_FullMethodName:     {kind: callChange, verb: auth.VerbCreateQueue},
	api.Submit_UpdateQueue_FullMethodName:      {kind: callChange, verb: auth.VerbCreateQueue},
	api.Submit_UpdateQueues_FullMethodName:     {kind: callChange, verb: auth.VerbCreateQueue},
	api.Submit_DeleteQueue_FullMethodName:      {kind: callChange, verb: auth.VerbDeleteQueue},
	api.Submit_GetQueue_FullMethodName:         {kind: callAsk, verb: auth.VerbSeeQueues},
	api.Submit_GetQueues_FullMethodName:        {kind: callAsk},
	api.Submit_GetQueueInfo_FullMethodName:     {kind: callAsk, verb: auth.VerbSeeQueues},
	api.Submit_Health_FullMethodName:           {unsigned: true},

	api.QueueService_CreateQueue_FullMethodName:    {kind: callChange, verb: auth.VerbCreateQueue},
	api.QueueService_CreateQueues_FullMethodName:   {kind: callChange, verb: auth.VerbCreateQueue},
	api.QueueService_UpdateQueue_FullMethodName:    {kind: callChange, verb: auth.VerbCreateQueue},
	api.QueueService_UpdateQueues_FullMethodName:   {kind: callChange, verb: auth.VerbCreateQueue},
	api.QueueService_DeleteQueue_FullMethodName:    {kind: callChange, verb: auth.VerbDeleteQueue},
	api.QueueService_GetQueue_FullMethodName:       {kind: callAsk, verb: auth.VerbSeeQueues},
	api.QueueService_GetQueues_FullMethodName:      {kind: callAsk},
	api.QueueService_CordonQueue_FullMethodName:    {kind: callChange, verb: auth.VerbCordonQueue},
	api.QueueService_UncordonQueue_FullMethodName:  {kind: callChange, verb: auth.VerbCordonQueue},
	api.QueueService_CancelOnQueue_FullMethodName:  {kind: callChange, verb: armada.VerbCancel},
	api.QueueService_PreemptOnQueue_FullMethodName: {kind: callChange, verb: armada.VerbPreempt},

	api.RetryPolicyService_CreateRetryPolicy_FullMethodName: {kind: callChange, verb: auth.VerbCreateRetryPolicy},
	api.RetryPolicyService_UpdateRetryPolicy_FullMethodName: {kind: callChange, verb: auth.VerbUpdateRetryPolicy},
	api.RetryPolicyService_DeleteRetryPolicy_FullMethodName: {kind: callChange, verb: auth.VerbDeleteRetryPolicy},
	api.RetryPolicyService_GetRetryPolicy_FullMethodName:    {kind: callAsk},
	api.RetryPolicyService_GetRetryPolicies_FullMethodName:  {kind: callAsk},

	api.Event_GetJobSetEvents_FullMethodName: {kind: callAsk, verb: armada.VerbWatch},
	api.Event_Watch_FullMethodName:           {kind: callAsk, verb: armada.VerbWatch},
	api.Event_Health_FullMethodName:          {unsigned: true},

	api.Jobs_GetJobStatus_FullMethodName:                    {kind: callAsk},
	api.Jobs_GetJobDetails_FullMethodName:                   {kind: callAsk},
	api.Jobs_GetJobErrors_FullMethodName:                    {kind: callAsk},
	api.Jobs_GetJobRunDetails_FullMethodName:                {kind: callAsk},
	api.Jobs_GetActiveQueues_FullMethodName:                 {kind: callAsk},
	api.Jobs_GetJobStatusUsingExternalJobUri_FullMethodName: {kind: callAsk, verb: auth.VerbSeeJobs},

	api.Executor_UpsertExecutorSettings_FullMethodName: {kind: callChange, verb: auth.VerbUpdateExecutor},
	api.Executor_DeleteExecutorSettings_FullMethodName: {kind: callChange, verb: auth.VerbUpdateExecutor},
	api.Executor_DeleteExecutor_FullMethodName:         {kind: callChange, verb: auth.VerbUpdateExecutor},
	api.Executor_CancelOnExecutor_FullMethodName:       {kind: callChange, verb: armada.VerbCancel},
	api.Executor_PreemptOnExecutor_FullMethodName:      {kind: callChange, verb: armada.VerbPreempt},
	api.Node_CancelOnNode_FullMethodName:               {kind: callChange, verb: armada.VerbCancel},
	api.Node_PreemptOnNode_FullMethodName:              {kind: callChange, verb: armada.VerbPreempt},
	binoculars.Binoculars_Cordon_FullMethodName:        {kind: callChange, verb: auth.VerbCordonNodes},
	binoculars.Binoculars_Logs_FullMethodName:          {kind: callAsk, verb: armada.VerbWatch},

	lookout.Lookout_GetJobs_FullMethodName:       {kind: callAsk},
	lookout.Lookout_GetJob_FullMethodName:        {kind: callAsk, verb: armada.VerbWatch},
	lookout.Lookout_GetJobSpec_FullMethodName:    {kind: callAsk, verb: armada.VerbWatch},
	lookout.Lookout_CountJobs_FullMethodName:     {kind: callAsk},
	lookout.Lookout_GroupJobs_FullMethodName:     {kind: callAsk},
	lookout.Lookout_ListJobSets_FullMethodName:   {kind: callAsk},
	lookout.Lookout_ListQueues_FullMethodName:    {kind: callAsk},
	lookout.Lookout_ListExecutors_FullMethodName: {kind: callAsk},
	lookout.Lookout_GetLogs_FullMethodName:       {kind: callAsk, verb: armada.VerbWatch},
	lookout.Lookout_WatchJobs_FullMethodName:     {kind: callAsk},
	lookout.Lookout_Exec_FullMethodName:          {kind: callChange, verb: armada.VerbExec},

	schedulerobjects.SchedulerReporting_GetSchedulingReport_FullMethodName: {kind: callAsk, verb: armada.VerbWatch},
	schedulerobjects.SchedulerReporting_GetQueueReport_FullMethodName:      {kind: callAsk, verb: armada.VerbWatch},
	schedulerobjects.SchedulerReporting_GetJobReport_FullMethodName:        {kind: callAsk, verb: armada.VerbWatch},

	// What executors of all years call.
	executorapi.ExecutorApi_LeaseJobRuns_FullMethodName: {verb: auth.VerbExecuteJobs},
	executorapi.ExecutorApi_ReportEvents_FullMethodName: {verb: auth.VerbExecuteJobs},
	executorapi.ExecutorAgent_SendLogs_FullMethodName:   {verb: auth.VerbExecuteJobs},
	executorapi.ExecutorAgent_Exec_FullMethodName:       {verb: auth.VerbExecuteJobs},
	api.AggregatedQueue_LeaseJobs_FullMethodName:        {verb: auth.VerbExecuteJobs},
	api.AggregatedQueue_RenewLease_FullMethodName:       {verb: auth.VerbExecuteJobs},
	api.AggregatedQueue_ReturnLease_FullMethodName:      {verb: auth.VerbExecuteJobs},
	api.AggregatedQueue_ReportDone_FullMethodName:       {verb: auth.VerbExecuteJobs},
	api.Usage_ReportUsage_FullMethodName:                {verb: auth.VerbExecuteJobs},
	api.Event_Report_FullMethodName:                     {verb: auth.VerbExecuteJobs},
	api.Event_ReportMultiple_FullMethodName:             {verb: auth.VerbExecuteJobs},

	peers.Peers_Logs_FullMethodName:        {verb: auth.VerbAskReplica},
	peers.Peers_Exec_FullMethodName:        {verb: auth.VerbAskReplica},
	peers.Peers_Waits_FullMethodName:       {verb: auth.VerbAskReplica},
	peers.Peers_Standing_FullMethodName:    {verb: auth.VerbAskReplica},
	peers.Peers_Shares_FullMethodName:      {verb: auth.VerbAskReplica},
	peers.Peers_QueueShares_FullMethodName: {verb: auth.VerbAskReplica},

	healthpb.Health_Check_FullMethodName:                              {unsigned: true},
	healthpb.Health_List_FullMethodName:                               {unsigned: true},
	healthpb.Health_Watch_FullMethodName:                              {unsigned: true},
	reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName: {},
	olderpb.ServerReflection_ServerReflectionInfo_FullMethodName:      {},
}

// let refuses a call of a method that is not listed, and one that takes a right
// which no queue gives and the caller does not have. Rights on a queue are looked
// at where it is known which queue that is.
func (c *calls) let(ctx context.Context, method string) error {
	takes, listed := methods[method]
	if !listed {
		return &armada.Error{Code: armada.CodeDenied, Message: fmt.Sprintf("nobody may call %s", strings.TrimPrefix(method, "/"))}
	}
	if takes.verb == "" || auth.GivenByQueues(takes.verb) {
		return nil
	}
	_, err := c.authorizer.Authorize(ctx, takes.verb, "")
	return err
}
