package server_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/server"
	"armada/internal/store"
	"armada/pkg/api"
)

// slow is a store whose queue "slow" is found when it is let go.
type slow struct {
	store.Store
	asked chan struct{}
	letGo chan struct{}
}

func (s *slow) Queue(ctx context.Context, name string) (armada.Queue, error) {
	if name == "slow" {
		s.asked <- struct{}{}
		<-s.letGo
	}
	return s.Store.Queue(ctx, name)
}

func TestAServerThatStopsFinishesCallsInFlightAndTakesNoNewOnes(t *testing.T) {
	t.Parallel()
	s := &slow{asked: make(chan struct{}), letGo: make(chan struct{})}
	w := newWorld(t, options{
		config:    func(c *server.Config) { c.StopTimeout = time.Minute },
		wrapStore: func(kept store.Store) store.Store { s.Store = kept; return s },
	})
	ok(t, s.PutQueue(t.Context(), armada.Queue{Name: "slow", PriorityFactor: 1}))
	grpc, rest := make(chan error), make(chan int)
	go func() {
		_, err := w.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "slow"})
		grpc <- err
	}()
	go func() {
		answer, _ := w.call("GET", "/v1/queue/slow", "")
		rest <- answer.StatusCode
	}()
	<-s.asked
	<-s.asked
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.stop()
	}()
	// New calls are refused soon, although the ones in flight go on: another
	// connection finds nobody.
	for {
		other := &world{t: t, server: w.server}
		other.connect()
		_, err := other.submit.GetQueue(t.Context(), &api.QueueGetRequest{Name: "q"})
		if status.Code(err) == codes.Unavailable {
			break
		}
		ok(t, err)
	}
	close(s.letGo)
	if err := <-grpc; err != nil {
		t.Errorf("the call over gRPC: %v", err)
	}
	if code := <-rest; code != 200 {
		t.Errorf("the call over REST: status %d", code)
	}
	<-stopped
}
