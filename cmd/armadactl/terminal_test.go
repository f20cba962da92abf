package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/pkg/api"
	"armada/pkg/client"
)

func wide() (int, bool) { return 120, true }

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestATerminalShowsHowFarTheJobsHaveCome(t *testing.T) {
	t.Parallel()
	connect, _ := serve(t)
	r := runIn(t, &cli{connect: connect, terminal: wide, environment: environment("NO_COLOR", "1")}, "watch", "demo", "first", "--exit-if-inactive")
	const last = "[===========================] 3 of 3 ended  1 succeeded  1 failed  1 cancelled  0s\n"
	if r.code != exitOK || !strings.HasSuffix(r.out, last) {
		t.Errorf("exit code %d, the last line is not %q:\n%s%s", r.code, last, r.out, r.errors)
	}
	if strings.Contains(r.out, "Q    L") {
		t.Errorf("there are columns of numbers as well:\n%s", r.out)
	}
	if strings.Contains(r.out, "\x1b[3") {
		t.Errorf("there are colours in spite of NO_COLOR:\n%q", r.out)
	}
}

func TestColoursAreForTerminalsThatHaveThem(t *testing.T) {
	t.Parallel()
	connect, _ := serve(t)
	for name, test := range map[string]struct {
		world cli
		want  bool
	}{
		"terminal": {cli{terminal: wide}, true},
		"pipe":     {cli{}, false},
		"NO_COLOR": {cli{terminal: wide, environment: environment("NO_COLOR", "yes")}, false},
		"dumb":     {cli{terminal: wide, environment: environment("TERM", "dumb")}, false},
	} {
		test.world.connect = connect
		r := runIn(t, &test.world, "get", "jobs")
		if got := strings.Contains(r.out, "\x1b[31mfailed\x1b[0m  "); got != test.want {
			t.Errorf("%s: colours are %v, not %v:\n%q", name, got, test.want, r.out)
		}
	}
}

func TestAStatusFitsIntoItsLine(t *testing.T) {
	t.Parallel()
	c := &cli{terminal: func() (int, bool) { return 0, false }}
	var p client.Progress
	for _, m := range history() {
		p.Apply(m)
	}
	for columns := range 130 {
		if got := len([]rune(c.status(&p, "1m3s", columns))); got > columns {
			t.Errorf("%d columns of %d", got, columns)
		}
	}
	if got := c.status(&client.Progress{}, "3s", 80); got != "waiting for the first event  3s" {
		t.Errorf("without any job it is %q", got)
	}
}

func TestTopStaysAtTheTopOfATerminalUntilItIsEnded(t *testing.T) {
	t.Parallel()
	connect, _ := serve(t)
	// world is a terminal of some lines in which Ctrl-C is pressed when it was drawn twice.
	world := func(rows int) *cli {
		times := 0
		ctx, cancel := context.WithCancel(t.Context())
		return &cli{
			connect: connect, terminal: func() (int, bool) { return 30, true },
			signals: func(context.Context) (context.Context, func() error) {
				return ctx, func() error { return &interruptedError{exitInterrupted} }
			},
			rows: func() int {
				if times++; times == 2 {
					cancel()
				}
				return rows
			},
		}
	}
	r := runIn(t, world(24), "top", "nodes", "--interval", "100ms")
	const screen = toTop + "armadactl top, 12:00:00; Ctrl…" + eraseRest + "\n" + eraseRest + "\n" +
		"NODE    EXECUTOR  POOL     NE…" + eraseRest + "\nnode-2  local     gpu      no…" + eraseRest + "\nnode-1  local     default  no…" + eraseRest + "\n" + eraseBelow
	if r.code != exitInterrupted || r.out != screen+screen {
		t.Errorf("exit code %d:\n%q\nwant twice\n%q\n%s", r.code, r.out, screen, r.errors)
	}
	if r := runIn(t, world(5), "top", "nodes", "--interval", "100ms"); !strings.HasSuffix(r.out, "NE…"+eraseRest+"\n… and more than fits; --once shows all\n"+eraseBelow) {
		t.Errorf("on five lines: %q", r.out)
	}
	if r := runIn(t, world(24), "top", "nodes", "--once"); strings.Contains(r.out, "\x1b") || r.code != exitInterrupted {
		t.Errorf("once: exit code %d: %q", r.code, r.out)
	}
}

func TestAProgressBarIsFullOnlyAtTheEnd(t *testing.T) {
	t.Parallel()
	for want, part := range map[string]int{"[----------]": 0, "[=====-----]": 500, "[=========-]": 999, "[==========]": 1000} {
		if got := progressBar(part, 1000, 12); got != want {
			t.Errorf("%d of 1000: %s, not %s", part, got, want)
		}
	}
}

func TestALiveLineStaysBelowTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		n := 0
		live := newLiveLine(&out, func() string { return fmt.Sprintf("n is %d", n) })
		shows := func(want string) {
			t.Helper()
			time.Sleep(redrawSoon + time.Millisecond) // of the bubble's clock
			synctest.Wait()
			live.mu.Lock()
			defer live.mu.Unlock()
			if out.String() != want {
				t.Errorf("it shows %q, not %q", out.String(), want)
			}
			out.Reset()
		}
		shows(eraseLine + "n is 0")
		for range 2 { // one redrawing for both
			if err := live.do(func() error { n++; fmt.Fprintln(&out, "more"); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		shows(eraseLine + "more\nmore\n" + eraseLine + "n is 2")
		shows("")
		live.close()
		if out.String() != eraseLine+"n is 2\n" {
			t.Errorf("it leaves %q behind", out.String())
		}
	})
}

