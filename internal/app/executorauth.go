package app

import (
	"crypto/tls"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"armada/internal/executor"
	"armada/internal/server"
	"armada/internal/settings"
	"armada/pkg/client/credentials"
)

// ExecutorAuth is how an executor proves who it is; at most one of these is set.
// A certificate of its own goes beside any.
type ExecutorAuth struct {
	// BasicAuth is a name and a password.
	BasicAuth ExecutorPassword
	// TokenFile has a token, such as that of a Kubernetes service account. It is read
	// at every call.
	TokenFile string
	// OpenID is a client of an OpenID Connect provider with a secret.
	OpenID ExecutorOpenID `yaml:"openId"`
	// Kerberos is a principal with a keytab.
	Kerberos ExecutorKerberos
}

// ExecutorPassword is a name and a password.
type ExecutorPassword struct {
	Username string
	Password settings.Secret
}

// ExecutorOpenID is a client of a provider.
type ExecutorOpenID struct {
	ProviderURL  string `yaml:"providerUrl"`
	ClientID     string `yaml:"clientId"`
	ClientSecret settings.Secret
	Scopes       []string
}

// ExecutorKerberos is a principal, name@REALM, whose key a keytab has. Service is
// that of the servers; empty is HTTP/ and the host of the first.
type ExecutorKerberos struct {
	Principal string
	Keytab    string
	Service   string
}

// client is the same in the words of clients.
func (a ExecutorAuth) client() credentials.Auth {
	var auth credentials.Auth
	if a.BasicAuth.Username != "" {
		auth.BasicAuth = &credentials.BasicAuth{Username: a.BasicAuth.Username, Password: a.BasicAuth.Password.Reveal()}
	}
	if o := a.OpenID; o.ProviderURL != "" {
		auth.OpenIDClientCredentialsAuth = &credentials.OpenIDAuth{ProviderURL: o.ProviderURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), Scopes: o.Scopes}
	}
	if k := a.Kerberos; k.Principal != "" {
		auth.KerberosAuth = &credentials.KerberosAuth{Enabled: true, Principal: k.Principal, Keytab: k.Keytab, Service: k.Service}
	}
	return auth
}

// validateAuth tells what is wrong with how the executor proves who it is.
func (e Executor) validateAuth() error {
	set := 0
	for _, one := range []bool{e.Auth.BasicAuth.Username != "", e.Auth.TokenFile != "", e.Auth.OpenID.ProviderURL != "", e.Auth.Kerberos.Principal != ""} {
		if one {
			set++
		}
	}
	if set > 1 {
		return errors.New("auth: must have one of basicAuth, tokenFile, openId and kerberos, has several")
	}
	auth := e.Auth.client()
	if err := auth.Validate(); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	if (e.CertFile == "") != (e.KeyFile == "") {
		return errors.New("certFile: and keyFile go together, one of them is empty")
	}
	if !e.TLS && (e.CAFile != "" || e.CertFile != "") {
		return errors.New("tls: must be true where certificates are set")
	}
	return nil
}

// connectExecutor prepares the executor's connection to its servers.
func (s *System) connectExecutor() (*grpc.ClientConn, error) {
	e := s.config.Executor
	secured, err := e.serversTLS()
	if err != nil {
		return nil, err
	}
	servers := executor.Servers{Addresses: e.Servers, TLS: secured}
	if e.Auth.TokenFile != "" {
		s.caller = credentials.TokenFile(e.Auth.TokenFile)
	} else if len(e.Servers) > 0 {
		if s.caller, err = credentials.New(e.Auth.client(), credentials.Options{Server: e.Servers[0]}); err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
	}
	if s.caller != nil {
		servers.Caller = s.caller
	}
	return executor.Connect(servers)
}

// serversTLS is how the executor's servers are spoken with; nil for in plain text.
func (e Executor) serversTLS() (*tls.Config, error) {
	if !e.TLS {
		return nil, nil
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CAFile != "" {
		var err error
		if secured.RootCAs, err = server.Authorities(e.CAFile); err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
	}
	if e.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile); err != nil {
			return nil, fmt.Errorf("certFile and keyFile: %w", err)
		}
		secured.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile) // it may have been renewed
			return &pair, err
		}
	}
	return secured, nil
}
