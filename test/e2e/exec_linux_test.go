package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// console is a terminal with a program in it.
type console struct {
	t           *testing.T
	keys, slave *os.File // the keyboard and the screen; and the terminal itself
	shown       *log
	before      unix.Termios
	cmd         *exec.Cmd
}

// sit starts armadactl in a terminal of 80 columns and 24 lines.
func (u *up) sit(t *testing.T, args ...string) *console {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, keys: keys, slave: slave, shown: &log{}}
	c.resize(80, 24)
	c.before = c.termios()
	_, port, _ := strings.Cut(u.grpc, ":")
	c.cmd = exec.Command(binary(t, "armadactl"), append([]string{"--armadaUrl", "localhost:" + port}, args...)...)
	c.cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	// Under nohup armadactl would be told to ignore it, unless this program does not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(c.shown, keys)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = slave.Close()
		_ = keys.Close()
		<-read
	})
	return c
}

func (c *console) termios() unix.Termios {
	c.t.Helper()
	is, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	return *is
}

func (c *console) resize(columns, rows uint16) {
	c.t.Helper()
	if err := unix.IoctlSetWinsize(int(c.keys.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) shows(want string) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("the terminal shows %q", want), func() bool { return strings.Contains(c.shown.String(), want) })
}

func (c *console) types(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.keys, keys); err != nil {
		c.t.Fatal(err)
	}
}

// ends waits for the end, after which the terminal is what it was.
func (c *console) ends() syscall.WaitStatus {
	c.t.Helper()
	late := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if after := c.termios(); after != c.before {
		c.t.Errorf("the terminal is not what it was: %+v before, %+v after\n%s", c.before, after, c.shown)
	}
	return c.cmd.ProcessState.Sys().(syscall.WaitStatus) //nolint:forcetypeassert // it is that on Linux
}

// commanded is an armada whose one made-up executor runs commands, and a job that
// runs there.
func commanded(t *testing.T, settings ...string) (u *up, job string) {
	t.Helper()
	args := []string{"--simulate", "1x1", "--set", "executor.simulatedRuntime=1h"}
	for _, s := range append(settings, "executor.exec=true") {
		args = append(args, "--set", s)
	}
	u = startUp(t, t.TempDir(), args...)
	u.mustCtl(t, "create", "queue", "told")
	file := jobsFile(t, "exec", "{podSpec: {containers: ["+container("main", "command: [made-up]", "1")+"]}}")
	job = submittedLine.FindStringSubmatch(u.mustCtl(t, "submit", file))[1]
	until(t, "the job runs", func() bool { return strings.Contains(u.mustCtl(t, "describe", "job", job), "State:          running") })
	return u, job
}

func TestACommandsExitCodeIsThatOfArmadactl(t *testing.T) {
	t.Parallel()
	u, job := commanded(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"exec", job, "--", "echo", "-n", "--help"}, 0, "-n --help\n"},
		{[]string{"exec", job, "-c", "main", "--", "exit", "42"}, 42, ""},
		{[]string{"exec", job, "--", "exit", "143"}, 143, ""},
		{[]string{"exec", job, "--", "ls"}, 127, "ls: there is no such program\n"},
		{[]string{"exec", "-t", job, "--", "sizes"}, 2, "-t needs a terminal"},
		{[]string{"exec", job, "ls"}, 2, "missing: the command, behind --"},
		{[]string{"exec", job, "--"}, 2, "missing: the command, behind --"},
		{[]string{"exec", "--", "ls"}, 2, "missing: ID"},
		{[]string{"exec", job, "-c", "nope", "--", "ls"}, 1, `the job has no container "nope"; it has main`},
		{[]string{"exec", "01f3j0g1md4qx7z5qb148qnaaa", "--", "ls"}, 3, ""},
	} {
		out, err := u.ctl(t, c.args...)
		code := 0
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s ends with %d, want %d and %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}
	input := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
	_, port, _ := strings.Cut(u.grpc, ":")
	cmd := exec.CommandContext(t.Context(), binary(t, "armadactl"), "--armadaUrl", "localhost:"+port, "exec", "-i", job, "--", "cat")
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.Output(); err != nil || !bytes.Equal(out, input) {
		t.Errorf("%d of %d bytes came back, %v", len(out), len(input), err)
	}
}

