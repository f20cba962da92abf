package auth

import (
	"context"
	"fmt"
	"strings"
)

// Methods are the ways in which callers prove who they are. The zero value knows
// nobody; those that are nil do not exist. Its methods may be called from many
// goroutines.
type Methods struct {
	basic        *basic
	openID       *openID
	kerberos     *kerberos
	kubernetes   *kubernetes
	certificates *certificates
	anonymous    bool

	groups map[string][]string // more groups, by the name of the user
}

// maxAuthorization bounds a header, in bytes: a ticket with the groups of Active
// Directory in it takes up to 48 KiB.
const maxAuthorization = 96 << 10

// Authenticate asks the method that the credentials are for.
func (m *Methods) Authenticate(ctx context.Context, c Credentials) (Principal, error) {
	p, err := m.ask(ctx, c)
	if err != nil {
		return Principal{}, err
	}
	p.Groups = append(p.Groups[:len(p.Groups):len(p.Groups)], m.groups[p.Name]...)
	return p, nil
}

func (m *Methods) ask(ctx context.Context, c Credentials) (Principal, error) {
	switch {
	case len(c.Authorization) > 1:
		return Principal{}, refused("the header authorization is there %d times, it must be there once", len(c.Authorization))
	case len(c.Authorization) == 1 && len(c.Authorization[0]) > maxAuthorization:
		return Principal{}, refused("the header authorization is longer than %d bytes", maxAuthorization)
	case len(c.Authorization) == 0:
		return m.withoutHeader(c)
	}
	scheme, given, _ := strings.Cut(c.Authorization[0], " ")
	given = strings.TrimSpace(given)
	switch s := strings.ToLower(scheme); {
	case s == "basic" && m.basic != nil:
		return m.basic.authenticate(ctx, given, c.From)
	case s == "negotiate" && m.kerberos != nil:
		return m.kerberos.authenticate(given)
	case s == "bearer" && m.openID != nil && (m.kubernetes == nil || m.openID.issued(given)):
		return m.openID.authenticate(ctx, given)
	case s == "bearer" && m.kubernetes != nil:
		return m.kubernetes.authenticate(ctx, given)
	case s == "kubernetesauth" && m.kubernetes != nil:
		return m.kubernetes.authenticateWrapped(ctx, given)
	}
	return Principal{}, refused("the header authorization is of a kind that this server does not take; it takes %s", m.taken())
}

func (m *Methods) withoutHeader(c Credentials) (Principal, error) {
	switch {
	case m.certificates != nil && c.Certificate != nil:
		return m.certificates.authenticate(c.Certificate)
	case m.anonymous:
		return Principal{Name: AnonymousName, Method: MethodAnonymous}, nil
	}
	return Principal{}, refused("no credentials were given; this server takes %s", m.taken())
}

// taken names the methods in words.
func (m *Methods) taken() string {
	var all []string
	for _, way := range []struct {
		there bool
		words string
	}{
		{m.basic != nil, "a name and a password (Basic)"},
		{m.kerberos != nil, "Kerberos tickets (Negotiate)"},
		{m.openID != nil, "tokens of an OpenID provider (Bearer)"},
		{m.kubernetes != nil, "tokens of Kubernetes service accounts (Bearer)"},
		{m.certificates != nil, "client certificates"},
		{m.anonymous, "calls without any"},
	} {
		if way.there {
			all = append(all, way.words)
		}
	}
	return strings.Join(all, ", ")
}

// Challenges names the schemes of the header authorization that are taken.
func (m *Methods) Challenges() []string {
	var all []string
	if m.kerberos != nil {
		all = append(all, "Negotiate")
	}
	if m.openID != nil || m.kubernetes != nil {
		all = append(all, "Bearer")
	}
	if m.basic != nil {
		all = append(all, `Basic realm="Armada", charset="UTF-8"`)
	}
	return all
}

// Names are the names of the methods, in the order in which they are tried.
func (m *Methods) Names() []string {
	var all []string
	for _, way := range []struct {
		there bool
		name  string
	}{
		{m.basic != nil, MethodBasic},
		{m.kerberos != nil, MethodKerberos},
		{m.openID != nil, MethodOpenID},
		{m.kubernetes != nil, MethodKubernetes},
		{m.certificates != nil, MethodCertificate},
		{m.anonymous, MethodAnonymous},
	} {
		if way.there {
			all = append(all, way.name)
		}
	}
	return all
}

// shown is a name as an error may show it.
func shown(name string) string {
	const most = 100
	if len(name) > most {
		name = name[:most] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(name, "�"))
}
