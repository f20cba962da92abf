package executors2026

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
)

// What one message may hold.
const (
	ordersPerRead  = 200
	cancelsPerSend = 10_000
)

// Poll answers one request: with the runs to start, those to stop or to forget,
// and the end marker. The caller has checked who asks, and closes the stream
// when it returns.
func (s *Service) Poll(ctx context.Context, r *executorapi.LeaseRequest, send func(*executorapi.LeaseStreamMessage) error) error {
	id := armada.ExecutorID(r.GetExecutorId())
	ctx, p, done, err := s.takeTurn(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	session, err := s.hear(ctx, id, r)
	if err != nil {
		return err
	}
	plan, err := s.reconcile(ctx, p, session, r)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(plan.cancel, cancelsPerSend) {
		if err := send(cancels(some)); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(plan.start, ordersPerRead) {
		if err := s.sendLeases(ctx, some, plan.labels, send); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err // what was sent counts only with its end
	}
	return send(&executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_End{End: &executorapi.EndMarker{}}})
}

// hear records that the executor was heard of, with its nodes, and returns its
// session. There is one for as long as nobody else uses its id and it is not
// silent for long: leaders give up the runs of sessions.
func (s *Service) hear(ctx context.Context, id armada.ExecutorID, r *executorapi.LeaseRequest) (armada.SessionID, error) {
	nodes := wire.Nodes(r, s.Table)
	for range 3 { // more often only when somebody else takes the id each time
		session, err := s.session(ctx, id)
		if err != nil {
			return "", err
		}
		if err = s.Store.PutNodes(ctx, id, session, nodes); err == nil {
			_, err = s.Store.Acknowledge(ctx, id, session)
		}
		switch {
		case err == nil:
			return session, nil
		case armada.CodeOf(err) != armada.CodeFenced:
			return "", fmt.Errorf("recording the request: %w", err)
		}
	}
	return "", &armada.Error{Code: armada.CodeFenced, Message: fmt.Sprintf("another executor calls itself %q too", id)}
}

// session returns the current session. It opens another one when the current one
// is that of another kind of executor, and when this one was silent for so long
// that its runs may be about to be given up: that is void then.
func (s *Service) session(ctx context.Context, id armada.ExecutorID) (armada.SessionID, error) {
	known, err := s.Store.Executor(ctx, id)
	switch {
	case armada.CodeOf(err) == armada.CodeNotFound:
	case err != nil:
		return "", fmt.Errorf("looking for the executor: %w", err)
	case ours(&known) && known.Lease == s.config.ClosedAfter && time.Since(known.Acknowledged) < 2*known.Lease:
		return known.Session, nil
	}
	session := armada.SessionID(ulid.Make().String())
	err = s.Store.OpenSession(ctx, armada.Executor{ID: id, Kind: armada.Executor2026, Session: session, Lease: s.config.ClosedAfter})
	if err != nil {
		return "", fmt.Errorf("opening the session: %w", err)
	}
	s.Log.Info("an executor of 2026 is here", "executor", id, "session", session)
	return session, nil
}

// ours tells whether an executor is one of those that this package serves.
func ours(e *armada.Executor) bool { return e.Kind == armada.Executor2026 && e.Session != "" }

func cancels(runs []armada.RunID) *executorapi.LeaseStreamMessage {
	ids := make([]string, len(runs))
	for i, run := range runs {
		ids[i] = string(run)
	}
	return &executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_CancelRuns{CancelRuns: &executorapi.CancelRuns{JobRunIdsToCancel: ids}}}
}

// sendLeases sends the leases of runs, on nodes with the labels given by name. One
// that cannot be made is left out: the others do not wait for it.
func (s *Service) sendLeases(ctx context.Context, runs []armada.RunID, labels map[string]map[string]string, send func(*executorapi.LeaseStreamMessage) error) error {
	orders, err := s.Store.Orders(ctx, runs)
	if err != nil {
		return fmt.Errorf("reading what to start: %w", err)
	}
	for i := range orders {
		o := &orders[i]
		if o.Job.Wish.Kind != armada.WishNone || o.Run.State != armada.RunLeased {
			continue // meanwhile
		}
		lease, err := s.lease(ctx, o, labels[o.Run.Node])
		if err != nil {
			s.Log.Error("the lease of a run cannot be made", "executor", o.Run.Executor, "run", o.Run.ID, "error", err)
			continue
		}
		if err := send(&executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_Lease{Lease: lease}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) lease(ctx context.Context, o *store.Order, labels map[string]string) (*executorapi.JobRunLease, error) {
	lease, err := s.Lease(ctx, o)
	if err != nil {
		return nil, err
	}
	return wire.Lease2026(lease, o, labels, s.config.Pinning), nil
}
