package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/pkg/api"
)

// timeouts are the deadlines of calls that take longer than others.
var timeouts = map[string]time.Duration{
	api.Submit_SubmitJobs_FullMethodName:       30 * time.Second,
	api.Submit_GetQueue_FullMethodName:         30 * time.Second,
	api.Submit_CancelJobs_FullMethodName:       60 * time.Second,
	api.Submit_CancelJobSet_FullMethodName:     60 * time.Second,
	api.Submit_ReprioritizeJobs_FullMethodName: 60 * time.Second,
	api.Submit_PreemptJobs_FullMethodName:      60 * time.Second,
}

const (
	timeout      = 10 * time.Second // of all others
	queueTimeout = 30 * time.Second // of reading all queues
)

// pauses between attempts: the first, doubled each time, up to the most.
type pauses struct{ first, most time.Duration }

var defaultPauses = pauses{first: 100 * time.Millisecond, most: 5 * time.Second}

// next is a pause around the present one, so that clients that failed together
// do not come back together, and what is the present one then.
func (p pauses) next(present time.Duration) (pause, following time.Duration) {
	present = max(present, p.first)
	return present/2 + rand.N(present), min(2*present, p.most)
}

// insist gives calls a deadline and repeats what failed for now.
func (c *Client) insist(always time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		own := timeout
		if longer, known := timeouts[method]; known {
			own = longer
		}
		if always > 0 {
			own = always
		}
		ctx, cancel := withDefault(ctx, own)
		defer cancel()
		call := func() error { return invoke(ctx, method, request, reply, conn, options...) }
		if !repeatable(request) {
			return call()
		}
		return c.pauses.retry(ctx, c.Repeated, call)
	}
}

// repeatable tells of requests that do the same when they are sent again, though
// nobody knows what became of them: all but jobs that a server would not know
// again. What [Client.Submit] sends has client ids.
func repeatable(request any) bool {
	jobs, is := request.(*api.JobSubmitRequest)
	return !is || !slices.ContainsFunc(jobs.GetJobRequestItems(), func(item *api.JobSubmitRequestItem) bool {
		return item.GetClientId() == ""
	})
}

// withDefault is ctx, with a deadline if it had none.
func withDefault(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// retry repeats an attempt that failed for now until one succeeds or fails for
// good, or no time is left; the error is that of the last one that got an
// answer. Each repetition is told.
func (p pauses) retry(ctx context.Context, tell func(error, time.Duration), attempt func() error) error {
	var last error
	for pause, following := time.Duration(0), time.Duration(0); ; {
		err := attempt()
		if status.Code(err) == codes.DeadlineExceeded && last != nil {
			return last
		}
		if !passing(err) {
			return err
		}
		last = err
		pause, following = p.next(following)
		if deadline, has := ctx.Deadline(); has && time.Until(deadline) <= pause {
			return err
		}
		if tell != nil {
			tell(err, pause)
		}
		if wait(ctx, pause) != nil {
			return err
		}
	}
}

// passing tells of errors that another attempt may not meet. A message over a
// limit has the code of a server that is busy, and differs by gRPC's words only.
func passing(err error) bool {
	state := status.Convert(err)
	switch state.Code() {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted:
		return !strings.Contains(state.Message(), "larger than max")
	default:
		return false
	}
}

// wait returns nil after a pause, or the error of ctx.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Violations are what a server found wrong with a request, by path in the
// request's own words such as job_request_items[3].namespace; none when err is
// about something else.
func Violations(err error) []armada.Violation {
	var own *armada.Error
	if errors.As(err, &own) {
		return own.Violations
	}
	state, _ := status.FromError(err)
	var found []armada.Violation
	for _, detail := range state.Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				found = append(found, armada.Violation{Path: v.GetField(), Message: v.GetDescription()})
			}
		}
	}
	return found
}
