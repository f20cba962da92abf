package server

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"armada"
	"armada/internal/auth"
)

// What answers and requests say about who calls, as metadata.
const (
	challengeHeader = "www-authenticate"
	// certificateHeader carries the caller's certificate from the gateway to the
	// services. Over the network nobody can say it: it counts in the pipe only, and
	// the gateway leaves out what it is told under this name.
	certificateHeader = "armada-client-certificate-bin"
	// callerHeader and methodHeader tell a caller who asks for the server's health
	// who it is to the server, and by which method.
	callerHeader = "armada-caller-bin"
	groupsHeader = "armada-caller-groups-bin"
	methodHeader = "armada-caller-method"
)

// PeerScheme is the scheme of the header authorization by which replicas show the
// secret that they share.
const PeerScheme = "ArmadaPeer"

// identify finds out who calls, and returns a context that knows it.
func (c *calls) identify(ctx context.Context, method string) (context.Context, error) {
	given := credentialsOf(ctx)
	p, err := c.principal(ctx, given)
	optional := methods[method].unsigned
	if err != nil && optional && len(given.Authorization) == 0 {
		return ctx, nil
	}
	if err != nil {
		if armada.CodeOf(err) == armada.CodeUnauthenticated {
			for _, challenge := range c.authenticator.Challenges() {
				_ = grpc.SetHeader(ctx, metadata.Pairs(challengeHeader, challenge)) // fails where the call is over
			}
		}
		return nil, fmt.Errorf("authenticate the caller: %w", err)
	}
	if p.Answer != "" {
		_ = grpc.SetHeader(ctx, metadata.Pairs(challengeHeader, p.Answer))
	}
	if optional {
		_ = grpc.SetHeader(ctx, metadata.Pairs(callerHeader, p.Name, groupsHeader, strings.Join(p.Groups, "\n"), methodHeader, p.Method))
	}
	return auth.With(ctx, p), nil
}

func (c *calls) principal(ctx context.Context, given auth.Credentials) (auth.Principal, error) {
	if through(ctx, fromExecutor) {
		return auth.OwnExecutor(), nil
	}
	if c.peerSecret != "" && len(given.Authorization) == 1 {
		if shown, is := strings.CutPrefix(given.Authorization[0], PeerScheme+" "); is {
			if subtle.ConstantTimeCompare([]byte(shown), []byte(c.peerSecret)) == 1 {
				return auth.Replica(), nil
			}
			return auth.Principal{}, &armada.Error{Code: armada.CodeUnauthenticated, Message: "the secret of replicas (auth.peerSecret) is another one here"}
		}
	}
	return c.authenticator.Authenticate(ctx, given)
}

// credentialsOf is what a call carries to prove who makes it.
func credentialsOf(ctx context.Context) auth.Credentials {
	md, _ := metadata.FromIncomingContext(ctx)
	given := auth.Credentials{Authorization: md.Get("authorization"), From: addressOf(ctx)}
	if throughGateway(ctx) {
		if der := md.Get(certificateHeader); len(der) == 1 {
			given.Certificate, _ = x509.ParseCertificate([]byte(der[0])) // the TLS stack has read it before
		}
		return given
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return given
	}
	if secured, is := p.AuthInfo.(credentials.TLSInfo); is && len(secured.State.VerifiedChains) > 0 {
		given.Certificate = secured.State.VerifiedChains[0][0]
	}
	return given
}

// addressOf is the address that a call comes from, without its port. Over REST the
// gateway says it, behind what the caller itself may have said.
func addressOf(ctx context.Context) string {
	if throughGateway(ctx) {
		md, _ := metadata.FromIncomingContext(ctx)
		all := strings.Split(strings.Join(md.Get("x-forwarded-for"), ","), ",")
		return strings.TrimSpace(all[len(all)-1])
	}
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}

// unsaid is what the gateway tells the services beside the headers of a call: the
// certificate of its connection, and that it has credentials which metadata cannot
// carry. Without that they would be taken for none.
func unsaid(_ context.Context, r *http.Request) metadata.MD {
	md := metadata.MD{}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		md.Set(certificateHeader, string(r.TLS.VerifiedChains[0][0].Raw))
	}
	for _, given := range r.Header.Values("Authorization") {
		if strings.ContainsFunc(given, func(c rune) bool { return c < ' ' || c > '~' }) {
			md.Append("authorization", "unreadable")
		}
	}
	return md
}