func TestACommandEndsWithAnArmadactlThatIsKilled(t *testing.T) {
	t.Parallel()
	u, job := commanded(t, "executor.maxExecs=1")
	_, port, _ := strings.Cut(u.grpc, ":")
	cmd := exec.Command(binary(t, "armadactl"), "--armadaUrl", "localhost:"+port, "exec", "-i", job, "--", "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := io.WriteString(in, "begun"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("begun"))); err != nil {
		t.Fatal(err)
	}
	if said, err := u.ctl(t, "exec", job, "--", "echo"); err == nil || !strings.Contains(said, "executor.maxExecs: 1") {
		t.Errorf("a second command ends with %v:\n%s", err, said)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "there is room for another", func() bool {
		_, err := u.ctl(t, "exec", job, "--", "echo")
		return err == nil
	})
}

func TestATerminalIsTheCommandsAndIsGivenBack(t *testing.T) {
	t.Parallel()
	u, job := commanded(t)
	for name, c := range map[string]struct {
		out func(*console)
		end func(syscall.WaitStatus) bool
	}{
		"Ctrl-C, which is the command's": {
			func(c *console) { c.types("\x03") },
			func(s syscall.WaitStatus) bool { return s.Exited() && s.ExitStatus() == 130 },
		},
		"the end of the input": {
			func(c *console) { c.types("\x04") },
			func(s syscall.WaitStatus) bool { return s.Exited() && s.ExitStatus() == 0 },
		},
		"SIGTERM": {
			func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGTERM) },
			func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == syscall.SIGTERM },
		},
		"SIGINT": {
			func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGINT) },
			func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == syscall.SIGINT },
		},
		"SIGHUP": {
			func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGHUP) },
			func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == syscall.SIGHUP },
		},
		"SIGQUIT": {
			func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGQUIT) },
			func(s syscall.WaitStatus) bool { return !s.Exited() || s.ExitStatus() != 0 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			console := u.sit(t, "exec", "-it", job, "--", "sizes")
			console.shows("80x24\r\n")
			if is := console.termios(); is.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
				t.Errorf("the terminal keeps keys for itself: %+v", is)
			}
			console.resize(132, 50)
			console.shows("132x50\r\n")
			c.out(console)
			if end := console.ends(); !c.end(end) {
				t.Errorf("it ended with %v\n%s", end, console.shown)
			}
		})
	}
}

func TestATerminalIsGivenBackWhenTheServerDies(t *testing.T) {
	t.Parallel()
	u, job := commanded(t)
	console := u.sit(t, "exec", "-it", job, "--", "sizes")
	console.shows("80x24\r\n")
	u.kill()
	if end := console.ends(); !end.Exited() || end.ExitStatus() != 4 {
		t.Errorf("it ended with %v\n%s", end, console.shown)
	}
	console.shows("armadactl: ")
}

func TestATerminalIsNotTakenForACommandThatIsRefused(t *testing.T) {
	t.Parallel()
	u := startUp(t, t.TempDir(), "--simulate", "1x1", "--set", "executor.simulatedRuntime=1h")
	u.mustCtl(t, "create", "queue", "told")
	file := jobsFile(t, "exec", "{podSpec: {containers: ["+container("main", "command: [made-up]", "1")+"]}}")
	job := submittedLine.FindStringSubmatch(u.mustCtl(t, "submit", file))[1]
	until(t, "the job runs", func() bool { return strings.Contains(u.mustCtl(t, "describe", "job", job), "State:          running") })
	console := u.sit(t, "exec", "-it", job, "--", "sh")
	if end := console.ends(); end.ExitStatus() != 1 {
		t.Errorf("it ended with %v\n%s", end, console.shown)
	}
	console.shows("executor.exec is false")
}
