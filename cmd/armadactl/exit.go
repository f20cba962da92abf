package main

import (
	"errors"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The exit codes; exitCodesHelp says what they promise.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnreachable = 4
	exitNotAllowed  = 5
	exitInterrupted = 130
	exitTerminated  = 143
)

const exitCodesHelp = `armadactl ends with

    0   all went well
    1   something failed that no other code is for
    2   the command line made no sense; nothing was done
    3   there is no such queue, job set, job or log
    4   no server answered, or not in time; what was asked for may have been done
    5   the server wants to know who you are, or you may not do this
  130   Ctrl-C ended it (143: SIGTERM)

submit --wait ends, once every job has ended, with the worst exit status of its jobs:

    0   all succeeded
    n   the highest exit code of a container among the jobs that failed, at most 255
    1   jobs failed without an exit code, or were cancelled, preempted or rejected

exec ends with the exit code of its command. An error of its own, with a code of the first list, begins
with "armadactl: " on the standard error; a command that could not be started ends with 126 or 127.

A job counts with the first of its containers that did not end with 0. When not every job could be
submitted, or waiting failed, the code is one of the first list; whether it is one of a job is told
by the lines: a job that has ended has its own on the standard output.`

// exitCodesTopic is a page of help, armadactl help exit-codes.
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit code of a command says", Long: exitCodesHelp}
}

// interruptedError is the user's wish that the program end.
type interruptedError struct{ code int }

func (e *interruptedError) Error() string { return "interrupted" }

// statusError is an error that brings its exit code.
type statusError struct {
	error
	code int
}

func (e *statusError) Unwrap() error { return e.error }

// exitCode is the code that an error ends the program with.
func exitCode(err error) int {
	var usage *usageError
	var own *statusError
	var interrupted *interruptedError
	var unreachable *unreachableError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &interrupted):
		return interrupted.code
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitUnreachable
	}
	switch status.Code(err) {
	case codes.NotFound:
		return exitNotFound
	case codes.Unavailable, codes.DeadlineExceeded:
		return exitUnreachable
	case codes.PermissionDenied, codes.Unauthenticated:
		return exitNotAllowed
	default:
		return exitFailed
	}
}
