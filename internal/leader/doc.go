// Package leader is the replica that schedules: it is elected, keeps every
// active job in memory, runs the rounds, and commits what they decide.
//
// The words: a tenure is the time for which a replica holds one epoch of
// leadership; a term is one life of the world within a tenure, from loading it
// to dropping it (an error that cannot be explained away ends a term, not the
// tenure); the world is everything that rounds decide from; a proposal is a
// unit of changes on its way to the store; a decision in flight is one whose
// proposal was not answered yet.
//
// What it promises:
//
//   - Election (election.go). A replica that leads renews every third of the
//     time to live and stops by itself when it could not renew for all of it,
//     counted from before it asked. Others try several times a second, so that
//     one who resigned is followed at once, and one who died within the time
//     to live. Whatever the clocks say, a deposed leader commits nothing: every
//     transition carries its epoch (promise 7 of internal/store).
//   - World (world.go, place.go, decide.go). One goroutine owns it. It is pure
//     state without I/O and reads no clock. What the feed tells is applied when
//     its version is newer; repeats change nothing. A queued job is offered to
//     every pool; a job with a run holds its room in one pool until the run's
//     end is known. A decision in flight counts as if it had happened, and is
//     undone when its proposal is refused; then the jobs are withheld for a
//     moment that doubles, so that news can arrive before they lose again.
//   - Loop (loop.go). A round of a pool runs when something changed that could
//     matter to it or when its last round asked to be woken, never more than
//     half of the time and never more often than Config.MinRoundInterval; an
//     idle leader reacts at once and does nothing in between. Reading the feed
//     every Config.Poll makes up for lost wake-ups.
//   - Commits (commit.go). Proposals go in the order in which they were decided
//     and are never cut; a transition takes as many as fit in about
//     Config.PieceTime. Rounds and the feed go on meanwhile. A store that is
//     not available is asked again until it answers or leadership ends.
//   - Restored stores (promise 14 of internal/store). While nothing may be started
//     a term has no world: nothing is decided and nobody is given up.
//   - Silence (expiry.go). An executor that was not heard of for its lease gets
//     nothing new, nor does one that has too many runs which it has not begun. After the lease, a margin and Expiry.LostTimeout its runs
//     are given up (lifecycle.Expire). Nothing is judged before the store was
//     asked afresh, and whoever just became leader gives every executor its
//     full time before it gives up anything.
//   - Rejections (reject.go). A queued job that was never leased is rejected when
//     no kind of node fits it that an executor had in the last day or that is
//     configured, and every executor has told of its nodes since this replica
//     leads; a gang as a whole, for one such member. Cordons, silence and what
//     is in use never reject. Without executors nothing is rejected.
//   - Attempts (abandon.go). A job whose attempts have taught something (nodes to
//     avoid, memory to add) is offered with a shape of its own. When no node that
//     there is or could come back is left for it, known as for a rejection, it
//     fails; unless there is none without what it was taught either: then it waits.
//   - Explanations (explain.go) tell, without locks, what the latest round of
//     each pool saw and why jobs wait.
//
// The package must never name a form of the store, look at a pod spec, talk to
// an executor or decide where a job runs: that is internal/scheduling. Whether
// a change is legal is decided by internal/lifecycle inside the store.
package leader
