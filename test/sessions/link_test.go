package sessions

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/test/bufconn"
)

// link is the network between an agent and the server. What is lost in one
// direction never arrives; like TCP, a connection that lost something carries
// nothing more, and is cut when the link is mended.
type link struct {
	dial func(context.Context) (net.Conn, error)

	mu       sync.Mutex
	requests direction
	pushes   direction
	conns    map[*conn]bool
}

// direction is what happens to the bytes of one direction.
type direction struct {
	lost  bool
	delay func() time.Duration // of each write; nil for none
}

var errCut = errors.New("the link was cut")

// Dial opens a connection over the link, for grpc.WithContextDialer.
func (l *link) Dial(ctx context.Context, _ string) (net.Conn, error) {
	inner, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, link: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
	return c, nil
}

// lose begins to lose what goes into the directions.
func (l *link) lose(requests, pushes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests.lost, l.pushes.lost = requests, pushes
}

// mend carries everything again, over new connections.
func (l *link) mend() {
	l.lose(false, false)
	l.cut()
}

// cut ends all connections, at both ends.
func (l *link) cut() {
	l.mu.Lock()
	conns := l.conns
	l.conns = map[*conn]bool{}
	l.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

func (l *link) look(d *direction) direction {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *d
}

// conn is the agent's end of a connection.
type conn struct {
	net.Conn
	link *link
}

// Write sends a request or swallows it.
func (c *conn) Write(p []byte) (int, error) {
	d := c.link.look(&c.link.requests)
	if d.delay != nil {
		pause(d.delay())
	}
	if d.lost {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Read receives what is pushed, unless it is lost.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		d := c.link.look(&c.link.pushes)
		if d.delay != nil {
			pause(d.delay())
		}
		if err != nil || !d.lost {
			return n, err
		}
	}
}

// Close ends the connection.
func (c *conn) Close() error {
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
	return c.Conn.Close()
}

// newLink makes a link to whatever listener is there at the time of dialling.
func newLink(listener func() *bufconn.Listener) *link {
	return &link{conns: map[*conn]bool{}, dial: func(ctx context.Context) (net.Conn, error) {
		at := listener()
		if at == nil {
			return nil, errCut
		}
		return at.DialContext(ctx)
	}}
}
