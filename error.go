package armada

import (
	"errors"
	"strings"
)

// ErrorCode is the kind of an error that a caller can act on. The server's one
// code table turns it into gRPC and HTTP codes.
type ErrorCode uint8

// The codes. Errors without a code are internal.
const (
	CodeInternal        ErrorCode = iota
	CodeInvalid                   // the request is wrong; Violations say where
	CodeNotFound                  // what was named does not exist
	CodePrecondition              // not in the present state
	CodeDenied                    // the caller may not
	CodeExhausted                 // too much at the moment; a retry within seconds helps
	CodeUnavailable               // nothing was done; try again
	CodeFenced                    // the caller's epoch or session is void
	CodeOutOfRange                // a cursor that is not kept any more
	CodeUnauthenticated           // nobody knows who the caller is
	CodeUnimplemented             // what was asked for does not exist here
)

// Error is an error that a caller can act on.
type Error struct {
	Code       ErrorCode
	Message    string
	Violations []Violation // for CodeInvalid: every one that was found; for CodePrecondition: what of the request it is about
	Cause      error
}

// Violation is one thing that is wrong with a request.
type Violation struct {
	Path    string // of the field, in the request's own words: job_request_items[3].namespace
	Message string // what is wrong and what would be right
}

// Error returns the message, with the violations after it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, v := range e.Violations {
		if i > 0 || e.Message != "" {
			b.WriteString("; ")
		}
		b.WriteString(v.Path + ": " + v.Message)
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first [Error] in err's chain, and
// [CodeInternal] when there is none.
func CodeOf(err error) ErrorCode {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
