package peers

import (
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/store"
	peersapi "armada/pkg/api/peers"
)

// knows explains why jobs of one shape wait, as a leader.
type knows struct {
	follower
	shape armada.ShapeID
}

func (knows) Leading() bool { return true }

func (k knows) Reasons(job armada.Job) []armada.Reason {
	if job.Lessons.Shape(job.Shape) != k.shape {
		return nil
	}
	return []armada.Reason{{Code: armada.ReasonQueueCordoned}}
}

func TestWhyAJobWaitsThatHasLearnedIsToldByEveryReplica(t *testing.T) {
	t.Parallel()
	job := armada.Job{State: armada.JobQueued, Queue: "q", Shape: "shape", Lessons: &armada.Lessons{Avoid: []string{"n1"}}}
	leader := New(Parts{
		Replica: "other", Explanations: knows{shape: job.Lessons.Shape("shape")}, Log: slog.New(slog.DiscardHandler),
		Leader: func() store.Leader { return store.Leader{} },
	})
	t.Cleanup(func() { _ = leader.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	peersapi.RegisterPeersServer(server, leader.Service())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	for name, p := range map[string]*Peers{"the leader": leader, "another replica": behind(t, l.Addr().String())} {
		if got := p.Waits(t.Context(), []armada.Job{job})[0]; got != "the queue is cordoned; not again on n1" {
			t.Errorf("%s says that it waits because %q", name, got)
		}
	}
}
