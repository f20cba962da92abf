package sessions

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"time"
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
	carrying sync.WaitGroup
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
	c := &conn{Conn: inner, link: l, out: newFreight(), in: newFreight()}
	const most = 64 << 10
	out := func() ([]byte, error) { return c.out.take(most) }
	l.carrying.Go(func() {
		c.carry(&l.requests, out, func(p []byte) error {
			_, err := inner.Write(p)
			return err
		})
	})
	buffer := make([]byte, most)
	in := func() ([]byte, error) {
		n, err := inner.Read(buffer)
		return buffer[:n], err
	}
	l.carrying.Go(func() { c.carry(&l.pushes, in, c.in.put) })
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

// delayed makes everything take its time.
func (l *link) delayed(by func() time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests.delay, l.pushes.delay = by, by
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

// conn is the agent's end of a connection. Neither Read nor Write waits for what
// is on its way: that is what the two goroutines of carry are for.
type conn struct {
	net.Conn
	link    *link
	out, in *freight
}

// carry moves bytes one way until an error, with what the link does to them.
func (c *conn) carry(d *direction, next func() ([]byte, error), deliver func([]byte) error) {
	for {
		p, err := next()
		now := c.link.look(d)
		if now.delay != nil {
			pause(now.delay())
		}
		if err == nil && !now.lost {
			err = deliver(p)
		}
		if err != nil {
			c.in.end(err)
			c.out.end(err)
			return
		}
	}
}

// Write takes a request for the way.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.out.put(bytes.Clone(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read receives what is pushed.
func (c *conn) Read(p []byte) (int, error) {
	chunk, err := c.in.take(len(p))
	return copy(p, chunk), err
}

// Close ends the connection. While requests are lost the server does not hear of
// it until the connection is cut.
func (c *conn) Close() error {
	c.in.end(net.ErrClosed)
	c.out.end(net.ErrClosed)
	c.link.mu.Lock()
	lost := c.link.requests.lost
	if !lost {
		delete(c.link.conns, c)
	}
	c.link.mu.Unlock()
	if lost {
		return nil
	}
	return c.Conn.Close()
}

// SetDeadline, SetReadDeadline and SetWriteDeadline do nothing: nothing waits.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// freight is what waits to be carried on or to be read, in order.
type freight struct {
	mu    sync.Mutex
	some  *sync.Cond
	bytes []byte
	err   error
}

func newFreight() *freight {
	f := &freight{}
	f.some = sync.NewCond(&f.mu)
	return f
}

func (f *freight) put(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.bytes = append(f.bytes, p...)
		f.some.Broadcast()
	}
	return f.err
}

// take waits for bytes and takes at most so many of them.
func (f *freight) take(most int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.bytes) == 0 && f.err == nil {
		f.some.Wait()
	}
	if f.err != nil {
		return nil, f.err
	}
	p := bytes.Clone(f.bytes[:min(most, len(f.bytes))])
	f.bytes = f.bytes[len(p):]
	return p, nil
}

func (f *freight) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.some.Broadcast()
}

// newLink makes a link to whatever server there is at the time of dialling. It
// is gone with the test.
func (w *world) newLink() *link {
	l := &link{conns: map[*conn]bool{}, dial: func(ctx context.Context) (net.Conn, error) {
		at := w.at()
		if at == nil {
			return nil, errCut
		}
		return at.DialContext(ctx)
	}}
	w.t.Cleanup(func() {
		l.cut()
		l.carrying.Wait()
	})
	return l
}
