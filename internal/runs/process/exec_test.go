//go:build linux

package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

// ran runs a script as a command of a run and answers what it printed.
func ran(t *testing.T, r *Runtime, run armada.RunID, c runs.Command, script string) (string, int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out bytes.Buffer
	c.Args = []string{"/bin/sh", "-c", script}
	code, err := r.Exec(ctx, run, c, runs.Streams{Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatalf("exec: %v", err)
	}
	return out.String(), code
}

// begunBeside starts a script as a command of a run and waits until it has
// printed a line. What it answers is told when the command has ended.
func begunBeside(t *testing.T, r *Runtime, run armada.RunID, script string) <-chan error {
	t.Helper()
	hear, out := io.Pipe()
	over := make(chan error, 1)
	go func() {
		_, err := r.Exec(t.Context(), run, runs.Command{Args: []string{"/bin/sh", "-c", script}}, runs.Streams{Stdout: out, Stderr: os.Stderr})
		_ = out.CloseWithError(err)
		over <- err
	}()
	if _, err := bufio.NewReader(hear).ReadString('\n'); err != nil {
		t.Fatalf("the command does not begin: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, hear) }()
	return over
}

// sleeper is a pod whose container prints a line and sleeps.
func sleeper(script string) pod {
	return pod{Containers: []container{shell("main", script+"\necho ready\nexec sleep 100000")}}
}

func ready(t *testing.T, r *Runtime, p pod) armada.RunID {
	t.Helper()
	run := started(t, r, p, 1)
	runstest.AwaitLine(t, r, run, "ready")
	return run
}

func TestACommandIsWhereItsContainerIs(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		const look = "pwd; env | grep -v '^_=' | grep -v '^SHLVL=' | sort; cat /proc/self/cgroup; readlink /proc/$$/fd/99; "
		p := sleeper("mkdir below; (" + strings.ReplaceAll(look, "$$", "$$$$") + ") > seen" /* Kubernetes makes $ of $$ */)
		p.Containers[0].Env = []variable{{"OWN", "value"}}
		p.Containers[0].Resources = map[string]limits{"limits": {"memory": "64Mi"}}
		run := ready(t, r, p)
		seen, err := os.ReadFile(filepath.Join(r.layout.run(run).work(), "seen"))
		if err != nil {
			t.Fatal(err)
		}
		got, code := ran(t, r, run, runs.Command{}, look)
		if got != string(seen) || code != 0 || !strings.Contains(got, "OWN=value\n") {
			t.Errorf("a command sees\n%s\nits container\n%s", got, seen)
		}
		if got, _ := ran(t, r, run, runs.Command{Terminal: &runs.TerminalSize{Width: 80, Height: 24}}, "tty; echo $TERM"); !strings.HasPrefix(got, "/dev/pts/") || !strings.HasSuffix(got, "\r\nxterm\r\n") {
			t.Errorf("its terminal is %q", got)
		}
	})
}

func TestACommandGoesToTheContainerThatIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	side, over := shell("side", "echo up; exec sleep 100000"), shell("over", "exit 0")
	side.RestartPolicy = "Always"
	p := sleeper("")
	p.InitContainers = []container{side}
	p.Containers = append(p.Containers, over)
	for i, name := range []string{"side", "main", "over"} {
		list := append(p.InitContainers, p.Containers...)
		list[i].Env = []variable{{"CONTAINER", name}}
		copy(p.InitContainers, list)
		copy(p.Containers, list[1:])
	}
	run := ready(t, r, p)
	for asked, want := range map[string]string{"": "main\n", "main": "main\n", "side": "side\n"} {
		if got, _ := ran(t, r, run, runs.Command{Container: asked}, "echo $CONTAINER"); got != want {
			t.Errorf("asked for container %q it ran in %q", asked, got)
		}
	}
	eventually(t, "the container to have ended", func() bool {
		_, err := r.Exec(t.Context(), run, runs.Command{Container: "over", Args: []string{"true"}}, runs.Streams{})
		return errors.Is(err, runs.ErrNotRunning)
	})
}

// Whatever a command leaves behind ends with the run, also what has left its
// process group; and what it leaves does not hold up its end.
func TestWhatACommandLeavesEndsWithTheRun(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		run := ready(t, r, sleeper(""))
		left := word(t)
		if _, code := ran(t, r, run, runs.Command{}, "setsid sleep "+left+" & "+fugitives(left, "lifeline", "mark")); code != 0 {
			t.Fatalf("it ended with %d", code)
		}
		if got := living(left); len(got) != 3 {
			t.Errorf("it left %q", got)
		}
		if err := r.Stop(t.Context(), run, -1); err != nil {
			t.Fatal(err)
		}
		runstest.AwaitPhase(t, r, run, runs.Stopped)
		if got := living(left); len(got) > 0 {
			t.Errorf("of the ended run there lives %q", got)
		}
	})
}

func TestCommandsEndWithTheirContainer(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		p := pod{Containers: []container{
			shell("main", "echo ready; while [ ! -e end ]; do sleep 0.01; done"),
			shell("other", "exec sleep 100000"),
		}}
		run := ready(t, r, p)
		lives := word(t)
		over := begunBeside(t, r, run, "trap '' TERM HUP INT; echo begun; sleep "+lives+"; true")
		if err := os.WriteFile(filepath.Join(r.layout.run(run).work(), "end"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := <-over; err != nil {
			t.Errorf("the command that was killed is told as %v", err)
		}
		if got := living(lives); len(got) > 0 {
			t.Errorf("of the command there lives %q", got)
		}
		runstest.AwaitPhase(t, r, run, runs.Running)
	})
}

