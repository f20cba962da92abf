package client

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"
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
	// caller is anonymous. Only BasicAuth works in this version: [New] refuses the
	// others by name.
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

	// Timeout is the deadline of calls whose context has none; 0 means one that
	// suits the call, 10s to 60s. Streams have no deadline.
	Timeout time.Duration `yaml:"-"`
	// Uncompressed sends requests as they are instead of by gzip: better where the
	// network is faster than compressing.
	Uncompressed bool `yaml:"-"`
	// UserAgent names the program to the server.
	UserAgent string `yaml:"-"`
}

// BasicAuth is a name and a password. Printing it hides the password.
type BasicAuth struct {
	Username string `yaml:"username"`
	Password string `yaml:"password"`
}

// KubernetesNativeAuth is a token of a Kubernetes service account.
type KubernetesNativeAuth struct {
	Enabled bool  `yaml:"enabled"`
	Expiry  int64 `yaml:"expiry"` // seconds
}

// OpenIDAuth is a way to get a token by OpenID Connect; which fields count
// depends on the way.
type OpenIDAuth struct {
	ProviderURL  string   `yaml:"providerUrl"`
	ClientID     string   `yaml:"clientId"`
	ClientSecret string   `yaml:"clientSecret"`
	LocalPort    uint16   `yaml:"localPort"`
	Scopes       []string `yaml:"scopes"`
	Username     string   `yaml:"username"`
	Password     string   `yaml:"password"`
}

// KerberosAuth is a ticket of the caller's session.
type KerberosAuth struct {
	Enabled bool `yaml:"enabled"`
}

// ExecAuth is a command that prints a token.
type ExecAuth struct {
	Cmd         string     `yaml:"cmd"`
	Args        []string   `yaml:"args"`
	Env         []Variable `yaml:"env"`
	Interactive bool       `yaml:"interactive"`
}

// Variable is an environment variable.
type Variable struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

const hidden = "********"

// Format prints b without its password, whatever the verb.
func (b BasicAuth) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "{%s %s}", b.Username, hidden) }

// LogValue is b without its password.
func (b BasicAuth) LogValue() slog.Value {
	return slog.GroupValue(slog.String("username", b.Username), slog.String("password", hidden))
}

// Format prints a without its secrets, whatever the verb.
func (a OpenIDAuth) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "{%s %s %s}", a.ProviderURL, a.ClientID, hidden)
}

// LogValue is a without its secrets.
func (a OpenIDAuth) LogValue() slog.Value {
	return slog.GroupValue(slog.String("provider_url", a.ProviderURL), slog.String("client_id", a.ClientID))
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
	if c.BasicAuth != nil {
		if c.BasicAuth.Username == "" {
			return fmt.Errorf("basicAuth.username: is missing")
		}
		return nil
	}
	if key := c.unsupported(); key != "" {
		return fmt.Errorf("%s: this version cannot log in this way yet; use basicAuth, or leave it out where the server takes anonymous calls", key)
	}
	return nil
}

func cutScheme(address string) (rest string, found bool) {
	for _, scheme := range []string{"http://", "https://"} {
		if rest, found := strings.CutPrefix(address, scheme); found {
			return strings.TrimRight(rest, "/"), true
		}
	}
	return address, false
}

// unsupported is the key of the credentials that would count and do not exist yet.
func (c *Config) unsupported() string {
	for _, way := range []struct {
		key   string
		given bool
	}{
		{"kubernetesNativeAuth", c.KubernetesNativeAuth != nil && c.KubernetesNativeAuth.Enabled},
		{"openIdAuth", c.OpenIDAuth != nil},
		{"openIdDeviceAuth", c.OpenIDDeviceAuth != nil},
		{"openIdPasswordAuth", c.OpenIDPasswordAuth != nil},
		{"openIdClientCredentialsAuth", c.OpenIDClientCredentialsAuth != nil},
		{"openIdKubernetesAuth", c.OpenIDKubernetesAuth != nil},
		{"kerberosAuth", c.KerberosAuth != nil && c.KerberosAuth.Enabled},
		{"execAuth", c.ExecAuth != nil},
	} {
		if way.given {
			return way.key
		}
	}
	return ""
}
