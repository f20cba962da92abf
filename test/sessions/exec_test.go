package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/executor"
	"armada/internal/runs"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/lookout"
)

// person is whoever gave a command.
type person struct {
	ctx  context.Context //nolint:containedctx // of the call
	says chan *lookout.ExecRequest

	mu    sync.Mutex
	heard bytes.Buffer
	code  int32
	ended bool
	reads func() // called before something is heard, if it is not nil
}

func (p *person) Recv() (*lookout.ExecRequest, error) {
	select {
	case r, more := <-p.says:
		if !more {
			return nil, io.EOF
		}
		return r, nil
	case <-p.ctx.Done():
		return nil, context.Cause(p.ctx)
	}
}

func (p *person) Send(r *lookout.ExecResponse) error {
	if p.reads != nil {
		p.reads()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard.Write(r.GetStdout())
	if len(r.GetStderr()) > 0 {
		fmt.Fprintf(&p.heard, "!%s", r.GetStderr())
	}
	if m, is := r.GetMessage().(*lookout.ExecResponse_ExitCode); is {
		p.code, p.ended = m.ExitCode, true
	}
	return p.ctx.Err()
}

func (p *person) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard.String()
}

func (p *person) input(b []byte) {
	p.says <- &lookout.ExecRequest{Message: &lookout.ExecRequest_Input{Input: b}}
}

func (p *person) resize(width, height uint32) {
	p.says <- &lookout.ExecRequest{Message: &lookout.ExecRequest_Resize{Resize: &lookout.TerminalSize{Width: width, Height: height}}}
}

// command has a person run a command, with input; what it returns waits for the end.
func (w *world) command(p *person, run armada.RunID, c runs.Command) (wait func() error) {
	w.mu.Lock()
	service := w.service
	w.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		ended <- service.RunCommand(p.ctx, "east", wire.Exec{Run: run, User: "ann", Command: c, Input: true}, p)
	}()
	return func() error { return <-ended }
}

func (w *world) person() (p *person, leave func()) {
	ctx, leave := context.WithCancel(w.t.Context())
	w.t.Cleanup(leave)
	return &person{ctx: ctx, says: make(chan *lookout.ExecRequest)}, leave
}

// running is a run at an executor that runs commands, up to so many at a time.
func (w *world) running(most int) (*cluster, armada.RunID) {
	w.t.Helper()
	c := w.cluster("east", options{config: func(c *executor.Config) { c.Exec, c.MaxExecs = true, most }})
	id := w.submit(life{})
	w.lease(id, "east")
	w.becomes(id, armada.JobRunning)
	return c, armada.NewRunID(id, 1)
}

func TestACommandTellsWhatItWritesAndItsExitCode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, run := w.running(1)
		for want, args := range map[string][]string{
			"a b\n 0":                             {"echo", "a", "b"},
			"!on stderr\n 0":                      {"warn", "on stderr"},
			" 7":                                  {"exit", "7"},
			"!ls: there is no such program\n 127": {"ls", "-l"},
		} {
			p, _ := w.person()
			err := w.command(p, run, runs.Command{Args: args})()
			if got := fmt.Sprintf("%s %d", p.text(), p.code); err != nil || !p.ended || got != want {
				t.Errorf("%s: %q, %v; want %q", args, got, err, want)
			}
		}
	})
}

func TestMegabytesGoThroughACommandUnharmed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, run := w.running(1)
		p, _ := w.person()
		wait := w.command(p, run, runs.Command{Args: []string{"cat"}})
		var all bytes.Buffer
		for i := range 64 {
			piece := bytes.Repeat([]byte{byte(i)}, 100_000)
			all.Write(piece)
			p.input(piece)
		}
		close(p.says)
		if err := wait(); err != nil || p.text() != all.String() {
			t.Errorf("%d bytes came back of %d, %v", len(p.text()), all.Len(), err)
		}
	})
}

// counted is a runtime that counts what its commands have written.
type counted struct {
	runs.Runtime

	written atomic.Int64
}

