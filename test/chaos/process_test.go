package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"armada/test/chaos/checker"
)

// binary is the built armada.
func binary(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ARMADA_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, "armada"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("armada is not built: run `make e2e`, or `make build` first: %v", err)
	}
	return path
}

// process is a program that is started again and again with the same name.
type process struct {
	name string
	path string
	args []string
	log  *os.File // what all its lives wrote

	trouble sync.Mutex // held by the one that breaks it

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	lives  int
	deaths []time.Duration // when it was killed, or began to be
}

// newProcess names a program; nothing runs yet.
func newProcess(dir, name, path string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	return &process{name: name, path: path, args: args, log: log}, err
}

// start begins another life, with further environment variables or none.
func (p *process) start(extra ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lives++
	fmt.Fprintf(p.log, "--- life %d %q\n", p.lives, extra)
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), extra...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in the log, or was our doing
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	return nil
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended
	}
}

// kill ends a life without warning.
func (p *process) kill() { p.end(syscall.SIGKILL, time.Hour) }

// stop ends a life in order, by force when it takes longer than the time given;
// then it says so.
func (p *process) stop(within time.Duration) error {
	if !p.end(syscall.SIGTERM, within) {
		return fmt.Errorf("%s was told to stop and had not after %v", p.name, within)
	}
	return nil
}

func (p *process) end(s syscall.Signal, within time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return true
	}
	p.deaths = append(p.deaths, monotonic())
	_ = p.cmd.Process.Signal(s)
	timely := true
	select {
	case <-p.exited:
	case <-time.After(within):
		timely = false
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // Go tells what it was doing
		<-p.exited
	}
	p.cmd = nil
	return timely
}

// lives tells whether the present life goes on.
func (p *process) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// monotonic is the machine's time since it was started: the same for all
// processes, and nobody can set it.
func monotonic() time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		panic(err) // never for this clock
	}
	return time.Duration(at.Nano())
}

// traced is a line that an executor writes of a pod; see rehearsal.podTrace in
// the configuration.
type traced struct {
	At    time.Duration `json:"at"`
	Run   string        `json:"run"`
	Job   string        `json:"job"`
	Node  string        `json:"node"`
	Phase string        `json:"phase"`
}

// pods reads what an executor traced. A pod whose end is not told ended when
// the executor was killed next; one that lives on ends now.
func pods(executor, trace string, deaths []time.Duration) ([]checker.Pod, error) {
	file, err := os.Open(trace)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	now := monotonic()
	life := func(at time.Duration) (n int, ends time.Duration) {
		for n, death := range deaths {
			if death >= at {
				return n, death
			}
		}
		return len(deaths), now
	}
	var all []checker.Pod
	open := map[string]int{} // by run, the place of its pod
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var l traced
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", trace, lines.Text(), err)
		}
		place, known := open[l.Run]
		n, ends := life(l.At)
		// What was open when the executor died is not what it tells now.
		if !known || all[place].Life != n {
			place = len(all)
			open[l.Run] = place
			all = append(all, checker.Pod{
				Node: checker.Node{Executor: executor, Name: l.Node}, Run: l.Run, Job: l.Job,
				Began: l.At, Ended: ends, Outcome: "killed", Life: n,
			})
		}
		switch l.Phase {
		case "succeeded", "failed", "stopped":
			all[place].Ended, all[place].Outcome = l.At, l.Phase
			delete(open, l.Run)
		}
	}
	return all, lines.Err()
}

// wait returns when a condition holds, or an error when it does not in time.
func wait(ctx context.Context, within time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !holds() {
		if ctx.Err() != nil {
			return errors.New("not in time")
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}
