package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// TLS says whom to trust, and as whom to appear; see [Config.UsesTLS] for when it
// counts. The files are in PEM.
type TLS struct {
	// CAFile has the certificates that the server's must lead to. Empty means those
	// that the machine trusts.
	CAFile string `yaml:"caFile"`
	// ServerName is the name that the server's certificate must have; empty means the
	// host of the address.
	ServerName string `yaml:"serverName"`
	// CertFile and KeyFile are the caller's own certificate and its key, for servers
	// that know callers by them. They are read again for each connection.
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
}

// transport is how the connection is made.
func transport(config *Config) (credentials.TransportCredentials, error) {
	if !config.UsesTLS() {
		return insecure.NewCredentials(), nil
	}
	own := &tls.Config{MinVersion: tls.VersionTLS12}
	given := config.TLS
	if given == nil {
		return credentials.NewTLS(own), nil
	}
	own.ServerName = given.ServerName
	if given.CAFile != "" {
		pem, err := os.ReadFile(given.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.caFile: %w", err)
		}
		own.RootCAs = x509.NewCertPool()
		if !own.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.caFile: there is no certificate in %s; it must be a file in PEM", given.CAFile)
		}
	}
	if given.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(given.CertFile, given.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("tls.certFile and tls.keyFile: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		own.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return credentials.NewTLS(own), nil
}

// validate tells what is wrong with the section of a config.
func (t *TLS) validate(forbidden bool) error {
	switch {
	case t == nil:
		return nil
	case forbidden:
		return errors.New("tls: forceNoTls switches it off; leave one of them out")
	case t.CertFile != "" && t.KeyFile == "":
		return errors.New("tls.keyFile: is missing, tls.certFile needs it")
	case t.KeyFile != "" && t.CertFile == "":
		return errors.New("tls.certFile: is missing, tls.keyFile needs it")
	default:
		return nil
	}
}
