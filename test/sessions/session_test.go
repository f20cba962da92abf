package sessions

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/executor"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
)

// peer speaks the protocol by hand.
type peer struct {
	t    *testing.T
	id   string
	conn *grpc.ClientConn
}

func (w *world) peer(id string) *peer {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///armada", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(w.newLink().Dial))
	ok(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: w.t, id: id, conn: conn}
}

type peerStream = grpc.BidiStreamingClient[executorapi.LeaseRequest, executorapi.LeaseStreamMessage]

func (p *peer) stream() peerStream {
	p.t.Helper()
	stream, err := executorapi.NewExecutorApiClient(p.conn).LeaseJobRuns(p.t.Context())
	ok(p.t, err)
	return stream
}

// open begins a session and waits until it is answered.
func (p *peer) open(session string) peerStream {
	p.t.Helper()
	stream := p.stream()
	p.ask(stream, session, 1)
	return stream
}

// ask makes a request and returns the answer, and what was pushed before it.
func (p *peer) ask(stream peerStream, session string, sequence uint64, runs ...string) (end *executorapi.EndMarker, leases []string) {
	p.t.Helper()
	ok(p.t, stream.Send(&executorapi.LeaseRequest{
		ExecutorId: p.id, SessionId: session, Sequence: sequence, Protocol: 1, Runs: runs,
		Nodes: []*executorapi.NodeInfo{{Name: "n", Pool: armada.DefaultPool}},
	}))
	for {
		m, err := stream.Recv()
		ok(p.t, err)
		if l := m.GetLease(); l != nil {
			leases = append(leases, l.GetJobRunId())
		}
		if m.GetEnd() != nil {
			return m.GetEnd(), leases
		}
	}
}

// report tells that a run runs.
func (p *peer) report(session string, job armada.JobID) error {
	_, err := executorapi.NewExecutorApiClient(p.conn).ReportEvents(p.t.Context(), &executorapi.EventList{
		ExecutorId: p.id, SessionId: session,
		Events: []*armadaevents.EventSequence{{Queue: "q", JobSetName: "set", Events: []*armadaevents.EventSequence_Event{{
			Event: &armadaevents.EventSequence_Event_JobRunRunning{
				JobRunRunning: &armadaevents.JobRunRunning{JobId: string(job), RunId: string(armada.NewRunID(job, 1))},
			},
		}}}},
	})
	return err
}

func TestANewSessionVoidsTheOlderOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.peer("east")
		older := p.open("s1")
		id := w.submit(life{})
		w.lease(id, "east")
		p.open("s2")
		for {
			if _, err := older.Recv(); err != nil {
				if status.Code(err) != codes.FailedPrecondition {
					t.Errorf("the older stream ended with %v", err)
				}
				break
			}
		}
		if err := p.report("s1", id); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a report of the older session was answered with %v", err)
		}
		w.tells(id, "queued leased")
		ok(t, p.report("s2", id))
		ok(t, p.report("s2", id))
		w.tells(id, "queued leased running")
	})
}

func TestReportsInAVoidSessionAreRepeatedInTheNext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{})
		id := w.submit(life{runtime: "10s"})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		w.lostAnswers.Store(true) // what is reported now is on record, but the agent does not know
		w.becomes(id, armada.JobSucceeded)
		w.peer("east").open("somebody else's")
		pause(time.Second)
		w.lostAnswers.Store(false)
		pause(time.Minute)
		w.tells(id, "queued leased pending running succeeded")
	})
}

func TestAServerThatStopsSendsItsExecutorsToTheNext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{})
		stream := w.peer("west").open("s")
		running, next := w.submit(life{runtime: "1m"}), w.submit(life{runtime: "1s"})
		w.lease(running, "east")
		w.becomes(running, armada.JobRunning)
		w.unserve()
		for {
			if _, err := stream.Recv(); err != nil {
				if status.Code(err) != codes.Unavailable {
					t.Errorf("the stream ended with %v", err)
				}
				break
			}
		}
		w.lease(next, "east")
		pause(10 * time.Second)
		w.serve()
		w.becomes(next, armada.JobSucceeded)
		w.becomes(running, armada.JobSucceeded)
		w.tells(running, "queued leased pending running succeeded")
		w.tells(next, "queued leased pending running succeeded")
	})
}

func TestReportsSurviveAServerThatDoesNotTakeThem(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{})
		w.unavailable.Store(true)
		id := w.submit(life{runtime: "10s"})
		w.lease(id, "east")
		pause(30 * time.Second)
		w.tells(id, "queued leased")
		w.unavailable.Store(false)
		w.becomes(id, armada.JobSucceeded)
		w.tells(id, "queued leased pending running succeeded")
		c.forgets()
	})
}

func TestAPeerWithHalfASessionIsToldSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for name, request := range map[string]*executorapi.LeaseRequest{
			"one without protocol": {ExecutorId: "east", SessionId: "s", Sequence: 1},
			"one without session":  {ExecutorId: "east", Protocol: 1, Sequence: 1},
		} {
			stream := w.peer("east").stream()
			ok(t, stream.Send(proto.CloneOf(request)))
			if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s was answered with %v", name, err)
			}
		}
		if all, err := w.store.Executors(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("there are executors: %v %v", all, err)
		}
	})
}

func TestTheIdentityOfAStreamDoesNotChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.peer("east")
		stream := p.open("s1")
		ok(t, stream.Send(&executorapi.LeaseRequest{ExecutorId: "east", SessionId: "s2", Sequence: 2, Protocol: 1}))
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("answered with %v", err)
		}
	})
}

func TestARunThatIsOnItsWayIsNeitherSentAgainNorTakenForLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.peer("east")
		stream := p.open("s")
		id := w.submit(life{})
		w.lease(id, "east")
		synctest.Wait() // it is pushed, and reported before the peer asks with a list that was made earlier
		ok(t, p.report("s", id))
		_, leases := p.ask(stream, "s", 2)
		if len(leases) != 1 {
			t.Fatalf("leases %v were sent, want one", leases)
		}
		_, again := p.ask(stream, "s", 3, string(armada.NewRunID(id, 1)))
		if len(again) != 0 {
			t.Errorf("leases %v were sent again", again)
		}
		w.tells(id, "queued leased running")
		p.ask(stream, "s", 4)
		w.becomes(id, armada.JobFailed) // gone, and nobody told how
	})
}

func TestALeaseThatWasNotDeliveredIsSentAgainInTheSameSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.peer("east")
		stream := p.open("s")
		id := w.submit(life{})
		w.lease(id, "east")
		synctest.Wait()
		for sequence, want := range []int{2: 1, 3: 0, 4: 1} { // pushed at once; after the answer to 3
			if sequence < 2 {
				continue
			}
			if _, leases := p.ask(stream, "s", uint64(sequence)); len(leases) != want {
				t.Errorf("before the answer to request %d came leases %v, want %d", sequence, leases, want)
			}
		}
	})
}

func TestASessionThatWasSilentForItsLeaseIsOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.peer("east")
		stream := p.open("s")
		pause(theLease - time.Second)
		p.ask(stream, "s", 2)
		pause(theLease + time.Second)
		ok(t, stream.Send(&executorapi.LeaseRequest{ExecutorId: "east", SessionId: "s", Sequence: 3, Protocol: 1, NodesUnchanged: true}))
		if _, err := stream.Recv(); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a heartbeat of a session that may have lost its runs was answered with %v", err)
		}
		p.open("s2")
	})
}

func TestWhatIsAcknowledgedCountsFromTheStoresRecord(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.peer("east")
		begun := time.Now()
		stream := p.open("s")
		for sequence := uint64(2); time.Since(begun) < 3*theLease; sequence++ {
			pause(7 * time.Second)
			end, _ := p.ask(stream, "s", sequence)
			all, err := w.store.Executors(t.Context())
			ok(t, err)
			recorded := all[0].Executor.Acknowledged.Add(all[0].Executor.Lease)
			if until := time.Now().Add(time.Duration(end.GetLeaseMillis()) * time.Millisecond); until.After(recorded) {
				t.Errorf("after %s the executor counts on its lease until %s after what the store has on record", time.Since(begun), until.Sub(recorded))
			}
			if left := time.Duration(end.GetLeaseMillis()) * time.Millisecond; left < theLease*2/3 {
				t.Errorf("after %s a lease of %s is granted", time.Since(begun), left)
			}
		}
	})
}

func TestAnAgentThatGetsNoAnswerOpensAnotherSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{config: func(c *executor.Config) { c.Patience = 10 * time.Second }})
		sessionOf := func() armada.SessionID {
			all, err := w.store.Executors(t.Context())
			ok(t, err)
			return all[0].Executor.Session
		}
		before := sessionOf()
		c.link.lose(true, false)
		pause(30 * time.Second)
		c.link.mend()
		w.until("another session is open", func() bool { return sessionOf() != before })
		id := w.submit(life{runtime: "1s"})
		w.lease(id, "east")
		w.becomes(id, armada.JobSucceeded)
	})
}
