// Package pgtest gives tests a PostgreSQL of their own: a throwaway cluster on a
// free port of the loopback, made with the newest binaries of this machine, as
// durable as a real one (fsync is on).
//
// A test binary that wants one for all its tests calls [Main] from TestMain and
// [Database] in each test. A test that stops, kills or reconfigures the server
// makes one with [Start].
//
// Around a server there may be what production has: a standby that follows it
// ([Server.Standby]), PgBouncer before it ([Server.Pooler]), a small disk of its
// own that gets full ([StartOnDisk]), and rules of who may connect ([Server.Admit]).
//
// PostgreSQL refuses to run as root, so root starts it as the user postgres or
// nobody. A server dies with the process that started it, and the folder that it
// leaves is swept by the next test binary.
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
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// hint says what to do where PostgreSQL is missing.
const hint = "these tests need PostgreSQL 13 or newer: run scripts/postgres.sh, or install your system's package postgresql"

// Server is a cluster of its own.
type Server struct {
	binaries string
	folder   string
	lock     *os.File // held as long as the folder is ours
	port     int
	owner    *syscall.Credential // nil: the user who runs the tests
	disk     *Disk               // nil: the data is in the folder

	mu      sync.Mutex
	options []string
	process *os.Process
	gone    chan struct{} // closed when the process has ended
}

// Start makes a cluster for one test and starts it. Options are settings of
// PostgreSQL, such as "max_connections=20". The cluster is deleted with the
// test.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	s, err := create(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	s.Restart(t)
	return s
}

// shared is the server of the test binary.
var shared *Server

// Main runs the tests of a binary with one shared server and returns the exit
// code: os.Exit(pgtest.Main(m)).
func Main(m *testing.M, options ...string) int {
	server, err := create(options)
	if err == nil {
		defer server.remove()
		err = server.start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = server
	return m.Run()
}

// Shared is the server that Main started.
func Shared() *Server { return shared }

// Database makes an empty database in the shared server and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	if shared == nil {
		t.Fatal("pgtest: call pgtest.Main from TestMain")
	}
	return shared.Database(t)
}

var databases atomic.Int64

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	s.Exec(t, s.URL("postgres"), "CREATE DATABASE "+name+" TEMPLATE template0")
	return s.URL(name)
}

// Exec runs a statement as the superuser of the cluster.
func (s *Server) Exec(t testing.TB, databaseURL, statement string, args ...any) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Count asks a question in the database postgres whose answer is one number.
func (s *Server) Count(t testing.TB, question string) int {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	var n int
	if err := c.QueryRow(ctx, question).Scan(&n); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return n
}

// URL is where a database is found: in this server, or in whichever of the others
// has taken its place.
func (s *Server) URL(database string, others ...*Server) string {
	hosts := s.Address()
	for _, o := range others {
		hosts += "," + o.Address()
	}
	u := url.URL{Scheme: "postgres", User: url.User("armada"), Host: hosts, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Address is the host and port that the server listens on.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Folder is where the cluster's data and socket are.
func (s *Server) Folder() string { return s.folder }

// Restart starts the server, after stopping it if it runs; options are added to
// those that it was made with.
func (s *Server) Restart(t testing.TB, options ...string) {
	t.Helper()
	s.Stop(t)
	s.mu.Lock()
	s.options = append(s.options, options...)
	s.mu.Unlock()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends all connections and stops the server, in order.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(syscall.SIGINT)
}

// Crash stops the server without any order: the next start recovers from the
// log.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	s.end(syscall.SIGQUIT)
}

// Kill kills the server's first process with SIGKILL; the others end when they
// see it.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.end(syscall.SIGKILL)
}

func (s *Server) end(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.Signal(signal)
	<-s.gone
	s.process = nil
}

func (s *Server) remove() {
	s.end(syscall.SIGQUIT)
	_ = os.RemoveAll(s.folder)
	_ = s.lock.Close()
}

// create makes the files of a cluster.
func create(options []string) (*Server, error) {
	s, err := settle(options)
	if err != nil {
		return nil, err
	}
	return s, s.initialize()
}

