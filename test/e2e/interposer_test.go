package e2e

import (
	wire "encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// interposer stands between a server and PostgreSQL, understands what they say
// enough to know the leader's commits, and holds one back when it is told to.
type interposer struct {
	listener net.Listener
	database string
	done     sync.WaitGroup

	mu   sync.Mutex
	next func(*heldCommit) // nil: everything passes
}

// heldCommit is a commit of a leader that the database has not seen yet.
type heldCommit struct {
	epoch    int64
	pass     func()          // gives it to the database
	answered <-chan struct{} // closed when the database has answered, which the leader does not hear yet
	answer   func() string   // the code of the error that was the answer, "" for success
}

func interpose(t *testing.T, database string) *interposer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &interposer{listener: listener, database: database}
	i.done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			i.done.Go(func() { i.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		i.done.Wait()
	})
	return i
}

// hold lets f have the next commit of a leader. The connection goes on when f
// returns.
func (i *interposer) hold(f func(*heldCommit)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next = f
}

func (i *interposer) take() func(*heldCommit) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.next
	i.next = nil
	return f
}

func (i *interposer) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", i.database)
	if err != nil {
		return
	}
	defer server.Close()
	if start, err := readFrame(client, 0); err != nil || send(server, start) != nil {
		return
	}
	answers := &answers{to: client}
	i.done.Go(func() {
		answers.carry(server)
		client.Close()
	})
	commits := map[string]bool{} // prepared statements that commit
	for {
		frame, err := readFrame(client, 1)
		if err != nil {
			return
		}
		switch frame[0] {
		case 'P':
			var parse pgproto3.Parse
			if parse.Decode(frame[5:]) == nil {
				commits[parse.Name] = strings.Contains(parse.Query, "armada.commit(")
			}
		case 'B':
			var bind pgproto3.Bind
			if bind.Decode(frame[5:]) != nil || !commits[bind.PreparedStatement] || epochOf(&bind) == 0 {
				break
			}
			if f := i.take(); f != nil {
				if !holdBack(client, server, answers, frame, epochOf(&bind), f) {
					return
				}
				continue
			}
		}
		if send(server, frame) != nil {
			return
		}
	}
}

// epochOf is the epoch that a call of armada.commit demands: its fourth argument.
func epochOf(b *pgproto3.Bind) int64 {
	if len(b.Parameters) < 4 || len(b.Parameters[3]) != 8 {
		return 0
	}
	return int64(wire.BigEndian.Uint64(b.Parameters[3]))
}

// holdBack reads a statement to its end and lets f have it.
func holdBack(client, server net.Conn, answers *answers, statement []byte, epoch int64, f func(*heldCommit)) bool {
	for {
		frame, err := readFrame(client, 1)
		if err != nil {
			return false
		}
		statement = append(statement, frame...)
		if frame[0] == 'S' {
			break
		}
	}
	var once sync.Once
	pass := func() { once.Do(func() { _ = send(server, statement) }) }
	f(&heldCommit{epoch: epoch, pass: pass, answered: answers.withhold(), answer: answers.code})
	pass()
	return answers.release() == nil
}

// answers is what the database says to a connection. It is withheld while a
// commit is held, up to its end.
type answers struct {
	to io.Writer

	mu       sync.Mutex
	answered chan struct{} // nil: nothing is withheld
	kept     []byte
	failed   string
}

func (a *answers) carry(server net.Conn) {
	for {
		frame, err := readFrame(server, 1)
		if err != nil || a.hand(frame) != nil {
			return
		}
	}
}

func (a *answers) hand(frame []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answered == nil {
		return send(a.to, frame)
	}
	a.kept = append(a.kept, frame...)
	switch frame[0] {
	case 'E':
		var response pgproto3.ErrorResponse
		if err := response.Decode(frame[5:]); err != nil {
			return err
		}
		a.failed = response.Code
	case 'Z':
		close(a.answered)
	}
	return nil
}

func (a *answers) withhold() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered = make(chan struct{})
	return a.answered
}

func (a *answers) code() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *answers) release() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered = nil
	return send(a.to, a.kept)
}

// readFrame reads a message of PostgreSQL's protocol: its kind, which the first of
// a connection has none of, its length, and what it says.
func readFrame(from io.Reader, kind int) ([]byte, error) {
	frame := make([]byte, kind+4)
	if _, err := io.ReadFull(from, frame); err != nil {
		return nil, err
	}
	rest := make([]byte, wire.BigEndian.Uint32(frame[kind:])-4)
	_, err := io.ReadFull(from, rest)
	return append(frame, rest...), err
}

func send(to io.Writer, b []byte) error {
	_, err := to.Write(b)
	return err
}
