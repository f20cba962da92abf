package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"armada"
	"armada/internal/server"
	"armada/internal/store"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// readsOf is a store that remembers how far each watcher with a name has read.
type readsOf struct {
	store.Store
	mu   sync.Mutex
	upTo map[string]int64 // the number of the last event that was read, by watcher
}

func (s *readsOf) ReadEvents(ctx context.Context, key store.JobSetKey, after store.Cursor, limit int) ([]armada.Event, store.Cursor, error) {
	events, next, err := s.Store.ReadEvents(ctx, key, after, limit)
	if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("watcher")) > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.upTo[md.Get("watcher")[0]] = next.Number
	}
	return events, next, err
}

func (s *readsOf) read(watcher string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upTo[watcher]
}

// deafConn is a connection whose owner hears nothing any more once it is told
// to be deaf.
type deafConn struct {
	net.Conn
	deaf   chan struct{} // closed when it begins
	closed chan struct{}
	once   sync.Once
}

func (c *deafConn) Read(b []byte) (int, error) {
	select {
	case <-c.deaf:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return c.Conn.Read(b)
	}
}

func (c *deafConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// stuckByREST asks for the events over HTTP and reads no more than the headers.
func (w *world) stuckByREST(name string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.HTTPAddr())
	ok(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	const body = `{"watch": true}`
	_, err = fmt.Fprintf(conn, "POST /api/v1/job-set/q/long HTTP/1.1\r\nHost: x\r\nGrpc-Metadata-Watcher: %s\r\nContent-Length: %d\r\n\r\n%s", name, len(body), body)
	ok(w.t, err)
	status, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	ok(w.t, err)
	if !strings.Contains(status, " 200 ") {
		w.t.Errorf("the answer is %s", status)
	}
}

// stuckByGRPC opens a stream and takes one message. When deaf, its whole
// connection hears nothing after that; otherwise only nobody asks for more.
func (w *world) stuckByGRPC(name string, deaf bool) {
	w.t.Helper()
	silence := make(chan struct{})
	conn, err := grpc.NewClient(w.server.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return &deafConn{Conn: c, deaf: silence, closed: make(chan struct{})}, nil
		}))
	ok(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	ctx := metadata.AppendToOutgoingContext(w.t.Context(), "watcher", name)
	stream, err := api.NewEventClient(conn).GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "q", Id: "long", Watch: true})
	ok(w.t, err)
	_, err = stream.Recv()
	ok(w.t, err)
	if deaf {
		close(silence)
	}
}

func TestWatchersThatNeverReadCostLittleAndHinderNobody(t *testing.T) {
	t.Parallel()
	counted := &readsOf{upTo: map[string]int64{}}
	w := newWorld(t, options{
		config:    func(c *server.Config) { c.StopTimeout = 100 * time.Millisecond }, // they would use it up
		wrapStore: func(s store.Store) store.Store { counted.Store = s; return counted },
	})
	// Each job's event carries its spec: the job set is larger than all buffers
	// on the way, the system's included.
	const jobs, specBytes = 2000, 16 << 10
	list := items(jobs)
	spec := pod(func(s *corev1.PodSpec) { s.Containers[0].Args = []string{strings.Repeat("x", specBytes)} })
	for _, item := range list {
		item.PodSpecs = []*corev1.PodSpec{spec}
	}
	for part := range 20 {
		w.submitted("long", list[part*jobs/20:(part+1)*jobs/20])
	}
	var stuck []string
	for n := range 12 {
		name := fmt.Sprint("stuck-", n)
		stuck = append(stuck, name)
		switch n % 3 {
		case 0:
			w.stuckByREST(name)
		case 1:
			w.stuckByGRPC(name, false)
		case 2:
			w.stuckByGRPC(name, true)
		}
	}
	// Others read all of it, over both ways, and submit meanwhile.
	for range 2 {
		w.submitted("other", items(1))
		if n := len(w.events("long")); n != 2*jobs {
			t.Errorf("over gRPC there are %d events, want %d", n, 2*jobs)
		}
		_, text := w.call("POST", "/api/v1/job-set/q/long", "{}")
		if n := strings.Count(text, `"submitted"`); n != jobs {
			t.Errorf("over REST there are %d submitted events, want %d", n, jobs)
		}
	}
	for _, name := range stuck {
		if n := counted.read(name); n == 0 || n > jobs {
			t.Errorf("for %s, who takes nothing, %d of %d events were read into memory", name, n, 2*jobs)
		}
	}
}