func TestCtrlCEndsAWatchQuietly(t *testing.T) {
	t.Parallel()
	for code, line := range map[int]string{exitInterrupted: "watch demo first", exitTerminated: "logs -f " + job(2)} {
		connect, _ := serve(t)
		r := runIn(t, &cli{connect: connect, signals: func(ctx context.Context) (context.Context, func() error) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, func() error { return &interruptedError{code} }
		}}, strings.Fields(line)...)
		if r.code != code || r.errors != "" {
			t.Errorf("%s: exit code %d, not %d: %s", line, r.code, code, r.errors)
		}
	}
}

// Not parallel: signals are the whole process's.
func TestASignalEndsTheContextAndIsTold(t *testing.T) {
	for _, test := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, exitInterrupted}, {syscall.SIGTERM, exitTerminated}} {
		ctx, stop := signals(t.Context())
		if err := syscall.Kill(os.Getpid(), test.signal); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		var told *interruptedError
		if err := stop(); !errors.As(err, &told) || told.code != test.code {
			t.Errorf("%v is told as %v", test.signal, err)
		}
	}
	ctx, stop := signals(t.Context())
	if err := stop(); err != nil || ctx.Err() == nil {
		t.Errorf("nothing is told as %v", err)
	}
}

func TestJobsAreReadFromTheStandardInput(t *testing.T) {
	t.Parallel()
	file, err := os.Open(filepath.Join("testdata", "jobs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	connect, _ := serve(t)
	r := runIn(t, &cli{connect: connect, in: file}, "submit", "-", "-o", "name")
	if want := job(0) + "\n" + job(1) + "\n"; r.code != exitOK || r.out != want {
		t.Errorf("exit code %d, %q %s", r.code, r.out, r.errors)
	}
}

func TestACommandReadsTheStandardInputOnlyWhenThatIsAsked(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{"": "", "-i ": "typed\n"} {
		connect, _ := serve(t)
		r := runIn(t, &cli{connect: connect, in: strings.NewReader("typed\n")}, strings.Fields("exec "+flags+job(2)+" -- 0")...)
		if said := "[\"0\"] in \"\" of the run \"\"\n" + want; r.code != exitOK || r.out != said || r.errors != "warned\n" {
			t.Errorf("with %q: exit code %d, %q, %q", flags, r.code, r.out, r.errors)
		}
	}
}

func TestTheExitStatusOfAJob(t *testing.T) {
	t.Parallel()
	for want, ends := range map[int][]ending{
		0:   {{state: armada.JobSucceeded}},
		1:   {{state: armada.JobFailed}, {state: armada.JobCancelled, code: 9}, {state: armada.JobPreempted}, {state: armada.JobRejected}},
		3:   {{state: armada.JobFailed, code: 3}},
		255: {{state: armada.JobFailed, code: 256}, {state: armada.JobFailed, code: -1}, {state: armada.JobFailed, code: 255}},
	} {
		for _, end := range ends {
			if got := end.status(); got != want {
				t.Errorf("%v with exit code %d is %d, not %d", end.state, end.code, got, want)
			}
		}
	}
	for want, failed := range map[int32]*api.JobFailedEvent{
		0: {},
		2: {ContainerStatuses: []*api.ContainerStatus{{ExitCode: 0}, {ExitCode: 2}, {ExitCode: 3}}},
		4: {ExitCodes: map[string]int32{"a": 0, "b": 4, "c": 5}},
	} {
		if got := exitCodeOfFailure(failed); got != want {
			t.Errorf("%v ended with %d, not %d", failed, got, want)
		}
	}
}

func TestAMomentIsNamedByItsAgeOrItself(t *testing.T) {
	t.Parallel()
	c := &cli{now: func() time.Time { return noon }, zone: time.FixedZone("", 3600)}
	for text, want := range map[string]time.Time{
		"":                     {},
		"90s":                  noon.Add(-90 * time.Second),
		"2d":                   noon.Add(-48 * time.Hour),
		"2026-11-23T11:00:00Z": noon.Add(-time.Hour),
		"2026-11-23 12:30":     noon.Add(-30 * time.Minute),
		"2026-11-23":           noon.Add(-13 * time.Hour),
	} {
		if got, err := c.past("since", text); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, not %v: %v", text, got, want, err)
		}
	}
	for _, text := range []string{"-5m", "5", "d", "-1d", "soon"} {
		if got, err := c.past("since", text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestCompletionWithoutAServerIsSilentAndShort(t *testing.T) {
	t.Parallel()
	began := time.Now()
	r := runWith(t, func(config client.Config) (*client.Client, error) { return client.New(config) }, "--armadaUrl", nobody(t), "__complete", "watch", "")
	if took := time.Since(began); took > 3*completionPatience {
		t.Errorf("it took %s", took)
	}
	if r.code != exitOK || r.out != ":4\n" {
		t.Errorf("exit code %d, %q", r.code, r.out)
	}
}

func TestShellsGetTheirScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := run(t, "completion", shell); r.code != exitOK || !strings.Contains(r.out, "__complete") {
			t.Errorf("%s: exit code %d\n%s", shell, r.code, r.errors)
		}
	}
}
