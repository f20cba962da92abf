package credentials

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// Auth says who is calling. The first way that is set counts, in the order of the
// fields; without any the caller is anonymous.
type Auth struct {
	BasicAuth                   *BasicAuth
	KubernetesNativeAuth        *KubernetesNativeAuth
	OpenIDAuth                  *OpenIDAuth // in the browser
	OpenIDDeviceAuth            *OpenIDAuth // in a browser elsewhere
	OpenIDPasswordAuth          *OpenIDAuth
	OpenIDClientCredentialsAuth *OpenIDAuth
	OpenIDKubernetesAuth        *OpenIDAuth // with the token of a Kubernetes service account
	KerberosAuth                *KerberosAuth
	ExecAuth                    *ExecAuth
	// CacheRefreshToken keeps what a login in the browser brought for the next
	// program.
	CacheRefreshToken bool
}

// BasicAuth is a name and a password. Printing it hides the password.
type BasicAuth struct {
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	// PasswordFile has the password, instead of the config. It is read again when it
	// has changed.
	PasswordFile string `yaml:"passwordFile"`
}

// KubernetesNativeAuth is the token of the pod's service account.
type KubernetesNativeAuth struct {
	Enabled bool `yaml:"enabled"`
	// Expiry is there for files of other clients: how long the token lasts is up to
	// the cluster.
	Expiry int64 `yaml:"expiry"`
	// TokenFile has the token; empty is what Kubernetes puts into every pod. It is
	// read again at every call.
	TokenFile string `yaml:"tokenFile"`
}

// OpenIDAuth is a way to get a token by OpenID Connect; which fields count
// depends on the way. Printing it hides the secrets.
type OpenIDAuth struct {
	ProviderURL  string   `yaml:"providerUrl"`
	ClientID     string   `yaml:"clientId"`
	ClientSecret string   `yaml:"clientSecret"`
	LocalPort    uint16   `yaml:"localPort"`
	Scopes       []string `yaml:"scopes"`
	Username     string   `yaml:"username"`
	Password     string   `yaml:"password"`
	// Token is which token goes to the server, access or id. Empty is the access
	// token when the server can verify it, which means that it is a JWT, and otherwise
	// the id token.
	Token string `yaml:"token"`
	// CAFile has the authorities that the provider's certificate is checked against;
	// empty is those of the machine.
	CAFile string `yaml:"caFile"`
}

// KerberosAuth is a ticket: of the caller's session, or by a keytab.
type KerberosAuth struct {
	Enabled bool `yaml:"enabled"`
	// Service is the principal of the server; empty is HTTP/ and the host of its
	// address.
	Service string `yaml:"service"`
	// Keytab has the key of Principal (name@REALM), for programs without a session.
	Keytab    string `yaml:"keytab"`
	Principal string `yaml:"principal"`
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

// The keys of the ways, as they stand in a config file.
const (
	keyBasic             = "basicAuth"
	keyKubernetes        = "kubernetesNativeAuth"
	keyBrowser           = "openIdAuth"
	keyDevice            = "openIdDeviceAuth"
	keyPassword          = "openIdPasswordAuth"
	keyClientCredentials = "openIdClientCredentialsAuth"
	keyOpenIDKubernetes  = "openIdKubernetesAuth"
	keyKerberos          = "kerberosAuth"
	keyExec              = "execAuth"
)

// Way is the key of the way that counts; empty when the caller is anonymous.
func (a *Auth) Way() string {
	for _, way := range []struct {
		key   string
		given bool
	}{
		{keyBasic, a.BasicAuth != nil},
		{keyKubernetes, a.KubernetesNativeAuth != nil && a.KubernetesNativeAuth.Enabled},
		{keyBrowser, a.OpenIDAuth != nil},
		{keyDevice, a.OpenIDDeviceAuth != nil},
		{keyPassword, a.OpenIDPasswordAuth != nil},
		{keyClientCredentials, a.OpenIDClientCredentialsAuth != nil},
		{keyOpenIDKubernetes, a.OpenIDKubernetesAuth != nil},
		{keyKerberos, a.KerberosAuth != nil && a.KerberosAuth.Enabled},
		{keyExec, a.ExecAuth != nil},
	} {
		if way.given {
			return way.key
		}
	}
	return ""
}

// openIDOf is the section of a way by OpenID Connect; nil for the others.
func (a *Auth) openIDOf(way string) *OpenIDAuth {
	switch way {
	case keyBrowser:
		return a.OpenIDAuth
	case keyDevice:
		return a.OpenIDDeviceAuth
	case keyPassword:
		return a.OpenIDPasswordAuth
	case keyClientCredentials:
		return a.OpenIDClientCredentialsAuth
	case keyOpenIDKubernetes:
		return a.OpenIDKubernetesAuth
	}
	return nil
}

// Validate tells what is wrong with the way that counts, by key.
func (a *Auth) Validate() error {
	way := a.Way()
	wrong := func(key, what string) error { return fmt.Errorf("%s.%s: %s", way, key, what) }
	switch way {
	case keyBasic:
		if a.BasicAuth.Username == "" {
			return wrong("username", "is missing")
		}
		if a.BasicAuth.Password != "" && a.BasicAuth.PasswordFile != "" {
			return wrong("passwordFile", "password is set too; leave one of them out")
		}
	case keyKerberos:
		k := a.KerberosAuth
		if (k.Keytab == "") != (k.Principal == "") {
			return wrong("principal", "and keytab go together, one of them is missing")
		}
		if k.Principal != "" && !strings.Contains(k.Principal, "@") {
			return wrong("principal", "must be name@REALM")
		}
	case keyExec:
		if a.ExecAuth.Cmd == "" {
			return wrong("cmd", "is missing")
		}
	}
	o := a.openIDOf(way)
	if o == nil {
		return nil
	}
	if err := providerURL(o.ProviderURL); err != nil {
		return wrong("providerUrl", err.Error())
	}
	switch {
	case o.ClientID == "":
		return wrong("clientId", "is missing")
	case o.Token != "" && o.Token != "access" && o.Token != "id":
		return wrong("token", fmt.Sprintf("must be access or id, is %q", o.Token))
	case way == keyPassword && o.Username == "":
		return wrong("username", "is missing")
	case way == keyClientCredentials && o.ClientSecret == "":
		return wrong("clientSecret", "is missing")
	}
	return nil
}

// providerURL wants https, and http on this machine only.
func providerURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fmt.Errorf("must be the URL https://host/path of the provider, is %q", text)
	}
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1") {
		return nil
	}
	return errors.New("must begin with https:// (http is taken for this machine only)")
}
