package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
	"armada/pkg/client/credentials"
)

// Client is a connection to a server. Its methods may be called from many
// goroutines. The generated clients are there for what the methods do not
// offer; their calls get the same credentials, deadlines and repetitions.
type Client struct {
	Submitter api.SubmitClient
	Queuer    api.QueueServiceClient
	Policies  api.RetryPolicyServiceClient
	Executors api.ExecutorClient
	Nodes     api.NodeClient
	Clusters  binoculars.BinocularsClient
	Events    api.EventClient
	Lookout   lookout.LookoutClient
	Reporter  schedulerobjects.SchedulerReportingClient
	// Repeated, if set, is told when a call failed for now, why, and how long the
	// client pauses before it tries again. It is called by the goroutine of the
	// call, and must be set before the first one.
	Repeated func(err error, pause time.Duration)

	conn    *grpc.ClientConn
	source  credentials.Source // nil for a caller who is nobody in particular
	address string
	pauses  pauses
}

// Bounds of messages: a submit request is cut where it would get longer than
// the first, and no answer may be longer than the second.
const (
	mostSent     = 4 << 20
	mostReceived = 32 << 20
)

// New prepares a connection; it is made when the first call needs it. Options
// are added to those that the config asks for.
func New(config Config, options ...grpc.DialOption) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	secured, err := transport(&config)
	if err != nil {
		return nil, err
	}
	c := &Client{address: config.Address(), pauses: defaultPauses}
	calls := []grpc.CallOption{grpc.MaxCallRecvMsgSize(mostReceived)}
	if !config.Uncompressed {
		calls = append(calls, grpc.UseCompressor(gzip.Name))
	}
	all := []grpc.DialOption{
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultCallOptions(calls...),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:    cmp.Or(config.GRPCKeepAliveTime, 30*time.Second),
			Timeout: cmp.Or(config.GRPCKeepAliveTimeout, 10*time.Second),
		}),
		grpc.WithUserAgent(cmp.Or(config.UserAgent, "armada-go-client")),
		grpc.WithUnaryInterceptor(c.insist(config.Timeout)),
		grpc.WithDisableServiceConfig(),
	}
	source, err := config.Source()
	if err != nil {
		return nil, err
	}
	if source != nil {
		c.source = source
		all = append(all, grpc.WithPerRPCCredentials(caller{source, config.UsesTLS()}))
	}
	conn, err := grpc.NewClient(config.Address(), append(all, options...)...)
	if err != nil {
		return nil, fmt.Errorf("armadaUrl: %q is no address: %w", config.Address(), err)
	}
	c.conn = conn
	c.Submitter = api.NewSubmitClient(conn)
	c.Queuer = api.NewQueueServiceClient(conn)
	c.Policies = api.NewRetryPolicyServiceClient(conn)
	c.Executors = api.NewExecutorClient(conn)
	c.Nodes = api.NewNodeClient(conn)
	c.Clusters = binoculars.NewBinocularsClient(conn)
	c.Events = api.NewEventClient(conn)
	c.Lookout = lookout.NewLookoutClient(conn)
	c.Reporter = schedulerobjects.NewSchedulerReportingClient(conn)
	return c, nil
}

// Connect is New, and waits until the server answers: at most 5 seconds, or as
// long as ctx has if it has a deadline.
func Connect(ctx context.Context, config Config, options ...grpc.DialOption) (*Client, error) {
	c, err := New(config, options...)
	if err != nil {
		return nil, err
	}
	if err := c.Ready(ctx); err != nil {
		return nil, joinClose(err, c)
	}
	return c, nil
}

func joinClose(err error, c *Client) error {
	if closing := c.Close(); closing != nil {
		return fmt.Errorf("%w (and closing the connection: %w)", err, closing)
	}
	return err
}

// Ready returns when the server has answered, with whatever; the error is
// UNAVAILABLE or DEADLINE_EXCEEDED when it has not within 5 seconds or the
// deadline of ctx.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.ServerVersion(ctx)
	return err
}

// versionHeader is the header in which a server says its version.
const versionHeader = "armada-version"

// ServerVersion is Ready, and returns the server's version; empty when it does
// not tell.
func (c *Client) ServerVersion(ctx context.Context) (string, error) {
	ctx, cancel := withDefault(ctx, 5*time.Second)
	defer cancel()
	var header, trailer metadata.MD
	_, err := c.Submitter.Health(ctx, &emptypb.Empty{}, grpc.Header(&header), grpc.Trailer(&trailer))
	// gRPC itself says UNAVAILABLE of a server that cannot be reached, and a server says
	// it of what it cannot do at the moment. Only an answer has metadata.
	answered := len(header)+len(trailer) > 0
	switch code := status.Code(err); {
	case !answered && (code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled):
		return "", fmt.Errorf("connect to %s: %w", c.address, err)
	default: // it is there, even if it does not like the question
		return strings.Join(header.Get(versionHeader), ", "), nil
	}
}

// Address is where the client connects to.
func (c *Client) Address() string { return c.address }

// Close ends the connection and every call on it.
func (c *Client) Close() error {
	err := c.conn.Close()
	if c.source != nil {
		err = errors.Join(err, c.source.Close())
	}
	return err
}

// caller says with every call who makes it.
type caller struct {
	source credentials.Source
	tls    bool
}

// GetRequestMetadata returns the header.
func (c caller) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	header, err := c.source.Authorization(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": header}, nil
}

// RequireTransportSecurity is what the config says: a server on this machine,
// or behind a proxy that ends TLS, takes passwords without.
func (c caller) RequireTransportSecurity() bool { return c.tls }
