package wire

import (
	"armada"
	"armada/internal/runs"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/lookout"
)

// Exec is a command for a container of a run.
type Exec struct {
	Run     armada.RunID
	User    string // who gave it
	Command runs.Command
	Input   bool // there will be some
}

// ExecStream is the end of a call at which whoever gave a command listens and
// speaks. Receiving and sending may go on at the same time.
type ExecStream interface {
	// Recv returns what comes after the start; io.EOF when nothing more will.
	Recv() (*lookout.ExecRequest, error)
	Send(*lookout.ExecResponse) error
}

// ReadExecStart reads a command; who gave it is not in it.
func ReadExecStart(s *lookout.ExecStart) Exec {
	e := Exec{Run: armada.RunID(s.GetRunId()), Input: s.GetInput(), Command: runs.Command{Container: s.GetContainer(), Args: s.GetArgs()}}
	if t := s.GetTerminal(); t != nil {
		e.Command.Terminal = &runs.TerminalSize{Width: uint16(t.GetWidth()), Height: uint16(t.GetHeight())}
	}
	return e
}

// ExecStart writes a command as the first message of a call.
func ExecStart(e Exec) *lookout.ExecRequest {
	s := &lookout.ExecStart{RunId: string(e.Run), Container: e.Command.Container, Args: e.Command.Args, Input: e.Input}
	if t := e.Command.Terminal; t != nil {
		s.Terminal = &lookout.TerminalSize{Width: uint32(t.Width), Height: uint32(t.Height)}
	}
	return &lookout.ExecRequest{Message: &lookout.ExecRequest_Start{Start: s}}
}

// ExecOrder writes a command as an order to an executor, whose answer names the
// request.
func ExecOrder(request string, e Exec) *executorapi.ExecOrder {
	o := &executorapi.ExecOrder{
		RequestId: request, RunId: string(e.Run), Container: e.Command.Container, Args: e.Command.Args, Input: e.Input, User: e.User,
	}
	if t := e.Command.Terminal; t != nil {
		o.Terminal = &executorapi.TerminalSize{Width: uint32(t.Width), Height: uint32(t.Height)}
	}
	return o
}

// ExecInput turns what whoever gave a command says into what its executor hears;
// nil for what says nothing.
func ExecInput(r *lookout.ExecRequest) *executorapi.ExecInput {
	switch m := r.GetMessage().(type) {
	case *lookout.ExecRequest_Input:
		return &executorapi.ExecInput{Message: &executorapi.ExecInput_Input{Input: m.Input}}
	case *lookout.ExecRequest_InputEnded:
		return &executorapi.ExecInput{Message: &executorapi.ExecInput_InputEnded{InputEnded: true}}
	case *lookout.ExecRequest_Resize:
		return &executorapi.ExecInput{Message: &executorapi.ExecInput_Resize{
			Resize: &executorapi.TerminalSize{Width: m.Resize.GetWidth(), Height: m.Resize.GetHeight()},
		}}
	}
	return nil
}

// ExecResponse turns what an executor tells of a command into what whoever gave it
// hears, and whether that is the last. An error is why there is no exit code; nil
// stands for what says nothing.
func ExecResponse(o *executorapi.ExecOutput) (answer *lookout.ExecResponse, last bool, err error) {
	switch m := o.GetMessage().(type) {
	case *executorapi.ExecOutput_Stdout:
		return &lookout.ExecResponse{Message: &lookout.ExecResponse_Stdout{Stdout: m.Stdout}}, false, nil
	case *executorapi.ExecOutput_Stderr:
		return &lookout.ExecResponse{Message: &lookout.ExecResponse_Stderr{Stderr: m.Stderr}}, false, nil
	case *executorapi.ExecOutput_ExitCode:
		return &lookout.ExecResponse{Message: &lookout.ExecResponse_ExitCode{ExitCode: m.ExitCode}}, true, nil
	case *executorapi.ExecOutput_Failure:
		code := armada.CodePrecondition
		if m.Failure.GetKind() == executorapi.ExecFailure_KIND_BUSY {
			code = armada.CodeExhausted
		}
		return nil, true, &armada.Error{Code: code, Message: m.Failure.GetReason()}
	}
	return nil, false, nil
}
