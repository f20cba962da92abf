// Package scheduling decides which job runs where: [Round] is one round of one
// pool, a pure function from an [Input] to an [Outcome]. The same input gives
// the same outcome, byte for byte, on any number of cores.
//
// The words: a [Pool] is the state of one pool (nodes, queues, queued jobs and
// runs), patched as things change and never rebuilt per round; a round only
// reads it. The steps of a round, told by round.go:
//
//  1. fairshare: what each queue is owed (fairshare/);
//  2. evict on paper what may be taken back;
//  3. admit: while gangs remain, the queue with the lowest cost offers its next
//     gang, and placement finds nodes for all its members or for none
//     (placement/);
//  4. repair nodes that hold too much;
//  5. outcome: leases, preemptions, and a reason for every job that waits.
//
// Everything is a gang; a lone job is a gang of one. The package must never
// read a clock, iterate over a map where order shows, use floating point where
// sums depend on order, or do I/O. Its behaviour is told by the scenarios in
// testdata, which a user can read.
package scheduling
