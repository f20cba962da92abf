package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"

	"armada"
	"armada/internal/runs"
	"armada/pkg/api/executorapi"
)

// protocol is the version of the session extensions that this agent speaks.
const protocol = 1

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
		a.log.Warn("the session ended", "error", err, "retry", pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, a.config.RetryMax)
	}
}

// serveSession opens a session and obeys it until it ends.
func (a *Agent) serveSession(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lease, err := a.api.LeaseJobRuns(ctx)
	if err != nil {
		return fmt.Errorf("opening the lease stream: %w", err)
	}
	session := armada.SessionID(ulid.Make().String())
	a.lease.begin()
	defer a.setSession("")

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		cancel(a.ask(ctx, lease, session))
	}()
	err = a.obey(ctx, lease, session)
	cancel(err)
	<-sent
	return errors.Join(err, ignoreCanceled(context.Cause(ctx)))
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ask tells the server what the agent has and holds: at once, whenever it
// should be known early, and at every heartbeat.
func (a *Agent) ask(ctx context.Context, lease stream, session armada.SessionID) error {
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
			SessionId:  string(session),
			Sequence:   sequence,
			Protocol:   protocol,
			Runs:       a.ledger.ids(),
		}
		if request.NodesUnchanged = sequence > 1 && equalNodes(nodes, last); !request.NodesUnchanged {
			request.Nodes, last = nodes, nodes
		}
		a.lease.requested(sequence, time.Now())
		if err := lease.Send(request); err != nil {
			return fmt.Errorf("sending request %d: %w", sequence, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-a.hello.c:
		}
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

// obey does what the server says until the stream ends.
func (a *Agent) obey(ctx context.Context, lease stream, session armada.SessionID) error {
	for {
		message, err := lease.Recv()
		if err != nil {
			return fmt.Errorf("receiving from the server: %w", err)
		}
		switch event := message.GetEvent().(type) {
		case *executorapi.LeaseStreamMessage_Lease:
			if err := a.leased(ctx, event.Lease); err != nil {
				return err
			}
		case *executorapi.LeaseStreamMessage_CancelRuns:
			for _, run := range event.CancelRuns.GetJobRunIdsToCancel() {
				a.stop(ctx, armada.RunID(run), 0)
			}
		case *executorapi.LeaseStreamMessage_PreemptRuns:
			for _, run := range event.PreemptRuns.GetJobRunIdsToPreempt() {
				a.stop(ctx, armada.RunID(run), 0)
			}
		case *executorapi.LeaseStreamMessage_Logs:
			go a.sendLogs(ctx, event.Logs)
		case *executorapi.LeaseStreamMessage_End:
			length := time.Duration(event.End.GetLeaseMillis()) * time.Millisecond
			if a.lease.acknowledged(event.End.GetAcknowledgedSequence(), length) {
				a.setSession(session)
			}
		default: // a kind of a later protocol
		}
	}
}

// setSession records the open session and wakes the reports that wait for one.
func (a *Agent) setSession(session armada.SessionID) {
	a.mu.Lock()
	changed := a.session != session
	a.session = session
	a.mu.Unlock()
	if changed && session != "" {
		a.log.Info("session opened", "session", session)
		a.opened.raise()
	}
}

func (a *Agent) openSession() armada.SessionID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.session
}

// leased takes a lease and starts its run, or holds it until its victims have
// ended. Starting happens beside; the number of starts is bounded.
func (a *Agent) leased(ctx context.Context, l *executorapi.JobRunLease) error {
	o, after, err := order(l)
	if err != nil {
		a.log.Error("a lease cannot be read", "run", l.GetJobRunId(), "error", err)
		return nil
	}
	if !a.ledger.take(o, after) {
		return nil
	}
	switch {
	case a.draining.Load():
		a.ledger.giveUp(o.Run, &giveBack{reason: "the executor is stopping", draining: true})
		a.news.raise()
		return nil
	case a.lease.over(a.config.Margin):
		// The server's word arrives and ours does not: it may give the run up
		// before it has begun.
		a.ledger.giveUp(o.Run, &giveBack{reason: "the executor's lease is about to end"})
		a.news.raise()
		return nil
	case len(after) > 0:
		a.news.raise() // the victims may have ended already
		return nil
	}
	return a.start(ctx, o)
}

// start has the runtime start a run, beside the caller.
func (a *Agent) start(ctx context.Context, o *runs.Order) error {
	select {
	case a.starts <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx) // a start that has begun outlives the session
	go func() {
		defer func() { <-a.starts }()
		if a.lease.over(a.config.Margin) {
			a.ledger.giveUp(o.Run, &giveBack{reason: "the executor's lease is about to end"})
			a.news.raise()
			return
		}
		err := a.runtime.Start(ctx, *o)
		switch {
		case err == nil && a.ledger.started(o.Run):
			a.stop(ctx, o.Run, 0)
		case err != nil:
			a.log.Warn("a run could not be started; its lease is given back", "run", o.Run, "error", err)
			a.ledger.giveUp(o.Run, &giveBack{reason: "the pod could not be made: " + err.Error()})
			a.news.raise()
		}
	}()
	return nil
}

// stop asks a run to end. A run that nobody here knows is none that could run.
func (a *Agent) stop(ctx context.Context, run armada.RunID, grace time.Duration) {
	err := a.runtime.Stop(ctx, run, grace)
	switch {
	case errors.Is(err, runs.ErrUnknownRun):
		if a.ledger.giveUp(run, nil) {
			a.news.raise()
		}
	case err != nil:
		a.log.Error("a run could not be asked to stop", "run", run, "error", err)
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
