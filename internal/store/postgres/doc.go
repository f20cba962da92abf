// Package postgres keeps the promises of internal/store in PostgreSQL, for any
// number of processes at once: what `armada server` remembers.
//
// How it works. All writers of a database go through one lane: the row of table
// lane, which a transaction updates first and so holds until it is over. In the
// lane rows of the feed and numbers of jobs and events are given, so their order
// is that of the commits and nobody can miss one or deadlock. What is done in the
// lane is one statement, a call of a function (migrations/0002): the lane is
// never held by somebody who waits for a client, however slow or stopped.
//
// Submissions and transitions of one process wait in a line and are taken from it
// in groups. A group is decided in memory (internal/store/intake) on what was
// just read, and written by one call of the function commit, which checks first
// that what was read still holds: the turn of every changed job, the leader's
// epoch, sessions, queues, client ids. If not, nothing is written, and the group
// is read and decided again. A conflict means that somebody else progressed.
//
// Every commit has a name of its own, which its row of the feed keeps. When a
// connection is lost in mid-commit the name is looked for in the lane, and if it
// is not there it is put there, so that the commit can not be done any more. So
// a call is never answered Unavailable that was done.
//
// The words: the lane; a turn counts the changes of an active job's row; stale is
// what was decided on something that does not hold any more.
//
// Active jobs have their lives in a small table, finished ones in another; what
// never changes of a job is written once. So the part that changes stays small
// and no update touches the large tables.
//
// Others are told by NOTIFY, after commit and from one place of each process, and
// a slow poll covers what is lost of it. Reading never takes a lock.
//
// Start reading at store.go, writer.go and migrations. The package must never
// decide about states: internal/lifecycle does.
package postgres
