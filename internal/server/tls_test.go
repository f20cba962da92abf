package server_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"armada/internal/auth/authtest"
	"armada/internal/server"
)

func TestCertificatesAreRenewedWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	authority := authtest.NewAuthority(t)
	dir := t.TempDir()
	certFile, keyFile := authority.Files(dir, authority.Certify("first"))
	w := newWorld(t, options{
		config: func(c *server.Config) { c.TLS = server.TLS{CertFile: certFile, KeyFile: keyFile} },
		dial:   []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: authority.Pool}))},
	})
	serial := func(addr string) string {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: authority.Pool, MinVersion: tls.VersionTLS12})
		ok(t, err)
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := serial(w.server.GRPCAddr()); got != "first" {
		t.Fatalf("the certificate is of %s", got)
	}
	authority.Files(dir, authority.Certify("second"))
	for deadline := time.Now().Add(20 * time.Second); ; {
		if serial(w.server.GRPCAddr()) == "second" && serial(w.server.HTTPAddr()) == "second" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not served")
		}
	}
	if _, err := tls.Dial("tcp", w.server.GRPCAddr(), &tls.Config{RootCAs: authority.Pool, MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // that it is refused is the point
		t.Error("TLS 1.1 is spoken")
	}
}

func TestAPageOfAnotherOriginCannotUseABrowsersCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for origin, want := range map[string]int{"": 200, "http://localhost:3000": 200, "https://evil.example": 403} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.server.HTTPAddr()+"/v1/job/cancel", strings.NewReader(`{"queue":"q","jobSetId":"s"}`))
		ok(t, err)
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		answer, err := http.DefaultClient.Do(request)
		ok(t, err)
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("from %q it is answered %s, want %d", origin, answer.Status, want)
		}
	}
}
