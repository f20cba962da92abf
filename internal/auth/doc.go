// Package auth answers two questions about a call: who makes it, and may they.
//
// The words: a principal is a caller with a name and groups; credentials are
// what a call carries to prove who makes it; an [Authenticator] turns credentials
// into a principal; a verb is what a caller wants to do, to the jobs of one
// queue (the verbs of the root package) or to the installation (those here); a
// [Permission] is a verb on every queue, or a verb of the installation, that the
// config gives to groups, scopes or claims.
//
// [Methods] are the ways in which callers prove who they are. The scheme of the
// header authorization decides which of them is asked, so the order in which
// they stand in the config does not matter:
//
//	Basic          basic.go       a name and a password
//	Negotiate      kerberos.go    Kerberos, by SPNEGO
//	Bearer         oidc.go        a token of an OpenID Connect provider, when it is
//	                              the issuer of the token; otherwise
//	               kubernetes.go  a token of a Kubernetes service account
//	KubernetesAuth kubernetes.go  the same, as clients of 2026 send it
//	no header      certificate.go a client certificate, if the connection has one;
//	                              otherwise anonymous, if that is allowed
//
// Credentials that are present must be valid: a wrong password is not taken for
// none, and anonymous hides no other method.
//
// The server's interceptors authenticate every call once and put the principal
// into its context; every method then asks [Authorizer.Authorize], the one
// place that decides, or [Authorizer.Sight] where it shows many queues. A method
// that does not ask is a bug, which the tests of the server find: they call every
// method on its list as everybody (internal/server/access.go).
//
// The package must never know about gRPC or the wire, and never put a password, a
// token or a ticket into an error or a log. docs/adr/0032 says why it is made
// this way, docs/howto/authentication.md how it is used.
package auth
