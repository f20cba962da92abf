package server

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"armada"
)

// codeTable is the one table of codes.
var codeTable = map[armada.ErrorCode]codes.Code{
	armada.CodeInternal:        codes.Internal,
	armada.CodeInvalid:         codes.InvalidArgument,
	armada.CodeNotFound:        codes.NotFound,
	armada.CodePrecondition:    codes.FailedPrecondition,
	armada.CodeDenied:          codes.PermissionDenied,
	armada.CodeExhausted:       codes.ResourceExhausted,
	armada.CodeUnavailable:     codes.Unavailable,
	armada.CodeFenced:          codes.FailedPrecondition,
	armada.CodeOutOfRange:      codes.OutOfRange,
	armada.CodeUnauthenticated: codes.Unauthenticated,
	armada.CodeUnimplemented:   codes.Unimplemented,
}

// partial is the error of a call that did some of what was asked for. It is
// ABORTED, which no client repeats by itself, whatever stopped the call.
type partial struct {
	done, all int
	what      string
	of        string // the things that something was done to
	cause     error
}

func (p *partial) Error() string {
	return p.what + " " + strconv.Itoa(p.done) + " of " + strconv.Itoa(p.all) + " " + p.of + "; repeat the call for the rest: " + p.cause.Error()
}

func (p *partial) Unwrap() error { return p.cause }

// detailed is an error that answers with a message of its own beside the code.
type detailed struct {
	error
	detail proto.Message
}

func (d *detailed) Unwrap() error { return d.error }

// statusOf turns an error into the status that the caller of ctx gets.
func statusOf(ctx context.Context, err error) *status.Status {
	if err == nil {
		return nil
	}
	var known *armada.Error
	var some *partial
	switch {
	case errors.As(err, &some):
		return status.New(codes.Aborted, clip(err.Error(), room(ctx)))
	case errors.As(err, &known):
		return knownStatus(ctx, err, known)
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, "the caller went away")
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "the call's time was up")
	}
	if s, ok := status.FromError(err); ok {
		return s
	}
	return status.New(codes.Internal, clip(err.Error(), room(ctx)))
}

// knownStatus adds as many details as the caller can take, the violations first.
func knownStatus(ctx context.Context, err error, known *armada.Error) *status.Status {
	left := room(ctx)
	text := err.Error()
	if known.Code == armada.CodeNotFound || known.Code == armada.CodePrecondition {
		text = known.Error() // callers know what they asked for; the log says it too
	}
	message := clip(text, left/2)
	left -= len(message)
	code, listed := codeTable[known.Code]
	if !listed {
		code = codes.Internal
	}
	st := status.New(code, message)
	var details []protoadapt.MessageV1
	if bad := badRequest(known.Violations, left); bad != nil {
		details = append(details, protoadapt.MessageV1Of(bad))
		left -= proto.Size(bad)
	}
	var more *detailed
	if errors.As(err, &more) && proto.Size(more.detail) <= left {
		details = append(details, protoadapt.MessageV1Of(more.detail))
	}
	if len(details) == 0 {
		return st
	}
	if with, err := st.WithDetails(details...); err == nil {
		return with
	}
	return st
}

// badRequest lists violations until the room is used up, and then says how many
// are missing.
func badRequest(violations []armada.Violation, room int) *errdetails.BadRequest {
	if len(violations) == 0 {
		return nil
	}
	bad := &errdetails.BadRequest{}
	for i, v := range violations {
		field := &errdetails.BadRequest_FieldViolation{Field: strings.ToValidUTF8(v.Path, "�"), Description: strings.ToValidUTF8(v.Message, "�")}
		if room -= proto.Size(field) + 8; room < 0 {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Description: strconv.Itoa(len(violations)-i) + " more are not listed: the client takes no longer answers",
			})
			break
		}
		bad.FieldViolations = append(bad.FieldViolations, field)
	}
	return bad
}

// How many bytes of a status different clients take: errors travel in HTTP/2
// trailers, which gRPC's C core (Python) and Java bound at 8 KiB, and an answer
// beyond that reaches the user as nothing at all. Base64 adds a third.
const (
	roomOfGo     = 1 << 20
	roomOfOthers = 4 << 10
)

func room(ctx context.Context) int {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, agent := range md.Get("user-agent") {
		if strings.Contains(agent, "grpc-go/") && strings.Count(agent, "grpc-") == 1 {
			return roomOfGo
		}
	}
	return roomOfOthers
}

// clip bounds a text and makes it valid UTF-8.
func clip(s string, most int) string {
	const mark = " … (cut)"
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:max(0, most-len(mark))], "") + mark
}

// violations collects what is wrong with a request.
type violations []armada.Violation

func (v *violations) add(path, message string) {
	*v = append(*v, armada.Violation{Path: path, Message: message})
}

// err is nil when nothing is wrong.
func (v violations) err(message string) error {
	if len(v) == 0 {
		return nil
	}
	return &armada.Error{Code: armada.CodeInvalid, Message: message, Violations: v}
}
