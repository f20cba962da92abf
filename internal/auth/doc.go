// Package auth answers two questions about a call: who makes it, and may they.
//
// The words: a principal is a caller with a name and groups; credentials are
// what a call carries to prove who makes it; an authenticator turns credentials
// into a principal; a verb is what a caller wants to do, to the jobs of one
// queue (the verbs of the root package) or to the installation (those here).
//
// The server's interceptors authenticate every call once and put the principal
// into its context; every method then asks [Authorizer.Authorize], the one
// place that decides. A method that does not ask is a bug.
//
// For now there is one authenticator, [Anonymous], and everybody may do
// everything. The package must never know about gRPC, HTTP or the wire, and
// never put credentials into an error or a log.
package auth
