// Package server is the face of Armada: the gRPC services, and in front of them
// the same services as REST.
//
// One file per service. A method authorizes, checks the request, calls the
// store and translates the answer; what a transition does is decided by
// internal/lifecycle inside the store, what is scheduled by internal/leader, and
// messages are turned into our words by internal/wire.
//
//	server.go, services.go     what is served where, and the orderly stop; config.go
//	access.go                  the one list of methods: what each takes of its caller
//	calls.go, limits.go        what happens to every call: identity, limits, measure, errors
//	errors.go                  the one table of codes
//	submit.go, validate.go     taking jobs in; specs.go remembers pod specs
//	cancel.go, reprioritize.go changing jobs, in pieces (pieces.go)
//	executorservice.go         changing jobs by executor and node, found by pickjobs.go
//	queues.go, queueservice.go queues, under both names of the service
//	events.go                  streams of events; submitted.go completes them
//	jobs.go, lookout*.go       asking; reports.go tells of the scheduler's rounds
//	exec.go                    commands in the containers of running jobs
//	binoculars.go              logs and closed nodes, for clients of another service
//	executors/                 the executors' side, a package of its own
//	health.go, ids.go, lru.go  what several of them use
//	gateway.go, rest.go        REST, over a connection inside the process; cors.go is
//	                           for browsers, waits.go for clients that are slow, apidocs.go and docs/ describe it
//
// Promises: what a call answered with OK is durable, and no call answers
// UNAVAILABLE once something was committed, because clients repeat such calls. A
// refused request tells every violation with its path. A stream that watches
// never ends with OK. A slow watcher holds nothing but its own place.
//
// The package must never import a form of the store, open a transaction, keep
// state of jobs in memory, or decide about a job's state itself.
package server
