// Package wire turns the messages of pkg/api into the vocabulary of the root
// package and back.
//
// Every function is a translation and decides nothing: what is wrong with a
// request is found by internal/server, what a report does to a job by
// internal/lifecycle. What comes in from executors is made fit to be stored
// (texts are cut to a bound and made valid UTF-8), because they cut their texts
// at any byte; what goes out names and numbers things as programs of 2020 and
// of 2026 expect it.
//
//	queue.go, job.go, lookout.go   what users ask for and see
//	event.go, cursor.go            streams of events and places in them
//	node.go, lease.go, report.go   what executors say and are told
//	state.go                       the enums
//
// All functions may be called from many goroutines; results share no memory
// with arguments that could change, except pod specs and maps of a stored job,
// which nobody changes.
//
// JSON is the business of internal/wire/restjson, the hot decoding of submit
// requests that of internal/wire/submitview.
package wire
