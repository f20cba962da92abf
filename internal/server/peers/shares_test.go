package peers

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// follower explains nothing: another replica leads.
type follower struct{}

func (follower) Leading() bool                               { return false }
func (follower) Reasons(armada.Job) []armada.Reason          { return nil }
func (follower) Reports() []scheduling.Report                { return nil }
func (follower) Waiting(string) ([]scheduling.Waiting, bool) { return nil, false }
func (follower) Standing(context.Context, armada.Job) (armada.Standing, bool) {
	return armada.Standing{}, false
}

// behind makes the peers of a replica that follows the one at an address.
func behind(t *testing.T, addr string) *Peers {
	t.Helper()
	p := New(Parts{
		Replica: "this", Explanations: follower{}, Log: slog.New(slog.DiscardHandler),
		Leader: func() store.Leader { return store.Leader{Replica: store.Replica{Name: "other", Addr: addr}, Epoch: 1} },
	})
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestWhoCannotReachTheLeaderIsToldWhichReplicaThatIs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = behind(t, addr).Shares(t.Context(), "", 0)
	if armada.CodeOf(err) != armada.CodeUnavailable || !strings.Contains(err.Error(), `replica "other"`) || !strings.Contains(err.Error(), addr) {
		t.Errorf("the error is %v, want UNAVAILABLE that names the replica and %s", err, addr)
	}
}

func TestWhoGivesUpAskingForSharesIsNotToldThatTheLeaderIsAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says a word
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := behind(t, l.Addr().String()).Shares(ctx, "", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want that the caller gave up", err)
	}
}
