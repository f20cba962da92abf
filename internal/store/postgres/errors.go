package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"armada"
)

// outcome is what an error says about the statement that failed.
type outcome int

const (
	failed   outcome = iota // nothing was done; the request is to blame, or the program
	stale                   // nothing was done; what was read does not hold any more, or two got in each other's way
	taken                   // nothing was done; a unique id is in use
	refused                 // nothing was done; the error has a code of ours
	away                    // nothing was done; the database cannot do it at the moment
	doubtful                // nobody knows yet whether it was done
)

// The codes that our functions raise.
const (
	codeStale        = "ZA001"
	codePrecondition = "ZA002"
	codeNotFound     = "ZA003"
	codeFenced       = "ZA004"
)

// notAcquired is that no connection was to be had, or that only reading failed:
// nothing was done.
type notAcquired struct{ cause error }

func (e *notAcquired) Error() string { return "no connection to the database: " + e.cause.Error() }
func (e *notAcquired) Unwrap() error { return e.cause }

// inDoubt is that a statement was sent and its outcome is not known.
type inDoubt struct{ cause error }

func (e *inDoubt) Error() string { return "the connection was lost: " + e.cause.Error() }
func (e *inDoubt) Unwrap() error { return e.cause }

// sent tells doubt from what the server has answered, for the error of a
// statement that writes. What was answered with ERROR was rolled back.
// Everything that ends the connection may come after the commit: a server that
// is shut down while it waits for a standby has committed.
func sent(err error) error {
	var answer *pgconn.PgError
	switch {
	case err == nil, pgconn.SafeToRetry(err):
		return err
	case errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR":
		return err
	}
	return &inDoubt{err}
}

// unreplicated marks a connection whose server gave up waiting for a standby.
const unreplicated = "unreplicated"

// notice hears what the server says beside its answers. A wait for a standby that
// somebody cancelled ends with a warning and success, although what was committed
// is on one disk only.
func notice(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		c.CustomData()[unreplicated] = true
	}
}

// written is sent for a statement that has ended on a connection: success that a
// standby has not confirmed is a doubt too, which ends when the standby confirms
// what is written after it.
func written(c *pgconn.PgConn, err error) error {
	if cancelled := c.CustomData()[unreplicated] != nil; err != nil || !cancelled {
		return sent(err)
	}
	delete(c.CustomData(), unreplicated)
	return &inDoubt{errors.New("the wait for the synchronous standby was cancelled")}
}

// judge tells what an error of a statement means.
func judge(err error) outcome {
	var ours *armada.Error
	var nothing *notAcquired
	var doubt *inDoubt
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &ours):
		return refused
	case errors.As(err, &doubt):
		return doubtful
	case errors.As(err, &nothing), pgconn.SafeToRetry(err):
		return away
	case !errors.As(err, &answer):
		return failed
	}
	switch answer.Code {
	case codeStale:
		return stale
	case codePrecondition, codeNotFound, codeFenced:
		return refused
	}
	switch answer.Code[:2] {
	case "40": // serialization failure, deadlock
		return stale
	case "23": // a constraint
		return taken
	case "08", // connections
		"25", // read-only
		"28", // who may connect
		"3D", // no such database
		"53", // disk full, out of memory, too many connections
		"55", // a lock was not to be had in time
		"57", // cancelled, shut down
		"58", // the system below
		"XX": // corrupt data
		return away
	}
	return failed
}

// isStale tells that a function of ours found that what its caller knew is stale:
// the caller has to read again.
func isStale(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == codeStale
}

// refusal is the error of ours that a function raised.
func refusal(err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return err
	}
	code := armada.CodePrecondition
	switch answer.Code {
	case codeNotFound:
		code = armada.CodeNotFound
	case codeFenced:
		code = armada.CodeFenced
	}
	return &armada.Error{Code: code, Message: answer.Message}
}

// unavailable is the answer when nothing was done for sure.
func unavailable(what string, err error) error {
	return &armada.Error{Code: armada.CodeUnavailable, Message: what + ": nothing was written", Cause: err}
}

// readError is what a call that reads answers; errors with a code pass. A
// reader's own context that ended is the caller's business, any other trouble
// of the connection is the database's.
func readError(ctx context.Context, what string, err error) error {
	if err == nil || armada.CodeOf(err) != armada.CodeInternal {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	var answer *pgconn.PgError
	if kind := judge(err); kind == away || kind == stale || !errors.As(err, &answer) && isConnection(err) {
		return &armada.Error{Code: armada.CodeUnavailable, Message: what, Cause: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isConnection tells that the connection broke or was waited for in vain, and
// not that what was read made no sense.
func isConnection(err error) bool {
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connecting) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed)
}

// isReadOnly tells that the connection leads to a server that is not, or not
// any more, the one to write to.
func isReadOnly(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "25006" || strings.HasPrefix(answer.Code, "57P"))
}
