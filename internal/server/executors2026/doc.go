// Package executors2026 serves executors of the original of 2026. They know
// nothing of sessions: every few seconds one opens a stream, tells of its nodes
// and of every run that it remembers, takes what it is answered, and waits until
// the server has closed the stream (poll.go). What happened to runs it tells in
// calls of their own (reports.go). docs/adr/0027 says why it is done as here.
//
// The words: a request lists a run when it names it, on a node or not. An executor
// remembers a run until it is told to cancel it, also one that has ended: so
// cancelling is also how it learns that it may forget one.
//
// What it promises (reconcile.go):
//
//   - A lease is sent again, with the same run, until a request lists it, and
//     never while the pod of an older run of the job, or of one whose place it
//     takes, may still be there.
//   - A run that is not wanted any more holds its place until a request does not
//     list it: nothing else tells that its pod is gone.
//   - A run that had begun and is missing from every request for a time has ended,
//     and nobody knows how.
//
// It works from any replica: what must be remembered is in the store. A replica
// remembers only since when it has seen a run missing, or ended, and so at worst
// waits for longer than it must.
//
// The package decides nothing about jobs: that is the leader's and
// internal/lifecycle's matter.
package executors2026
