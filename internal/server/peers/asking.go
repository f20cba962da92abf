package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/runs"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
	peersapi "armada/pkg/api/peers"
)

// patience is how long the leader may take to say why jobs wait: whoever asked
// for the jobs is better served without it than late.
const patience = time.Second

// Waits tells in words why each of the queued jobs waits, the most hopeful pool
// first, and what its next attempt does otherwise; empty for a job of which nobody
// can be asked.
func (p *Peers) Waits(ctx context.Context, jobs []armada.Job) []string {
	reasons := p.waits(ctx, jobs)
	for i := range reasons {
		if otherwise := jobs[i].Lessons.String(); reasons[i] != "" && otherwise != "" {
			reasons[i] += "; " + otherwise
		}
	}
	return reasons
}

func (p *Peers) waits(ctx context.Context, jobs []armada.Job) []string {
	if p.parts.Explanations.Leading() {
		return explain(p.parts.Explanations, jobs)
	}
	leader := p.parts.Leader().Replica
	if len(jobs) == 0 || leader.Addr == "" || leader.Name == p.parts.Replica {
		return make([]string, len(jobs))
	}
	request := &peersapi.WaitsRequest{Jobs: make([]*peersapi.Job, len(jobs))}
	for i, j := range jobs {
		request.Jobs[i] = &peersapi.Job{Queue: j.Queue, JobSet: string(j.JobSet), Shape: string(j.Lessons.Shape(j.Shape)), Gang: j.Gang.ID}
	}
	reasons, err := p.askLeader(ctx, leader.Addr, request)
	if err != nil {
		p.parts.Log.Info("the leader does not say why jobs wait", "replica", leader.Name, "addr", leader.Addr, "error", err)
		return make([]string, len(jobs))
	}
	return reasons
}

// Standing tells where a queued job stands; nil when nobody can be asked, or when
// it does not wait any more.
func (p *Peers) Standing(ctx context.Context, job armada.Job) *lookout.Standing {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if p.parts.Explanations.Leading() {
		if s, known := p.parts.Explanations.Standing(ctx, job); known {
			return wire.Standing(s)
		}
		return nil
	}
	leader := p.parts.Leader().Replica
	if leader.Addr == "" || leader.Name == p.parts.Replica {
		return nil
	}
	conn, err := p.toLeader(leader.Addr)
	if err != nil {
		return nil
	}
	s, err := peersapi.NewPeersClient(conn).Standing(ctx, &peersapi.StandingRequest{JobId: string(job.ID), Queue: job.Queue})
	if err != nil {
		p.parts.Log.Info("the leader does not say where a job stands", "replica", leader.Name, "addr", leader.Addr, "error", err)
		return nil
	}
	return s
}

func (p *Peers) askLeader(ctx context.Context, addr string, request *peersapi.WaitsRequest) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := p.toLeader(addr)
	if err != nil {
		return nil, err
	}
	answer, err := peersapi.NewPeersClient(conn).Waits(ctx, request)
	if err != nil {
		return nil, err
	}
	if got, want := len(answer.GetReasons()), len(request.GetJobs()); got != want {
		return nil, fmt.Errorf("%d reasons for %d jobs", got, want)
	}
	return answer.GetReasons(), nil
}

// toLeader returns a connection to the leader's address, which is kept until
// another one leads.
func (p *Peers) toLeader(addr string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leader != nil && p.addr == addr {
		return p.leader, nil
	}
	conn, err := p.dial(addr)
	if err != nil {
		return nil, err
	}
	if p.leader != nil {
		_ = p.leader.Close()
	}
	p.leader, p.addr = conn, addr
	return conn, nil
}

// Logs calls visit with the lines of a run, oldest first, from whichever replica
// holds the executor's stream. NotFound when the log is gone, Unavailable when
// the executor or its replica cannot be reached, Precondition when it is one that
// gives no logs.
func (p *Peers) Logs(ctx context.Context, id armada.ExecutorID, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	if p.parts.Executors.Holds(id) {
		return p.parts.Executors.Logs(ctx, id, run, q, visit)
	}
	e, err := p.holder(ctx, id, "keeps the log")
	if err != nil {
		return err
	}
	if e.Kind != armada.ExecutorNative {
		return &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("the log is not to be had through the server, since executor %q is one of the original", id)}
	}
	conn, err := p.dial(e.ReplicaAddr)
	if err != nil {
		return unavailable("executor %q is connected to replica %q, whose address %q cannot be used: %v", id, e.Replica, e.ReplicaAddr, err)
	}
	defer func() { _ = conn.Close() }()
	err = readLogs(ctx, conn, &peersapi.LogsRequest{Executor: string(id), Log: wire.LogsRequest(run, q)}, visit)
	if status.Code(err) == codes.Unavailable {
		return unavailable("executor %q is connected to replica %q, and the log cannot be read from there (%s): %s", id, e.Replica, e.ReplicaAddr, status.Convert(err).Message())
	}
	return err
}

// holder returns an executor of the original, or one with the other replica that
// holds its stream. What it has is for the error when it is not connected.
func (p *Peers) holder(ctx context.Context, id armada.ExecutorID, has string) (armada.Executor, error) {
	e, err := p.parts.Executor(ctx, id)
	switch {
	case armada.CodeOf(err) == armada.CodeNotFound:
		return e, notConnected(id, has)
	case err != nil:
		return e, fmt.Errorf("look for the replica of executor %q: %w", id, err)
	case e.Kind == armada.ExecutorNative && (e.Replica == p.parts.Replica || e.ReplicaAddr == ""):
		return e, notConnected(id, has)
	}
	return e, nil
}

func readLogs(ctx context.Context, conn *grpc.ClientConn, r *peersapi.LogsRequest, visit func(runs.LogLine) error) error {
	lines, err := peersapi.NewPeersClient(conn).Logs(ctx, r)
	if err != nil {
		return err
	}
	for {
		line, err := lines.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		if err := visit(wire.ReadLogLine(line)); err != nil {
			return err
		}
	}
}

// dial prepares a connection to another replica. A link that is dead is noticed
// within the sum of both times.
func (p *Peers) dial(addr string) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if p.parts.TLS != nil {
		security = credentials.NewTLS(p.parts.TLS)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithDisableServiceConfig(),
	}
	if p.parts.Authorization != "" {
		options = append(options, grpc.WithPerRPCCredentials(authorization(p.parts.Authorization)))
	}
	return grpc.NewClient("passthrough:///"+addr, options...)
}

// authorization is what replicas say in the header of that name.
type authorization string

// GetRequestMetadata returns the header.
func (a authorization) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(a)}, nil
}

// RequireTransportSecurity leaves it to the config whether replicas encrypt.
func (authorization) RequireTransportSecurity() bool { return false }
