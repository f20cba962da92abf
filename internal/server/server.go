package server

import (
	stdgzip "compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip" // clients of 2026 send every request compressed
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/internal/auth"
	"armada/internal/podspec"
	"armada/internal/store"
	"armada/pkg/api"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/peers"
)

// Whoever sends compressed requests gets compressed answers, message by message.
// Messages are mostly events of a few hundred bytes, for which the default level
// takes most of its time to clear its tables.
func init() {
	if err := gzip.SetLevel(stdgzip.BestSpeed); err != nil {
		panic(err) // not for a level that there is
	}
}

// Executors is the executors' side of the server.
type Executors interface {
	executorapi.ExecutorApiServer
	executorapi.ExecutorAgentServer
	Leaser
}

// Executors2020 is the side of the executors of 2020.
type Executors2020 interface {
	api.AggregatedQueueServer
	api.UsageServer
	// Report and ReportMultiple are those of [api.EventServer].
	Report(ctx context.Context, m *api.EventMessage) (*emptypb.Empty, error)
	ReportMultiple(ctx context.Context, list *api.EventList) (*emptypb.Empty, error)
}

// Peers are the replicas of the server, this one included: what one of them
// knows, all can tell.
type Peers interface {
	LogSource
	Commander
	Explainer
	Sharer
	// Shares tells how the queues share each pool, in a table for people: of one
	// queue, or of all that have jobs. Unavailable when nobody can tell.
	Shares(ctx context.Context, queue string, verbosity int) (string, error)
	// Service is what this replica answers to the others.
	Service() peers.PeersServer
}

// Deps are what a server works with. Executors, Executors2020, Peers, Registry,
// Audit and UI may be nil.
type Deps struct {
	Store         store.Store
	Rules         *podspec.Rules
	Authenticator auth.Authenticator
	Authorizer    *auth.Authorizer
	PeerSecret    string    // by which other replicas are known; empty for by nothing
	Audit         io.Writer // gets a line of JSON for every change and refusal; may be nil
	Executors     Executors
	Executors2020 Executors2020
	Peers         Peers
	Log           *slog.Logger
	Registry      prometheus.Registerer
	UI            http.Handler     // what is served beside the REST interface
	Now           func() time.Time // the clock that job ids are made by; time.Now when nil
	Version       string           // what Health tells in the header armada-version; empty for nothing
}

func (d *Deps) now() func() time.Time {
	if d.Now == nil {
		return time.Now
	}
	return d.Now
}

// Addresses are those of a server, bound: connections to them wait until it
// serves.
type Addresses struct{ grpc, http net.Listener }

// Bind takes the addresses of the config. They are released by Close, and by
// the end of the server that serves them.
func Bind(ctx context.Context, config Config) (*Addresses, error) {
	var binding net.ListenConfig
	a := &Addresses{}
	var err error
	if a.grpc, err = binding.Listen(ctx, "tcp", config.GRPCAddr); err != nil {
		return nil, fmt.Errorf("listen for gRPC: %w", err)
	}
	if a.http, err = binding.Listen(ctx, "tcp", config.HTTPAddr); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for HTTP: %w", err), a.grpc.Close())
	}
	return a, nil
}

// GRPC is where gRPC is served, host:port.
func (a *Addresses) GRPC() string { return a.grpc.Addr().String() }

// HTTP is where REST is served, host:port.
func (a *Addresses) HTTP() string { return a.http.Addr().String() }

