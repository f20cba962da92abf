package runstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"armada/internal/runs"
)

// commands are the tests about commands.
var commands = []test{
	{"ACommandTellsItsOutputApartAndHowItEnded", aCommandTellsItsOutputApartAndHowItEnded},
	{"ACommandReadsItsInputToTheEnd", aCommandReadsItsInputToTheEnd},
	{"ACommandWithoutInputFindsItsEnd", aCommandWithoutInputFindsItsEnd},
	{"ACommandAnswersWhileItIsSpokenTo", aCommandAnswersWhileItIsSpokenTo},
	{"ACommandHasATerminalOfItsReadersSize", aCommandHasATerminalOfItsReadersSize},
	{"TheInputOfATerminalEnds", theInputOfATerminalEnds},
	{"ACommandMayNameItsContainer", aCommandMayNameItsContainer},
	{"ACommandForWhatDoesNotRunSaysSo", aCommandForWhatDoesNotRunSaysSo},
	{"AMissingProgramIsAnExitCode", aMissingProgramIsAnExitCode},
	{"ACommandEndsWithItsContext", aCommandEndsWithItsContext},
	{"ACommandEndsWithAStreamThatFails", aCommandEndsWithAStreamThatFails},
	{"ACommandEndsWithItsRun", aCommandEndsWithItsRun},
	{"ASlowReaderGetsAllAndHoldsUpNobody", aSlowReaderGetsAllAndHoldsUpNobody},
}

// living starts a run that commands can be run beside.
func (b *bench) living() runs.Order {
	b.Helper()
	o := b.begun(Job{Forever: true, Print: []string{"ready"}})
	b.await(o.Run, runs.Running)
	b.awaitLine(o.Run, "ready")
	return o
}

// do is a command that does a deed.
func (b *bench) do(d Deed) runs.Command { return runs.Command{Args: b.world.Command(d)} }

// exec runs a command to its end, and answers what it printed.
func (b *bench) exec(o runs.Order, c runs.Command, in io.Reader) (stdout, stderr string, code int32) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, complaints bytes.Buffer
	code, err := b.Exec(ctx, o.Run, c, runs.Streams{Stdin: in, Stdout: &out, Stderr: &complaints})
	if err != nil {
		b.Fatalf("exec %.100q: %v", c.Args, err)
	}
	return out.String(), complaints.String(), code
}

func aCommandTellsItsOutputApartAndHowItEnded(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	for code := range int32(3) {
		out, complaints, got := b.exec(o, b.do(Deed{Print: "said", Complain: "complained", ExitCode: code}), nil)
		if out != "said\n" || complaints != "complained\n" || got != code {
			t.Errorf("it printed %q and %q, and ended with %d, not %d", out, complaints, got, code)
		}
	}
	if s := b.await(o.Run, runs.Running); s.Phase != runs.Running {
		t.Errorf("the run is %v", s.Phase)
	}
	if got := texts(b.lines(o.Run, runs.LogQuery{})); len(got) != 1 {
		t.Errorf("the log of the run has %q", got)
	}
}

func aCommandReadsItsInputToTheEnd(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	given := strings.Repeat("0123456789abcde\n", 20<<10)
	out, _, code := b.exec(o, b.do(Deed{Echo: true, ExitCode: 4}), strings.NewReader(given))
	if out != given || code != 4 {
		t.Errorf("of %d bytes there came back %d, and it ended with %d", len(given), len(out), code)
	}
}

func aCommandWithoutInputFindsItsEnd(t *testing.T, w World) {
	b := open(t, w)
	if out, _, code := b.exec(b.living(), b.do(Deed{Echo: true, ExitCode: 4}), nil); out != "" || code != 4 {
		t.Errorf("it printed %q and ended with %d", out, code)
	}
}

// talk is a command that the test speaks with.
type talk struct {
	t      testing.TB
	say    *io.PipeWriter
	hear   *io.PipeReader
	resize chan runs.TerminalSize
	leave  context.CancelCauseFunc
	code   int32
	err    error
	over   chan struct{}
}

// errLeft is why a talk was left.
var errLeft = errors.New("the test has left")

