package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// patience is how long a test waits for what must happen; it bounds failures
// and is no measure of speed.
const patience = 60 * time.Second

// binary returns the path of a built binary.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ARMADA_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built: run `make e2e`, or `make build` first: %v", name, err)
	}
	return path
}

// up is a living `armada up`, or another role of armada.
type up struct {
	grpc, http string // empty for an executor
	cmd        *exec.Cmd
	output     *log
	exited     chan struct{}
	err        error // of cmd.Wait, once exited is closed
}

// log gathers output and may be read meanwhile.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var (
	grpcLine = regexp.MustCompile(`(?m)^\s+gRPC\s+(\S+)$`)
	restLine = regexp.MustCompile(`(?m)^\s+REST\s+http://([^/]+)/`)
)

// startUp starts `armada up` on a data folder and waits until it serves.
func startUp(t *testing.T, dir string, args ...string) *up {
	t.Helper()
	u, err := tryUp(t, dir, args...)
	if err != nil {
		t.Fatalf("armada up: %v\n%s", err, u.output)
	}
	return u
}

func tryUp(t *testing.T, dir string, args ...string) (*up, error) {
	t.Helper()
	return begin(t, append([]string{"up", "--data-dir", dir, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--metrics-addr", ""}, args...)...)
}

// begin starts armada and waits until it says that it has begun.
func begin(t *testing.T, args ...string) (*up, error) {
	t.Helper()
	u := &up{cmd: exec.Command(binary(t, "armada"), args...), output: &log{}, exited: make(chan struct{})}
	u.cmd.Stderr = u.output
	stdout, err := u.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for said := false; lines.Scan(); {
			fmt.Fprintln(u.output, lines.Text())
			if !said && strings.Contains(lines.Text(), "Ctrl-C stops") {
				said = true
				close(ready)
			}
		}
		u.err = u.cmd.Wait()
		close(u.exited)
	}()
	t.Cleanup(func() { u.kill() })
	select {
	case <-ready:
	case <-u.exited:
		return u, fmt.Errorf("it ended: %w", u.err)
	case <-time.After(patience):
		return u, errors.New("it does not say that it is up")
	}
	text := u.output.String()
	if grpc := grpcLine.FindStringSubmatch(text); grpc != nil {
		u.grpc, u.http = grpc[1], restLine.FindStringSubmatch(text)[1]
	}
	return u, nil
}

// kill ends armada without any chance to tidy up.
func (u *up) kill() {
	_ = u.cmd.Process.Kill()
	<-u.exited
}

// interrupt presses Ctrl-C and waits for the end.
func (u *up) interrupt(t *testing.T) {
	t.Helper()
	if err := u.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-u.exited:
	case <-time.After(patience):
		t.Fatalf("armada does not stop:\n%s", u.output)
	}
	if u.err != nil {
		t.Fatalf("armada stopped with %v:\n%s", u.err, u.output)
	}
}

// dial connects to the gRPC port.
func (u *up) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(u.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ctl runs armadactl and returns what it prints.
func (u *up) ctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, port, _ := strings.Cut(u.grpc, ":")
	cmd := exec.CommandContext(ctx, binary(t, "armadactl"), append([]string{"--armadaUrl", "localhost:" + port}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustCtl is ctl for commands that must succeed.
func (u *up) mustCtl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := u.ctl(t, args...)
	if err != nil {
		t.Fatalf("armadactl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
