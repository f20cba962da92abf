package restjson

import (
	"context"
	"errors"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// HandleError answers errors as the gateway does by itself, and adds the
// violations of a body that could not be read, so that they have the same form
// as those that a service finds: every place in the body with what is wrong
// there. It is for runtime.WithErrorHandler.
func HandleError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if body, is := r.Body.(*checkedBody); is && body.failed != nil {
		err = unreadable(body.failed)
	}
	runtime.DefaultHTTPErrorHandler(ctx, mux, m, w, r, err)
}

// unreadable is the status of a body that could not be read.
func unreadable(failed error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(failed, &tooLarge) {
		return &runtime.HTTPStatusError{
			HTTPStatus: http.StatusRequestEntityTooLarge, // HTTP has a status of its own for it
			Err:        status.Errorf(codes.InvalidArgument, "the body is too large, at most %d bytes are taken", tooLarge.Limit),
		}
	}
	st := status.New(codes.InvalidArgument, "the body cannot be read: "+failed.Error())
	bad := &errdetails.BadRequest{}
	add := func(path, message string) {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: path, Description: message})
	}
	var wrong *FieldError
	var strict *StrictError
	switch {
	case errors.As(failed, &wrong):
		add(wrong.Path, wrong.Err.Error())
	case errors.As(failed, &strict):
		for _, w := range strict.Warnings {
			if w.Repeated {
				add(w.Path, "given twice")
			} else {
				add(w.Path, "unknown field")
			}
		}
	default:
		return st.Err()
	}
	if with, err := st.WithDetails(bad); err == nil {
		return with.Err()
	}
	return st.Err()
}
