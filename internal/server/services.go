package server

import (
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/lookout"
	"armada/pkg/api/peers"
	"armada/pkg/api/schedulerobjects"
)

// register registers every service of the wire. One whose part the deps lack
// answers UNIMPLEMENTED with the method's name.
func register(r grpc.ServiceRegistrar, config Config, deps Deps, health *health, stopping <-chan struct{}) {
	shared := &queues{auth: deps.Authorizer, store: deps.Store, rules: deps.Rules, now: deps.now()}
	specs := newDecoded(deps.Store, config.PodSpecCacheBytes)

	changing := &changes{auth: deps.Authorizer, store: deps.Store, rules: deps.Rules}
	picks := &picking{changes: changing}

	submit := &submitService{
		queues: shared, changes: changing,
		auth: deps.Authorizer, store: deps.Store, specs: newSpecs(deps.Rules, config.PodSpecCacheBytes), ids: newIDs(deps.now()),
		most: config.MaxJobsPerRequest, health: health,
	}
	submit.register(r)
	api.RegisterQueueServiceServer(r, &queueService{queues: shared, picking: picks})
	api.RegisterRetryPolicyServiceServer(r, &policyService{auth: deps.Authorizer, store: deps.Store})
	events := &eventService{
		auth: deps.Authorizer, store: deps.Store, submitted: &submitted{store: deps.Store, specs: specs}, stopping: stopping, health: health,
		now: deps.now(),
	}
	if deps.Executors2020 != nil {
		events.reports = deps.Executors2020
		api.RegisterAggregatedQueueServer(r, deps.Executors2020)
		api.RegisterUsageServer(r, deps.Executors2020)
	} else {
		api.RegisterAggregatedQueueServer(r, api.UnimplementedAggregatedQueueServer{})
		api.RegisterUsageServer(r, api.UnimplementedUsageServer{})
	}
	api.RegisterEventServer(r, events)
	api.RegisterJobsServer(r, &jobsService{auth: deps.Authorizer, store: deps.Store, specs: specs, most: config.MaxIDsPerQuery})
	looking := &lookoutService{
		auth: deps.Authorizer, store: deps.Store, table: deps.Rules.Table(), specs: specs,
		changes: &jobChanges{store: deps.Store}, stopping: stopping, now: deps.now(),
	}
	if deps.Peers != nil {
		looking.logs, looking.commands, looking.explains, looking.shares = deps.Peers, deps.Peers, deps.Peers, deps.Peers
		peers.RegisterPeersServer(r, deps.Peers.Service())
	} else {
		peers.RegisterPeersServer(r, peers.UnimplementedPeersServer{})
	}
	if deps.Executors != nil {
		looking.leases = deps.Executors
		executorapi.RegisterExecutorApiServer(r, deps.Executors)
		executorapi.RegisterExecutorAgentServer(r, deps.Executors)
	} else {
		executorapi.RegisterExecutorApiServer(r, executorapi.UnimplementedExecutorApiServer{})
		executorapi.RegisterExecutorAgentServer(r, executorapi.UnimplementedExecutorAgentServer{})
	}
	lookout.RegisterLookoutServer(r, looking)
	healthpb.RegisterHealthServer(r, health.grpc)

	api.RegisterExecutorServer(r, &executorService{picking: picks})
	api.RegisterNodeServer(r, &nodeService{picking: picks})
	binoculars.RegisterBinocularsServer(r, &binocularsService{looking: looking})
	schedulerobjects.RegisterSchedulerReportingServer(r, &reportService{looking: looking, peers: deps.Peers})
}