func (b *bench) talk(o runs.Order, c runs.Command) *talk {
	b.Helper()
	ctx, leave := context.WithCancelCause(context.Background())
	in, say := io.Pipe()
	hear, out := io.Pipe()
	x := &talk{t: b.TB, say: say, hear: hear, resize: make(chan runs.TerminalSize), leave: leave, over: make(chan struct{})}
	late, cancel := context.WithTimeout(ctx, patience)
	e := b.Runtime
	go func() {
		defer close(x.over)
		x.code, x.err = e.Exec(late, o.Run, c, runs.Streams{Stdin: in, Stdout: out, Stderr: io.Discard, Resize: x.resize})
		_ = out.Close()
	}()
	b.Cleanup(func() {
		leave(errLeft)
		_ = hear.Close()
		_ = say.Close()
		<-x.over
		cancel()
	})
	return x
}

// line hears one line.
func (x *talk) line() string {
	x.t.Helper()
	var line []byte
	for one := make([]byte, 1); one[0] != '\n'; line = append(line, one[0]) {
		if _, err := x.hear.Read(one); err != nil {
			<-x.over
			x.t.Fatalf("after %q there came %v: %v", line, err, x.err)
		}
	}
	return strings.TrimRight(string(line), "\r\n")
}

// tell says something.
func (x *talk) tell(text string) {
	x.t.Helper()
	if _, err := io.WriteString(x.say, text); err != nil {
		x.t.Fatalf("said %q: %v", text, err)
	}
}

// end waits for the end; what is still said is not heard.
func (x *talk) end() (int32, error) {
	go func() { _, _ = io.Copy(io.Discard, x.hear) }()
	<-x.over
	return x.code, x.err
}

func aCommandAnswersWhileItIsSpokenTo(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	left, right := b.talk(o, b.do(Deed{Echo: true})), b.talk(o, b.do(Deed{Echo: true, ExitCode: 6}))
	for _, word := range []string{"one", "two"} {
		left.tell(word + " left\n")
		right.tell(word + " right\n")
		if l, r := left.line(), right.line(); l != word+" left" || r != word+" right" {
			t.Errorf("the answers to %s are %q and %q", word, l, r)
		}
	}
	_ = right.say.Close()
	if code, err := right.end(); err != nil || code != 6 {
		t.Errorf("it ended with %d, %v", code, err)
	}
	left.tell("three\n")
	if l := left.line(); l != "three" {
		t.Errorf("when the other had ended the answer was %q", l)
	}
}

func aCommandHasATerminalOfItsReadersSize(t *testing.T, w World) {
	b := open(t, w)
	c := b.do(Deed{Complain: "as one stream", Sizes: true, ExitCode: 5})
	c.Terminal = &runs.TerminalSize{Width: 97, Height: 31}
	x := b.talk(b.living(), c)
	if got := x.line(); got != "as one stream" {
		t.Errorf("it complained %q", got)
	}
	if got := x.line(); got != "97x31" {
		t.Errorf("its size is %s", got)
	}
	x.resize <- runs.TerminalSize{Width: 61, Height: 17}
	if got := x.line(); got != "61x17" {
		t.Errorf("its size became %s", got)
	}
	if code, err := x.end(); err != nil || code != 5 {
		t.Errorf("it ended with %d, %v", code, err)
	}
}

func theInputOfATerminalEnds(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	for _, given := range []string{"a line\n", "no end of a line"} {
		c := b.do(Deed{Echo: true, ExitCode: 4})
		c.Terminal = &runs.TerminalSize{Width: 80, Height: 24}
		out, _, code := b.exec(o, c, strings.NewReader(given))
		// A terminal shows what is typed as well.
		if !strings.Contains(out, strings.TrimSpace(given)) || code != 4 {
			t.Errorf("it printed %q and ended with %d", out, code)
		}
	}
}

func aCommandMayNameItsContainer(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Print: []string{"once"}})
	name := b.await(o.Run, runs.Succeeded).End.Containers[0].Name
	o = b.living()
	c := b.do(Deed{Print: "said"})
	c.Container = name
	if out, _, code := b.exec(o, c, nil); out != "said\n" || code != 0 {
		t.Errorf("in container %s it printed %q and ended with %d", name, out, code)
	}
	c.Container = "another"
	_, err := b.Exec(context.Background(), o.Run, c, runs.Streams{})
	if !w.Nameless && (err == nil || errors.Is(err, runs.ErrNotRunning) || !strings.Contains(err.Error(), "another") || !strings.Contains(err.Error(), name)) {
		t.Errorf("for a container that is not there the answer is %v", err)
	}
	_, err = b.Exec(context.Background(), o.Run, runs.Command{}, runs.Streams{})
	if err == nil || !strings.Contains(err.Error(), "args") {
		t.Errorf("without a program the answer is %v", err)
	}
}

