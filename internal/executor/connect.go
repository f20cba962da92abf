package executor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// Servers are how the server is reached.
type Servers struct {
	// Addresses are those of replicas, host:port. A single one may be a DNS name
	// of all of them, or a load balancer before them.
	Addresses []string
	// TLS encrypts the connection; nil leaves it in plain text.
	TLS *tls.Config
	// Caller proves who the executor is; nil for nobody in particular.
	Caller Caller
}

// Caller is what an executor says about who it is.
type Caller interface {
	// Authorization returns what the header of that name says in the next call.
	Authorization(ctx context.Context) (string, error)
}

// perCall says it with every call.
type perCall struct {
	caller  Caller
	secured bool
}

// GetRequestMetadata returns the header.
func (c perCall) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	header, err := c.caller.Authorization(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": header}, nil
}

// RequireTransportSecurity is what the config says.
func (c perCall) RequireTransportSecurity() bool { return c.secured }

// Validate tells everything that is wrong.
func (s Servers) Validate() error {
	if len(s.Addresses) == 0 {
		return errors.New("servers: must name at least one server, host:port of its gRPC API")
	}
	var errs []error
	for i, addr := range s.Addresses {
		host, port, err := net.SplitHostPort(addr)
		if _, number := strconv.ParseUint(port, 10, 16); err != nil || host == "" || number != nil {
			errs = append(errs, fmt.Errorf("servers[%d]: must be host:port of a gRPC API, such as armada.example:50051, is %q", i, addr))
		}
	}
	return errors.Join(errs...)
}

// onOneServer makes a connection speak with one replica at a time, which one is
// left to chance: leases and the answers to what came with them must go to the
// same one. When that one goes or falls silent, the next call finds another.
const onOneServer = `{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}`

// Connect prepares a connection to any of the servers; it is made when it is
// needed first. A link that is dead is noticed within the sum of both times of
// keepalive, which must be shorter than a lease without its margin.
func Connect(s Servers) (*grpc.ClientConn, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	security := insecure.NewCredentials()
	if s.TLS != nil {
		security = credentials.NewTLS(s.TLS)
	}
	retry := backoff.DefaultConfig // with its jitter
	retry.BaseDelay, retry.MaxDelay = 100*time.Millisecond, 5*time.Second
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: 5 * time.Second}),
		grpc.WithDefaultServiceConfig(onOneServer),
		grpc.WithDisableServiceConfig(), // that of DNS; ours stays
		grpc.WithUserAgent("armada-executor"),
	}
	if s.Caller != nil {
		options = append(options, grpc.WithPerRPCCredentials(perCall{s.Caller, s.TLS != nil}))
	}
	target := "dns:///" + s.Addresses[0]
	if len(s.Addresses) > 1 {
		list := manual.NewBuilderWithScheme("servers")
		var state resolver.State
		for _, addr := range s.Addresses {
			host, _, _ := net.SplitHostPort(addr)
			state.Addresses = append(state.Addresses, resolver.Address{Addr: addr, ServerName: host})
		}
		list.InitialState(state)
		options = append(options, grpc.WithResolvers(list))
		target = "servers:///armada"
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	return conn, nil
}
