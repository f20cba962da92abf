package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/pkg/api/lookout"
)

type execServer = grpc.BidiStreamingServer[lookout.ExecRequest, lookout.ExecResponse]

func stdout(text string) *lookout.ExecResponse {
	return &lookout.ExecResponse{Message: &lookout.ExecResponse_Stdout{Stdout: []byte(text)}}
}

func exits(code int32) *lookout.ExecResponse {
	return &lookout.ExecResponse{Message: &lookout.ExecResponse_ExitCode{ExitCode: code}}
}

func TestACommandHasItsInputItsOutputAndItsExitCode(t *testing.T) {
	t.Parallel()
	input := strings.Repeat("0123456789", 100_000)
	c := connect(t, &fake{onExec: func(call execServer) error {
		first, err := call.Recv()
		if err != nil {
			return err
		}
		if s := first.GetStart(); s.GetJobId() != "j" || s.GetRunId() != "r" || s.GetContainer() != "c" || strings.Join(s.GetArgs(), "|") != "cat|-" || !s.GetInput() || s.GetTerminal() != nil {
			t.Errorf("it begins with %v", first)
		}
		for {
			m, err := call.Recv()
			if err != nil {
				return err
			}
			if m.GetInputEnded() {
				break
			}
			if err := call.Send(stdout(string(m.GetInput()))); err != nil {
				return err
			}
		}
		if err := call.Send(&lookout.ExecResponse{Message: &lookout.ExecResponse_Stderr{Stderr: []byte("warned")}}); err != nil {
			return err
		}
		return call.Send(exits(9))
	}}, Config{})
	var out, wrong bytes.Buffer
	code, err := c.Exec(t.Context(), Command{Job: "j", Run: "r", Container: "c", Args: []string{"cat", "-"}}, Streams{Stdin: strings.NewReader(input), Stdout: &out, Stderr: &wrong})
	if err != nil || code != 9 || out.String() != input || wrong.String() != "warned" {
		t.Errorf("%d, %d bytes, %q, %v", code, out.Len(), wrong.String(), err)
	}
}

func TestACommandIsToldTheSizesOfItsTerminal(t *testing.T) {
	t.Parallel()
	c := connect(t, &fake{onExec: func(call execServer) error {
		first, err := call.Recv()
		if err != nil {
			return err
		}
		later, err := call.Recv()
		if err != nil {
			return err
		}
		if at, then := first.GetStart().GetTerminal(), later.GetResize(); at.GetWidth() != 80 || at.GetHeight() != 24 || then.GetWidth() != 100 || then.GetHeight() != 30 {
			t.Errorf("the terminal is %v, and then %v", at, then)
		}
		return call.Send(exits(0))
	}}, Config{})
	sizes := make(chan TerminalSize, 1)
	sizes <- TerminalSize{Width: 100, Height: 30}
	if _, err := c.Exec(t.Context(), Command{Job: "j", Args: []string{"sh"}, Terminal: &TerminalSize{Width: 80, Height: 24}}, Streams{Resize: sizes}); err != nil {
		t.Error(err)
	}
}

var errBroken = errors.New("it is broken")

// broken cannot be written to.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// breaking is input that cannot be read any more when something was written.
type breaking chan struct{}

func (b breaking) Read([]byte) (int, error) {
	<-b
	return 0, errBroken
}

func (b breaking) Write(p []byte) (int, error) {
	close(b)
	return len(p), nil
}

func TestACommandThatFailsIsEndedAndNeverRepeated(t *testing.T) {
	t.Parallel()
	left, input := make(chan struct{}, 1), make(breaking)
	goesOn := func(call execServer) error {
		_ = call.Send(stdout("begun"))
		<-call.Context().Done()
		left <- struct{}{}
		return nil
	}
	for name, c := range map[string]struct {
		serve   func(execServer) error
		streams Streams
		leaves  bool
		is      func(error) bool
	}{
		"it cannot be reached": {
			func(execServer) error { return status.Error(codes.Unavailable, "come back later") },
			Streams{},
			false,
			func(err error) bool { return status.Code(err) == codes.Unavailable },
		},
		"its end is not told": {
			func(call execServer) error { return call.Send(stdout("begun")) },
			Streams{},
			false,
			func(err error) bool { return strings.Contains(err.Error(), "did not say how the command ended") },
		},
		"its input breaks":  {goesOn, Streams{Stdin: input, Stdout: input}, true, func(err error) bool { return errors.Is(err, errBroken) }},
		"its output breaks": {goesOn, Streams{Stdout: broken{}}, true, func(err error) bool { return errors.Is(err, errBroken) }},
		"its input waits":   {goesOn, Streams{Stdin: endless{}, Stdout: broken{}}, true, func(err error) bool { return errors.Is(err, errBroken) }},
	} {
		f := &fake{onExec: c.serve}
		_, err := connect(t, f, Config{}).Exec(t.Context(), Command{Job: "j", Args: []string{"sh"}}, c.streams)
		if err == nil || !c.is(err) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if c.leaves {
			<-left
		}
		f.mu.Lock()
		if f.execs != 1 {
			t.Errorf("%s: it was run %d times", name, f.execs)
		}
		f.mu.Unlock()
	}
}

// endless is more input than goes on its way.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestACommandEndsWithItsContext(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	c := connect(t, &fake{onExec: func(call execServer) error {
		defer close(left)
		if err := call.Send(stdout("begun")); err != nil {
			return err
		}
		<-call.Context().Done()
		return nil
	}}, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := c.Exec(ctx, Command{Job: "j", Args: []string{"sh"}}, Streams{Stdout: writes(cancel)})
	if status.Code(err) != codes.Canceled {
		t.Errorf("the error is %v", err)
	}
	<-left
}

// writes is told of the first bytes.
type writes func()

func (w writes) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

var _ io.Writer = writes(nil)
