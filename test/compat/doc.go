// Package compat holds what clients of the original, of both years, rely on. Its
// tests play such clients with messages that are made from nothing but the tables
// of their field numbers (wiretable), against a real server with a real store.
//
//	golden_test.go       every message of both tables, byte for byte, and every method
//	statements_test.go   that every statement has a test somewhere
//	transport_test.go    statement 4: credentials
//	stream_test.go       statements 7 to 18: what watchers rely on
//	orders_test.go       the order of events of each scenario there is
//	queues_test.go       statements 19 to 26
//	jobs_test.go         statements 27 to 34: submitting, cancelling and asking
//	world_test.go        the server, and a client of a year
//
// A statement is a promise with a number: the tests that hold it have the number
// beside their name. Those about executors are held in executor2020 and
// executor2026; those about connections and REST, most of 1 to 6 and from 65 up, in
// internal/server.
//
// No test here may use a generated message to say or to hear what a client does.
package compat
