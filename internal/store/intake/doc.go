// Package intake is what the forms of the store share of writing: calls wait in
// a [Line] and are taken from it in groups, and a [Batch] decides in memory what
// a group changes. The form reads what the batch asks for ([Form]) and writes
// what it has gathered, in one transaction.
//
// The words: a batch is what one transaction changes; an entry is a job in
// memory, with its current or latest run; a job set here is one incarnation and
// the events that the transaction adds to it.
//
// A request is refused, with a code, before it changes anything: so it fails
// alone, and those of the same group are written. What a batch has gathered is
// lost with it when the form cannot write, and the requests run again in a new
// one.
//
// The package must never speak SQL, and must never decide about states:
// internal/lifecycle does.
package intake
