package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// TLS sets how connections to both addresses are encrypted. The files are read
// again when they have changed, so certificates are renewed while the server runs.
type TLS struct {
	// CertFile has the certificate of the server and those between it and its
	// authority, and KeyFile its key, in PEM form. Without both, nothing is encrypted.
	CertFile string
	KeyFile  string
	// ClientCAFile has the authorities of client certificates; empty asks for none.
	ClientCAFile string
	// RequireClientCertificate refuses connections without one.
	RequireClientCertificate bool
	// PeerCAFile has the authorities of the other replicas' certificates; empty is
	// those of the system.
	PeerCAFile string
}

// IsSet tells whether connections are encrypted.
func (t TLS) IsSet() bool { return t.CertFile != "" && t.KeyFile != "" }

// Validate tells everything that is wrong.
func (t TLS) Validate() error {
	var wrong []error
	if (t.CertFile == "") != (t.KeyFile == "") {
		wrong = append(wrong, errors.New("tls: certFile and keyFile go together, one of them is empty"))
	}
	if !t.IsSet() && (t.ClientCAFile != "" || t.RequireClientCertificate) {
		wrong = append(wrong, errors.New("tls.certFile: must not be empty where client certificates are taken"))
	}
	if t.RequireClientCertificate && t.ClientCAFile == "" {
		wrong = append(wrong, errors.New("tls.clientCAFile: must name the authorities of client certificates that are required"))
	}
	return errors.Join(wrong...)
}

// certificates are the files of a TLS, as they are now.
type certificates struct {
	files TLS
	log   *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamp  string
	now    *tls.Config
}

// newCertificates reads the files.
func newCertificates(files TLS, log *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log}
	stamp, err := c.stampOf()
	if err == nil {
		c.now, err = c.read()
	}
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c.stamp, c.looked = stamp, time.Now()
	return c, nil
}

// config is what listeners work with: every connection gets the files of its time.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}
}

// current looks at the files at most once in a second. What cannot be read leaves
// things as they were: files may be in the middle of being written.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < time.Second {
		return c.now
	}
	c.looked = time.Now()
	stamp, err := c.stampOf()
	if err == nil && stamp == c.stamp {
		return c.now
	}
	var fresh *tls.Config
	if err == nil {
		fresh, err = c.read()
	}
	if err != nil {
		c.log.Error("the certificate of the server has changed and cannot be read; the one before stays", "error", err)
		return c.now
	}
	c.now, c.stamp = fresh, stamp
	c.log.Info("the certificate of the server was read anew")
	return c.now
}

// stampOf changes whenever a file does.
func (c *certificates) stampOf() (string, error) {
	stamp := ""
	for _, path := range []string{c.files.CertFile, c.files.KeyFile, c.files.ClientCAFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		stamp += fmt.Sprintf("%s %d %d;", path, info.Size(), info.ModTime().UnixNano())
	}
	return stamp, nil
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certFile and keyFile: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{pair}}
	if c.files.ClientCAFile == "" {
		return config, nil
	}
	if config.ClientCAs, err = Authorities(c.files.ClientCAFile); err != nil {
		return nil, fmt.Errorf("clientCAFile: %w", err)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if c.files.RequireClientCertificate {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// Authorities reads the certificates of authorities from a file in PEM form.
func Authorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", path)
	}
	return pool, nil
}

// beyondThisMachine tells whether an address can be reached from elsewhere.
func beyondThisMachine(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// Exposed are the keys of the addresses at which whoever is on the network between
// reads what callers say: all that can be reached from elsewhere, unless they are
// encrypted or the config says that plain text is meant.
func (c Config) Exposed() []string {
	if c.TLS.IsSet() || c.AllowPlainText {
		return nil
	}
	var keys []string
	if beyondThisMachine(c.GRPCAddr) {
		keys = append(keys, "server.grpcAddr")
	}
	if beyondThisMachine(c.HTTPAddr) {
		keys = append(keys, "server.httpAddr")
	}
	return keys
}
