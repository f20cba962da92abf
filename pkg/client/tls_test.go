package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"armada/pkg/api"
)

// identity is a certificate that vouches for itself, and its key, as files.
type identity struct {
	cert, key string
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newIdentity(t *testing.T, name string) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id := &identity{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	certificate, secret := block("CERTIFICATE", raw), block("PRIVATE KEY", private)
	for path, text := range map[string][]byte{id.cert: certificate, id.key: secret} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if id.pair, err = tls.X509KeyPair(certificate, secret); err != nil {
		t.Fatal(err)
	}
	id.pool.AppendCertsFromPEM(certificate)
	return id
}

func block(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

// secure serves on loopback with TLS, and wants to know callers.
func secure(t *testing.T, server, caller *identity) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{server.pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: caller.pool,
	})))
	api.RegisterSubmitServer(s, api.UnimplementedSubmitServer{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(listener)
	}()
	t.Cleanup(func() { s.Stop(); <-served })
	return listener.Addr().String()
}

func TestAServerIsTrustedByItsCertificateAndKnowsTheCallerByHis(t *testing.T) {
	t.Parallel()
	server, caller, stranger := newIdentity(t, "armada.test"), newIdentity(t, "alice"), newIdentity(t, "mallory")
	address := secure(t, server, caller)
	good := TLS{CAFile: server.cert, ServerName: "armada.test", CertFile: caller.cert, KeyFile: caller.key}
	for name, test := range map[string]struct {
		change func(*TLS)
		works  bool
	}{
		"as it should be":  {func(*TLS) {}, true},
		"another issuer":   {func(s *TLS) { s.CAFile = stranger.cert }, false},
		"another name":     {func(s *TLS) { s.ServerName = "other.test" }, false},
		"another caller":   {func(s *TLS) { s.CertFile, s.KeyFile = stranger.cert, stranger.key }, false},
		"a caller unknown": {func(s *TLS) { s.CertFile, s.KeyFile = "", "" }, false},
	} {
		section := good
		test.change(&section)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if !test.works {
			ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		}
		c, err := Connect(ctx, Config{ArmadaURL: address, TLS: &section})
		cancel()
		if (err == nil) != test.works {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestWhatIsWrongWithATLSSectionIsNamed(t *testing.T) {
	t.Parallel()
	id := newIdentity(t, "armada.test")
	for want, config := range map[string]Config{
		"forceNoTls switches it off": {ForceNoTLS: true, TLS: &TLS{}},
		"tls.keyFile: is missing":    {TLS: &TLS{CertFile: id.cert}},
		"tls.certFile: is missing":   {TLS: &TLS{KeyFile: id.key}},
		"tls.caFile: open ":          {TLS: &TLS{CAFile: filepath.Join(t.TempDir(), "none.pem")}},
		"there is no certificate in": {TLS: &TLS{CAFile: id.key}},
		"tls.certFile and tls.key":   {TLS: &TLS{CertFile: id.cert, KeyFile: id.cert}},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
