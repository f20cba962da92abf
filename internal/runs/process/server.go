//go:build linux

package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"armada/internal/runs"
)

// writePatience is how long a client may leave what it is sent unread: one that
// was stopped must not hold the supervisor up.
const writePatience = 10 * time.Second

// client is a connection from the executor's side.
type client struct {
	conn *net.UnixConn

	mu      sync.Mutex // guards writing and what follows
	out     *json.Encoder
	greeted bool
	seen    runs.Cursor // changes up to here are written
}

// accept takes in clients until the listener is closed.
func (s *supervisor) accept(listener *net.UnixListener, connections *sync.WaitGroup) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("the supervisor takes no more clients", "error", err)
			}
			return
		}
		c := &client{conn: conn, out: json.NewEncoder(conn)}
		s.mu.Lock()
		late := s.leaving
		if !late {
			s.clients[c] = true
		}
		s.mu.Unlock()
		if late {
			_ = conn.Close()
			continue
		}
		connections.Go(func() { s.converse(c) })
	}
}

// converse answers a client until it goes.
func (s *supervisor) converse(c *client) {
	var answering sync.WaitGroup
	hungUp := make(chan struct{})
	line := &intake{conn: c.conn}
	for in := json.NewDecoder(line); ; {
		var req request
		if err := in.Decode(&req); err != nil {
			break
		}
		switch {
		case req.Hello != nil:
			s.greet(c, &req)
			continue
		case req.Exec != nil:
			handles := line.take()
			answering.Go(func() { c.send(s.ledger, s.command(&req, handles, hungUp)) })
			continue
		}
		answering.Go(func() {
			rep := s.answer(&req)
			c.send(s.ledger, rep)
			if req.Quit && rep.Failure == "" {
				s.leaveOnce.Do(func() { close(s.leave) })
			}
		})
	}
	close(hungUp)
	_ = c.conn.Close()
	closeAll(line.take())
	answering.Wait()
	s.mu.Lock()
	delete(s.clients, c)
	s.mu.Unlock()
	s.nudge()
}

// greet answers Hello; from then on the client hears of changes.
func (s *supervisor) greet(c *client, req *request) {
	c.mu.Lock()
	c.greeted = true
	c.mu.Unlock()
	c.send(s.ledger, reply{
		ID: req.ID, Version: protocolVersion, Limits: s.cages.canLimit(), Features: s.cages.features(), Commands: true, Measures: true,
	})
}

// answer does what a request asks.
func (s *supervisor) answer(req *request) reply {
	rep := reply{ID: req.ID}
	var err error
	switch {
	case req.Start != nil:
		err = s.start(req.Start)
	case req.Stop != nil:
		err = s.stop(req.Stop.Run, req.Stop.Grace)
	case req.Forget != "":
		err = s.forget(req.Forget)
	case req.Prune != nil:
		rep.Pruned, err = s.prune(req.Prune.Before, req.Prune.Size)
	case req.Usage:
		rep.Usage = s.readings()
	case req.Quit:
		if !s.retire(false) {
			rep.Failure, rep.Text = failureBusy, "runs live"
		}
	default:
		err = fmt.Errorf("the request is of no kind that protocol %d has", protocolVersion)
	}
	rep.fail(err)
	return rep
}

// fail makes a reply tell of an error, if it is one.
func (r *reply) fail(err error) {
	switch {
	case err == nil:
		return
	case errors.Is(err, runs.ErrUnknownRun):
		r.Failure = failureUnknown
	case errors.Is(err, runs.ErrSpent):
		r.Failure = failureSpent
	case errors.Is(err, runs.ErrNotRunning):
		r.Failure = failureIdle
	case errors.Is(err, errLeaving):
		r.Failure = failureLeaving
	default:
		r.Failure = failed
	}
	r.Text = err.Error()
}

// send writes the changes that the client has not heard of, if it greeted, then
// the reply. A client that cannot be written to is hung up on.
func (c *client) send(ledger *runs.Ledger, replies ...reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(writePatience))
	var changed []runs.Status
	if c.greeted {
		changed, c.seen = ledger.Changed(c.seen)
	}
	for i := range changed {
		if c.out.Encode(reply{Status: &changed[i]}) != nil {
			_ = c.conn.Close()
			return
		}
	}
	for _, rep := range replies {
		if c.out.Encode(rep) != nil {
			_ = c.conn.Close()
			return
		}
	}
}

// spread tells all clients of changes until the supervisor ends.
func (s *supervisor) spread() {
	for {
		select {
		case <-s.ledger.Updates():
			for _, c := range s.present() {
				c.send(s.ledger)
			}
		case <-s.gone:
			return
		}
	}
}

// hangUp ends all connections, and with them who serves them.
func (s *supervisor) hangUp() {
	close(s.gone)
	for _, c := range s.present() {
		_ = c.conn.Close()
	}
}

func (s *supervisor) present() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	clients := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		clients = append(clients, c)
	}
	return clients
}