// settle finds a server's programs, and a folder and a port of its own.
func settle(options []string) (*Server, error) {
	binaries, err := findBinaries()
	if err != nil {
		return nil, err
	}
	s := &Server{binaries: binaries, options: options}
	if s.owner, err = owner(); err != nil {
		return nil, err
	}
	if s.folder, s.lock, err = newFolder(); err != nil {
		return nil, err
	}
	if err := s.give(s.folder); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, nil
}

// initialize makes the data of an empty cluster.
func (s *Server) initialize(more ...string) error {
	args := []string{"--pgdata=" + s.data(), "--auth=trust", "--username=armada", "--encoding=UTF8", "--locale=C", "--no-sync"}
	initdb := s.command("initdb", append(args, more...)...)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return nil
}

// give makes a file the server's own.
func (s *Server) give(path string) error {
	if s.owner == nil {
		return nil
	}
	return os.Chown(path, int(s.owner.Uid), int(s.owner.Gid))
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

func (s *Server) data() string {
	if s.disk != nil {
		return filepath.Join(s.disk.folder, "data")
	}
	return filepath.Join(s.folder, "data")
}

// command prepares a program of PostgreSQL, run by the server's owner. A small
// disk is seen by it alone.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	path := filepath.Join(s.binaries, name)
	if s.disk != nil {
		args = append(s.disk.enter(s.owner), append([]string{path}, args...)...)
		c := exec.Command(args[0], args[1:]...)
		c.Dir, c.SysProcAttr = s.folder, &syscall.SysProcAttr{}
		return c
	}
	c := exec.Command(path, args...)
	c.Dir = s.folder
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	return c
}

// patience bounds how long a server may take to start.
const patience = time.Minute

// start starts the server and waits until it answers. After a kill the memory
// of the old one may be in use for a moment: then it is tried again.
func (s *Server) start() error {
	deadline := time.Now().Add(patience)
	for {
		err := s.try(deadline)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *Server) try(deadline time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args := []string{
		"-D", s.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.port),
		"-c", "unix_socket_directories=" + s.folder, "-c", "max_connections=300", "-c", "shared_buffers=128MB",
	}
	for _, o := range s.options {
		args = append(args, "-c", o)
	}
	command := s.command("postgres", args...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	command.SysProcAttr.Setpgid = true // Ctrl-C is for the tests
	gone := make(chan struct{})
	if err := startOnThread(command, gone); err != nil {
		return err
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := s.answers(ctx)
		if err == nil {
			cancel()
			s.process, s.gone = command.Process, gone
			return nil
		}
		cancel()
		select {
		case <-gone:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("pgtest: the server ended: %s", text[max(0, len(text)-2000):])
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = command.Process.Signal(syscall.SIGQUIT)
			<-gone
			return fmt.Errorf("pgtest: the server does not answer: %w", err)
		}
	}
}

// answers is nil when this server answers, and no other one that took its port
// while it was down.
func (s *Server) answers(ctx context.Context) error {
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	var data string
	if err := c.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&data); err != nil {
		return err
	}
	if data != s.data() {
		return fmt.Errorf("the server of %s answers at port %d", data, s.port)
	}
	return nil
}

// startOnThread starts a command that dies with this process, and closes gone
// when it has ended. A death signal comes from the thread that started the
// command, so that one stays as long.
func startOnThread(command *exec.Cmd, gone chan struct{}) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(gone)
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
		}
	}()
	return <-started
}

// findBinaries returns the folder of PostgreSQL's programs.
func findBinaries() (string, error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(candidates, func(a, b string) int { return versionOf(b) - versionOf(a) })
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, folder := range candidates {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", errors.New("pgtest: initdb was not found; " + hint)
}

func versionOf(folder string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	return n
}

// owner is who runs the server when root runs the tests.
func owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		var u *user.User
		if u, err = user.Lookup(name); err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("pgtest: root may not run PostgreSQL, and there is no user postgres or nobody: %w", err)
}

// Program is where one of PostgreSQL's programs is, such as pg_dump.
func Program(t testing.TB, name string) string {
	t.Helper()
	folder, err := findBinaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}
