package postgres_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"armada"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// authority signs certificates.
type authority struct {
	*testing.T
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	file        string // its own certificate, PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{T: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	text, _ := a.sign(template)
	if err := os.WriteFile(a.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a key and a certificate of it; the first is the authority's own.
func (a *authority) sign(template *x509.Certificate) (certificate, key []byte) {
	a.Helper()
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	signer, parent := a.key, a.certificate
	if signer == nil {
		signer, parent = private, template
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	if err != nil {
		a.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.Fatal(err)
	}
	if a.key == nil {
		a.key = private
		if a.certificate, err = x509.ParseCertificate(signed); err != nil {
			a.Fatal(err)
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// guard makes a server that serves the user app with a password and over TLS
// only, and returns the URL of its database without either.
func guard(t *testing.T, a *authority, names *x509.Certificate) (*pgtest.Server, string) {
	t.Helper()
	server := pgtest.Start(t)
	certificate, key := a.sign(names)
	server.Certify(t, certificate, key)
	server.Exec(t, server.URL("postgres")+"&password_encryption=scram-sha-256", "CREATE ROLE app LOGIN PASSWORD 'the-first-secret'")
	server.Exec(t, server.URL("postgres"), "CREATE DATABASE guarded OWNER app")
	server.Admit(t, "hostssl all app 127.0.0.1/32 scram-sha-256", "hostnossl all app 127.0.0.1/32 reject")
	return server, (&url.URL{Scheme: "postgres", User: url.User("app"), Host: server.Address(), Path: "/guarded"}).String()
}

// loopback are the names of a certificate that fits the server's address.
func loopback() *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: "a server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
}

// passwordFile writes a password as editors do, with an end of line.
func passwordFile(t *testing.T, path, password string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// journal gathers what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func TestTLSIsVerifiedAndWhatIsWrongIsToldWithoutThePassword(t *testing.T) {
	t.Parallel()
	ours, stranger := newAuthority(t), newAuthority(t)
	server, at := guard(t, ours, loopback())
	_, misnamed := guard(t, ours, &x509.Certificate{DNSNames: []string{"db.example"}})
	right, wrong := filepath.Join(t.TempDir(), "right"), filepath.Join(t.TempDir(), "wrong")
	passwordFile(t, right, "the-first-secret")
	passwordFile(t, wrong, "a-wrong-secret")
	for _, c := range []struct{ what, url, password, want string }{
		{"another authority", at + "?sslmode=verify-full&sslrootcert=" + stranger.file, right, "certificate signed by unknown authority"},
		{"a certificate for another name", misnamed + "?sslmode=verify-full&sslrootcert=" + ours.file, right, "doesn't contain any IP SANs"},
		{"no TLS", at + "?sslmode=disable", right, "no encryption"},
		{"a wrong password", at + "?sslmode=verify-full&sslrootcert=" + ours.file, wrong, "password authentication failed for user \"app\""},
		{"no file of the password", at + "?sslmode=verify-full&sslrootcert=" + ours.file, wrong + "er", "passwordFile: open " + wrong + "er: no such file"},
		{"no file of the authority", at + "?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", right, "url: open /nowhere/ca.pem: no such file"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			s, err := postgres.Open(t.Context(), postgres.Config{URL: c.url, PasswordFile: c.password})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("it is opened: %v, %v; want an error with %q", s, err, c.want)
			}
		})
	}
	t.Run("all right", func(t *testing.T) {
		t.Parallel()
		s := openStore(t, at+"?sslmode=verify-full&sslrootcert="+ours.file, func(c *postgres.Config) { c.PasswordFile = right })
		if _, err := s.Submit(t.Context(), jobs("set", 1)); err != nil {
			t.Error(err)
		}
		if n := server.Count(t, "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app' AND NOT ssl"); n != 0 {
			t.Errorf("%d connections are not encrypted", n)
		}
	})
}

func TestAPasswordMayChangeWhileTheStoreRunsAndIsNeverTold(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server, at := guard(t, a, loopback())
	file, said := filepath.Join(t.TempDir(), "password"), &journal{}
	passwordFile(t, file, "the-first-secret")
	s := openStore(t, at+"?sslmode=verify-full&sslrootcert="+a.file, func(c *postgres.Config) {
		c.PasswordFile, c.Logger = file, slog.New(slog.NewTextHandler(said, nil))
		c.Poll = 10 * time.Millisecond
	})
	server.Exec(t, server.URL("postgres")+"&password_encryption=scram-sha-256", "ALTER ROLE app PASSWORD 'the-second-secret'")
	cut := func() {
		server.Exec(t, server.URL("postgres"), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
	}
	cut()
	var told []string
	var err error
	for { // a connection that was cut is noticed by its next use
		if _, err = s.Submit(t.Context(), jobs("set", 1)); err != nil && strings.Contains(err.Error(), "password authentication failed") {
			break
		}
	}
	code(t, err, armada.CodeUnavailable)
	told = append(told, err.Error())
	waitFor(t, func() bool { return strings.Contains(said.String(), "password authentication failed") })
	passwordFile(t, file, "the-second-secret")
	for err != nil {
		if _, err = s.Submit(t.Context(), jobs("set", 1)); err != nil {
			told = append(told, err.Error())
		}
	}
	for _, text := range append(told, said.String()) {
		if strings.Contains(text, "secret") {
			t.Errorf("the password is told: %s", text)
		}
	}
}
