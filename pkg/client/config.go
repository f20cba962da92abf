package client

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"armada/pkg/client/credentials"
)

// DefaultURL is where a server of one's own machine listens.
const DefaultURL = "localhost:50051"

// Config says where a server is and who is calling. Its keys in a file are
// those of the yaml tags; see [Load]. The zero value means [DefaultURL] as
// nobody in particular.
type Config struct {
	// ArmadaURL is the address of the gRPC API, host:port. Empty means DefaultURL.
	ArmadaURL string `yaml:"armadaUrl"`
	// ArmadaRESTURL is the address of the REST API; this package does not use it.
	ArmadaRESTURL string `yaml:"armadaRestUrl"`
	// ForceNoTLS switches TLS off; see UsesTLS.
	ForceNoTLS bool `yaml:"forceNoTls"`
	// TLS says whom to trust, and as whom to appear; nil trusts whom the machine does.
	TLS *TLS `yaml:"tls"`
	// GRPCKeepAliveTime is how long a connection with calls may be silent before it
	// is asked for a sign of life, at least 10s; 0 means 30s. GRPCKeepAliveTimeout
	// is how long the sign may take; 0 means 10s.
	GRPCKeepAliveTime    time.Duration `yaml:"grpcKeepAliveTime"`
	GRPCKeepAliveTimeout time.Duration `yaml:"grpcKeepAliveTimeout"`
	// ExecutorClusters and KubectlCommandTemplate are for tools that call kubectl.
	ExecutorClusters       map[string]string `yaml:"executorClusters"`
	KubectlCommandTemplate string            `yaml:"kubectlCommandTemplate"`

	// Who is calling. The first that is set counts, in this order; without any the
	// caller is anonymous.
	BasicAuth                   *BasicAuth            `yaml:"basicAuth"`
	KubernetesNativeAuth        *KubernetesNativeAuth `yaml:"kubernetesNativeAuth"`
	OpenIDAuth                  *OpenIDAuth           `yaml:"openIdAuth"`
	OpenIDDeviceAuth            *OpenIDAuth           `yaml:"openIdDeviceAuth"`
	OpenIDPasswordAuth          *OpenIDAuth           `yaml:"openIdPasswordAuth"`
	OpenIDClientCredentialsAuth *OpenIDAuth           `yaml:"openIdClientCredentialsAuth"`
	OpenIDKubernetesAuth        *OpenIDAuth           `yaml:"openIdKubernetesAuth"`
	KerberosAuth                *KerberosAuth         `yaml:"kerberosAuth"`
	ExecAuth                    *ExecAuth             `yaml:"execAuth"`
	CacheRefreshToken           bool                  `yaml:"cacheRefreshToken"`

	// Terminal is where a person is asked to log in when that is needed; nil asks
	// nobody. Logins keeps logins from one program to the next; nil keeps none.
	Terminal *credentials.Terminal `yaml:"-"`
	Logins   *credentials.Cache    `yaml:"-"`
	// Timeout is the deadline of calls whose context has none; 0 means one that
	// suits the call, 10s to 60s. Streams have no deadline.
	Timeout time.Duration `yaml:"-"`
	// Uncompressed sends requests as they are instead of by gzip: better where the
	// network is faster than compressing.
	Uncompressed bool `yaml:"-"`
	// UserAgent names the program to the server.
	UserAgent string `yaml:"-"`
}

// The sections that say who is calling are those of package credentials, which
// makes use of them.
type (
	// BasicAuth is a name and a password.
	BasicAuth = credentials.BasicAuth
	// KubernetesNativeAuth is the token of the pod's service account.
	KubernetesNativeAuth = credentials.KubernetesNativeAuth
	// OpenIDAuth is a way to get a token by OpenID Connect.
	OpenIDAuth = credentials.OpenIDAuth
	// KerberosAuth is a ticket.
	KerberosAuth = credentials.KerberosAuth
	// ExecAuth is a command that prints a token.
	ExecAuth = credentials.ExecAuth
	// Variable is an environment variable.
	Variable = credentials.Variable
)

// Auth says who is calling.
func (c *Config) Auth() credentials.Auth {
	return credentials.Auth{
		BasicAuth: c.BasicAuth, KubernetesNativeAuth: c.KubernetesNativeAuth, OpenIDAuth: c.OpenIDAuth, OpenIDDeviceAuth: c.OpenIDDeviceAuth,
		OpenIDPasswordAuth: c.OpenIDPasswordAuth, OpenIDClientCredentialsAuth: c.OpenIDClientCredentialsAuth,
		OpenIDKubernetesAuth: c.OpenIDKubernetesAuth, KerberosAuth: c.KerberosAuth, ExecAuth: c.ExecAuth, CacheRefreshToken: c.CacheRefreshToken,
	}
}

// Source makes what proves who is calling; nil for nobody in particular.
func (c *Config) Source() (credentials.Source, error) {
	return credentials.New(c.Auth(), credentials.Options{Server: c.Address(), Terminal: c.Terminal, Cache: c.Logins})
}

// Address is ArmadaURL, or DefaultURL.
func (c *Config) Address() string {
	if c.ArmadaURL == "" {
		return DefaultURL
	}
	return c.ArmadaURL
}

// UsesTLS tells whether the connection is encrypted: always, unless ForceNoTLS
// is set, or there is no TLS section and the address contains the word localhost or
// is a loopback address such as 127.0.0.1 or ::1.
func (c *Config) UsesTLS() bool {
	if c.TLS != nil {
		return !c.ForceNoTLS
	}
	if c.ForceNoTLS || strings.Contains(c.Address(), "localhost") {
		return false
	}
	host, _, err := net.SplitHostPort(c.Address())
	if err != nil {
		host = strings.Trim(c.Address(), "[]")
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.Unmap().IsLoopback()
}

// Validate tells what is wrong with the config, by key.
func (c *Config) Validate() error {
	if rest, isURL := cutScheme(c.Address()); isURL {
		return fmt.Errorf("armadaUrl: %q is a web address, this must be host and port of the gRPC API, such as %s", c.Address(), rest)
	}
	if t := c.GRPCKeepAliveTime; t != 0 && t < 10*time.Second {
		return fmt.Errorf("grpcKeepAliveTime: %s is less than 10s", t)
	}
	if err := c.TLS.validate(c.ForceNoTLS); err != nil {
		return err
	}
	if c.GRPCKeepAliveTimeout < 0 {
		return fmt.Errorf("grpcKeepAliveTimeout: %s is negative", c.GRPCKeepAliveTimeout)
	}
	if c.Timeout < 0 {
		return fmt.Errorf("the timeout of calls: %s is negative", c.Timeout)
	}
	auth := c.Auth()
	return auth.Validate()
}

func cutScheme(address string) (rest string, found bool) {
	for _, scheme := range []string{"http://", "https://"} {
		if rest, found := strings.CutPrefix(address, scheme); found {
			return strings.TrimRight(rest, "/"), true
		}
	}
	return address, false
}
