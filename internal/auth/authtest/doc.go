// Package authtest makes what tests of callers need: a provider of OpenID Connect,
// a Kubernetes cluster that reviews tokens, a Kerberos realm, an authority for
// certificates. Each is small and lives in the test's own process, and says of
// anybody whatever a test wants; the server believes them as it would the real
// ones. That the real ones say the same is shown by the tests in test/login.
//
// Nothing but tests may import it.
package authtest