func aCommandForWhatDoesNotRunSaysSo(t *testing.T, w World) {
	b := open(t, w)
	c := b.do(Deed{Print: "said"})
	var out bytes.Buffer
	s := runs.Streams{Stdout: &out, Stderr: &out}
	if _, err := b.Exec(context.Background(), b.order(Job{}).Run, c, s); !errors.Is(err, runs.ErrUnknownRun) {
		t.Errorf("for a run that is not known the answer is %v", err)
	}
	o := b.begun(Job{})
	b.await(o.Run, runs.Succeeded)
	if _, err := b.Exec(context.Background(), o.Run, c, s); !errors.Is(err, runs.ErrNotRunning) {
		t.Errorf("for a run that has ended the answer is %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("it printed %q", &out)
	}
}

func aMissingProgramIsAnExitCode(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	for _, program := range []string{"no-such-program", "/no/such/program"} {
		out, complaints, code := b.exec(o, runs.Command{Args: []string{program}}, nil)
		if code != 127 || out != "" || !strings.Contains(complaints, program) {
			t.Errorf("%s ended with %d, %q and %q", program, code, out, complaints)
		}
		out, _, code = b.exec(o, runs.Command{Args: []string{program}, Terminal: &runs.TerminalSize{Width: 80, Height: 24}}, nil)
		if code != 127 || !strings.Contains(out, program) {
			t.Errorf("%s ended in a terminal with %d and %q", program, code, out)
		}
	}
}

func aCommandEndsWithItsContext(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	for _, terminal := range []*runs.TerminalSize{nil, {Width: 80, Height: 24}} {
		c := b.do(Deed{Print: "begun", Forever: true})
		c.Terminal = terminal
		x := b.talk(o, c)
		x.line()
		x.leave(errLeft)
		if _, err := x.end(); !errors.Is(err, errLeft) {
			t.Errorf("left, it answered %v", err)
		}
	}
	b.await(o.Run, runs.Running)
}

// broken is a stream that fails.
type broken struct{ why error }

func (b broken) Read([]byte) (int, error)  { return 0, b.why }
func (b broken) Write([]byte) (int, error) { return 0, b.why }

func aCommandEndsWithAStreamThatFails(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	stream := broken{errors.New("the stream is broken")}
	for name, s := range map[string]runs.Streams{
		"input": {Stdin: stream, Stdout: io.Discard, Stderr: io.Discard}, "output": {Stdout: stream, Stderr: io.Discard}, "errors": {Stdout: io.Discard, Stderr: stream},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := b.Exec(ctx, o.Run, b.do(Deed{Print: "said", Complain: "complained", Forever: true}), s)
		cancel()
		if !errors.Is(err, stream.why) {
			t.Errorf("with a broken %s it answered %v", name, err)
		}
	}
}

func aCommandEndsWithItsRun(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	x := b.talk(o, b.do(Deed{Print: "begun", Forever: true}))
	x.line()
	b.stop(o.Run, -1)
	b.await(o.Run, runs.Stopped)
	if code, err := x.end(); err == nil && code == 0 {
		t.Error("its run was stopped, and it ended well")
	}
}

// gate is a reader that takes nothing before it is opened.
type gate struct {
	opened chan struct{}
	first  chan struct{}
	once   sync.Once
	got    bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() { close(g.first) })
	<-g.opened
	return g.got.Write(p)
}

func aSlowReaderGetsAllAndHoldsUpNobody(t *testing.T, w World) {
	b := open(t, w)
	o := b.living()
	const size = 8 << 20 // more than there is room for on the way
	slow := &gate{opened: make(chan struct{}), first: make(chan struct{})}
	var code int32
	var err error
	over := make(chan struct{})
	e, c := b.Runtime, b.do(Deed{Bulk: size, Print: "begun", ExitCode: 3})
	go func() {
		defer close(over)
		code, err = e.Exec(context.Background(), o.Run, c, runs.Streams{Stdout: slow, Stderr: io.Discard})
	}()
	<-slow.first
	if out, _, code := b.exec(o, b.do(Deed{Print: "beside"}), nil); out != "beside\n" || code != 0 {
		t.Errorf("beside a slow reader a command printed %q and ended with %d", out, code)
	}
	close(slow.opened)
	<-over
	if err != nil || code != 3 || slow.got.Len() != len("begun\n")+size || bytes.Count(slow.got.Bytes(), []byte(".")) != size {
		t.Errorf("a slow reader got %d bytes, and it ended with %d, %v", slow.got.Len(), code, err)
	}
}
