package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/internal/auth"
)

// calls is what happens to every call, of either kind: who calls is found out,
// it is kept within the caller's limits, panics become errors, errors become
// statuses, and it is counted.
type calls struct {
	authenticator auth.Authenticator
	peerSecret    string
	authorizer    *auth.Authorizer
	limits        *limiter
	log           *slog.Logger
	audit         *audit
	total         *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
}

func newCalls(limits Limits, deps Deps) (*calls, error) {
	c := &calls{
		authenticator: deps.Authenticator,
		peerSecret:    deps.PeerSecret,
		authorizer:    deps.Authorizer,
		limits:        newLimiter(limits),
		log:           deps.Log,
		audit:         newAudit(deps.Audit),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armada_server_calls_total", Help: "Calls answered, by method and gRPC code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "armada_server_call_seconds", Help: "How long calls took, streams left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method"}),
	}
	if deps.Registry == nil {
		return c, nil
	}
	for _, metric := range []prometheus.Collector{c.total, c.seconds} {
		if err := deps.Registry.Register(metric); err != nil {
			return nil, fmt.Errorf("register a metric of calls: %w", err)
		}
	}
	return c, nil
}

// unary wraps a call with one answer.
func (c *calls) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			err = c.panicked(info.FullMethod, p)
		}
		err = c.finish(ctx, info.FullMethod, err)
		c.audit.record(ctx, info.FullMethod, request, answer, err)
		c.seconds.WithLabelValues(info.FullMethod).Observe(time.Since(began).Seconds())
	}()
	known, err := c.identify(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	ctx = known
	if err := c.let(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	if err := c.limits.take(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

// stream wraps a call with a stream.
func (c *calls) stream(service any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	ctx := withNotes(s.Context())
	defer func() {
		if p := recover(); p != nil {
			err = c.panicked(info.FullMethod, p)
		}
		err = c.finish(ctx, info.FullMethod, err)
		c.audit.record(ctx, info.FullMethod, nil, nil, err)
	}()
	known, err := c.identify(ctx, info.FullMethod)
	if err != nil {
		return err
	}
	ctx = known
	if err := c.let(ctx, info.FullMethod); err != nil {
		return err
	}
	if err := c.limits.take(ctx, info.FullMethod); err != nil {
		return err
	}
	done, err := c.limits.open(ctx, info.FullMethod)
	if err != nil {
		return err
	}
	defer done()
	return handle(service, &identified{ServerStream: s, ctx: ctx})
}

// identified is a stream whose context knows the caller.
type identified struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // that is how gRPC hands a stream's context on
}

// Context returns the context with the caller.
func (s *identified) Context() context.Context { return s.ctx }

// RecvMsg reads the next message.
func (s *identified) RecvMsg(message any) error {
	return (&letter{message: message}).read(s.ServerStream.RecvMsg)
}

// finish counts the call and turns its error into a status. What is nobody's
// fault but ours is logged, once and here.
func (c *calls) finish(ctx context.Context, method string, err error) error {
	st := statusOf(ctx, err)
	c.total.WithLabelValues(method, st.Code().String()).Inc()
	switch st.Code() {
	case codes.OK:
		return nil
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.Aborted:
		c.log.LogAttrs(ctx, slog.LevelError, "a call failed", slog.String("method", method), slog.String("code", st.Code().String()), slog.Any("error", err))
	default:
		c.log.LogAttrs(ctx, slog.LevelDebug, "a call was refused", slog.String("method", method), slog.String("code", st.Code().String()), slog.Any("error", err))
	}
	return st.Err()
}

func (c *calls) panicked(method string, p any) error {
	c.log.Error("a call panicked", slog.String("method", method), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	return status.Error(codes.Internal, "the server failed in "+method[strings.LastIndex(method, "/")+1:])
}
