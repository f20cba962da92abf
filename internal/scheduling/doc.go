// Package scheduling decides which job runs where: [Round] is one round of one
// pool, a pure function from an [Input] to an [Outcome]. The same input gives
// the same outcome, byte for byte, on any number of cores.
//
// The words: a [Pool] is the state of one pool (nodes, queues, queued jobs and
// runs), patched as things change and never rebuilt per round; a round only
// reads it. The steps of a round, told by round.go:
//
//  1. fairshare: what each queue is owed (fairshare/);
//  2. repair nodes that have less than their runs hold;
//  3. admit: while gangs remain, the queue with the lowest cost offers its next
//     gang, and placement finds nodes for all its members or for none
//     (placement/); where nothing is free, preempt.go looks for room that somebody
//     leaves already, that queues owe (book.go), or that less urgent runs hold.
//     In a market-driven pool the highest price goes first, and room is made by runs
//     that bid less (market.go);
//  4. where fairness preempts nobody, small runs may make room for a large job
//     (optimise.go); in a market, what places cost is found out (prices.go);
//  5. outcome: leases, preemptions, and a reason for every job that waits.
//
// A run that is preempted *leaves*: it holds its room until it has ended, and does
// not count for its queue any more. What is placed into its room meanwhile waits
// for its end, and counts already. So rounds while it leaves, and after, find
// nothing to do again.
//
// Everything is a gang; a lone job is a gang of one. What gangs look alike to
// placement are of one kind: where one of them has no place, none has, for room
// only shrinks within a step; where runs may be preempted, none has of queues that
// cost as much or more. So each queue keeps a lane per kind, and passes over all
// that a lane holds in one step. Within a queue the higher priority
// class goes first, then the lower priority number, then the earlier submit; a
// gang's turn is that of its last member. Between queues the higher class goes
// first, then the lower cost, then the name.
//
// Nodes may be kept for a gang that has waited for long while others went past it
// (reserve.go); who takes an outcome tells the pool by [Pool.Spend].
//
// What bounds a round stands beside its steps: what queues and rounds may have
// (limits.go), how fast jobs start (rates.go), and what no node has (floating.go).
// The pools of an installation have rates and budgets in common (shared.go). A job
// without a place at home may be *away* (away.go), and a job of another pool a *guest*
// (guests.go).
//
// Apart from rounds, [Config.CouldRun] and [Config.WhyNever] tell whether a job
// could ever run on what is known of nodes, and why it could not (known.go).
//
// The package must never read a clock, iterate over a map where order shows,
// use floating point where sums depend on order, or do I/O. Its behaviour is
// told by the scenarios in testdata, which a user can read, and checked against
// a naive round (reference_test.go). Start at contract.go, then pool.go, queue.go
// and gang.go for the state, round.go and preempt.go for the decisions, memory.go
// for what queues pay besides what they hold, and outcome.go and losses.go for what
// is said about the decisions. Why it is built so: docs/adr/0005-scheduling-round.md,
// 0019-preemption.md, 0020-limits-and-nodes.md and 0023-markets.md.
package scheduling
