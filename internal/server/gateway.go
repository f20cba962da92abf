package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"armada/internal/wire/restjson"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
)

// pipe is a listener inside the process. The gateway calls the services through
// it, so that a REST call passes everything that a gRPC call passes.
type pipe struct{ *bufconn.Listener }

const pipeBuffer = 256 << 10

func newPipe() *pipe { return &pipe{bufconn.Listen(pipeBuffer)} }

// Accept marks connections, so that services can tell who calls.
func (p *pipe) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // gRPC looks at the error itself
	}
	return pipeConn{c}, nil
}

type pipeConn struct{ net.Conn }

// RemoteAddr says that the call came through the gateway.
func (pipeConn) RemoteAddr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "gateway" }
func (pipeAddr) String() string  { return "gateway" }

// throughGateway tells whether a call came in over REST.
func throughGateway(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	return ok && p.Addr == pipeAddr{}
}

// gateway is the REST interface.
type gateway struct {
	conn   *grpc.ClientConn
	calls  http.Handler // what is below /v1
	health http.Handler
	ui     http.Handler
	cors   map[string]bool
}

func newGateway(config Config, p *pipe, health, ui http.Handler) (*gateway, error) {
	conn, err := p.connect()
	if err != nil {
		return nil, fmt.Errorf("connect the gateway: %w", err)
	}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, restjson.Marshaler{}),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllCharacters),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithForwardResponseOption(openStream),
		runtime.WithErrorHandler(restjson.HandleError),
	)
	// The connection lives as long as the process wants; nothing ends it early.
	ctx := context.Background()
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		api.RegisterSubmitHandler, api.RegisterEventHandler, api.RegisterJobsHandler, api.RegisterRetryPolicyServiceHandler,
		api.RegisterExecutorHandler, api.RegisterNodeHandler, lookout.RegisterLookoutHandler,
		binoculars.RegisterBinocularsHandler, schedulerobjects.RegisterSchedulerReportingHandler,
	} {
		if err := register(ctx, mux, conn); err != nil {
			return nil, fmt.Errorf("register REST handlers: %w", err)
		}
	}
	g := &gateway{conn: conn, health: health, ui: ui, cors: map[string]bool{}}
	// The limit stands outside: the marshaler knows the body that FieldValidation made.
	g.calls = http.MaxBytesHandler(restjson.FieldValidation(mux), config.MaxBodyBytes)
	for _, origin := range config.CORSAllowedOrigins {
		g.cors[origin] = true
	}
	return g, nil
}

// connect returns a connection to the services inside the process.
func (p *pipe) connect() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:pipe",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(roomForAnswers), grpc.MaxCallSendMsgSize(roomForAnswers)))
}

// roomForAnswers is what one message over the pipe may hold.
const roomForAnswers = 128 << 20

// Close ends the connection to the services.
func (g *gateway) Close() error {
	if err := g.conn.Close(); err != nil {
		return fmt.Errorf("close the gateway's connection: %w", err)
	}
	return nil
}

// incomingHeader passes Grpc-Metadata- headers on without their prefix, and
// leaves out what the gateway must say itself.
func incomingHeader(name string) (string, bool) {
	name = textproto.CanonicalMIMEHeaderKey(name)
	if rest, ok := strings.CutPrefix(name, runtime.MetadataHeaderPrefix); ok {
		return rest, rest != ""
	}
	return runtime.DefaultHeaderMatcher(name)
}

// outgoingHeader adds the prefix to what services say, but for our own mark.
func outgoingHeader(name string) (string, bool) {
	return runtime.MetadataHeaderPrefix + name, name != openMark
}

// openStream sends the headers of an answer at once when a stream is open, so
// that a client knows that it watches before there is anything to see.
func openStream(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	if message != nil {
		return nil
	}
	md, ok := runtime.ServerMetadataFromContext(ctx)
	if !ok || len(md.HeaderMD.Get(openMark)) == 0 {
		return nil
	}
	w.Header().Set("Content-Type", restjson.ContentType)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return fmt.Errorf("send the headers of a stream: %w", err)
	}
	return nil
}
