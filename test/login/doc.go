// Package login holds the tests of who may call with the real parts of others: a
// provider of OpenID Connect in this process (zitadel/oidc, a certified one), a
// Kerberos realm with MIT's KDC, kinit and curl, and the examples of
// docs/howto/authentication.md, which are loaded and used as they stand there.
//
// scripts/kerberos.sh installs MIT Kerberos; without it the tests fail.
package login
