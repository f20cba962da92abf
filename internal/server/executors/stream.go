package executors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
)

var (
	errSuperseded = &armada.Error{Code: armada.CodeFenced, Message: "a newer session of this executor has been opened"}
	errNoSession  = &armada.Error{Code: armada.CodeInvalid, Violations: []armada.Violation{{Path: "session_id", Message: "must be the executor's open session"}}}
	errHalfway    = &armada.Error{Code: armada.CodeInvalid, Violations: []armada.Violation{{Path: "session_id", Message: "goes with protocol: both are set, or neither by executors of the original"}}}
	errSilent     = &armada.Error{Code: armada.CodeFenced, Message: "the session was silent for as long as its lease; open a new one"}
	errShutdown   = &armada.Error{Code: armada.CodeUnavailable, Message: "the server is shutting down; connect to another replica"}
)

type leaseStream = grpc.BidiStreamingServer[executorapi.LeaseRequest, executorapi.LeaseStreamMessage]

// stream is one session of an executor, held by this replica. Its handler's
// goroutine owns everything but the inbox.
type stream struct {
	executor armada.ExecutorID
	session  armada.SessionID
	wire     leaseStream
	cancel   context.CancelCauseFunc

	// until is when the session is over unless it is renewed: the lease, counted
	// from before the store's latest record of it.
	until time.Time
	// sequence is the latest request's.
	sequence uint64
	// pushed tells after which request a run was sent that may start. The list
	// of the next request may have been made before the lease arrived. The one
	// after it was made when the answer to that request had arrived, which was
	// sent later than the lease: its list has the run, or nobody ever will.
	pushed map[armada.RunID]uint64
	// stopped are the runs that the executor was told to stop since its last
	// request.
	stopped map[armada.RunID]bool

	// protocol is the version of the extensions that the executor speaks.
	protocol uint32

	// orders brings orders for logs and commands to the handler; ended is closed
	// when the stream has ended.
	orders chan *executorapi.LeaseStreamMessage
	ended  chan struct{}

	mu    sync.Mutex
	inbox map[armada.RunID]*store.JobAndRun // what the feed brought, latest only
	mail  chan struct{}
}

// hand puts a run's present state into the inbox.
func (st *stream) hand(j *store.JobAndRun) {
	st.mu.Lock()
	if had, ok := st.inbox[j.Run.ID]; !ok || had.Job.Version <= j.Job.Version {
		st.inbox[j.Run.ID] = j
	}
	st.mu.Unlock()
	select {
	case st.mail <- struct{}{}:
	default:
	}
}

// collect empties the inbox, in order of submission.
func (st *stream) collect() []store.JobAndRun {
	st.mu.Lock()
	defer st.mu.Unlock()
	jobs := make([]store.JobAndRun, 0, len(st.inbox))
	for _, j := range st.inbox {
		jobs = append(jobs, *j)
	}
	clear(st.inbox)
	slices.SortFunc(jobs, func(a, b store.JobAndRun) int { return cmp.Compare(a.Job.Number, b.Job.Number) })
	return jobs
}

