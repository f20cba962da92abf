package server

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"armada/internal/wire/restjson"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
)

// pipe is a listener inside the process. The gateway calls the services through
// one, so that a REST call passes everything that a gRPC call passes, and the
// executor of this process through another.
type pipe struct {
	*bufconn.Listener

	from pipeAddr
}

const pipeBuffer = 256 << 10

func newPipe(from pipeAddr) *pipe { return &pipe{bufconn.Listen(pipeBuffer), from} }

// Accept marks connections, so that services can tell who calls.
func (p *pipe) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // gRPC looks at the error itself
	}
	return pipeConn{c, p.from}, nil
}

type pipeConn struct {
	net.Conn

	from pipeAddr
}

// RemoteAddr says which pipe the call came through. Nobody outside the process can
// have such an address.
func (c pipeConn) RemoteAddr() net.Addr { return c.from }

// pipeAddr is who calls through a pipe.
type pipeAddr string

const (
	fromGateway  pipeAddr = "gateway"
	fromExecutor pipeAddr = "executor"
)

func (a pipeAddr) Network() string { return string(a) }
func (a pipeAddr) String() string  { return string(a) }

// throughGateway tells whether a call came in over REST.
func throughGateway(ctx context.Context) bool { return through(ctx, fromGateway) }

func through(ctx context.Context, a pipeAddr) bool {
	p, ok := peer.FromContext(ctx)
	return ok && p.Addr == a
}

// gateway is the REST interface.
type gateway struct {
	conn   *grpc.ClientConn
	calls  http.Handler // what is below /v1
	health http.Handler
	docs   *apiDocs
	ui     http.Handler
	cors   cors
	pages  *http.CrossOriginProtection // keeps pages of others from using a browser's credentials

	patience time.Duration // with clients that let a call wait
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
		runtime.WithMetadata(unsaid),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithForwardResponseOption(openStream),
		runtime.WithErrorHandler(handleError),
		runtime.WithRoutingErrorHandler(handleRoutingError),
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
	g := &gateway{conn: conn, health: health, docs: newAPIDocs(), ui: ui, cors: newCORS(config), pages: http.NewCrossOriginProtection(), patience: config.ClientPatience}
	// The limit stands outside: the marshaler knows the body that FieldValidation made.
	g.calls = http.MaxBytesHandler(restjson.FieldValidation(mux), config.MaxBodyBytes)
	for _, origin := range config.CORSAllowedOrigins {
		if err := g.pages.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("corsAllowedOrigins: %w", err)
		}
	}
	return g, nil
}

// handleError answers errors. The gateway takes the message of a call that was not
// authenticated for a challenge, which it is not; it comes before the real ones.
func handleError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if wait := retryAfter(err); wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(wait.Seconds())), 10))
	}
	restjson.HandleError(ctx, mux, m, &challenging{w}, r, err)
}

// handleRoutingError answers requests that are for no call. The gateway takes a method
// that a path does not have for a call that is not implemented, which is 501.
func handleRoutingError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	if code != http.StatusMethodNotAllowed {
		runtime.DefaultRoutingErrorHandler(ctx, mux, m, w, r, code)
		return
	}
	handleError(ctx, mux, m, w, r, &runtime.HTTPStatusError{
		HTTPStatus: code, Err: status.Errorf(codes.Unimplemented, "the path has no method %s; /api/docs describes those that there are", r.Method),
	})
}

// retryAfter is how long an error asks to wait; 0 when it does not.
func retryAfter(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.RetryInfo); is {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

type challenging struct{ http.ResponseWriter }

// WriteHeader sends the status without the message among the challenges.
func (w *challenging) WriteHeader(code int) {
	const name = "Www-Authenticate"
	if all := w.Header()[name]; code == http.StatusUnauthorized && len(all) > 0 {
		w.Header()[name] = all[1:]
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach what is below.
func (w *challenging) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
		return rest, rest != "" && !own[rest]
	}
	return runtime.DefaultHeaderMatcher(name)
}

// own are the headers that tell the services who calls: they come from HTTP's own
// and from the connection, never from what a caller says in the name of metadata.
var own = map[string]bool{
	"Authorization": true, "X-Forwarded-For": true, textproto.CanonicalMIMEHeaderKey(certificateHeader): true,
}

// outgoingHeader adds the prefix to what services say, but for our own mark and for
// what HTTP has a header for.
func outgoingHeader(name string) (string, bool) {
	if name == challengeHeader {
		return "WWW-Authenticate", true
	}
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
