// Package app is the wiring: it turns a [Config] into the parts of a process's
// roles, starts them, and stops them in order.
//
// A server (server.go) is the store, the API on its addresses, a candidate for
// leadership, and the side that executors and other replicas speak with. An
// executor (clusters.go) is the agent of this machine, or several of made-up
// clusters. A process is one of them or both ([Open]); `armada up` is both. The
// executor speaks the same protocol everywhere: only the connection differs, to
// the server of its own process or to one of several elsewhere.
//
// This is the one package that knows the forms of store and runs; nothing
// imports it but cmd/armada and tests.
package app
