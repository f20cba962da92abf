// Package codec turns what the stores keep as blobs into bytes and back: blocks
// of events, the parts of a job that no query looks into, requirements, nodes
// and queues.
//
// The words: a record is a list of fields, each a key (number and kind), then a
// varint or a length and bytes; a zero value takes no room. Every blob begins
// with a version byte. A block holds the events of one job set and one
// transaction; within a block, times are differences and strings that repeat
// those of the event before cost a byte.
//
// What is written is read for ever: field numbers are never reused, a reader
// skips fields that it does not know (a newer program wrote them), and bytes
// under testdata must stay readable. A version byte changes only when skipping
// is not enough; a reader refuses versions that it does not know with
// [ErrVersion]. Broken bytes yield [ErrCorrupt] and never a panic.
//
// Resources are stored by name, because the positions of an
// [armada.ResourceTable] depend on the configuration: what the table does not
// count any more is dropped on reading. Times are kept to the microsecond.
//
// The package must never do I/O or know about a database. The fields are listed
// beside each type's functions.
package codec
