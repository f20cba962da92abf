// Package armada is the vocabulary of Armada: the nouns that every other
// package shares, and the rules about one value of each.
//
// The words and how they hang together:
//
//   - A [Queue] is one tenant's line. A [Job] is what a user asks to run once;
//     jobs watched together within a queue form a job set. Jobs that must be
//     placed together or not at all form a [Gang]; a lone job is a gang of one.
//   - A [Run] is one attempt of a job on one [Node]. The permission to start a
//     run is its lease; it belongs to the session of an [Executor], the agent
//     of one cluster. Nodes that are scheduled together form a pool.
//   - What a job needs of a node are its [Requirements]; jobs with equal
//     requirements have the same shape. The pod spec itself is a template,
//     stored once and never looked at by the scheduler.
//   - Everything that happens to a job is an [Event] of its job set.
//
// The package imports the standard library only, reads no clock and does no
// I/O. Which transitions are legal is told by internal/lifecycle, what is
// remembered by internal/store, who runs where by internal/scheduling.
package armada
