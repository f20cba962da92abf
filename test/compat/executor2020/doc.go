// Package executor2020 drives the server as an executor of 2020 does, which
// was written from the table of its wire alone: table_test.go has the numbers,
// from which messages are made without any of our generated code.
//
// cluster_test.go is a scripted executor with a made-up cluster: it reports usage,
// polls for jobs, renews leases, removes pods that it may not keep, and says what
// it has done with, in cycles of its own. statements_test.go holds the server to
// what such executors rely on, statement by statement, in virtual time, with a
// real store and a real leader; system_test.go runs the whole system, on both
// forms of the store, beside executors of ours.
package executor2020
