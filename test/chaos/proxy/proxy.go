// Package proxy carries TCP connections to a server and breaks them on
// command: it resets them, delays what they carry, lets one direction starve,
// or refuses new ones. It stands between the parts of a system under test. With
// several servers it is a load balancer: each connection goes to the next server
// that takes it.
package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A Fault is what a proxy does to the connections it carries.
type Fault struct {
	// Delay is added to every piece of data, each way.
	Delay time.Duration
	// NothingUp and NothingDown swallow what goes to the server and to its
	// client: the connection stands, and one side hears nothing any more. A
	// connection that has lost data is reset when the fault ends.
	NothingUp, NothingDown bool
	// Refuse resets new connections at once.
	Refuse bool
}

// Proxy listens on an address of its own and carries what comes to its servers.
type Proxy struct {
	listener net.Listener
	servers  []string

	mu     sync.Mutex
	next   int // of servers
	fault  Fault
	links  map[*link]struct{}
	closed bool
	done   sync.WaitGroup
}

// link is a connection through the proxy.
type link struct {
	client, server net.Conn
	lossy          bool // data was swallowed
}

// Open begins to carry connections to one of the servers each, from an address
// of the loopback interface.
func Open(servers ...string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, servers: servers, links: map[*link]struct{}{}}
	p.done.Add(1)
	go p.accept()
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set replaces the fault; the zero Fault is a healthy network.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	for l := range p.links {
		if l.lossy && !f.NothingUp && !f.NothingDown {
			l.reset()
		}
	}
}

// Cut resets all connections that there are.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Close resets all connections, and returns when nothing of the proxy is left.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.done.Wait()
	return err
}

func (p *Proxy) accept() {
	defer p.done.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		if p.present().Refuse {
			reset(client)
			continue
		}
		p.done.Go(func() { p.carry(client) })
	}
}

func (p *Proxy) present() Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

// dial connects to the next server that answers.
func (p *Proxy) dial() (server net.Conn, err error) {
	for range p.servers {
		p.mu.Lock()
		address := p.servers[p.next]
		p.next = (p.next + 1) % len(p.servers)
		p.mu.Unlock()
		if server, err = net.DialTimeout("tcp", address, 5*time.Second); err == nil {
			return server, nil
		}
	}
	return nil, err
}

// carry joins a client to a server until one of them closes.
func (p *Proxy) carry(client net.Conn) {
	server, err := p.dial()
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.reset()
		return
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, server, client, func(f Fault) bool { return f.NothingUp }) })
	both.Go(func() { p.pump(l, client, server, func(f Fault) bool { return f.NothingDown }) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	_, _ = client.Close(), server.Close()
}

// pump carries one direction. An end of the stream is carried too; an error
// ends both directions.
func (p *Proxy) pump(l *link, to, from net.Conn, starves func(Fault) bool) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && !p.pass(l, to, piece[:n], starves) {
			l.reset()
			return
		}
		if errors.Is(err, io.EOF) {
			if half, ok := to.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			return
		}
		if err != nil {
			l.reset()
			return
		}
	}
}

// pass hands a piece on as the present fault has it, and tells whether the
// connection goes on.
func (p *Proxy) pass(l *link, to net.Conn, piece []byte, starves func(Fault) bool) bool {
	f := p.present()
	if f.Delay > 0 {
		time.Sleep(f.Delay)
		f = p.present()
	}
	p.mu.Lock()
	l.lossy = l.lossy || starves(f)
	lossy := l.lossy
	p.mu.Unlock()
	if lossy {
		return true // what follows lost data must not arrive either
	}
	_, err := to.Write(piece)
	return err == nil
}

func (l *link) reset() {
	reset(l.client)
	reset(l.server)
}

// reset closes a connection so that its peer gets an error and not an end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