// order sends an order for a log or a command.
func (st *stream) order(ctx context.Context, o *executorapi.LeaseStreamMessage) error {
	select {
	case st.orders <- o:
		return nil
	case <-st.ended:
		return errShutdown
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end closes the stream with an error for the executor.
func (st *stream) end(cause error) { st.cancel(cause) }

// LeaseJobRuns serves one session of an executor; see the proto file.
func (s *Service) LeaseJobRuns(ls leaseStream) error {
	first, err := ls.Recv()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	id := armada.ExecutorID(first.GetExecutorId())
	if err := armada.ValidateQueueName(string(id)); err != nil {
		return &armada.Error{Code: armada.CodeInvalid, Violations: []armada.Violation{{Path: "executor_id", Message: err.Error()}}}
	}
	if err := s.authorize(ls.Context(), id); err != nil {
		return err
	}
	if first.GetProtocol() == 0 && first.GetSessionId() == "" {
		return s.original.Poll(ls.Context(), first, ls.Send)
	}
	if first.GetProtocol() == 0 || first.GetSessionId() == "" {
		return errHalfway
	}
	ctx, cancel := context.WithCancelCause(ls.Context())
	defer cancel(nil)
	st := &stream{
		executor: id, session: armada.SessionID(first.GetSessionId()), wire: ls, cancel: cancel,
		pushed: map[armada.RunID]uint64{}, stopped: map[armada.RunID]bool{},
		inbox: map[armada.RunID]*store.JobAndRun{}, mail: make(chan struct{}, 1),
		protocol: first.GetProtocol(), orders: make(chan *executorapi.LeaseStreamMessage), ended: make(chan struct{}),
	}
	st.until = time.Now().Add(s.config.Lease)
	if err := s.store.OpenSession(ctx, armada.Executor{
		ID: id, Kind: armada.ExecutorNative, Session: st.session, Lease: s.config.Lease,
		Replica: s.config.Replica, ReplicaAddr: s.config.ReplicaAddr,
	}); err != nil {
		return fmt.Errorf("opening the session: %w", err)
	}
	if err := s.attach(st); err != nil {
		return err
	}
	defer s.detach(st)
	defer close(st.ended)
	s.log.Info("executor connected", "executor", id, "session", st.session)
	err = s.serve(ctx, st, first)
	s.log.Info("executor disconnected", "executor", id, "session", st.session, "error", err)
	return err
}

// serve answers requests and pushes what the feed brings.
func (s *Service) serve(ctx context.Context, st *stream, first *executorapi.LeaseRequest) error {
	requests := make(chan *executorapi.LeaseRequest)
	received := make(chan error, 1)
	go func() {
		for {
			r, err := st.wire.Recv()
			if err != nil {
				received <- err
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := s.answer(ctx, st, first); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err = <-received:
			if errors.Is(err, io.EOF) {
				return nil
			}
		case r := <-requests:
			err = s.answer(ctx, st, r)
		case <-st.mail:
			err = s.push(ctx, st, st.collect())
		case o := <-st.orders:
			err = st.wire.Send(o)
		}
		if err != nil {
			return err
		}
	}
}

// answer renews the lease, and then brings executor and server to agree about
// nodes and runs. The answer goes first: what the executor is to start falls
// under the renewed lease, and it need not wait until all of that is sent. A
// session that was silent for as long as its lease may have lost its runs
// already, so nothing can renew it.
func (s *Service) answer(ctx context.Context, st *stream, r *executorapi.LeaseRequest) error {
	if armada.ExecutorID(r.GetExecutorId()) != st.executor || armada.SessionID(r.GetSessionId()) != st.session {
		return &armada.Error{Code: armada.CodeInvalid, Message: "executor_id and session_id must stay the same within a stream"}
	}
	if !r.GetNodesUnchanged() {
		nodes := wire.Nodes(r, s.table)
		if err := s.store.PutNodes(ctx, st.executor, st.session, nodes); err != nil {
			return fmt.Errorf("recording the nodes: %w", err)
		}
	}
	asked := time.Now()
	if asked.After(st.until) {
		return errSilent
	}
	left, err := s.store.Acknowledge(ctx, st.executor, st.session)
	if err != nil {
		return fmt.Errorf("renewing the lease: %w", err)
	}
	st.until = asked.Add(left)
	if err := st.wire.Send(&executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_End{End: &executorapi.EndMarker{
		AcknowledgedSequence: r.GetSequence(), LeaseMillis: left.Milliseconds(),
	}}}); err != nil {
		return err
	}
	// Read after the request was received: an end that the executor has been
	// told is on record, was on record before, and is not pushed again.
	wanted, err := s.store.RunsOf(ctx, st.executor)
	if err != nil {
		return fmt.Errorf("listing the runs: %w", err)
	}
	return s.reconcile(ctx, st, r, wanted)
}

// reconcile compares what the executor holds with what it should hold. A run
// that it should run and does not hold was never started, and is sent (again),
// or is gone: the executor drops nothing before its end is on record, so nobody
// will ever tell how that one ended.
func (s *Service) reconcile(ctx context.Context, st *stream, r *executorapi.LeaseRequest, wanted []store.JobAndRun) error {
	st.sequence = r.GetSequence()
	clear(st.stopped)
	holds := make(map[armada.RunID]bool, len(r.GetRuns()))
	for _, run := range r.GetRuns() {
		holds[armada.RunID(run)] = true
	}
	var news []store.JobAndRun
	var gone []store.JobAndRun
	pushed := make(map[armada.RunID]uint64, len(st.pushed))
	for _, j := range wanted {
		at, sent := st.pushed[j.Run.ID]
		onItsWay := sent && at+1 >= r.GetSequence()
		held := holds[j.Run.ID]
		delete(holds, j.Run.ID)
		if held || onItsWay {
			pushed[j.Run.ID] = at
		}
		switch {
		case j.Job.Wish.Kind != armada.WishNone && (held || j.Run.State == armada.RunLeased):
			news = append(news, j)
		case held || onItsWay:
		case j.Run.State == armada.RunLeased:
			news = append(news, j)
		default:
			gone = append(gone, j)
		}
	}
	st.pushed = pushed
	if err := s.lost(ctx, st, gone); err != nil {
		return err
	}
	stop := make([]armada.RunID, 0, len(holds))
	for run := range holds {
		stop = append(stop, run)
	}
	slices.Sort(stop)
	if len(stop) > 0 {
		// In a store that was restored these may be other attempts of its jobs:
		// nothing is started before they have ended, or this lease has.
		if err := s.store.Hold(ctx, s.config.Lease+holdMargin); err != nil {
			return fmt.Errorf("holding what could be started: %w", err)
		}
	}
	if err := st.sendStops(stop); err != nil {
		return err
	}
	return s.push(ctx, st, news)
}

// holdMargin is for pods that die slowly and for clocks that run unevenly.
const holdMargin = 5 * time.Second

// push sends leases that were not sent yet and stops that are wished for. While
// nothing may be started, leases wait for a later request.
func (s *Service) push(ctx context.Context, st *stream, jobs []store.JobAndRun) error {
	var start, stop []armada.RunID
	for _, j := range jobs {
		run := j.Run
		_, sent := st.pushed[run.ID]
		switch {
		case run.State.Terminal():
			delete(st.pushed, run.ID)
		case j.Job.Wish.Kind != armada.WishNone && !st.stopped[run.ID]:
			stop = append(stop, run.ID)
			st.stopped[run.ID] = true
		case run.State == armada.RunLeased && !sent && j.Job.Wish.Kind == armada.WishNone:
			start = append(start, run.ID)
		}
	}
	if err := st.sendStops(stop); err != nil || len(start) == 0 {
		return err
	}
	if held, err := s.store.Held(ctx); err != nil || held > 0 {
		return err
	}
	for _, run := range start {
		st.pushed[run] = st.sequence
	}
	for chunk := range slices.Chunk(start, ordersPerRead) {
		orders, err := s.store.Orders(ctx, chunk)
		if err != nil {
			return fmt.Errorf("reading what to start: %w", err)
		}
		for i := range orders {
			lease, err := s.Lease(ctx, &orders[i])
			if err != nil {
				return fmt.Errorf("making the lease of run %s: %w", orders[i].Run.ID, err)
			}
			if err := st.wire.Send(&executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_Lease{Lease: lease}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// ordersPerRead bounds what is in memory at a time to start runs.
const ordersPerRead = 200

func (st *stream) sendStops(runs []armada.RunID) error {
	if len(runs) == 0 {
		return nil
	}
	ids := make([]string, len(runs))
	for i, run := range runs {
		ids[i] = string(run)
	}
	return st.wire.Send(&executorapi.LeaseStreamMessage{Event: &executorapi.LeaseStreamMessage_CancelRuns{CancelRuns: &executorapi.CancelRuns{JobRunIdsToCancel: ids}}})
}
