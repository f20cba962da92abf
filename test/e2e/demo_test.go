package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demonstration is a living scripts/demo.sh, what `make demo` runs.
type demonstration struct {
	cmd    *exec.Cmd
	output *log
	dir    string // where it keeps its data while it lives
	exited chan struct{}
}

func startDemo(t *testing.T, flags string) *demonstration {
	t.Helper()
	clone := t.TempDir()
	link := func(target string, name ...string) {
		target, err := filepath.Abs(target)
		if err == nil {
			err = os.Symlink(target, filepath.Join(append([]string{clone}, name...)...))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(clone, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	link(filepath.Dir(binary(t, "armadactl")), "bin")
	link("../../examples", "examples")
	link("../../scripts/demo.sh", "scripts", "demo.sh")
	d := &demonstration{cmd: exec.Command("bash", filepath.Join(clone, "scripts", "demo.sh")), output: &log{}, dir: t.TempDir(), exited: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d.output, d.output
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.dir, "HOME="+clone, "ARMADA_DEMO_ARGS="+flags)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches a process group
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // its exit code is looked at
		close(d.exited)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // gone already unless the test failed
		<-d.exited
		killProcessesOf(d.dir)
	})
	return d
}

// ended waits for the end, and returns the exit code.
func (d *demonstration) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Fatalf("make demo does not end:\n%s", d.output)
	}
	left, err := os.ReadDir(d.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("make demo leaves %v behind (%v):\n%s", left, err, d.output)
	}
	until(t, "the supervisor of the demo ends", func() bool { return len(supervisorsOf(d.dir)) == 0 })
	return d.cmd.ProcessState.ExitCode()
}

const freePorts = "--grpc-addr 127.0.0.1:0 --http-addr 127.0.0.1:0 --metrics-addr 127.0.0.1:0 --capacity cpu=8,memory=8Gi,ephemeral-storage=512Gi"

func TestTheDemoShowsTheExampleAndServesOnUntilCtrlC(t *testing.T) {
	t.Parallel()
	d := startDemo(t, freePorts)
	until(t, "make demo has shown its example", func() bool { return strings.Contains(d.output.String(), "Armada serves on") })
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := d.ended(t); code != 0 {
		t.Errorf("make demo ends with %d:\n%s", code, d.output)
	}
	for _, want := range []string{"exit codes fails=3", "cancelled", "the first 500 primes add up to 824693", "get job", "Stopping."} {
		if !strings.Contains(d.output.String(), want) {
			t.Errorf("make demo does not show %q:\n%s", want, d.output)
		}
	}
}

func TestCtrlCInTheMiddleOfTheDemoLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"gRPC", "create queue", "submit examples", "Submitted", "cancel job"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t, freePorts)
			until(t, "make demo shows "+moment, func() bool { return strings.Contains(d.output.String(), moment) })
			if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			// 0 when it was quick enough to come to its end.
			if code := d.ended(t); code != 130 && code != 0 {
				t.Errorf("make demo ends with %d:\n%s", code, d.output)
			}
			if strings.Contains(d.output.String(), "no server answers") {
				t.Errorf("make demo goes on after Ctrl-C:\n%s", d.output)
			}
		})
	}
}

func TestTheDemoSaysWhatToDoWhenAPortIsInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir)
	d := startDemo(t, strings.Replace(freePorts, "127.0.0.1:0", u.grpc, 1))
	if code := d.ended(t); code != 1 {
		t.Errorf("make demo ends with %d", code)
	}
	for _, want := range []string{u.grpc, "address already in use", "ARMADA_DEMO_ARGS="} {
		if !strings.Contains(d.output.String(), want) {
			t.Errorf("make demo does not say %q:\n%s", want, d.output)
		}
	}
}