func (c *counted) Exec(ctx context.Context, run armada.RunID, command runs.Command, s runs.Streams) (int32, error) {
	to := s.Stdout
	s.Stdout = writer(func(b []byte) (int, error) {
		n, err := to.Write(b)
		c.written.Add(int64(n))
		return n, err
	})
	return c.Runtime.Exec(ctx, run, command, s)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestACommandWaitsForWhoDoesNotRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var runtime counted
		w.cluster("east", options{
			config: func(c *executor.Config) { c.Exec = true },
			wrap:   func(r runs.Runtime) runs.Runtime { runtime.Runtime = r; return &runtime },
		})
		id := w.submit(life{})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		p, leave := w.person()
		reading := make(chan struct{})
		p.reads = func() {
			<-reading
			pause(time.Millisecond) // or no time would pass, and much would be heard
		}
		wait := w.command(p, armada.NewRunID(id, 1), runs.Command{Args: []string{"yes", "y"}})
		pause(time.Minute)
		full := runtime.written.Load()
		pause(10 * time.Minute)
		if now := runtime.written.Load(); now != full || now > 64<<20 {
			t.Errorf("%d bytes were written after a minute, and %d after ten more, for who does not read", full, now)
		}
		close(reading)
		w.until("it goes on", func() bool { return runtime.written.Load() > full+1<<20 })
		leave()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the command ended with %v", err)
		}
		pause(time.Second)
		ended := runtime.written.Load()
		pause(time.Minute)
		if now := runtime.written.Load(); now != ended {
			t.Error("the command goes on after who gave it has left")
		}
	})
}

func TestWhoTypesWaitsForACommandThatDoesNotRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, run := w.running(1)
		p, leave := w.person()
		p.reads = func() { <-p.ctx.Done() } // nor does the person: the command stands still
		wait := w.command(p, run, runs.Command{Args: []string{"yes"}})
		var typed atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			piece := &lookout.ExecRequest{Message: &lookout.ExecRequest_Input{Input: make([]byte, 100_000)}}
			for {
				select {
				case p.says <- piece:
					typed.Add(1)
				case <-p.ctx.Done():
					return
				}
			}
		}()
		pause(time.Minute)
		full := typed.Load()
		pause(10 * time.Minute)
		if now := typed.Load(); full == 0 || now != full || now > 600 {
			t.Errorf("%d pieces were taken within a minute, and %d after ten more, by who does not read", full, now)
		}
		leave()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the command ended with %v", err)
		}
		<-done
	})
}

func TestACommandOfATerminalIsToldItsSizes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, run := w.running(1)
		p, _ := w.person()
		wait := w.command(p, run, runs.Command{Args: []string{"sizes"}, Terminal: &runs.TerminalSize{Width: 80, Height: 24}})
		for i, want := range []string{"80x24\r\n", "80x24\r\n100x30\r\n", "80x24\r\n100x30\r\n65535x1\r\n"} {
			w.until(want, func() bool { return p.text() == want })
			p.resize([]uint32{100, 65535, 1}[i], []uint32{30, 1, 1}[i])
		}
		p.input([]byte{0x03}) // Ctrl-C
		if err := wait(); err != nil || p.code != 130 {
			t.Errorf("it ended with %d, %v", p.code, err)
		}
	})
}

func TestACommandEndsWithWhoGaveItAndMakesRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, run := w.running(1)
		p, leave := w.person()
		wait := w.command(p, run, runs.Command{Args: []string{"cat"}})
		p.input([]byte("x"))
		w.until("it has begun", func() bool { return p.text() == "x" })
		second, _ := w.person()
		err := w.command(second, run, runs.Command{Args: []string{"echo"}})()
		if armada.CodeOf(err) != armada.CodeExhausted || !strings.Contains(err.Error(), `executor "east"`) || !strings.Contains(err.Error(), "executor.maxExecs: 1") {
			t.Errorf("a second one is answered with %v", err)
		}
		leave()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the command ended with %v", err)
		}
		w.until("there is room", func() bool {
			third, _ := w.person()
			return w.command(third, run, runs.Command{Args: []string{"echo"}})() == nil
		})
	})
}

// Input that is not read must not hide that nobody waits any more.
func TestACommandThatReadsNothingEndsWithWhoGaveItToo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, run := w.running(1)
		p, leave := w.person()
		wait := w.command(p, run, runs.Command{Args: []string{"sleep", "1000h"}})
		p.input([]byte("read ahead"))
		p.input([]byte("for nobody"))
		leave()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the command ended with %v", err)
		}
		w.until("there is room", func() bool {
			another, _ := w.person()
			return w.command(another, run, runs.Command{Args: []string{"echo"}})() == nil
		})
	})
}

func TestACommandEndsWithItsPodItsExecutorAndItsServer(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, c *cluster, run armada.RunID)
		code armada.ErrorCode
		says string
	}{
		"the executor": {func(_ *world, c *cluster, _ armada.RunID) { c.stop() }, armada.CodeUnavailable, `the command broke off at executor "east"`},
		"the link":     {func(_ *world, c *cluster, _ armada.RunID) { c.link.cut() }, armada.CodeUnavailable, `the command broke off at executor "east"`},
		"the server":   {func(w *world, _ *cluster, _ armada.RunID) { w.unserve() }, armada.CodeUnavailable, `the command broke off at executor "east"`},
		"the pod": {func(w *world, _ *cluster, run armada.RunID) {
			job, _ := run.Job()
			w.cancel(job)
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				cluster, run := w.running(1)
				p, _ := w.person()
				wait := w.command(p, run, runs.Command{Args: []string{"cat"}})
				p.input([]byte("x"))
				w.until("it has begun", func() bool { return p.text() == "x" })
				c.end(w, cluster, run)
				err := wait()
				if c.says == "" {
					if err != nil || p.code != 137 {
						t.Errorf("it ended with %d, %v", p.code, err)
					}
					return
				}
				if armada.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
					t.Errorf("it ended with %v, want %s", err, c.says)
				}
			})
		})
	}
}

