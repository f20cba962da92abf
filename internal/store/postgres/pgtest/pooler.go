package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler is PgBouncer in its transaction mode: a client has a server's connection
// for one transaction at a time.
type Pooler struct {
	server  *Server
	program string
	port    int
	folder  string
	lock    *os.File

	process *os.Process
	gone    chan struct{} // closed when the process has ended
}

// Pooler starts PgBouncer before the server. It ends with the test.
func (s *Server) Pooler(t testing.TB) *Pooler {
	t.Helper()
	p := &Pooler{server: s}
	if err := p.settle(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.remove)
	p.Restart(t)
	return p
}

// poolerConfig has few connections for each database, so that they are shared.
const poolerConfig = `[databases]
* = host=127.0.0.1 port=%d user=armada
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 1000
server_idle_timeout = 2
server_login_retry = 1
log_connections = 0
log_disconnections = 0
`

// settle finds the program, and a folder and a port of its own.
func (p *Pooler) settle() (err error) {
	if p.program, err = findPooler(); err != nil {
		return err
	}
	if p.port, err = freePort(); err != nil {
		return err
	}
	if p.folder, p.lock, err = newFolder(); err != nil {
		return err
	}
	if err := os.WriteFile(p.config(), fmt.Appendf(nil, poolerConfig, p.server.port, p.port), 0o600); err != nil {
		return err
	}
	return errors.Join(p.server.give(p.folder), p.server.give(p.config()))
}

func (p *Pooler) config() string { return filepath.Join(p.folder, "pgbouncer.ini") }

// Kill kills the pooler with SIGKILL, and all connections through it.
func (p *Pooler) Kill(t testing.TB) {
	t.Helper()
	p.end(syscall.SIGKILL)
}

// Restart starts the pooler, after stopping it if it runs.
func (p *Pooler) Restart(t testing.TB) {
	t.Helper()
	p.end(syscall.SIGQUIT)
	log, err := os.OpenFile(filepath.Join(p.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(p.program, p.config())
	command.Dir, command.Stdout, command.Stderr = p.folder, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Credential: p.server.owner, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.gone = make(chan struct{})
	if err := startOnThread(command, p.gone); err != nil {
		t.Fatal(err)
	}
	p.process = command.Process
	if err := p.wait(log.Name()); err != nil {
		t.Fatal(err)
	}
}

func (p *Pooler) end(signal syscall.Signal) {
	if p.process == nil {
		return
	}
	_ = p.process.Signal(signal)
	<-p.gone
	p.process = nil
}

// wait returns once PgBouncer answers.
func (p *Pooler) wait(log string) error {
	at := strings.Replace(p.server.URL("postgres"), p.server.Address(), p.Address(), 1)
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		c, err := pgx.Connect(ctx, at)
		if err == nil {
			_ = c.Close(ctx)
		}
		cancel()
		select {
		case <-p.gone:
			text, _ := os.ReadFile(log)
			return fmt.Errorf("pgtest: pgbouncer ended: %s", text)
		case <-time.After(20 * time.Millisecond):
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Address is the host and port that the pooler listens on.
func (p *Pooler) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// Through is the URL of a database of the server, led through the pooler.
func (p *Pooler) Through(t testing.TB, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.Address()
	return u.String()
}

func (p *Pooler) remove() {
	p.end(syscall.SIGQUIT)
	_ = os.RemoveAll(p.folder)
	_ = p.lock.Close()
}

func findPooler() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(debian); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return debian, err
	}
	return "", errors.New("pgtest: pgbouncer was not found; these tests need it: run scripts/postgres.sh, or install your system's package pgbouncer")
}
