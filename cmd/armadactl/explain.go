package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

// unreachableError is a server that does not answer.
type unreachableError struct {
	config client.Config
	cause  error
}

func (e *unreachableError) Error() string { return e.cause.Error() }
func (e *unreachableError) Unwrap() error { return e.cause }

// fileError is what is wrong in a file.
type fileError struct {
	file     string
	problems []manifest.Problem
}

func (e *fileError) Error() string { return (&manifest.Error{Problems: e.problems}).Error() }

// inFile says in which file something is wrong.
func inFile(file string, err error) error {
	var wrong *manifest.Error
	if errors.As(err, &wrong) {
		return &fileError{file, wrong.Problems}
	}
	return err
}

// advisedError is an error with what to type next.
type advisedError struct {
	error
	advice string
}

func (e *advisedError) Unwrap() error { return e.error }

// explain words an error for somebody at a terminal: what is wrong, and what to
// do about it. It may have several lines.
func explain(err error) string {
	var unreachable *unreachableError
	var file *fileError
	var advised *advisedError
	switch {
	case errors.As(err, &unreachable):
		return explainUnreachable(unreachable)
	case errors.As(err, &file):
		return explainFile(file)
	case errors.As(err, &advised):
		return explain(advised.error) + "\n" + advised.advice
	}
	var path *fs.PathError
	if errors.As(err, &path) && errors.Is(err, fs.ErrNotExist) {
		return "there is no file " + path.Path
	}
	if violations := client.Violations(err); len(violations) > 0 {
		return "the server refuses this:\n" + strings.Join(violationLines(violations), "\n")
	}
	state, fromServer := status.FromError(err)
	if !fromServer {
		return err.Error()
	}
	switch state.Code() {
	case codes.Unauthenticated:
		return "the server wants to know who you are: " + said(err) + "\nHow you prove it stands in the config file: armadactl auth --help."
	case codes.PermissionDenied:
		return "you are not allowed to do this: " + said(err) + "\nSee as whom you call: armadactl auth whoami; choose another context: armadactl config get-contexts"
	case codes.Unimplemented:
		return "this server cannot do that: " + said(err) + "\nSee its version, and yours: armadactl version"
	case codes.DeadlineExceeded:
		return "the server did not answer in time: " + said(err) + "\nSee whether it can be reached: armadactl version"
	default:
		return said(err)
	}
}

func violationLines(violations []armada.Violation) []string {
	lines := make([]string, len(violations))
	for i, v := range violations {
		lines[i] = "  " + v.Path + ": " + v.Message
		if v.Path == "" {
			lines[i] = "  " + v.Message
		}
	}
	return lines
}

// said is the text of an error with the server's words in place of gRPC's
// wrapping of them.
func said(err error) string {
	var wrapped interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &wrapped) {
		return err.Error()
	}
	state := wrapped.GRPCStatus()
	raw := status.Error(state.Code(), state.Message()).Error()
	return strings.Replace(err.Error(), raw, state.Message(), 1)
}

func explainUnreachable(e *unreachableError) string {
	address := e.config.Address()
	state, _ := status.FromError(e.cause)
	cause := lastPart(state.Message())
	text := fmt.Sprintf("no server answers at %s: %s\n", address, cause)
	switch {
	case strings.Contains(state.Message(), "looked like an HTTP/1.1 header"):
		return fmt.Sprintf("what answers at %s is a web server.\nSay the address of the gRPC API; armada up prints it as gRPC, and REST is another.", address)
	case strings.Contains(state.Message(), "tls:") || strings.Contains(state.Message(), "handshake"):
		return text + "The connection was tried with TLS. If the server has none, put forceNoTls: true into the config file."
	case !e.config.UsesTLS() && strings.Contains(state.Message(), "server preface"):
		return text + "The connection was tried without TLS. If the server wants it, leave forceNoTls out of the config file."
	default:
		return text + "Start one on this machine with `armada up`, or say where yours is with --armadaUrl HOST:PORT."
	}
}

// lastPart is the innermost cause in a message of gRPC.
func lastPart(message string) string {
	for _, mark := range []string{`desc = "`, "while dialing: ", "while dialing ", "Error: ", "connection error: desc = "} {
		if i := strings.LastIndex(message, mark); i >= 0 {
			message = message[i+len(mark):]
		}
	}
	return strings.Trim(strings.TrimPrefix(message, "dial "), `" `)
}

func explainFile(e *fileError) string {
	if len(e.problems) == 1 {
		return e.file + ": " + e.problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d things are wrong:", e.file, len(e.problems))
	for _, p := range e.problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// advise adds what to type next to an error of a code.
func advise(err error, code codes.Code, format string, args ...any) error {
	if err != nil && status.Code(err) == code {
		return &advisedError{err, fmt.Sprintf(format, args...)}
	}
	return err
}
