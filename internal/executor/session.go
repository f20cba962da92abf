package executor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"

	"armada"
	"armada/pkg/api/executorapi"
)

// protocol is the version of the session extensions that this agent speaks.
const protocol = 2

type stream = grpc.BidiStreamingClient[executorapi.LeaseRequest, executorapi.LeaseStreamMessage]

// keepSession opens one session after the other.
func (a *Agent) keepSession(ctx context.Context) error {
	pause := a.config.RetryMin
	for {
		began := time.Now()
		err := a.serveSession(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(began) > a.config.RetryMax {
			pause = a.config.RetryMin
		}
		jittered := pause/2 + rand.N(pause) // so that executors that failed together do not come back together
		a.log.Warn("the session ended", "error", err, "retry", jittered)
		if err := sleep(ctx, jittered); err != nil {
			return err
		}
		pause = min(2*pause, a.config.RetryMax)
	}
}

// errUnanswered ends a session whose requests the server does not answer.
var errUnanswered = errors.New("the server does not answer; a new session is opened")

// session is one life of the connection.
type session struct {
	id     armada.SessionID
	stream stream
	// answered receives when the request that was sent last is acknowledged.
	answered chan struct{}
	logs     sync.WaitGroup // answers to orders for logs
}

// serveSession opens a session and obeys it until it ends.
func (a *Agent) serveSession(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lease, err := a.api.LeaseJobRuns(ctx)
	if err != nil {
		return fmt.Errorf("opening the lease stream: %w", err)
	}
	s := &session{id: armada.SessionID(ulid.Make().String()), stream: lease, answered: make(chan struct{}, 1)}
	a.lease.begin()
	a.ledger.newSession()
	defer a.closeSession(s.id)

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		cancel(a.ask(ctx, s))
	}()
	err = a.obey(ctx, s)
	cancel(err)
	<-sent
	s.logs.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// ask tells the server what the agent has and holds: at once, whenever it
// should be known early, and at every heartbeat. A request is made only when
// the one before it was answered. The server depends on that: a run that it
// sent before its last answer and that is not in the next list was not
// delivered.
func (a *Agent) ask(ctx context.Context, s *session) error {
	tick := time.NewTicker(a.config.Heartbeat)
	defer tick.Stop()
	var last []*executorapi.NodeInfo
	for sequence := uint64(1); ; sequence++ {
		nodes, err := a.nodes(ctx)
		if err != nil {
			return err
		}
		request := &executorapi.LeaseRequest{
			ExecutorId: string(a.config.ID),
			Pool:       a.config.Pool,
			SessionId:  string(s.id),
			Sequence:   sequence,
			Protocol:   protocol,
			Runs:       a.ledger.ask(sequence),

			MinimumJobSize: quantities(a.config.MinimumJob, a.table),
		}
		if request.NodesUnchanged = sequence > 1 && equalNodes(nodes, last); !request.NodesUnchanged {
			request.Nodes, last = nodes, nodes
		}
		a.lease.requested(sequence, time.Now())
		if err := s.stream.Send(request); err != nil {
			return fmt.Errorf("sending request %d: %w", sequence, err)
		}
		if err := s.wait(ctx, a.config.Patience); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-a.hello.c:
		}
	}
}

// wait waits for the answer to the last request.
func (s *session) wait(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return errUnanswered
	case <-s.answered:
		return nil
	}
}

// nodes asks the runtime for its nodes. A draining executor closes them.
func (a *Agent) nodes(ctx context.Context) ([]*executorapi.NodeInfo, error) {
	nodes, err := a.runtime.Nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	infos := make([]*executorapi.NodeInfo, len(nodes))
	for i := range nodes {
		infos[i] = nodeInfo(&nodes[i], a.table)
		infos[i].Unschedulable = infos[i].GetUnschedulable() || a.draining.Load()
	}
	return infos, nil
}

// obey does what the server says until the stream ends. It waits for nothing
// else, so that an answer is heard when it arrives.
func (a *Agent) obey(ctx context.Context, s *session) error {
	for {
		message, err := s.stream.Recv()
		if err != nil {
			return fmt.Errorf("receiving from the server: %w", err)
		}
		switch event := message.GetEvent().(type) {
		case *executorapi.LeaseStreamMessage_Lease:
			a.leased(event.Lease)
		case *executorapi.LeaseStreamMessage_CancelRuns:
			for _, run := range event.CancelRuns.GetJobRunIdsToCancel() {
				a.stop(armada.RunID(run), 0)
			}
		case *executorapi.LeaseStreamMessage_PreemptRuns:
			for _, run := range event.PreemptRuns.GetJobRunIdsToPreempt() {
				a.stop(armada.RunID(run), 0)
			}
		case *executorapi.LeaseStreamMessage_Logs:
			s.logs.Go(func() { a.sendLogs(ctx, event.Logs) })
		case *executorapi.LeaseStreamMessage_Exec:
			// The next session does not wait for a command that dies slowly.
			a.commands.Go(func() { a.exec(ctx, event.Exec) })
		case *executorapi.LeaseStreamMessage_End:
			a.acknowledged(s, event.End)
		default: // a kind of a later protocol
		}
	}
}

// acknowledged renews the lease by an answer of the server.
func (a *Agent) acknowledged(s *session, end *executorapi.EndMarker) {
	length := time.Duration(end.GetLeaseMillis()) * time.Millisecond
	if !a.lease.acknowledged(end.GetAcknowledgedSequence(), length) {
		return
	}
	if length <= a.config.Margin {
		a.log.Warn("the server's lease is not longer than the margin; nothing can run", "lease", length, "margin", a.config.Margin)
	}
	a.ledger.asked(end.GetAcknowledgedSequence())
	a.openSession(s.id)
	s.answered <- struct{}{} // holds one, and one request is answered at a time
}

// openSession makes the session the one to report in, now that the server has
// answered in it.
func (a *Agent) openSession(id armada.SessionID) {
	a.mu.Lock()
	news := a.session != id
	a.session = id
	a.mu.Unlock()
	if news {
		a.log.Info("session opened", "session", id)
		a.news.raise()
	}
}

// closeSession notes that a session is over. Another one may be open already.
func (a *Agent) closeSession(id armada.SessionID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.session == id {
		a.session = ""
	}
}

// reportsIn returns the session to report in; empty when none is open.
func (a *Agent) reportsIn() armada.SessionID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.session
}

// leased takes a lease and has its run started, or holds it until its victims
// have ended.
func (a *Agent) leased(l *executorapi.JobRunLease) {
	o, after, err := order(l)
	if err != nil {
		a.log.Error("a lease cannot be read", "run", l.GetJobRunId(), "error", err)
		if o == nil {
			return
		}
	}
	queue, taken := a.ledger.take(o, after)
	switch {
	case !taken:
	case err != nil:
		a.giveBack(o.Run, giveBack{reason: err.Error()})
	case a.draining.Load():
		a.giveBack(o.Run, giveBack{reason: "the executor is stopping", subcategory: armada.SubcategoryDrained})
	case !a.lease.allows(a.config.Margin):
		a.giveBack(o.Run, leaseEnds)
	case queue:
		a.start(o.Run)
	}
}

// sleep waits, or returns the context's cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
