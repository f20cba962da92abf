// Package sessions proves what servers and executors promise each other: real
// stores, real services of internal/server/executors and real agents of
// internal/executor over simulated runtimes, in one process and in the virtual
// time of testing/synctest, so that a lease of two minutes takes no time.
//
// The words: a world (world_test.go) is one store with one server at a time; a
// cluster is an agent with its runtime; a link (link_test.go) is what lies
// between the two and can lose one direction, both, or only time.
//
// The tests tell what happens in sentences. turmoil_test.go lets everything go
// wrong by a seed and asks only for what must always be true.
package sessions
