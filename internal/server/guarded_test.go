package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"armada/internal/auth"
	"armada/internal/auth/authtest"
	"armada/internal/server"
	"armada/internal/settings"
)

// guarded is a server that lets callers in by every method there is, with TLS, and
// what it takes to be one of them.
type guarded struct {
	*world
	provider  *authtest.Provider
	cluster   *authtest.Cluster
	realm     *authtest.Realm
	authority *authtest.Authority
	logs      *locked // everything that the server logged and audited
	browser   *http.Client
}

// locked is a buffer for many writers.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const password = "correct horse battery staple"

// newGuarded starts one. By default nobody may do anything.
func newGuarded(t *testing.T, edit func(*auth.Config)) *guarded {
	t.Helper()
	g := &guarded{
		provider: authtest.NewProvider(t), cluster: authtest.NewCluster(t), realm: authtest.NewRealm(t),
		authority: authtest.NewAuthority(t), logs: &locked{},
	}
	config := auth.DefaultConfig()
	config.BasicAuth.Users = map[string]auth.User{}
	config.OpenIDAuth.ProviderURL, config.OpenIDAuth.ClientID = g.provider.URL, authtest.Audience
	config.KubernetesAuth.APIServer, config.KubernetesAuth.CAFile = g.cluster.URL, g.cluster.CAFile
	config.Kerberos.KeytabLocation = g.realm.Keytab
	config.ClientCertificates.Enabled = true
	config.PermissionGroupMapping = map[string][]string{"create_queue": {"admins"}}
	config.Groups = map[string][]string{"admins": {"root"}}
	edit(&config)
	for _, users := range config.Groups {
		for _, name := range users {
			config.BasicAuth.Users[name] = auth.User{Password: settings.NewSecret(password)}
		}
	}
	ok(t, config.Validate())
	log := slog.New(slog.NewTextHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	methods, err := config.Methods(log, time.Now)
	ok(t, err)
	certFile, keyFile := g.authority.Files(t.TempDir(), g.authority.Certify("server"))
	g.world = newWorld(t, options{
		config: func(c *server.Config) {
			c.TLS = server.TLS{CertFile: certFile, KeyFile: keyFile, ClientCAFile: g.authority.File}
		},
		deps: func(d *server.Deps) {
			d.Authenticator, d.Authorizer = methods, config.Authorizer(d.Store)
			d.PeerSecret, d.Log, d.Audit = config.PeerSecret.Reveal(), log, g.logs
		},
		dial: []grpc.DialOption{
			grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: g.authority.Pool})),
			grpc.WithPerRPCCredentials(header("basic " + base64.StdEncoding.EncodeToString([]byte("root:"+password)))),
		},
	})
	transport := &http.Transport{TLSClientConfig: g.tls(nil), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	g.browser = &http.Client{Transport: transport}
	return g
}

// header is what a client says in its header authorization.
type header string

func (h header) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if h == "" {
		return nil, nil
	}
	return map[string]string{"authorization": string(h)}, nil
}

func (header) RequireTransportSecurity() bool { return true }

// A method is a way to prove that one is a user.
type method struct {
	name string
	// prove returns the header and the certificate for one call.
	prove func(g *guarded, user string) (header, *tls.Certificate)
}

func methods() []method {
	return []method{
		{auth.MethodBasic, func(_ *guarded, user string) (header, *tls.Certificate) {
			return header("BaSiC " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))), nil
		}},
		{auth.MethodOpenID, func(g *guarded, user string) (header, *tls.Certificate) {
			return header("Bearer " + g.provider.Token(user, nil)), nil
		}},
		{auth.MethodKerberos, func(g *guarded, user string) (header, *tls.Certificate) {
			return header("Negotiate " + g.realm.Ticket(user, time.Hour)), nil
		}},
		{auth.MethodKubernetes, func(g *guarded, user string) (header, *tls.Certificate) {
			return header("bearer " + g.cluster.Token(user, time.Now().Add(time.Hour))), nil
		}},
		{auth.MethodCertificate, func(g *guarded, user string) (header, *tls.Certificate) {
			c := g.authority.Certify(user)
			return "", &c
		}},
	}
}

// as returns a connection over gRPC as a user, good for one call.
func (g *guarded) as(t *testing.T, h header, c *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(g.server.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(g.tls(c))), grpc.WithPerRPCCredentials(h))
	ok(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (g *guarded) tls(c *tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: g.authority.Pool, MinVersion: tls.VersionTLS12}
	if c != nil {
		config.Certificates = []tls.Certificate{*c}
	}
	return config
}

// rest makes a call over REST and returns the answer with its body read.
func (g *guarded) rest(t *testing.T, h header, c *tls.Certificate, verb, path, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), verb, "https://"+g.server.HTTPAddr()+path, strings.NewReader(body))
	ok(t, err)
	if h != "" {
		request.Header.Set("Authorization", string(h))
	}
	transport := &http.Transport{TLSClientConfig: g.tls(c), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(request)
	ok(t, err)
	defer func() { _ = answer.Body.Close() }()
	if answer.ProtoMajor != 2 {
		t.Errorf("REST over TLS is spoken by %s", answer.Proto)
	}
	text, err := io.ReadAll(answer.Body)
	ok(t, err)
	return answer, string(text)
}
