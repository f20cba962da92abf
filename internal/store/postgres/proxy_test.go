package postgres_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between a store and the server, and cuts the connection of the
// next large request: a commit.
type proxy struct {
	listener net.Listener
	server   string

	mu   sync.Mutex
	next func(*cut) // nil: everything passes
}

// cut is a connection at the moment of a commit, which passes nothing more by
// itself.
type cut struct {
	client, server net.Conn
	request        []byte        // what was not passed on
	answered       chan struct{} // closed when the server has answered, or ended
}

// pass gives the request to the server.
func (c *cut) pass() {
	_, _ = c.server.Write(c.request)
	go func() { _, _ = io.Copy(c.server, c.client) }()
}

// large is more than any request but a commit of many jobs has.
const large = 8 << 10

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		group.Wait()
	})
	return p
}

// through is a URL of the server that leads through the proxy.
func (p *proxy) through(t *testing.T, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.listener.Addr().String()
	return u.String()
}

// arm lets f handle the next large request instead of passing it on. The
// connection passes nothing more.
func (p *proxy) arm(f func(*cut)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = f
}

func (p *proxy) take() func(*cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.next
	p.next = nil
	return f
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	answers, answered := make(chan struct{}), make(chan struct{}) // answers is closed when none may pass
	var once sync.Once
	stop := func() { once.Do(func() { close(answers) }) }
	defer stop()
	go func() {
		defer close(answered)
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			select {
			case <-answers:
				return
			default:
			}
			if err != nil {
				_ = client.Close()
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if n > large {
			if f := p.take(); f != nil {
				stop()
				f(&cut{client, server, buffer[:n], answered})
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
