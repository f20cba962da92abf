//go:build linux

package process

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

// Words after the name of the test binary that make it something else.
const (
	asSupervisor = "supervise"
	asClient     = "client"
	asFugitive   = "flee"
	asCaller     = "call"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case asSupervisor:
			os.Exit(SupervisorMain(os.Args[2:]))
		case asClient:
			os.Exit(clientMain(os.Args[2:]))
		case asCaller:
			os.Exit(callerMain(os.Args[2], armada.RunID(os.Args[3]), os.Args[4]))
		case asFugitive:
			os.Exit(fugitiveMain(os.Args[2], os.Args[3], os.Args[4]))
		}
	}
	goleak.VerifyTestMain(m)
}

// world is a data folder of its own, whose supervisor is gone after the test.
type world struct {
	dir  string
	bare bool          // without control groups
	idle time.Duration // of supervisors; a minute when zero
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	t.Cleanup(func() {
		r := w.open(t)
		runstest.StopAll(t, r)
		if err := r.Quit(context.Background()); err != nil {
			t.Errorf("quit: %v", err)
		}
		says, err := os.ReadFile(r.layout.says())
		if err != nil || bytes.Contains(says, []byte("DATA RACE")) || bytes.Contains(says, []byte("panic:")) {
			t.Errorf("the supervisor is broken, %v", err)
		}
		if t.Failed() {
			t.Logf("the supervisor said:\n%s", says)
		}
		if left := r.layout.strays(); len(left) > 0 {
			t.Errorf("processes have outlived their runs: %v", left)
		}
	})
	return w
}

