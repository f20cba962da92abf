package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"armada/internal/settings"
	"armada/pkg/nearest"
)

// Config sets who is let in, and what they may do. The names of its keys are
// those of Armada's own servers where there is one.
type Config struct {
	// AnonymousAuth takes calls without credentials, as those of a user called
	// anonymous. Without a value that is so when no other method is set.
	AnonymousAuth *bool
	// BasicAuth is names and passwords.
	BasicAuth Basic
	// OpenIDAuth is tokens of a provider of OpenID Connect.
	OpenIDAuth OpenID `yaml:"openIdAuth"`
	// Kerberos is tickets.
	Kerberos Kerberos
	// KubernetesAuth is tokens of Kubernetes service accounts.
	KubernetesAuth Kubernetes
	// ClientCertificates is TLS on both sides. The authorities are set by
	// server.tls.clientCAFile.
	ClientCertificates Certificates

	// Groups puts users into groups by name, whatever proved who they are, in
	// addition to those that the method tells: {admins: [alice]}.
	Groups map[string][]string
	// PermissionGroupMapping, PermissionScopeMapping and PermissionClaimMapping give
	// permissions to groups, to scopes of tokens, and to whoever has a claim in its
	// token: {create_queue: [admins]}. Without any of them, and with nobody but
	// anonymous, everybody may do everything.
	PermissionGroupMapping map[string][]string
	PermissionScopeMapping map[string][]string
	PermissionClaimMapping map[string][]string
	// Executors says which executors a user may speak for: {agent-of-a: [cluster-a]}.
	// When it has an entry, nobody else may be an executor, whatever permissions say;
	// without, whoever has execute_jobs may be any.
	Executors map[string][]string
	// PeerSecret is a secret that all replicas of the server share, by which they
	// know each other.
	PeerSecret settings.Secret
	// AuditFile gets a line of JSON for every change that somebody asks for, and for
	// every refusal; - is the standard output, and empty is nowhere.
	AuditFile string
}

// DefaultConfig takes everybody for anonymous.
func DefaultConfig() Config {
	return Config{
		OpenIDAuth:     OpenID{ClockSkew: 10 * time.Second},
		KubernetesAuth: Kubernetes{InvalidTokenExpiry: time.Minute},
	}
}

// methods tells whether there is a method that proves something.
func (c Config) methods() bool {
	return c.BasicAuth.IsSet() || c.OpenIDAuth.IsSet() || c.Kerberos.IsSet() || c.KubernetesAuth.IsSet() || c.ClientCertificates.Enabled
}

// Anonymous tells whether calls without credentials are taken.
func (c Config) Anonymous() bool {
	if c.AnonymousAuth != nil {
		return *c.AnonymousAuth
	}
	return !c.methods()
}

// Open tells whether everybody may do everything.
func (c Config) Open() bool {
	return !c.methods() && len(c.PermissionGroupMapping)+len(c.PermissionScopeMapping)+len(c.PermissionClaimMapping) == 0
}

// Validate tells everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	for _, section := range []struct {
		name string
		err  error
	}{
		{"basicAuth", c.BasicAuth.Validate()},
		{"openIdAuth", c.OpenIDAuth.Validate()},
		{"kerberos", c.Kerberos.Validate()},
		{"kubernetesAuth", c.KubernetesAuth.Validate()},
		{"clientCertificates", c.ClientCertificates.Validate()},
	} {
		errs = append(errs, under(section.name, section.err)...)
	}
	if !c.methods() && !c.Anonymous() {
		errs = append(errs, errors.New("anonymousAuth: is false and no other method is set: nobody could call"))
	}
	known := Permissions()
	for _, mapping := range []struct {
		name    string
		entries map[string][]string
	}{
		{"permissionGroupMapping", c.PermissionGroupMapping},
		{"permissionScopeMapping", c.PermissionScopeMapping},
		{"permissionClaimMapping", c.PermissionClaimMapping},
	} {
		for name := range mapping.entries {
			if slices.Contains(known, Permission(name)) {
				continue
			}
			names := make([]string, len(known))
			for i, p := range known {
				names[i] = string(p)
			}
			errs = append(errs, fmt.Errorf("%s.%s: there is no such permission, did you mean %s?", mapping.name, name, nearest.Path(name, names)))
		}
	}
	if c.methods() && c.holders(CreateQueue) == 0 {
		errs = append(errs, errors.New("permissionGroupMapping: must give create_queue to somebody, or nobody could make a queue"))
	}
	if n := len(c.PeerSecret.Reveal()); n > 0 && n < 16 {
		errs = append(errs, fmt.Errorf("peerSecret: must have at least 16 characters, has %d", n))
	}
	return errors.Join(errs...)
}

// holders counts whom a permission is given to.
func (c Config) holders(p Permission) int {
	return len(c.PermissionGroupMapping[string(p)]) + len(c.PermissionScopeMapping[string(p)]) + len(c.PermissionClaimMapping[string(p)])
}

// under puts the name of a section before everything that is wrong in it.
func under(section string, err error) []error {
	if err == nil {
		return nil
	}
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, fmt.Errorf("%s.%s", section, line))
	}
	return all
}

// Methods makes the methods of the config. It reads the files that they name;
// other services are asked when the first caller comes.
func (c Config) Methods(log *slog.Logger, now func() time.Time) (*Methods, error) {
	m := &Methods{anonymous: c.Anonymous(), groups: map[string][]string{}}
	var err error
	if c.BasicAuth.IsSet() {
		if m.basic, err = newBasic(c.BasicAuth, now); err != nil {
			return nil, fmt.Errorf("basicAuth.%w", err)
		}
		for _, name := range m.basic.plainUsers() {
			log.Warn("a password stands in the config as it is; a hash is safer (htpasswd -nB NAME)", "user", name)
		}
	}
	if c.OpenIDAuth.IsSet() {
		if m.openID, err = newOpenID(c.OpenIDAuth, log, now); err != nil {
			return nil, fmt.Errorf("openIdAuth.%w", err)
		}
	}
	if c.Kerberos.IsSet() {
		if m.kerberos, err = newKerberos(c.Kerberos, now); err != nil {
			return nil, fmt.Errorf("kerberos.%w", err)
		}
	}
	if c.KubernetesAuth.IsSet() {
		if m.kubernetes, err = newKubernetes(c.KubernetesAuth, now); err != nil {
			return nil, fmt.Errorf("kubernetesAuth.%w", err)
		}
	}
	if c.ClientCertificates.Enabled {
		m.certificates = &certificates{c.ClientCertificates}
	}
	for _, group := range sortedKeys(c.Groups) {
		for _, user := range c.Groups[group] {
			m.groups[user] = append(m.groups[user], group)
		}
	}
	return m, nil
}