// Close releases the addresses; it does nothing when that was done.
func (a *Addresses) Close() error {
	var errs []error
	for _, l := range []net.Listener{a.grpc, a.http} {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Server serves users and executors. Make it with [New], run it with
// [Server.Serve].
type Server struct {
	config  Config
	at      *Addresses
	log     *slog.Logger
	health  *health
	outside *grpc.Server // at the address
	inside  *grpc.Server // in the pipe, for REST and executors of this process
	pipe    *pipe        // of the gateway
	own     *pipe        // of the executor in this process
	ui      http.Handler
	front   *gateway // while it serves
	http    *http.Server
	// certificates are those of both addresses; nil where nothing is encrypted.
	certificates *certificates

	stopping chan struct{}
}

// New makes a server of the addresses that does not serve yet.
func New(config Config, at *Addresses, deps Deps) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("server config: %w", err)
	}
	calls, err := newCalls(config.Limits, deps)
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, at: at, log: deps.Log, health: newHealth(deps.Store, deps.Version, deps.now()), ui: deps.UI, pipe: newPipe(fromGateway), own: newPipe(fromExecutor), stopping: make(chan struct{})}
	secured := []grpc.ServerOption{}
	if config.TLS.IsSet() {
		if s.certificates, err = newCertificates(config.TLS, deps.Log); err != nil {
			return nil, err
		}
		secured = append(secured, grpc.Creds(credentials.NewTLS(s.certificates.config())))
	}
	options := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(calls.unary),
		grpc.ChainStreamInterceptor(calls.stream),
		grpc.MaxRecvMsgSize(min(config.MaxMessageBytes, math.MaxInt32-readAhead) + readAhead),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ForceServerCodecV2(newCodec(config.MaxMessageBytes)),
		// Clients ping every 10 s, also without a call; connections that carry
		// nothing for long are kept, since watchers wait in silence.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: config.KeepaliveMinTime, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
	}
	s.outside, s.inside = grpc.NewServer(append(secured, options...)...), grpc.NewServer(options...)
	register(readable{both{s.outside, s.inside}, calls}, config, deps, s.health, s.stopping)
	reflection.Register(s.outside)
	s.http = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       config.ClientPatience,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(deps.Log.Handler(), slog.LevelDebug),
	}
	if s.certificates != nil {
		s.http.TLSConfig = s.certificates.config()
	}
	return s, nil
}

// maxHeaderBytes bounds the headers of a call: callers send them before anybody knows
// who they are. The longest that means something is a Kerberos ticket.
const maxHeaderBytes = 256 << 10

// GRPCAddr is where gRPC is served.
func (s *Server) GRPCAddr() string { return s.at.GRPC() }

// HTTPAddr is where REST is served.
func (s *Server) HTTPAddr() string { return s.at.HTTP() }

// Connect returns a connection to the services inside the process, for an
// executor that lives beside the server. The caller closes it.
func (s *Server) Connect() (*grpc.ClientConn, error) {
	conn, err := s.own.connect()
	if err != nil {
		return nil, fmt.Errorf("connect inside the process: %w", err)
	}
	return conn, nil
}

// both registers services with the servers of the address and of the pipe.
type both struct{ outside, inside *grpc.Server }

// RegisterService registers a service.
func (b both) RegisterService(d *grpc.ServiceDesc, service any) {
	b.outside.RegisterService(d, service)
	b.inside.RegisterService(d, service)
}

// Serve serves until the context ends, and then stops in order: streams end with
// UNAVAILABLE, clients are told to go elsewhere, calls in flight are answered
// within the stop timeout. It returns nil after such a stop.
func (s *Server) Serve(ctx context.Context) error {
	var err error
	if s.front, err = newGateway(s.config, s.pipe, s.health, s.ui); err != nil {
		return errors.Join(err, s.at.Close())
	}
	s.http.Handler = s.front
	failed := make(chan error, 4)
	go func() { failed <- s.outside.Serve(s.at.grpc) }()
	go func() { failed <- s.inside.Serve(s.pipe) }()
	go func() { failed <- s.inside.Serve(s.own) }()
	go func() { failed <- s.serveHTTP() }()
	s.health.start()
	s.log.Info("serving", slog.String("grpc", s.at.GRPC()), slog.String("http", s.at.HTTP()))
	running := 4
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
		err = fmt.Errorf("serve: %w", err)
	}
	err = errors.Join(err, s.stop())
	for range running {
		if e := <-failed; e != nil && !errors.Is(e, http.ErrServerClosed) && !errors.Is(e, grpc.ErrServerStopped) {
			err = errors.Join(err, fmt.Errorf("serve: %w", e))
		}
	}
	return err
}

func (s *Server) serveHTTP() error {
	if s.certificates != nil {
		return s.http.ServeTLS(s.at.http, "", "")
	}
	return s.http.Serve(s.at.http)
}

// stop refuses what is new on both addresses at once, ends streams, lets calls
// in flight finish, and closes what is left. The pipe closes last: calls over
// REST go through it.
func (s *Server) stop() error {
	s.health.stop()
	close(s.stopping)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.StopTimeout)
	defer cancel()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		finish(ctx, s.outside)
	}()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop the REST interface: %w", err), s.http.Close())
	}
	err = errors.Join(err, s.front.Close())
	finish(ctx, s.inside)
	<-gone
	return err
}

// finish tells clients to go elsewhere and returns when their calls are
// answered, or were cut at the end of the context.
func finish(ctx context.Context, server *grpc.Server) {
	cut := context.AfterFunc(ctx, server.Stop)
	defer cut()
	server.GracefulStop()
}
