package peers

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/runs"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
	peersapi "armada/pkg/api/peers"
)

// answers is the service that other replicas call.
type answers struct {
	peersapi.UnimplementedPeersServer

	parts *Parts
}

// Service returns the service that other replicas call.
func (p *Peers) Service() peersapi.PeersServer { return &answers{parts: &p.parts} }

// Logs sends the log of a run from an executor whose stream is held here.
func (a *answers) Logs(r *peersapi.LogsRequest, stream grpc.ServerStreamingServer[lookout.LogLine]) error {
	id := armada.ExecutorID(r.GetExecutor())
	if !a.parts.Executors.Holds(id) {
		return notConnected(id, "keeps the log")
	}
	query, run := wire.LogQuery(r.GetLog()), armada.RunID(r.GetLog().GetRunId())
	return a.parts.Executors.Logs(stream.Context(), id, run, query, func(l runs.LogLine) error {
		return stream.Send(wire.LogLine(l))
	})
}

// Waits says why jobs wait, as the leader.
func (a *answers) Waits(_ context.Context, r *peersapi.WaitsRequest) (*peersapi.WaitsResponse, error) {
	if !a.parts.Explanations.Leading() {
		return nil, unavailable("replica %q does not lead", a.parts.Replica)
	}
	jobs := make([]armada.Job, len(r.GetJobs()))
	for i, j := range r.GetJobs() {
		jobs[i] = armada.Job{State: armada.JobQueued, Queue: j.GetQueue(), JobSet: armada.JobSet(j.GetJobSet()), Shape: armada.ShapeID(j.GetShape())}
		jobs[i].Gang.ID = j.GetGang()
	}
	return &peersapi.WaitsResponse{Reasons: explain(a.parts.Explanations, jobs)}, nil
}

// Standing tells where a job stands, as the leader.
func (a *answers) Standing(ctx context.Context, r *peersapi.StandingRequest) (*lookout.Standing, error) {
	if !a.parts.Explanations.Leading() {
		return nil, unavailable("replica %q does not lead", a.parts.Replica)
	}
	job := armada.Job{ID: armada.JobID(r.GetJobId()), Queue: r.GetQueue(), State: armada.JobQueued}
	standing, known := a.parts.Explanations.Standing(ctx, job)
	if !known {
		return nil, &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("job %q does not wait", r.GetJobId())}
	}
	return wire.Standing(standing), nil
}

// explain tells in words why each of the jobs waits: with several pools the
// reason of each, the most hopeful first.
func explain(known Explanations, jobs []armada.Job) []string {
	words := make([]string, len(jobs))
	for i := range jobs {
		reasons := known.Reasons(jobs[i])
		each := make([]string, len(reasons))
		for r, reason := range reasons {
			each[r] = reason.String()
			if len(reasons) > 1 {
				each[r] = "pool " + reason.Pool + ": " + each[r]
			}
		}
		words[i] = strings.Join(each, "; ")
	}
	return words
}

func notConnected(id armada.ExecutorID, has string) error {
	return unavailable("executor %q, which %s, is not connected", id, has)
}

func unavailable(format string, args ...any) error {
	return &armada.Error{Code: armada.CodeUnavailable, Message: fmt.Sprintf(format, args...)}
}