func TestAnExecutorRunsNoCommandsUnlessItsConfigurationSaysSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{})
		id := w.submit(life{})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		p, _ := w.person()
		err := w.command(p, armada.NewRunID(id, 1), runs.Command{Args: []string{"echo"}})()
		if armada.CodeOf(err) != armada.CodePrecondition || !strings.Contains(err.Error(), `executor "east"`) || !strings.Contains(err.Error(), "executor.exec") {
			t.Errorf("it is answered with %v", err)
		}
	})
}

func TestWhatCannotRunACommandSaysSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		refused := func(what string, run armada.RunID, code armada.ErrorCode, says string) {
			t.Helper()
			p, _ := w.person()
			if err := w.command(p, run, runs.Command{Args: []string{"echo"}})(); armada.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: it is answered with %v, want %s", what, err, says)
			}
		}
		refused("no executor", "none", armada.CodeUnavailable, `executor "east", which has the container, is not connected`)
		w.cluster("east", options{config: func(c *executor.Config) { c.Exec = true }})
		refused("no run", "none", armada.CodePrecondition, "the container does not run at its executor")
		id := w.submit(life{pending: "1h"})
		w.lease(id, "east")
		w.becomes(id, armada.JobPending)
		refused("a pending run", armada.NewRunID(id, 1), armada.CodePrecondition, "the container does not run at its executor")
	})
}

func TestAnExecutorOfAnOlderProtocolIsNotGivenCommands(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("east").open("s") // of the protocol 1
		p, _ := w.person()
		err := w.command(p, "run", runs.Command{Args: []string{"echo"}})()
		if armada.CodeOf(err) != armada.CodePrecondition || !strings.Contains(err.Error(), "is of a version that runs no commands") {
			t.Errorf("it is answered with %v", err)
		}
	})
}

// exec begins a session of the protocol 2.
func (p *peer) exec() peerStream {
	p.t.Helper()
	stream := p.stream()
	ok(p.t, stream.Send(&executorapi.LeaseRequest{ExecutorId: p.id, SessionId: "s", Sequence: 1, Protocol: 2}))
	_, err := stream.Recv()
	ok(p.t, err)
	return stream
}

func TestACommandThatIsNotTakenUpIsGivenUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("east").exec()
		p, _ := w.person()
		err := w.command(p, "run", runs.Command{Args: []string{"echo"}})()
		if armada.CodeOf(err) != armada.CodeUnavailable || !strings.Contains(err.Error(), `executor "east" has not taken up the command`) {
			t.Errorf("it is answered with %v", err)
		}
	})
}

func TestACommandIsTakenUpOnceAndHasAnEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		east := w.peer("east")
		stream := east.exec()
		p, _ := w.person()
		wait := w.command(p, "run", runs.Command{Args: []string{"echo"}})
		m, err := stream.Recv()
		ok(t, err)
		order := m.GetExec()
		if order.GetUser() != "ann" || order.GetRunId() != "run" || !order.GetInput() || len(order.GetArgs()) != 1 {
			t.Fatalf("the order is %v", m)
		}
		agent := executorapi.NewExecutorAgentClient(east.conn)
		take := func(request string) (func(*executorapi.ExecOutput), func() error) {
			call, err := agent.Exec(t.Context())
			ok(t, err)
			say := func(o *executorapi.ExecOutput) { ok(t, call.Send(o)) }
			say(&executorapi.ExecOutput{RequestId: request})
			return say, func() error {
				ok(t, call.CloseSend())
				_, err := call.Recv()
				return err
			}
		}
		_, end := take("another")
		if err := end(); status.Code(err) != codes.Canceled {
			t.Errorf("an order that nobody gave is answered with %v", err)
		}
		say, end := take(order.GetRequestId())
		say(&executorapi.ExecOutput{Message: &executorapi.ExecOutput_Stdout{Stdout: []byte("half")}})
		w.until("it is heard", func() bool { return p.text() == "half" })
		_ = end() // without an exit code
		if err := wait(); armada.CodeOf(err) != armada.CodeUnavailable || !strings.Contains(err.Error(), "it did not say how the command ended") {
			t.Errorf("it ended with %v", err)
		}
	})
}