func TestACommandIsKilledWhenItsCallerLeaves(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		run := ready(t, r, sleeper(""))
		for _, terminal := range []*runs.TerminalSize{nil, {Width: 80, Height: 24}} {
			lives := word(t)
			ctx, leave := context.WithCancel(t.Context())
			hear, out := io.Pipe()
			over := make(chan error, 1)
			go func() {
				_, err := r.Exec(ctx, run, runs.Command{
					Args: []string{"/bin/sh", "-c", "trap '' TERM INT; echo begun; sleep " + lives + "; true"}, Terminal: terminal,
				}, runs.Streams{Stdout: out, Stderr: out})
				over <- err
			}()
			if line, err := bufio.NewReader(hear).ReadString('\n'); err != nil || strings.TrimSpace(line) != "begun" {
				t.Fatalf("it said %q, %v", line, err)
			}
			leave()
			if err := <-over; !errors.Is(err, context.Canceled) {
				t.Errorf("left, it answered %v", err)
			}
			eventually(t, "the command to be gone", func() bool { return len(living(lives)) == 0 })
			_ = hear.Close()
		}
	})
}

func TestACommandIsKilledWhenArmadaIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := ready(t, r, sleeper(""))
	lives := word(t)
	cmd := exec.Command(os.Args[0], asCaller, w.dir, string(run), "echo begun; exec sleep "+lives)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "begun\n" {
		t.Errorf("the command said %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the command to be gone", func() bool { return len(living(lives)) == 0 })
	runstest.AwaitPhase(t, r, run, runs.Running)
}

func TestACommandEndsWithTheSupervisorAndIsToldSo(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		run := ready(t, r, sleeper(""))
		lives := word(t)
		over := begunBeside(t, r, run, "echo begun; exec sleep "+lives)
		killSupervisor(t, r)
		if err := <-over; err == nil || !strings.Contains(err.Error(), "supervisor") {
			t.Errorf("it answered %v", err)
		}
		runstest.AwaitPhase(t, r, run, runs.Unknown)
		if got := living(lives); len(got) > 0 {
			t.Errorf("of the command there lives %q", got)
		}
	})
}

// A process that got away from a command and goes on printing where it printed
// does not hold up the command's end.
func TestACommandThatLeavesAPrinterBehindEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := ready(t, r, sleeper(""))
	for _, terminal := range []*runs.TerminalSize{nil, {Width: 80, Height: 24}} {
		got, code := ran(t, r, run, runs.Command{Terminal: terminal}, "setsid sh -c 'trap \"\" HUP; : > printing; exec yes' & while [ ! -e printing ]; do sleep 0.01; done; exit 3")
		if code != 3 || !strings.Contains(got, "y") {
			t.Errorf("it ended with %d and printed %d bytes", code, len(got))
		}
		if err := os.Remove(filepath.Join(r.layout.run(run).work(), "printing")); err != nil {
			t.Error(err)
		}
	}
}

func TestACommandThatMayNotBeRunIsAnExitCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := ready(t, r, sleeper("echo text > plain; chmod 600 plain"))
	var complaints bytes.Buffer
	code, err := r.Exec(t.Context(), run, runs.Command{Args: []string{"./plain"}}, runs.Streams{Stderr: &complaints})
	if err != nil || code != 126 || !strings.Contains(complaints.String(), "./plain") {
		t.Errorf("it ended with %d, %q, %v", code, &complaints, err)
	}
}

// A supervisor outlives the armada that started it, and one of an older armada
// would never answer.
func TestASupervisorThatRunsNoCommandsIsNotAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := ready(t, r, sleeper(""))
	r.mu.Lock()
	r.session.hello.Commands = false
	r.mu.Unlock()
	_, err := r.Exec(t.Context(), run, runs.Command{Args: []string{"true"}}, runs.Streams{})
	if err == nil || !strings.Contains(err.Error(), "older armada") {
		t.Errorf("it answered %v", err)
	}
}

// What else a client may send must not harm the supervisor.
func TestTheSupervisorMindsNoHandlesThatItDidNotAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := ready(t, r, sleeper(""))
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	handle := int(null.Fd())
	for _, handles := range [][]int{{}, {handle}, slices.Repeat([]int{handle}, 3), slices.Repeat([]int{handle}, 200)} {
		for _, req := range []request{
			{Exec: &execRequest{Run: run, Args: []string{"true"}, Terminal: len(handles) != 1}}, {Exec: &execRequest{Run: run}}, {Stop: &stopRequest{Run: "no-run"}},
		} {
			conn, err := r.layout.order(req, handles)
			if err != nil {
				t.Fatal(err)
			}
			var answer [1 << 10]byte
			if n, err := conn.Read(answer[:]); err != nil || !bytes.Contains(answer[:n], []byte(`"failure"`)) && len(handles) != 1 {
				t.Errorf("with %d handles %+v was answered %q, %v", len(handles), req, answer[:n], err)
			}
			_ = conn.Close()
		}
	}
	if got, code := ran(t, r, run, runs.Command{}, "echo said"); got != "said\n" || code != 0 {
		t.Errorf("after that a command printed %q and ended with %d", got, code)
	}
}