// config is what a runtime of the world is told.
func (w *world) config() Config {
	return Config{
		Dir: w.dir, Supervisor: []string{os.Args[0], asSupervisor}, Node: "this-machine",
		Idle: cmp.Or(w.idle, time.Minute), bare: w.bare, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

// open opens a runtime, which the caller closes.
func (w *world) open(t testing.TB) *Runtime {
	t.Helper()
	r, err := Open(w.config())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return r
}

// living lists the processes that have a word in their command line.
func living(word string) []string {
	var found []string
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), word) {
			found = append(found, path+": "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

// eventually waits for what nothing tells of.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(late) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// opened opens a runtime that is closed after the test.
func (w *world) opened(t testing.TB) *Runtime {
	t.Helper()
	r := w.open(t)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// pod is a pod spec in Kubernetes' own words, as far as tests need it.
type pod struct {
	InitContainers []container `json:"initContainers,omitempty"`
	Containers     []container `json:"containers"`
	Grace          *int64      `json:"terminationGracePeriodSeconds,omitempty"`
	Deadline       *int64      `json:"activeDeadlineSeconds,omitempty"`
}

type container struct {
	Name          string            `json:"name"`
	Image         string            `json:"image,omitempty"`
	Command       []string          `json:"command,omitempty"`
	Args          []string          `json:"args,omitempty"`
	WorkingDir    string            `json:"workingDir,omitempty"`
	RestartPolicy string            `json:"restartPolicy,omitempty"`
	Env           []variable        `json:"env,omitempty"`
	Resources     map[string]limits `json:"resources,omitempty"`
}

type (
	limits   map[string]string
	variable struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// shell is a container that runs a script.
func shell(name, script string) container {
	return container{Name: name, Command: []string{"/bin/sh", "-c", script}}
}

func (p pod) bytes(t testing.TB) []byte {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := podspec.DecodeJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Canonical()
}

// order is the n-th order of a test.
func (p pod) order(t testing.TB, n int) runs.Order {
	t.Helper()
	job := armada.JobID(fmt.Sprintf("01brz3ndektsv4rrffq69g%04d", n))
	return runs.Order{
		Run: armada.NewRunID(job, 1), Job: job, Queue: "a-queue", JobSet: "a-set",
		Node: "this-machine", Pool: "default", Namespace: "default", Spec: p.bytes(t),
	}
}

// started starts the n-th order of a test for a pod.
func started(t testing.TB, r *Runtime, p pod, n int) armada.RunID {
	t.Helper()
	o := p.order(t, n)
	if err := r.Start(context.Background(), o); err != nil {
		t.Fatalf("start: %v", err)
	}
	return o.Run
}

// output is what a run printed, a line each as container:text.
func output(t testing.TB, r *Runtime, run armada.RunID) []string {
	t.Helper()
	var lines []string
	err := r.Logs(context.Background(), run, runs.LogQuery{}, func(line runs.LogLine) error {
		lines = append(lines, line.Container+":"+string(line.Text))
		return nil
	})
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	return lines
}

func TestTheProcessFormPassesTheSuite(t *testing.T) {
	t.Parallel()
	runstest.Run(t, suiteWorld)
}

// suiteWorld is a world for the suite.
func suiteWorld(t *testing.T) runstest.World {
	w := newWorld(t)
	return runstest.World{
		Outlives: true, StartsAgain: true,
		Open: func(t testing.TB) runs.Runtime { return w.open(t) },
		Spec: func(o *runs.Order, job runstest.Job) {
			p := pod{Containers: []container{shell("main", script(job))}}
			if len(job.Earlier) > 0 {
				p = startedAgain(job)
			}
			o.Spec = p.bytes(t)
		},
		Command: func(d runstest.Deed) []string { return []string{"sh", "-c", runstest.Shell(d)} },
	}
}

// startedAgain is a pod for a job whose sidecar is in its third life when the job
// begins to print.
func startedAgain(job runstest.Job) pod {
	earlier := script(runstest.Job{Print: job.Earlier})
	side := shell("side", "if [ ! -e once ]; then : > once; echo first; exit 0; fi\n"+
		"if [ ! -e twice ]; then : > twice\n"+earlier+"fi\necho last; : > thrice; exec sleep 100000")
	side.RestartPolicy = "Always"
	return pod{
		InitContainers: []container{side},
		Containers:     []container{shell("main", "while [ ! -e thrice ]; do sleep 0.01; done\n"+script(job))},
	}
}

// script does a job of the suite.
func script(job runstest.Job) string {
	var s strings.Builder
	switch {
	case job.Deaf:
		s.WriteString("trap '' TERM\n")
	case job.Finishes:
		s.WriteString("trap 'exit 0' TERM\n")
	}
	for _, line := range job.Print {
		fmt.Fprintf(&s, "echo '%s'\n", line)
	}
	if job.Forever {
		s.WriteString("while :; do sleep 1000 & wait; done\n")
	}
	fmt.Fprintf(&s, "exit %d\n", job.ExitCode)
	return s.String()
}

// clientMain is `armada` in little: it opens the runtime of a folder, starts the
// orders that it is given and waits to be killed.
func clientMain(args []string) int {
	w := world{dir: args[0]}
	r, err := Open(w.config())
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	var orders []runs.Order
	if err := json.Unmarshal([]byte(args[1]), &orders); err != nil {
		fmt.Println("orders:", err)
		return 1
	}
	for _, o := range orders {
		if err := r.Start(context.Background(), o); err != nil {
			fmt.Println("start:", err)
			return 1
		}
	}
	fmt.Println("started")
	<-r.done // never
	return 0
}

// callerMain is an `armada` that runs a script beside a run.
func callerMain(dir string, run armada.RunID, script string) int {
	w := world{dir: dir}
	r, err := Open(w.config())
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	code, err := r.Exec(context.Background(), run, runs.Command{Args: []string{"/bin/sh", "-c", script}}, runs.Streams{Stdout: os.Stdout, Stderr: os.Stderr})
	fmt.Println("the command ended with", code, err)
	return 1
}

// fugitiveMain is a process of a run that tries to get away: into a session of
// its own, without what it inherited. It leaves a file, then it is sleep.
func fugitiveMain(drops, file, seconds string) int {
	_, _ = syscall.Setsid()
	environment := os.Environ()
	if strings.Contains(drops, "lifeline") {
		_ = syscall.Close(lifelineFD)
	}
	if strings.Contains(drops, "mark") {
		environment = nil
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return 1
	}
	sleep, err := exec.LookPath("sleep")
	if err == nil {
		err = syscall.Exec(sleep, []string{"sleep", seconds}, environment)
	}
	fmt.Println(err)
	return 1
}

// fugitives is a script that starts processes which drop what is given, and
// waits until they have.
func fugitives(seconds string, drops ...string) string {
	var s strings.Builder
	for i, what := range drops {
		fmt.Fprintf(&s, "%s %s %s gone-%d %s &\nwhile [ ! -e gone-%d ]; do sleep 0.01; done\n", os.Args[0], asFugitive, what, i, seconds, i)
	}
	return s.String()
}
