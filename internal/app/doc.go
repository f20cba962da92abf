// Package app is the wiring: it turns a [Config] into the parts of a role,
// starts them in order, and stops them in the reverse order.
//
// `armada up` ([OpenUp]) is everything in one process: the store in a data
// folder, the server on its addresses, the leader, and one executor for this
// machine or several simulated ones, which speak with the server through a
// connection inside the process, by the same protocol as executors elsewhere.
//
// This is the one package that knows the forms of store and runs; nothing
// imports it but cmd/armada and tests.
package app
