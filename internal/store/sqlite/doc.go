// Package sqlite keeps the promises of internal/store in one SQLite file, for
// one process: what `armada up` remembers.
//
// How it works. One goroutine, the writer, owns the only connection that
// writes. It takes every request that waits (a group), runs them one after the
// other inside one transaction, and commits once: one fsync for all of them.
// Requests do not write rows; they change values in memory (a [batch]), which
// are written together at the end: many jobs of a job set become one block of
// events and a few statements. A request finds out that it cannot be done
// before it changes anything, so it fails alone. If writing fails because of
// one request (a job id used twice) the group is rolled back and its requests
// are tried one by one; if the disk fails, all of them answer Unavailable.
//
// The words: a batch is what a group changes; an entry is a job in the writer's
// memory; a block is the events of one job set and one transaction; the feed is
// a row per transaction that lists what it touched; the tally is how many jobs
// are in which state; a mark is an entry of the index of owners and annotations.
//
// Reading happens on connections of its own and never waits for the writer. No
// read transaction is open while anything is sent to anybody.
//
// What the writer remembers between transactions is forgotten when the file's
// data version shows that somebody else wrote: opening a file twice is slow and
// does not wake the other's watchers, but corrupts nothing.
//
// Start reading at store.go, writer.go and batch.go. The package must never
// decide about states: internal/lifecycle does.
package sqlite
