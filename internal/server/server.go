package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients of 2026 send every request compressed
	"google.golang.org/grpc/keepalive"

	"armada/internal/auth"
	"armada/internal/podspec"
	"armada/internal/store"
	"armada/pkg/api/executorapi"
)

// Executors is the executors' side of the server.
type Executors interface {
	executorapi.ExecutorApiServer
	executorapi.ExecutorAgentServer
	LogSource
}

// Deps are what a server works with. Explains, Executors, Registry and UI may
// be nil.
type Deps struct {
	Store         store.Store
	Rules         *podspec.Rules
	Authenticator auth.Authenticator
	Authorizer    *auth.Authorizer
	Executors     Executors
	Explains      Explainer
	Log           *slog.Logger
	Registry      prometheus.Registerer
	UI            http.Handler // what is served beside the REST interface
	Version       string       // what Health tells in the header armada-version; empty for nothing
}

// Server serves users and executors. Make it with [New], bind it with
// [Server.Listen], run it with [Server.Serve].
type Server struct {
	config Config
	log    *slog.Logger
	health *health
	grpc   *grpc.Server
	pipe   *pipe
	ui     http.Handler
	front  *gateway // while it serves
	http   *http.Server

	stopping chan struct{}
	grpcAt   net.Listener
	httpAt   net.Listener
}

// New makes a server that does not listen yet.
func New(config Config, deps Deps) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("server config: %w", err)
	}
	calls, err := newCalls(deps.Authenticator, deps.Log, deps.Registry)
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, log: deps.Log, health: newHealth(deps.Store, deps.Version), ui: deps.UI, pipe: newPipe(), stopping: make(chan struct{})}
	s.grpc = grpc.NewServer(
		grpc.ChainUnaryInterceptor(calls.unary),
		grpc.ChainStreamInterceptor(calls.stream),
		grpc.MaxRecvMsgSize(config.MaxMessageBytes),
		grpc.ForceServerCodecV2(newCodec()),
		// Clients ping every 10 s, also without a call; connections that carry
		// nothing for long are kept, since watchers wait in silence.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: config.KeepaliveMinTime, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
	)
	register(readable{s.grpc, calls}, config, deps, s.health, s.stopping)
	s.http = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(deps.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Listen binds both addresses, so that they are known before [Server.Serve].
func (s *Server) Listen(ctx context.Context) error {
	var binding net.ListenConfig
	var err error
	if s.grpcAt, err = binding.Listen(ctx, "tcp", s.config.GRPCAddr); err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	if s.httpAt, err = binding.Listen(ctx, "tcp", s.config.HTTPAddr); err != nil {
		return errors.Join(fmt.Errorf("listen for HTTP: %w", err), s.grpcAt.Close())
	}
	return nil
}

// GRPCAddr is where gRPC is served, after Listen.
func (s *Server) GRPCAddr() string { return s.grpcAt.Addr().String() }

// HTTPAddr is where REST is served, after Listen.
func (s *Server) HTTPAddr() string { return s.httpAt.Addr().String() }

// Connect returns a connection to the services inside the process, for an
// executor that lives beside the server. The caller closes it.
func (s *Server) Connect() (*grpc.ClientConn, error) {
	conn, err := s.pipe.connect()
	if err != nil {
		return nil, fmt.Errorf("connect inside the process: %w", err)
	}
	return conn, nil
}

// Serve serves until the context ends, and then stops in order: streams end with
// UNAVAILABLE, calls in flight are answered within the stop timeout. It returns
// nil after such a stop. It binds the addresses unless Listen has.
func (s *Server) Serve(ctx context.Context) error {
	if s.grpcAt == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	var err error
	if s.front, err = newGateway(s.config, s.pipe, s.health, s.ui); err != nil {
		return errors.Join(err, s.grpcAt.Close(), s.httpAt.Close())
	}
	s.http.Handler = s.front
	failed := make(chan error, 3)
	go func() { failed <- s.grpc.Serve(s.grpcAt) }()
	go func() { failed <- s.grpc.Serve(s.pipe) }()
	go func() { failed <- s.http.Serve(s.httpAt) }()
	s.health.start()
	s.log.Info("serving", slog.String("grpc", s.GRPCAddr()), slog.String("http", s.HTTPAddr()))
	running := 3
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

// stop ends streams, lets calls in flight finish, and closes what is left.
func (s *Server) stop() error {
	s.health.stop()
	close(s.stopping)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.StopTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop the REST interface: %w", err), s.http.Close())
	}
	err = errors.Join(err, s.front.Close())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
	return err
}
