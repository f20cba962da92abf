//go:build linux

package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
)

// errLost is that the supervisor has gone before it answered. What was asked
// may have been done or not; all requests may be repeated.
var errLost = errors.New("the connection to the supervisor is lost")

// greetPatience is how long a supervisor may take to tell of its runs.
const greetPatience = 10 * time.Second

// session is a connection to a living supervisor.
type session struct {
	conn    net.Conn
	hello   reply
	over    chan struct{} // closed when the connection is lost
	changes func(runs.Status)

	mu      sync.Mutex
	out     *json.Encoder
	next    uint64
	waiting map[uint64]chan reply
	lost    bool
}

// greet opens a session on a connection. changes gets the status of every run,
// and later of every run that changes, one at a time; it must not wait. The
// answer is which runs there are.
func greet(conn net.Conn, changes func(runs.Status)) (*session, map[armada.RunID]bool, error) {
	s := &session{
		conn: conn, over: make(chan struct{}), changes: changes,
		out: json.NewEncoder(conn), waiting: make(map[uint64]chan reply),
	}
	_ = conn.SetDeadline(time.Now().Add(greetPatience))
	in := json.NewDecoder(bufio.NewReaderSize(conn, 64<<10))
	if err := s.out.Encode(request{ID: s.next, Hello: &hello{Version: protocolVersion}}); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("greet the supervisor: %w", err), conn.Close())
	}
	present := make(map[armada.RunID]bool)
	for {
		var rep reply
		if err := in.Decode(&rep); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("hear the supervisor: %w", err), conn.Close())
		}
		if rep.Status != nil {
			present[rep.Status.Run] = true
			changes(*rep.Status)
			continue
		}
		if rep.Version != protocolVersion {
			return nil, nil, errors.Join(fmt.Errorf(
				"the living supervisor speaks protocol %d and not %d: let its runs end with the binary that started it", rep.Version, protocolVersion,
			), conn.Close())
		}
		s.hello = rep
		break
	}
	_ = conn.SetDeadline(time.Time{})
	go s.hear(in)
	return s, present, nil
}

// hear takes in what the supervisor says until it goes.
func (s *session) hear(in *json.Decoder) {
	defer close(s.over)
	for {
		var rep reply
		if err := in.Decode(&rep); err != nil {
			break
		}
		if rep.Status != nil {
			s.changes(*rep.Status)
			continue
		}
		s.mu.Lock()
		if answer := s.waiting[rep.ID]; answer != nil {
			delete(s.waiting, rep.ID)
			answer <- rep
		}
		s.mu.Unlock()
	}
	_ = s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
	for id, answer := range s.waiting {
		delete(s.waiting, id)
		close(answer)
	}
}

// call asks and waits for the answer.
func (s *session) call(ctx context.Context, req request) (reply, error) {
	answer := make(chan reply, 1)
	s.mu.Lock()
	if s.lost {
		s.mu.Unlock()
		return reply{}, errLost
	}
	s.next++
	req.ID = s.next
	s.waiting[req.ID] = answer
	err := s.out.Encode(req)
	s.mu.Unlock()
	if err != nil {
		_ = s.conn.Close() // hear ends, and answers all who wait
	}
	select {
	case rep, heard := <-answer:
		if !heard || rep.Failure == failureLeaving {
			return reply{}, errLost
		}
		return rep, rep.err()
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.waiting, req.ID)
		s.mu.Unlock()
		return reply{}, context.Cause(ctx)
	}
}

// err is the failure that a reply tells of.
func (r reply) err() error {
	switch r.Failure {
	case "":
		return nil
	case failureUnknown:
		return runs.ErrUnknownRun
	case failureSpent:
		return runs.ErrSpent
	case failureIdle:
		return runs.ErrNotRunning
	case failureBusy:
		return ErrBusy
	case failed, failureLeaving:
	}
	return errors.New(r.Text)
}

func (s *session) close() {
	_ = s.conn.Close()
	<-s.over
}

// dial connects to a living supervisor.
func (l layout) dial() (*net.UnixConn, error) {
	var conn *net.UnixConn
	err := l.throughHandle(func(address *net.UnixAddr) (err error) {
		conn, err = net.DialUnix("unix", nil, address)
		return err
	})
	return conn, err
}

// launch starts a supervisor and waits until it listens, or ends because
// another one lives. The process is the caller's to collect.
func launch(ctx context.Context, c *Config, l layout) (*os.Process, error) {
	set, err := json.Marshal(settings{Dir: l.dir, Idle: c.Idle, LogLimit: c.LogLimit, Bare: c.bare})
	if err != nil {
		return nil, err
	}
	says, err := os.OpenFile(l.says(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer says.Close()
	hears, tells, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer hears.Close()
	cmd := exec.Command(c.Supervisor[0], append(c.Supervisor[1:len(c.Supervisor):len(c.Supervisor)], string(set))...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.dir, says, says
	cmd.ExtraFiles = []*os.File{tells}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = tells.Close()
	if err != nil {
		return nil, err
	}
	stopWaiting := context.AfterFunc(ctx, func() { _ = hears.SetReadDeadline(time.Unix(1, 0)) })
	defer stopWaiting()
	_, _ = hears.Read(make([]byte, 16)) // "ready", or the end of it
	return cmd.Process, nil
}

// collect takes in a supervisor that has ended, if it has.
func collect(p *os.Process) bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(p.Pid, &status, unix.WNOHANG, nil)
	return err != nil || pid != 0
}
