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
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler is PgBouncer in its transaction mode: a client has a server's connection
// for one transaction at a time.
type Pooler struct {
	server  *Server
	port    int
	folder  string
	lock    *os.File
	command *exec.Cmd
	gone    chan struct{}
}

// Pooler starts PgBouncer before the server. It ends with the test.
func (s *Server) Pooler(t testing.TB) *Pooler {
	t.Helper()
	p, err := s.pooler()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.remove)
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
log_connections = 0
log_disconnections = 0
`

func (s *Server) pooler() (*Pooler, error) {
	path, err := findPooler()
	if err != nil {
		return nil, err
	}
	p := &Pooler{server: s, gone: make(chan struct{})}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	if p.folder, p.lock, err = newFolder(); err != nil {
		return nil, err
	}
	config := filepath.Join(p.folder, "pgbouncer.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, poolerConfig, s.port, p.port), 0o600); err != nil {
		return nil, err
	}
	for _, file := range []string{p.folder, config} {
		if err := s.give(file); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(p.folder, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p.command = exec.Command(path, config)
	p.command.Dir, p.command.Stdout, p.command.Stderr = p.folder, log, log
	p.command.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := startOnThread(p.command, p.gone); err != nil {
		return nil, err
	}
	return p, p.wait(log.Name())
}

// wait returns once PgBouncer answers.
func (p *Pooler) wait(log string) error {
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		c, err := pgx.Connect(ctx, p.URL("postgres"))
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

// URL is where a database of the server is found through the pooler.
func (p *Pooler) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("armada"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Through is the URL of a database of the server, led through the pooler.
func (p *Pooler) Through(t testing.TB, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
	return u.String()
}

func (p *Pooler) remove() {
	_ = p.command.Process.Signal(syscall.SIGQUIT)
	<-p.gone
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
